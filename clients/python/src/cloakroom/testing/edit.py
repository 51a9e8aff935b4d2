"""Makes the new record of a session after a save or a rotation that the judge allowed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from .app import App
from .changes import KEEP, Changes, Lifetime
from .record import PreviousToken, Record
from .times import milliseconds


class Lifetimes(NamedTuple):
    """How long a session lives, in milliseconds."""

    idle_timeout: int
    #: Counted from the creation.
    absolute_timeout: int
    #: The latest deadline, if the save sets one.
    latest: int | None = None

    def deadline_time(self, record: Record, now: int) -> int:
        """Returns the deadline of a session that has this record before."""
        bound = record.create_time + self.absolute_timeout
        if bound <= now:  # The absolute timeout was longer when the session was created.
            bound = record.deadline_time
        return bound if self.latest is None else min(bound, self.latest)


def lifetimes(app: App) -> Lifetimes:
    return Lifetimes(milliseconds(app.idle_timeout), milliseconds(app.absolute_timeout))


def anonymous_lifetimes(app: App) -> Lifetimes:
    return Lifetimes(*map(milliseconds, app.anonymous_lifetimes()))


@dataclass
class Edit:
    """The work of a save or a rotation."""

    app: App
    #: None: the call only rotates.
    changes: Changes | None
    lifetime: Lifetimes | None
    keep_empty: bool
    #: None: the frontend did not say where the request came from.
    context: pb.RequestContext | None
    #: The rotation, if it may happen, and whether it happens only if the subject changes.
    rotation: PreviousToken | None = None
    only_for_subject: bool = False


class Edited(NamedTuple):
    """The result of an edit."""

    record: Record
    effect: pb.Outcome
    counters: dict[str, int]


def new_lifetime(app: App, changes: Changes) -> Lifetimes | None:
    """Returns the lifetime that the changes ask for, within the app's own."""
    own = lifetimes(app)
    if changes.deadline_time is not None:
        return Lifetimes(own.absolute_timeout, own.absolute_timeout, changes.deadline_time)
    if isinstance(changes.idle_timeout, Lifetime):
        return own
    if changes.idle_timeout is None:
        return None
    return Lifetimes(min(changes.idle_timeout, own.idle_timeout), own.absolute_timeout)


def edit(before: Record, work: Edit, now: int) -> Edited:
    """Returns the record after the edit, which does not remember the call yet. Raises `CallFailed`."""
    record, changes, counters, clears = before.copy(), work.changes, {}, False
    subject = before.subject if changes is None else _subject_after(before, changes)
    if changes is not None:
        if changes.authenticated and subject is None:
            raise _refused("SUBJECT_MISSING", "changes.authenticated needs a session with a subject")
        is_other_subject = before.subject is not None and subject is not None and before.subject != subject
        clears = changes.clear or is_other_subject
        counters = _change(record, changes, clears=clears, now=now)
    _check_limits(before, record, work.app)
    is_empty = not record.entries and subject is None and record.permanent is None
    if changes is not None and is_empty and not work.keep_empty:
        return Edited(record, pb.OUTCOME_DELETED, counters)
    if work.rotation is not None and (not work.only_for_subject or subject != before.subject):
        _replace_token(record, work.rotation)
    _set_lifetime(record, subject, work, clears=clears, now=now)
    record.subject = subject
    if work.context is not None:
        record.set_context(work.context)
    record.access_time = max(record.access_time, now)
    return Edited(record, pb.OUTCOME_UPDATED, counters)


def counter(stored: bytes) -> int | None:
    """Reads a stored value as a counter: a decimal int64 in its canonical spelling."""
    if not _COUNTER.fullmatch(stored):
        return None
    number = int(stored)
    return number if _is_int64(number) else None


def _subject_after(before: Record, changes: Changes) -> str | None:
    if changes.subject is not KEEP:
        return changes.subject
    return None if changes.clear else before.subject


def _change(record: Record, changes: Changes, *, clears: bool, now: int) -> dict[str, int]:
    entries = {} if clears else record.entries
    counters = {name: _incremented(name, entries.get(name), by) for name, by in changes.increment.items()}
    for name in changes.unset:
        entries.pop(name, None)
    entries.update(changes.set)
    entries.update({name: str(number).encode() for name, number in counters.items()})
    record.entries = entries
    record.version += 1
    if clears:
        record.permanent = record.authenticate_time = None
    if changes.permanent is not KEEP:
        record.permanent = changes.permanent
    if changes.subject is not KEEP:
        record.authenticate_time = None if changes.subject is None else now
    if changes.authenticated:
        record.authenticate_time = now
    return counters


def _incremented(name: str, stored: bytes | None, by: int) -> int:
    before = 0 if stored is None else counter(stored)
    if before is None or not _is_int64(before + by):
        raise _refused("NOT_A_COUNTER", f"`{name}` is no decimal int64 in JSON, or would leave its range")
    return before + by


def _check_limits(before: Record, after: Record, app: App) -> None:
    count, size = len(after.entries), after.entry_bytes()
    if count > app.max_entries and count > len(before.entries):
        raise _refused("TOO_MANY_ENTRIES", f"the session would have {count} entries; the limit is {app.max_entries}")
    if size > app.max_session_bytes and size > before.entry_bytes():
        limit = app.max_session_bytes
        raise _refused("SESSION_TOO_LARGE", f"the session would have {size} bytes; the limit is {limit}")


def _replace_token(record: Record, rotation: PreviousToken) -> None:
    current = record.verifier if record.verifier != rotation.verifier else None
    record.previous = rotation._replace(current=current)
    record.verifier = rotation.next_verifier


def _set_lifetime(record: Record, subject: str | None, work: Edit, *, clears: bool, now: int) -> None:
    """Sets the lifetime after a save that makes `subject` the subject; the record has the one before."""
    own, anonymous = lifetimes(work.app), anonymous_lifetimes(work.app)
    lifetime = work.lifetime or (own if clears else None)
    if own != anonymous:
        if subject is None:
            if record.subject is not None or lifetime is not None:
                _set_anonymous_lifetime(record, lifetime, anonymous, now)
            return
        if record.subject is None:
            lifetime = lifetime or own
    if lifetime is not None:
        record.idle_timeout = lifetime.idle_timeout
        record.deadline_time = max(lifetime.deadline_time(record, now), now)


def _set_anonymous_lifetime(record: Record, lifetime: Lifetimes | None, limit: Lifetimes, now: int) -> None:
    idle_timeout = lifetime.idle_timeout if lifetime else record.idle_timeout
    deadline_time = lifetime.deadline_time(record, now) if lifetime else record.deadline_time
    if record.subject is not None:
        latest = now + limit.absolute_timeout
    else:
        latest = max(record.deadline_time, record.create_time + limit.absolute_timeout)
    record.idle_timeout = min(idle_timeout, limit.idle_timeout)
    record.deadline_time = max(min(deadline_time, latest), now)


def _is_int64(number: int) -> bool:
    return -(2**63) <= number < 2**63


def _refused(reason: str, message: str) -> CallFailed:
    return CallFailed("FAILED_PRECONDITION", reason, message)


_COUNTER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
