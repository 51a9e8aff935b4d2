"""Sessions and headers as a caller sees them."""

from __future__ import annotations

from typing import Any

from ..messages import admin_service_pb2 as admin_pb
from ..messages import session_service_pb2 as pb
from .app import App
from .edit import anonymous_lifetimes
from .record import Record
from .times import to_message


def new_session(app: App, session_id: str, ticket: str, now: int) -> pb.Session:
    """Returns a session that is not stored yet."""
    lifetimes = anonymous_lifetimes(app)
    return pb.Session(
        id=session_id,
        token=ticket,
        new=True,
        etag="0",
        access_time=to_message(now),
        expire_time=to_message(now + min(lifetimes.idle_timeout, lifetimes.absolute_timeout)),
        idle_timeout=to_message(lifetimes.idle_timeout),
    )


def stored_session(session_id: str, record: Record, token: str, now: int, *, with_entries: bool = False) -> pb.Session:
    """Returns a session as used now. The token is empty if this caller may not get it."""
    return pb.Session(
        id=session_id,
        token=token,
        entries=entries(record) if with_entries else {},
        **_permanent(record),
        etag=str(record.version),
        subject=record.subject or "",
        create_time=to_message(record.create_time),
        access_time=to_message(max(record.access_time, now)),
        authenticate_time=None if record.authenticate_time is None else to_message(record.authenticate_time),
        expire_time=to_message(record.expire_time(now)),
        idle_timeout=to_message(record.idle_timeout),
    )


def ambiguous_session() -> pb.Session:
    """Returns the null session of a header with the cookies of two live sessions."""
    return pb.Session(null_session=pb.NullSession(reason="COOKIES_AMBIGUOUS", message=COOKIES_AMBIGUOUS))


def session_info(
    session_id: str, record: Record, end_reason: pb.EndReason | None, *, with_entries: bool
) -> admin_pb.SessionInfo:
    """Returns a session as an operator sees it."""
    return admin_pb.SessionInfo(
        id=session_id,
        subject=record.subject or "",
        **_permanent(record),
        etag=str(record.version),
        create_time=to_message(record.create_time),
        access_time=to_message(record.access_time),
        authenticate_time=None if record.authenticate_time is None else to_message(record.authenticate_time),
        expire_time=to_message(record.expire_time(record.access_time)),
        context=pb.RequestContext(user_agent=record.user_agent, remote_address=record.remote_address),
        entry_count=len(record.entries),
        entry_bytes=record.entry_bytes(),
        entries=entries(record) if with_entries and end_reason is None else {},
        end_reason=end_reason or pb.END_REASON_UNSPECIFIED,
        end_time=to_message(record.end[1]) if record.end else None,
    )


def entries(record: Record) -> dict[str, pb.Value]:
    return {
        name: pb.Value(raw=stored[1:]) if stored[:1] == b"\0" else pb.Value(json=stored.decode())
        for name, stored in record.entries.items()
    }


def _permanent(record: Record) -> dict[str, Any]:
    return {} if record.permanent is None else {"permanent": record.permanent}


def headers(app: App, session: pb.Session, now: int, *, sets_cookie: bool, varies: bool) -> list[pb.Header]:
    """Returns the headers of a response with this session, in order."""
    found = []
    if sets_cookie and session.token:
        expire_time = session.expire_time.ToMilliseconds() if session.permanent else None
        found.append(app.set_cookie(session.token, expire_time, now))
    return [*found, vary()] if varies or found else []


def vary() -> pb.Header:
    return pb.Header(name="Vary", value="Cookie")


COOKIES_AMBIGUOUS = (
    "The request's cookies name two live sessions, so one of them may have been planted. If the cookie's path or "
    "domain was changed, rename the cookie as well."
)
