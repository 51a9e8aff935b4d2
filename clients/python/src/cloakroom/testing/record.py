"""A session as it is stored, and the judge, who decides whether a call may write to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple, Union

from ..messages import session_service_pb2 as pb


class Fingerprint(NamedTuple):
    """Identifies a call that has a request_id."""

    request_id: str
    content: bytes


class IdempotencyRecord(NamedTuple):
    """A call that a session remembers, and its effect."""

    fingerprint: Fingerprint
    time: int
    effect: pb.Outcome


class PreviousToken(NamedTuple):
    """The token that the last rotation replaced."""

    verifier: bytes
    #: Of the token that took its place.
    next_verifier: bytes
    #: How long the replaced token opens the session, in milliseconds. 0: not at all.
    grace: int
    time: int
    fingerprint: Fingerprint | None
    #: Of the token that was current then, if the call came with an older one in its grace.
    current: bytes | None = None

    def is_remembered(self, now: int) -> bool:
        return now < self.time + max(self.grace, _PREVIOUS_TOKEN_TTL)

    def is_in_grace(self, now: int) -> bool:
        return self.grace > 0 and now < self.time + self.grace


@dataclass
class Record:
    """A session, or what stays of one that has ended: its tombstone."""

    verifier: bytes
    create_time: int
    access_time: int
    idle_timeout: int
    deadline_time: int
    version: int = 0
    authenticate_time: int | None = None
    permanent: bool | None = None
    generation: int = 0
    subject: str | None = None
    previous: PreviousToken | None = None
    calls: list[IdempotencyRecord] = field(default_factory=list)
    user_agent: str = ""
    remote_address: str = ""
    #: JSON text as it is; raw bytes after a zero byte.
    entries: dict[str, bytes] = field(default_factory=dict)
    #: The reason and the time, if a call has ended the session.
    end: tuple[pb.EndReason, int] | None = None

    def copy(self) -> Record:
        return replace(self, calls=list(self.calls), entries=dict(self.entries))

    def entry_bytes(self) -> int:
        return sum(len(name.encode()) + len(value) for name, value in self.entries.items())

    def set_context(self, context: pb.RequestContext) -> None:
        self.user_agent, self.remote_address = _cut(context.user_agent, 256), _cut(context.remote_address, 64)

    def expire_time(self, used: int) -> int:
        """Returns when the session expires if it is last used at this time."""
        return min(self.deadline_time, max(used, self.access_time) + self.idle_timeout)

    def tombstone_expiry(self) -> int:
        return (self.end[1] if self.end else self.expire_time(self.access_time)) + _TOMBSTONE_TTL

    def touch_is_due(self, now: int) -> bool:
        return now - self.access_time >= self.idle_timeout / 20

    def remember(self, fingerprint: Fingerprint | None, now: int, effect: pb.Outcome) -> None:
        if fingerprint is not None:
            self.calls = [*self.calls, IdempotencyRecord(fingerprint, now, effect)][-_MAX_IDEMPOTENCY_RECORDS:]

    def find_call(self, fingerprint: Fingerprint | None, now: int) -> IdempotencyRecord | None:
        """Returns the last call with this request_id, if it is still known."""
        if fingerprint is None:
            return None
        for call in reversed(self.calls):
            if call.fingerprint.request_id == fingerprint.request_id and now < call.time + _IDEMPOTENCY_TTL:
                return call
        return None

    def ended(self, reason: pb.EndReason, fingerprint: Fingerprint | None, now: int) -> Record:
        """Returns the tombstone."""
        tombstone = replace(
            self,
            end=(reason, now),
            subject=None,
            permanent=None,
            authenticate_time=None,
            user_agent="",
            remote_address="",
            entries={},
        )
        tombstone.remember(fingerprint, now, pb.OUTCOME_DELETED)
        return tombstone


@dataclass(frozen=True)
class Authority:
    """What a call writes with. Without a verifier and a subject: an administrator."""

    verifier: bytes | None = None
    #: Whether the token that was replaced last is enough, as it is to end the session.
    may_only_end: bool = False
    subject: str | None = None


ADMIN = Authority()


@dataclass(frozen=True)
class Precondition:
    """The conditions on which a call writes."""

    authority: Authority
    now: int
    etag: int | None = None
    fingerprint: Fingerprint | None = None


class Replay(NamedTuple):
    """The call is a repetition: it gets the response of the first one."""

    effect: pb.Outcome


class Grace(NamedTuple):
    """The token is in its grace: the call writes with the next token."""

    previous: PreviousToken


class Gone(NamedTuple):
    """The session has ended, or the token no longer opens it. None: the reason is no longer known."""

    reason: pb.EndReason | None


class EtagMismatch(NamedTuple):
    """The session has another version."""


class RequestIdReused(NamedTuple):
    """The request_id was used for another call."""


Denial = Union[Replay, Grace, Gone, EtagMismatch, RequestIdReused]


def judge(record: Record, generation: int, precondition: Precondition) -> Denial | None:
    """Returns why a call may not write; None: it may."""
    now, fingerprint = precondition.now, precondition.fingerprint
    if now >= record.tombstone_expiry():
        return Gone(None)
    call = record.find_call(fingerprint, now)
    if call is not None:
        return Replay(call.effect) if call.fingerprint == fingerprint else RequestIdReused()
    reason = _end_reason(record, generation, now)
    if reason is not None:
        return Gone(reason)
    denial = _check_authority(record, precondition)
    if denial is not None:
        return denial
    is_other_version = precondition.etag is not None and precondition.etag != record.version
    return EtagMismatch() if is_other_version else None


def _end_reason(record: Record, generation: int, now: int) -> pb.EndReason | None:
    if record.end is not None:
        return record.end[0]
    if record.generation < generation:
        return pb.END_REASON_REVOKED
    if now >= record.deadline_time:
        return pb.END_REASON_ABSOLUTE
    return pb.END_REASON_IDLE if now >= record.access_time + record.idle_timeout else None


def _check_authority(record: Record, precondition: Precondition) -> Denial | None:
    authority = precondition.authority
    if authority.subject is not None:
        return None if record.subject == authority.subject else Gone(None)
    if authority.verifier is None or authority.verifier == record.verifier:
        return None
    previous = previous_token(record, authority.verifier, precondition.now)
    if authority.may_only_end and (previous or is_replaced(record, authority.verifier, precondition.now)):
        return None
    if previous is not None and previous.is_in_grace(precondition.now):
        return Grace(previous)
    return Gone(pb.END_REASON_SUPERSEDED)


def end_time(record: Record, verifier: bytes, now: int) -> int | None:
    """Returns when the token ceased to open the session by a call; None: it opens it, or only time has ended it."""
    times = [] if record.end is None else [record.end[1]]
    previous = previous_token(record, verifier, now)
    if record.verifier != verifier and not (previous and previous.is_in_grace(now)):
        replaced = record.previous.time if record.previous else record.create_time
        times.append(previous.time + previous.grace if previous else replaced)
    return min(times, default=None)


def previous_token(record: Record, verifier: bytes, now: int) -> PreviousToken | None:
    """Returns the last rotation, if it was requested with this token and is still known."""
    previous = record.previous
    return previous if previous and previous.verifier == verifier and previous.is_remembered(now) else None


def is_replaced(record: Record, verifier: bytes, now: int) -> bool:
    """Whether a token was current when the last rotation was requested with an older one."""
    previous = record.previous
    return bool(previous and previous.current == verifier and previous.is_remembered(now))


def _cut(text: str, limit: int) -> str:
    """Returns a text cut between characters, to at most this many bytes."""
    return text.encode()[:limit].decode(errors="ignore")


#: Milliseconds.
_TOMBSTONE_TTL = 16 * 60 * 1000
_IDEMPOTENCY_TTL = 10 * 60 * 1000
_PREVIOUS_TOKEN_TTL = _IDEMPOTENCY_TTL
_MAX_IDEMPOTENCY_RECORDS = 16
