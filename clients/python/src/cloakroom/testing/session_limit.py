"""Limits the sessions of one subject: evicts the oldest, or refuses the login."""

from __future__ import annotations

from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from .app_call import AppCall
from .changes import KEEP
from .prepared_save import PreparedSave
from .record import ADMIN, Grace, Precondition, Record, judge
from .write import Done, WriteResult


def enforce_session_limit(call: AppCall, prepared: PreparedSave) -> None:
    subject = prepared.changes.subject if prepared.changes else KEEP
    limit = call.app.max_sessions_per_subject
    if not isinstance(subject, str) or not limit or call.app.on_session_limit != "refuse":
        return
    sessions = dict(call.store.live_sessions(call.app.name, call.now, subject))
    token = prepared.presented.token
    is_one_of_them = call.session_id(token) in sessions
    if len(sessions) >= limit and not is_one_of_them and _would_write(call, prepared):
        message = f"the subject has {limit} sessions already, which is the limit; end one of them first"
        raise CallFailed("FAILED_PRECONDITION", "TOO_MANY_SESSIONS", message)


def _would_write(call: AppCall, prepared: PreparedSave) -> bool:
    """Whether the save would be written but for the limit."""
    record = call.load(prepared.presented.token)
    if record is None:
        return prepared.presented.is_ticket and prepared.write.etag in (None, 0)
    precondition = prepared.write.precondition(prepared.presented.token, call.now)
    denial = judge(record, call.store.generation(call.app.name), precondition)
    return denial is None or isinstance(denial, Grace)


def evict(call: AppCall, prepared: PreparedSave, result: WriteResult) -> None:
    limit = call.app.max_sessions_per_subject
    sets_subject = prepared.changes is not None and isinstance(prepared.changes.subject, str)
    if not limit or call.app.on_session_limit != "evict" or not sets_subject:
        return
    if not isinstance(result, Done) or result.record is None or result.record.subject is None:
        return
    sessions = call.store.live_sessions(call.app.name, call.now, result.record.subject)
    sessions.sort(key=_eviction_order)
    for session_id, _ in sessions[: max(len(sessions) - limit, 0)]:
        precondition = Precondition(ADMIN, call.now)
        call.store.apply(call.app.name, session_id, precondition, pb.END_REASON_EVICTED)


def _eviction_order(session: tuple[str, Record]) -> tuple[bool, int, int, str]:
    session_id, record = session
    return record.authenticate_time is not None, record.authenticate_time or 0, record.create_time, session_id
