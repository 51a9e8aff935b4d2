"""Decides what a response does with the session cookie, for frontends that set it themselves.

Follows the table in the comment of SaveSession in the proto.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Callable

from .messages import session_service_pb2 as pb


class CookieAction(enum.Enum):
    """What a response does with the browser's cookie."""

    #: Leave it: the browser has the right cookie, or may have a newer one.
    KEEP = "keep"
    #: Send it again to move its expiry, if the application refreshes cookies at each request.
    REFRESH = "refresh"
    #: Set it.
    SET = "set"
    #: Delete it, with every attribute that it was set with.
    DELETE = "delete"


class CookieDecision:
    """The action for the cookie, its new value, and the headers of the service that do the same."""

    __slots__ = ("_headers", "_session", "action")

    def __init__(
        self,
        action: CookieAction = CookieAction.KEEP,
        session: pb.Session | None = None,
        headers: Iterable[pb.Header] = (),
    ) -> None:
        self.action = action
        self._session = session
        self._headers = headers

    @property
    def token(self) -> str:
        """The cookie's value for REFRESH and SET.

        It may differ from the session's token: in the kind `cookie` the service signs a cookie anew to refresh it.
        """
        for header in self._headers:
            if header.name == _SET_COOKIE:
                return header.value.partition(";")[0].partition("=")[2]
        return "" if self._session is None else self._session.token

    @property
    def changes_cookie(self) -> bool:
        """Whether a browser that does not get this decision keeps a cookie that opens nothing any more."""
        return self.action in (CookieAction.SET, CookieAction.DELETE)

    @property
    def permanent(self) -> bool:
        return self._session is not None and self._session.permanent

    @property
    def expire_time(self) -> datetime | None:
        """The time when a permanent session expires."""
        session = self._session
        if session is None or not session.HasField("expire_time"):
            return None
        return session.expire_time.ToDatetime(timezone.utc)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """For frontends that append the service's headers as they are."""
        return tuple((header.name, header.value) for header in self._headers)

    def followed_by(self, later: CookieDecision) -> CookieDecision:
        """Returns the later decision, unless it keeps the cookie and this one does not."""
        keeps_this_change = later.action is CookieAction.KEEP and self.action is not CookieAction.KEEP
        return self if keeps_this_change else later


def after_open(
    opened: pb.OpenSessionResponse, sent_tokens: Callable[[], list[str]], *, is_read: bool
) -> CookieDecision:
    """Decides for a request that changed nothing."""
    headers = opened.read_headers if is_read else opened.untouched_headers
    session = opened.session
    return CookieDecision(_action(session, headers, sent_tokens), session, headers)


def after_save(saved: pb.SaveSessionResponse, sent_tokens: Callable[[], list[str]]) -> CookieDecision:
    """Decides after a save.

    The service sends no Set-Cookie if the browser has the right cookie, or may be about to get that of a login.
    """
    if saved.outcome == pb.OUTCOME_UNCHANGED:
        action = _action(saved.session, saved.headers, sent_tokens)
    elif not _sets_cookie(saved.headers):
        action = CookieAction.KEEP
    else:
        action = CookieAction.DELETE if saved.outcome == pb.OUTCOME_DELETED else CookieAction.SET
    return CookieDecision(action, saved.session, saved.headers)


def _action(session: pb.Session, headers: Iterable[pb.Header], sent_tokens: Callable[[], list[str]]) -> CookieAction:
    """Returns the action for a session that was not changed."""
    if session.permanent and session.token in sent_tokens():
        return CookieAction.REFRESH
    return CookieAction.SET if _sets_cookie(headers) else CookieAction.KEEP


def after_destroy(destroyed: pb.DestroySessionResponse) -> CookieDecision:
    """Decides after the end of a session.

    The service sends no Set-Cookie if an old token ended the session: the browser may have a newer cookie by then.
    """
    action = CookieAction.DELETE if _sets_cookie(destroyed.headers) else CookieAction.KEEP
    return CookieDecision(action, None, destroyed.headers)


def cookie_values(cookie_header: str, name: str) -> list[str]:
    """Returns the values of all cookies with this name in a Cookie header."""
    pairs = (pair.partition("=") for pair in cookie_header.split(";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def _sets_cookie(headers: Iterable[pb.Header]) -> bool:
    for header in headers:  # noqa: SIM110 - a generator costs three times as much
        if header.name == _SET_COOKIE:
            return True
    return False


_SET_COOKIE = "Set-Cookie"
#: The decision of a request that has not asked the service.
NO_CHANGE = CookieDecision()
