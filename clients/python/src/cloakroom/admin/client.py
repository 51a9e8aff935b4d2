"""Calls AdminService."""

from __future__ import annotations

from collections.abc import Iterator

from ..client import Client
from ..connect import Credentials
from ..errors import SessionRefused
from ..transport import Transport
from . import calls
from .answers import Explanation, SessionInfo, SessionPage, Stats
from .calls import Answer, Call
from .events import EventStream


class AdminClient:
    """Calls AdminService for the sessions of one app.

        admin = AdminClient("localhost:50052", app="shop")
        devices = admin.list_subject("ada")

    Every method may be called again at any time. Each raises `SessionUnavailable` if it got no answer in time,
    `SessionRefused` if the service rejects the request, `NotInCookieKind` if the app's kind is `cookie` (except `stats`
    and `explain`), and `CloakroomError` for any other failure. It is safe to use from several threads and after a fork.

    Args:
        service: The address of AdminService, such as `localhost:50052` or `https://cloakroom:50052`, or a `Transport`.
            Without a port it would be the port of SessionService, so give one.
        app: The app's name in the service's configuration. Empty means `default`.
        deadline: Seconds that one call may take, its retries included.
        credentials: What the calls are authenticated by. A `Transport` has its own.
    """

    def __init__(
        self,
        service: str | Transport = "localhost:50052",
        *,
        app: str = "",
        deadline: float = 5.0,
        credentials: Credentials | None = None,
    ) -> None:
        self.app = app
        self._client = Client(service, app=app, deadline=deadline, credentials=credentials)

    def list_subject(self, subject: str, *, with_entries: bool = False) -> list[SessionInfo]:
        """Returns the live sessions of a user, the one used last first.

        Args:
            subject: The user, 1 to 256 bytes of text.
            with_entries: Whether to read the entries as well.

        Raises:
            ValueError: The subject is empty: that would be every session of the app.
        """
        return self._make(calls.list_subject(self.app, subject, with_entries=with_entries))

    def list_page(self, page_token: str = "", *, page_size: int = 100, with_entries: bool = False) -> SessionPage:
        """Returns some of the app's live sessions, in no order. A page may be empty and not be the last one.

        Args:
            page_token: The `next_page_token` of the page before. Empty for the first page.
            page_size: Sessions on a page, at most 1000. With Redis there may be a few more.
            with_entries: Whether to read the entries as well.
        """
        return self._make(calls.list_page(self.app, page_token, page_size=page_size, with_entries=with_entries))

    def list_all(self, *, page_size: int = 100, with_entries: bool = False) -> Iterator[SessionInfo]:
        """Returns all live sessions of the app, in no order, by a call for each page.

        A session that is created or ends meanwhile may be missing.
        """
        page_token = ""
        while True:
            page = self.list_page(page_token, page_size=page_size, with_entries=with_entries)
            yield from page.sessions
            page_token = page.next_page_token
            if not page_token:
                return

    def get_session(self, session_id: str, *, with_entries: bool = False) -> SessionInfo | None:
        """Returns one session, live or ended in the last 16 minutes. None: there is none.

        Args:
            session_id: Its id, 32 hexadecimal digits.
            with_entries: Whether to read the entries as well.
        """
        try:
            return self._make(calls.get_session(self.app, session_id, with_entries=with_entries))
        except SessionRefused as error:
            if error.reason == "SESSION_UNKNOWN":
                return None
            raise

    def revoke_session(self, session_id: str, *, subject: str | None = None) -> bool:
        """Ends one session. From then on no token opens it. Returns whether this call ended it.

        Args:
            session_id: Its id, 32 hexadecimal digits.
            subject: Ends the session only if it belongs to this user; needed wherever a user gives the id, which may
                then be any text. It is looked up by a call before. None: any session.

        Raises:
            ValueError: The subject is empty, so it is no user.
        """
        if subject is not None:
            calls.check_subject(subject)
            if not self._belongs_to(session_id, subject):
                return False
        return self._make(calls.revoke_session(self.app, session_id))

    def _belongs_to(self, session_id: str, subject: str) -> bool:
        try:
            session = self.get_session(session_id)
        except SessionRefused as error:
            if error.reason == "SESSION_ID_INVALID":
                return False
            raise
        except UnicodeEncodeError:
            # Half of a surrogate pair, which JSON can hold and no message can.
            return False
        return session is not None and session.subject == subject

    def revoke_subject(self, subject: str, *, except_id: str = "") -> int:
        """Ends every session of a user, or every session except one. Returns how many this call ended.

        It misses none that belonged to the user before the call. After an error some may have ended: call it again.

        Args:
            subject: The user, 1 to 256 bytes of text.
            except_id: The id of the session that stays, such as `session.id` of the one that the user is using.

        Raises:
            ValueError: The subject is empty.
        """
        return self._make(calls.revoke_subject(self.app, subject, except_id))

    def revoke_app(self) -> None:
        """Ends every session of the app that was created before: logs everybody out.

        After an error some may have ended: call it again.
        """
        self._make(calls.revoke_app(self.app))

    def explain(self, *, cookie_header: str = "", token: str = "", cookie_name: str = "") -> list[Explanation]:
        """Explains what a cookie, a token or a ticket leads to, and why it opens nothing. Changes nothing.

        Args:
            cookie_header: The whole Cookie header, its bytes decoded as Latin-1. The result has one item for each
                cookie of the app, at most 8.
            token: A token or a ticket alone, in place of the header.
            cookie_name: The cookie's name, if it differs from the app's.
        """
        return self._make(calls.explain(self.app, cookie_header, token, cookie_name))

    def stats(self) -> Stats:
        """Returns the numbers of the app, as the replica that answers has them."""
        return self._make(calls.stats(self.app))

    def watch_events(self, cursor: str = "") -> EventStream:
        """Follows what happens to the app's sessions, from now on or from a cursor. Expiry sends no event.

        The first batch comes at once, and may have no events: a list made after it misses nothing. Every event comes at
        least once.

        Args:
            cursor: The cursor of the last batch that was processed. Empty: from now on.

        Raises:
            SessionRefused: With the reason EVENTS_MISSED, the events since the cursor are no longer stored. Begin
                without one, and list the sessions after the first batch.
        """
        return EventStream(self._client, cursor)

    def _make(self, call: Call[Answer]) -> Answer:
        return call.read(self._client.call(call.method, call.request))
