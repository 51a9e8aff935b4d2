"""Decides what a response does with the session cookie, for frontends that set it themselves.

Follows the table in the comment of SaveSession in the proto.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

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


@dataclass(frozen=True)
class CookieDecision:
    """The action for the cookie, its new value, and the headers of the service that do the same."""

    action: CookieAction = CookieAction.KEEP
    #: The cookie's value for REFRESH and SET.
    token: str = ""
    permanent: bool = False
    #: The time when a permanent session expires.
    expire_time: datetime | None = None
    #: For frontends that append the service's headers as they are.
    headers: tuple[tuple[str, str], ...] = ()

    def followed_by(self, later: CookieDecision) -> CookieDecision:
        """Returns the later decision, unless it keeps the cookie and this one does not."""
        keeps_this_change = later.action is CookieAction.KEEP and self.action is not CookieAction.KEEP
        return self if keeps_this_change else later


def after_open(opened: pb.OpenSessionResponse, sent_tokens: list[str], *, is_read: bool) -> CookieDecision:
    """Decides for a request that changed nothing."""
    headers = opened.read_headers if is_read else opened.untouched_headers
    return _decision(_action(opened.session, headers, sent_tokens), opened.session, headers)


def after_save(saved: pb.SaveSessionResponse, sent_tokens: list[str]) -> CookieDecision:
    """Decides after a save.

    The service sends no Set-Cookie if the browser has the right cookie, or may be about to get that of a login.
    """
    if saved.outcome == pb.OUTCOME_UNCHANGED:
        action = _action(saved.session, saved.headers, sent_tokens)
    elif not _sets_cookie(saved.headers):
        action = CookieAction.KEEP
    else:
        action = CookieAction.DELETE if saved.outcome == pb.OUTCOME_DELETED else CookieAction.SET
    return _decision(action, saved.session, saved.headers)


def _action(session: pb.Session, headers: Iterable[pb.Header], sent_tokens: list[str]) -> CookieAction:
    """Returns the action for a session that was not changed."""
    if session.permanent and session.token in sent_tokens:
        return CookieAction.REFRESH
    return CookieAction.SET if _sets_cookie(headers) else CookieAction.KEEP


def after_destroy(destroyed: pb.DestroySessionResponse) -> CookieDecision:
    """Decides after the end of a session.

    The service sends no Set-Cookie if an old token ended the session: the browser may have a newer cookie by then.
    """
    action = CookieAction.DELETE if _sets_cookie(destroyed.headers) else CookieAction.KEEP
    return _decision(action, pb.Session(), destroyed.headers)


def cookie_values(cookie_header: str, name: str) -> list[str]:
    """Returns the values of all cookies with this name in a Cookie header."""
    pairs = (pair.partition("=") for pair in cookie_header.split(";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def _decision(action: CookieAction, session: pb.Session, headers: Iterable[pb.Header]) -> CookieDecision:
    expire_time = session.expire_time.ToDatetime(timezone.utc) if session.HasField("expire_time") else None
    pairs = tuple((header.name, header.value) for header in headers)
    return CookieDecision(action, _set_cookie_value(pairs) or session.token, session.permanent, expire_time, pairs)


def _sets_cookie(headers: Iterable[pb.Header]) -> bool:
    return any(header.name == "Set-Cookie" for header in headers)


def _set_cookie_value(headers: tuple[tuple[str, str], ...]) -> str:
    """Returns the cookie's value in a Set-Cookie header.

    It may differ from the session's token: in the kind `cookie` the service signs a cookie anew to refresh it.
    """
    for name, value in headers:
        if name == "Set-Cookie":
            return value.partition(";")[0].partition("=")[2]
    return ""
