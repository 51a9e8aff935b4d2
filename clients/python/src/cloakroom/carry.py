"""What a response does with the cookie: the table of the proto, for frontends that set it themselves."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

from .v1 import session_service_pb2 as pb


class Carry(enum.Enum):
    """What to do with the browser's cookie."""

    #: Nothing: it has the right one, or may have a newer one.
    KEEP = "keep"
    #: Send it again, so that its expiry moves on, if the application refreshes at each request.
    REFRESH = "refresh"
    #: Set it.
    SET = "set"
    #: Delete it, with every attribute that it was set with.
    DELETE = "delete"


@dataclass(frozen=True)
class Verdict:
    """What a response does with the cookie, and the service's own headers that say the same."""

    carry: Carry = Carry.KEEP
    token: str = ""
    permanent: bool = False
    #: When a permanent session ends.
    expire_time: datetime | None = None
    #: For frontends that append what they are given.
    headers: tuple[tuple[str, str], ...] = ()

    def then(self, later: Verdict) -> Verdict:
        """The later one, unless it keeps what this one has changed."""
        return self if later.carry is Carry.KEEP and self.carry is not Carry.KEEP else later


def of_open(opened: pb.OpenSessionResponse, sent: list[str], *, is_read: bool) -> Verdict:
    """After a request that changed nothing."""
    headers = opened.read_headers if is_read else opened.untouched_headers
    session, carry = opened.session, Carry.KEEP
    if session.token and not session.new:
        if session.token not in sent:
            carry = Carry.SET
        elif session.permanent:
            carry = Carry.REFRESH
    return _verdict(carry, session, headers)


def of_save(saved: pb.SaveSessionResponse, sent: list[str], *, touches_permanent: bool) -> Verdict:
    """After a save."""
    session, carry = saved.session, Carry.KEEP
    if saved.outcome == pb.OUTCOME_DELETED:
        carry = Carry.DELETE
    elif saved.outcome == pb.OUTCOME_CREATED:
        carry = Carry.SET
    elif saved.outcome == pb.OUTCOME_UPDATED:
        if session.token and (session.token not in sent or session.permanent or touches_permanent):
            carry = Carry.SET
    elif saved.outcome == pb.OUTCOME_UNCHANGED and session.token and not session.new:
        if session.token not in sent:
            carry = Carry.SET
        elif session.permanent:
            carry = Carry.REFRESH
    return _verdict(carry, session, saved.headers)


def of_destroy(destroyed: pb.DestroySessionResponse) -> Verdict:
    """After the end of a session: an old token deletes no cookie, for the browser may hold a newer one."""
    deletes = any(header.name == "Set-Cookie" for header in destroyed.headers)
    return _verdict(Carry.DELETE if deletes else Carry.KEEP, pb.Session(), destroyed.headers)


def values(cookie_header: str, name: str) -> list[str]:
    """The values that a Cookie header has for a name."""
    pairs = (pair.partition("=") for pair in cookie_header.split(";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def _verdict(carry: Carry, session: pb.Session, headers: Iterable[pb.Header]) -> Verdict:
    expire_time = session.expire_time.ToDatetime(timezone.utc) if session.HasField("expire_time") else None
    pairs = tuple((header.name, header.value) for header in headers)
    return Verdict(carry, _sent_token(pairs) or session.token, session.permanent, expire_time, pairs)


def _sent_token(headers: tuple[tuple[str, str], ...]) -> str:
    """The value in a Set-Cookie header: a session that lies in its cookie is signed anew when that is sent again."""
    for name, value in headers:
        if name == "Set-Cookie":
            return value.partition(";")[0].partition("=")[2]
    return ""
