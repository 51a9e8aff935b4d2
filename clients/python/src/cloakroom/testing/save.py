"""Saving: applies the changes of a request."""

from __future__ import annotations

from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from .app_call import AppCall, Live, Presented, new_ticket
from .changes import Message
from .destroy import destroy_all
from .prepared_save import PreparedSave, first_record, prepare
from .record import Gone, Record
from .responses import deleted, gone, new_session, response_headers, stored_session, unchanged
from .session_limit import enforce_session_limit, evict
from .store import Missing
from .tokens import Note
from .write import Done, WriteResult, etag_mismatch, write


def save_session(
    call: AppCall, request: pb.SaveSessionRequest, message: Message | None, etag: int | None
) -> pb.SaveSessionResponse:
    try:
        presented = call.of_write(request) or new_ticket()
    except CallFailed as failed:
        may_begin_anew = message is not None and message.may_begin_anew(call.app.subject_key)
        if failed.reason != "COOKIES_AMBIGUOUS" or not may_begin_anew:
            raise
        prepared = prepare(call, request, message, etag, new_ticket())
        # What would be refused ends nothing.
        if prepared.write.etag not in (None, 0):
            raise etag_mismatch(prepared.write.etag) from None
        first_record(call, prepared)
        destroy_all(call, request.cookie_header, None)
        return _save_prepared(call, prepared, request)
    is_token = not presented.is_ticket and not presented.is_cookie
    if request.cookie_outdated and is_token and presented.note is Note.NONE:
        presented = presented._replace(note=Note.SET)
    if message is None and not request.rotate:
        context = request.context if request.HasField("context") else None
        return save_unmodified(call, presented, context, request)
    return _save_prepared(call, prepare(call, request, message, etag, presented), request)


def _save_prepared(call: AppCall, prepared: PreparedSave, request: pb.SaveSessionRequest) -> pb.SaveSessionResponse:
    varies = request.accessed
    result = _try_save(call, prepared)
    if isinstance(result, (Gone, Missing)) and prepared.presented.is_cookie:
        # A save by cookie_header is an open and a save in one step.
        presented = call.begin_anew(prepared.presented.token, prepared.write.fingerprint, request)
        if presented is None:
            return _saved(call, prepared, result, varies=varies)
        prepared = prepared.with_credential(presented)
        result = _try_save(call, prepared)
    if result is not None:
        evict(call, prepared, result)
        return _saved(call, prepared, result, varies=varies)
    changes, shown = prepared.changes, prepared.presented
    if changes is not None and not isinstance(changes.permanent, bool):
        return deleted(call, shown, pb.END_REASON_EMPTIED, {}, varies=varies)
    session = new_session(call, shown.token, shown.note)
    return unchanged(call, session, sets_cookie=False, varies=varies)


def _try_save(call: AppCall, prepared: PreparedSave) -> WriteResult | None:
    """Writes a save with its credential; None if there is no session and nothing to store."""
    enforce_session_limit(call, prepared)
    if not prepared.presented.is_ticket:
        return write(call, prepared.rotating(call.now))
    token, may_create = prepared.presented.token, prepared.write.etag in (None, 0)
    session_id = call.session_id(token)
    refused: CallFailed | None = None
    try:
        first = first_record(call, prepared)
    except CallFailed as failed:
        refused = failed
    else:
        if first is not None and may_create and call.store.create(call.app.name, session_id, first[0], call.now):
            record, counters, token = *first, token._replace(verifier=first[0].verifier)
            return Done(pb.OUTCOME_CREATED, pb.END_REASON_UNSPECIFIED, record, token, counters)
    result = write(call, prepared.rotating(call.now))
    if not isinstance(result, Missing):
        return result
    if not may_create:
        raise etag_mismatch(prepared.write.etag)
    if refused is not None:
        raise refused
    return None


def save_unmodified(
    call: AppCall, presented: Presented, context: pb.RequestContext | None, request: pb.SaveSessionRequest
) -> pb.SaveSessionResponse:
    varies = request.accessed
    state = call.state(presented.token)
    if presented.is_cookie and not isinstance(state, Live):
        anew = call.begin_anew(presented.token, None, request)
        if anew is None:
            return gone(state.reason, varies=varies)
        presented = anew
        state = call.state(presented.token)
    if isinstance(state, Live):
        record, token = state
        call.store.touch(record, context, call.now)
        session = stored_session(call, record, token if presented.note is not Note.KEEP else None, presented.token)
        refreshes = call.app.refresh_each_request and bool(session.permanent) and presented.note is not Note.KEEP
        return unchanged(call, session, sets_cookie=refreshes or presented.sets_cookie_for(token), varies=varies)
    if isinstance(state, Gone) and state.reason is None and presented.is_ticket:
        session = new_session(call, presented.token, presented.note)
        return unchanged(call, session, sets_cookie=False, varies=varies)
    return gone(state.reason, varies=varies)


def _saved(call: AppCall, prepared: PreparedSave, result: WriteResult, *, varies: bool) -> pb.SaveSessionResponse:
    if isinstance(result, Gone):
        return gone(result.reason, varies=varies)
    if isinstance(result, Missing):
        return gone(None, varies=varies)
    if result.outcome == pb.OUTCOME_DELETED:
        return deleted(call, prepared.presented, result.end_reason, result.counters, varies=varies)
    if result.record is None:
        # A repeated save whose session has ended since.
        saved = gone(None, varies=varies)
        saved.outcome = result.outcome
        saved.counters.update(result.counters)
        return saved
    sets_cookie = _sets_cookie(prepared, result, result.record)
    is_kept = prepared.presented.note is Note.KEEP and not sets_cookie
    session = stored_session(call, result.record, None if is_kept else result.token, prepared.write.token)
    return pb.SaveSessionResponse(
        outcome=result.outcome,
        session=session,
        headers=response_headers(call, session, sets_cookie=sets_cookie, varies=varies),
        counters=result.counters,
    )


def _sets_cookie(prepared: PreparedSave, result: Done, record: Record) -> bool:
    presented, is_other_token = prepared.presented, result.token != prepared.write.token
    if presented.note is Note.KEEP:
        return prepared.may_rotate and is_other_token
    touches_permanent = prepared.changes is not None and prepared.changes.touches_permanent
    if result.outcome == pb.OUTCOME_CREATED or is_other_token or record.permanent or touches_permanent:
        return True
    # The browser has this very cookie. A late response must not set it again over a newer one.
    return presented.sets_cookie_for(prepared.write.token)
