"""Calls AdminService from an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..async_client import AsyncClient
from ..connect import Credentials
from ..errors import SessionRefused
from ..transport import AsyncTransport
from . import calls
from .answers import Explanation, SessionInfo, SessionPage, Stats
from .async_events import AsyncEventStream
from .calls import Answer, Call


class AsyncAdminClient:
    """Does what `AdminClient` does, for programs with an event loop. Its methods have the same arguments and errors.

        admin = AsyncAdminClient("localhost:50052", app="shop")
        devices = await admin.list_subject("ada")

    Args:
        service: The address of AdminService, such as `localhost:50052` or `https://cloakroom:50052`, or an
            `AsyncTransport`. Without a port it would be the port of SessionService, so give one.
        app: The app's name in the service's configuration. Empty means `default`.
        deadline: Seconds that one call may take, its retries included.
        credentials: What the calls are authenticated by. An `AsyncTransport` has its own.
    """

    def __init__(
        self,
        service: str | AsyncTransport = "localhost:50052",
        *,
        app: str = "",
        deadline: float = 5.0,
        credentials: Credentials | None = None,
    ) -> None:
        self.app = app
        self._client = AsyncClient(service, app=app, deadline=deadline, credentials=credentials)

    async def list_subject(self, subject: str, *, with_entries: bool = False) -> list[SessionInfo]:
        """Returns the live sessions of a user, the one used last first."""
        return await self._make(calls.list_subject(self.app, subject, with_entries=with_entries))

    async def list_page(self, page_token: str = "", *, page_size: int = 100, with_entries: bool = False) -> SessionPage:
        """Returns some of the app's live sessions, in no order. A page may be empty and not be the last one."""
        call = calls.list_page(self.app, page_token, page_size=page_size, with_entries=with_entries)
        return await self._make(call)

    async def list_all(self, *, page_size: int = 100, with_entries: bool = False) -> AsyncIterator[SessionInfo]:
        """Returns all live sessions of the app, in no order, by a call for each page."""
        page_token = ""
        while True:
            page = await self.list_page(page_token, page_size=page_size, with_entries=with_entries)
            for session in page.sessions:
                yield session
            page_token = page.next_page_token
            if not page_token:
                return

    async def get_session(self, session_id: str, *, with_entries: bool = False) -> SessionInfo | None:
        """Returns one session, live or ended in the last 16 minutes. None: there is none."""
        try:
            return await self._make(calls.get_session(self.app, session_id, with_entries=with_entries))
        except SessionRefused as error:
            if error.reason == "SESSION_UNKNOWN":
                return None
            raise

    async def revoke_session(self, session_id: str, *, subject: str | None = None) -> bool:
        """Ends one session, if it belongs to this user. Returns whether this call ended it."""
        if subject is not None:
            calls.check_subject(subject)
            if not await self._belongs_to(session_id, subject):
                return False
        return await self._make(calls.revoke_session(self.app, session_id))

    async def _belongs_to(self, session_id: str, subject: str) -> bool:
        try:
            session = await self.get_session(session_id)
        except SessionRefused as error:
            if error.reason == "SESSION_ID_INVALID":
                return False
            raise
        except UnicodeEncodeError:
            # Half of a surrogate pair, which JSON can hold and no message can.
            return False
        return session is not None and session.subject == subject

    async def revoke_subject(self, subject: str, *, except_id: str = "") -> int:
        """Ends every session of a user, or every session except one. Returns how many this call ended."""
        return await self._make(calls.revoke_subject(self.app, subject, except_id))

    async def revoke_app(self) -> None:
        """Ends every session of the app that was created before: logs everybody out."""
        await self._make(calls.revoke_app(self.app))

    async def explain(self, *, cookie_header: str = "", token: str = "", cookie_name: str = "") -> list[Explanation]:
        """Explains what a cookie, a token or a ticket leads to, and why it opens nothing. Changes nothing."""
        return await self._make(calls.explain(self.app, cookie_header, token, cookie_name))

    async def stats(self) -> Stats:
        """Returns the numbers of the app, as the replica that answers has them."""
        return await self._make(calls.stats(self.app))

    def watch_events(self, cursor: str = "") -> AsyncEventStream:
        """Follows what happens to the app's sessions, from now on or from a cursor, once it is read."""
        return AsyncEventStream(self._client, cursor)

    async def _make(self, call: Call[Answer]) -> Answer:
        return call.read(await self._client.call(call.method, call.request))
