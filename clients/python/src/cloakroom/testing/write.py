"""Writes with a token: what saves, rotations and ends have in common."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import NamedTuple, Union

from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from .app_call import AppCall
from .edit import Edit, counter
from .record import (
    Authority,
    EtagMismatch,
    Fingerprint,
    Gone,
    Grace,
    Precondition,
    PreviousToken,
    Record,
    Replay,
    RequestIdReused,
    previous_token,
)
from .store import Applied, Missing
from .tokens import Token


class Done(NamedTuple):
    """A write that is done, by this call or by an earlier one with the same request_id."""

    outcome: pb.Outcome
    end_reason: pb.EndReason
    #: None if the session has ended.
    record: Record | None
    #: None if this caller may not get it.
    token: Token | None
    counters: dict[str, int]


WriteResult = Union[Done, Gone, Missing]


@dataclass
class Write:
    """A write by the holder of a token: an edit, or an end with its reason."""

    token: Token
    operation: Edit | pb.EndReason
    etag: int | None = None
    fingerprint: Fingerprint | None = None

    def rotating(self, grace: int, now: int, *, only_for_subject: bool = False) -> Write:
        """Returns the same write with a new token."""
        assert isinstance(self.operation, Edit)
        rotation = PreviousToken(self.token.verifier, secrets.token_bytes(16), grace, now, self.fingerprint)
        operation = replace(self.operation, rotation=rotation, only_for_subject=only_for_subject)
        return replace(self, operation=operation)

    def token_after(self, token: Token, record: Record) -> Token:
        """Returns the session's token after this write was made with `token` and left this record."""
        rotation = self.operation.rotation if isinstance(self.operation, Edit) else None
        is_rotated = rotation is not None and rotation.next_verifier == record.verifier
        return token._replace(verifier=record.verifier) if is_rotated else token

    def precondition(self, token: Token, now: int) -> Precondition:
        authority = Authority(token.verifier, may_only_end=not isinstance(self.operation, Edit))
        return Precondition(authority, now, self.etag, self.fingerprint)


def write(call: AppCall, prepared: Write) -> WriteResult:
    """Writes with the prepared token, or with its next one while it is in its grace. Raises `CallFailed`."""
    result = try_write(call, prepared, prepared.token)
    if isinstance(result, Token):
        result = try_write(call, prepared, result)
    return Gone(pb.END_REASON_SUPERSEDED) if isinstance(result, Token) else result


def try_write(call: AppCall, prepared: Write, token: Token) -> WriteResult | Token:
    """Makes one attempt. Returns the next token if this one is in its grace. Raises `CallFailed`."""
    session_id = call.session_id(prepared.token)
    precondition = prepared.precondition(token, call.now)
    applied = call.store.apply(call.app.name, session_id, precondition, prepared.operation)
    if isinstance(applied, Applied):
        record = applied.record
        end_reason = record.end[0] if record.end else pb.END_REASON_UNSPECIFIED
        left = None if record.end else record
        return Done(applied.effect, end_reason, left, prepared.token_after(token, record), applied.counters)
    if isinstance(applied, Replay):
        return _replay(call, prepared, applied.effect)
    if isinstance(applied, Grace):
        return token._replace(verifier=applied.previous.next_verifier)
    if isinstance(applied, EtagMismatch):
        raise etag_mismatch(prepared.etag)
    if isinstance(applied, RequestIdReused):
        message = "this request_id was used for another call on this session; make a new one for each save"
        raise CallFailed("ABORTED", "REQUEST_ID_REUSED", message)
    return applied


#: A version that no session ever has.
IMPOSSIBLE_ETAG = -1


def fingerprint_of(request_id: str, content: bytes) -> Fingerprint | None:
    """Returns what identifies a call; None if it has no request_id."""
    return Fingerprint(request_id, content) if request_id else None


def etag_mismatch(etag: int | None) -> CallFailed:
    if etag == IMPOSSIBLE_ETAG:
        return CallFailed("INVALID_ARGUMENT", "LIFETIME_INVALID", "changes.deadline_time is not in the future")
    message = "the session has another etag by now; open it again and decide anew"
    return CallFailed("ABORTED", "ETAG_MISMATCH", message)


def _replay(call: AppCall, prepared: Write, effect: pb.Outcome) -> WriteResult:
    """Answers a call that was done before: with the same outcome, and the session as it is now."""
    record = call.load(prepared.token)
    if record is None:
        return Missing()
    token: Token | None = None
    if record.verifier == prepared.token.verifier:
        token = prepared.token
    else:
        previous = previous_token(record, prepared.token.verifier, call.now)
        if previous is not None and _yields_next(previous, prepared.fingerprint, call.now):
            token = prepared.token._replace(verifier=previous.next_verifier)
    end_reason = pb.END_REASON_UNSPECIFIED
    if effect == pb.OUTCOME_DELETED:
        end_reason = record.end[0] if record.end else pb.END_REASON_DESTROYED
    is_live = call.store.is_live(call.app.name, record, call.now)
    return Done(effect, end_reason, record if is_live else None, token, _counters(record, prepared))


def _yields_next(previous: PreviousToken, fingerprint: Fingerprint | None, now: int) -> bool:
    """Whether a replaced token yields the next one: in its grace, and to the very call that replaced it."""
    by_this_call = previous.fingerprint is not None and previous.fingerprint == fingerprint
    return by_this_call or previous.is_in_grace(now)


def _counters(record: Record, prepared: Write) -> dict[str, int]:
    """Returns the present values of the counters that a write increments."""
    if not isinstance(prepared.operation, Edit) or prepared.operation.changes is None:
        return {}
    names = [name for name in prepared.operation.changes.increment if name in record.entries]
    found = {name: counter(record.entries[name]) for name in names}
    return {name: number for name, number in found.items() if number is not None}
