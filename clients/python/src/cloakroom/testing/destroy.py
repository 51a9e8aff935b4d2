"""Destroying: a user logs out."""

from __future__ import annotations

from ..messages import session_service_pb2 as pb
from . import view
from .app_call import AppCall, require_credential
from .record import Fingerprint, Gone
from .tokens import Note, Token
from .write import Done, Write, fingerprint_of, write


def destroy_session(call: AppCall, request: pb.DestroySessionRequest) -> pb.DestroySessionResponse:
    fingerprint = fingerprint_of(request.request_id, b"d")
    if require_credential(request) == "token":
        presented = call.verify(request.token)
        ended, note = _destroy_one(call, presented.token, fingerprint), presented.note
    else:
        note = Note.NONE
        ended = destroy_all(call, request.cookie_header, fingerprint)
    outcome, reason = ended
    # The browser may have the current token in a cookie of the same name, or be about to get that of a login.
    is_superseded = outcome == pb.OUTCOME_GONE and reason == pb.END_REASON_SUPERSEDED
    headers = [] if is_superseded or note is Note.KEEP else [call.app.delete_cookie(), view.vary()]
    return pb.DestroySessionResponse(outcome=outcome, end_reason=reason, headers=headers)


def destroy_all(call: AppCall, header: str, fingerprint: Fingerprint | None) -> _Ended:
    outcome: _Ended = _NOT_THERE
    for presented in call.in_header(header):
        ended = [_destroy_one(call, presented.token, fingerprint)]
        # A token that was superseded a short time ago still ends its session, and leads to a recovery session as well.
        if ended[0] != _NOT_THERE:
            recovery = call.recovery_of(presented.token)
            if recovery is not None:
                ended.append(_destroy_one(call, recovery.token, fingerprint))
        for each in ended:
            # The answer prefers a session that this call ended, and a reason to none.
            if outcome[0] != pb.OUTCOME_DELETED and each != _NOT_THERE:
                outcome = each
    return outcome


def _destroy_one(call: AppCall, token: Token, fingerprint: Fingerprint | None) -> _Ended:
    result = write(call, Write(token, pb.END_REASON_DESTROYED, fingerprint=fingerprint))
    if isinstance(result, Done):
        return result.outcome, result.end_reason
    reason = result.reason if isinstance(result, Gone) else None
    return pb.OUTCOME_GONE, reason or pb.END_REASON_UNSPECIFIED


#: The outcome of an end, and its reason.
_Ended = tuple[pb.Outcome, pb.EndReason]
_NOT_THERE: _Ended = (pb.OUTCOME_GONE, pb.END_REASON_UNSPECIFIED)
