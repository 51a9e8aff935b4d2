"""Rotating: gives a session a new token."""

from __future__ import annotations

from ..messages import session_service_pb2 as pb
from .app_call import AppCall, Live
from .edit import Edit
from .record import Authority, Fingerprint, Gone, Precondition, Record, judge
from .responses import gone, new_session, response_headers, stored_session
from .save import save_unmodified
from .store import Missing
from .times import milliseconds
from .tokens import Note, Token
from .write import Write, WriteResult, fingerprint_of, try_write, write


def rotate_session(call: AppCall, request: pb.RotateSessionRequest) -> pb.SaveSessionResponse:
    presented = call.of_write(request)
    if presented is None:
        return gone(None, varies=False)
    is_renewal = request.cause == pb.ROTATION_CAUSE_RENEWAL
    if is_renewal and presented.note is Note.KEEP:
        # The cookie of the renewal could replace that of a login.
        return save_unmodified(call, presented, None, pb.SaveSessionRequest())
    fingerprint = fingerprint_of(request.request_id, b"r" + bytes([is_renewal]))
    context = request.context if request.HasField("context") else None
    renewed = _find_renewed(call, presented.token, fingerprint) if is_renewal else None
    if renewed is not None:
        call.store.touch(renewed, context, call.now)
        return _rotated(call, pb.OUTCOME_UPDATED, renewed, presented.token, presented.token)
    work = Edit(app=call.app, changes=None, lifetime=None, keep_empty=True, context=context)
    grace = milliseconds(call.app.rotation_grace) if is_renewal else 0
    prepared = Write(presented.token, work, fingerprint=fingerprint).rotating(grace, call.now)
    result: WriteResult | Token
    result = try_write(call, prepared, presented.token) if is_renewal else write(call, prepared)
    if isinstance(result, Token):
        return _answer_renewal(call, result)
    if isinstance(result, Gone):
        return gone(result.reason, varies=False)
    if isinstance(result, Missing):
        if not presented.is_ticket:
            return gone(None, varies=False)
        session = new_session(call, presented.token, presented.note)
        return pb.SaveSessionResponse(outcome=pb.OUTCOME_UNCHANGED, session=session)
    if result.record is None:
        saved = gone(None, varies=False)
        saved.outcome = result.outcome
        return saved
    return _rotated(call, result.outcome, result.record, result.token, presented.token)


def _find_renewed(call: AppCall, token: Token, fingerprint: Fingerprint | None) -> Record | None:
    """Returns the record if a renewal has made this its token, and the token before is still in its grace."""
    record = call.load(token)
    if record is None or record.previous is None or not record.previous.is_in_grace(call.now):
        return None
    precondition = Precondition(Authority(token.verifier), call.now, None, fingerprint)
    return record if judge(record, call.store.generation(call.app.name), precondition) is None else None


def _answer_renewal(call: AppCall, token: Token) -> pb.SaveSessionResponse:
    """Answers a renewal that another call has made already, with its token if it is still the current one."""
    state = call.state(token)
    if isinstance(state, Live):
        if state.token == token:
            call.store.touch(state.record, None, call.now)
            return _rotated(call, pb.OUTCOME_UPDATED, state.record, token, token)
        return gone(pb.END_REASON_SUPERSEDED, varies=False)
    return gone(state.reason, varies=False)


def _rotated(
    call: AppCall, outcome: pb.Outcome, record: Record, token: Token | None, of: Token
) -> pb.SaveSessionResponse:
    session = stored_session(call, record, token, of)
    headers = response_headers(call, session, sets_cookie=True, varies=False)
    return pb.SaveSessionResponse(outcome=outcome, session=session, headers=headers)
