"""The sessions of all apps, their events and counts."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from ..messages import admin_service_pb2 as admin_pb
from ..messages import session_service_pb2 as pb
from .edit import Edit, Edited, edit
from .record import ADMIN, Denial, Gone, Precondition, Record, judge
from .times import current_time, to_message


class Applied(NamedTuple):
    """A write that was done: the record after it, its effect, and the new values of counters."""

    record: Record
    effect: pb.Outcome
    counters: dict[str, int]


class Missing(NamedTuple):
    """The store has no such session."""


@dataclass
class Counts:
    """What happened to the sessions of an app."""

    opened: int = 0
    created: int = 0
    ended: Counter[str] = field(default_factory=Counter)


class Store:
    """Holds records by app and id. Everything happens under its lock, which waits for nothing."""

    def __init__(self) -> None:
        #: Notified of every event, so that streams need not poll.
        self.changed = threading.Condition(threading.RLock())
        self.start_time = current_time()
        self._records: dict[tuple[str, str], Record] = {}
        self._generations: Counter[str] = Counter()
        self._events: dict[str, list[admin_pb.SessionEvent]] = {}
        self._counts: dict[str, Counts] = {}

    def counts(self, app: str) -> Counts:
        return self._counts.setdefault(app, Counts())

    def events(self, app: str) -> list[admin_pb.SessionEvent]:
        """Returns all events of an app. Only this module adds to the list."""
        return self._events.setdefault(app, [])

    def generation(self, app: str) -> int:
        return self._generations[app]

    def load(self, app: str, session_id: str, now: int) -> Record | None:
        record = self._records.get((app, session_id))
        if record is not None and now >= record.tombstone_expiry():
            del self._records[app, session_id]
            return None
        return record

    def create(self, app: str, session_id: str, record: Record, now: int) -> bool:
        """Stores a new session. Returns whether there was none, not even a tombstone."""
        if self.load(app, session_id, now) is not None:
            return False
        record.generation = self.generation(app)
        self._records[app, session_id] = record
        self.counts(app).created += 1
        self._add_event(app, session_id, admin_pb.SESSION_EVENT_KIND_CREATED, record.create_time)
        return True

    def apply(
        self, app: str, session_id: str, precondition: Precondition, write: Edit | pb.EndReason
    ) -> Applied | Denial | Missing:
        """Edits or ends a session, if the judge allows it."""
        before = self.load(app, session_id, precondition.now)
        if before is None:
            return Missing()
        denial = judge(before, self.generation(app), precondition)
        if denial is not None:
            return denial
        now, fingerprint = precondition.now, precondition.fingerprint
        if isinstance(write, Edit):
            record, effect, counters = edit(before, write, now)
        else:
            record, effect, counters = Edited(before, pb.OUTCOME_DELETED, {})
        if effect == pb.OUTCOME_DELETED:
            reason = pb.END_REASON_EMPTIED if isinstance(write, Edit) else write
            record = record.ended(reason, fingerprint, now)
            self.counts(app).ended[pb.EndReason.Name(reason).replace("END_REASON_", "")] += 1
        else:
            record.remember(fingerprint, now, effect)
        self._records[app, session_id] = record
        self._add_change(app, session_id, before, record, now)
        return Applied(record, effect, counters)

    def touch(self, record: Record, context: pb.RequestContext | None, now: int) -> None:
        """Records a use of a live session that changes nothing else, if that is due."""
        if record.touch_is_due(now):
            record.access_time = now
            if context is not None:
                record.set_context(context)

    def is_live(self, app: str, record: Record, now: int) -> bool:
        return self.denial(app, record, now) is None

    def denial(self, app: str, record: Record, now: int) -> Gone | None:
        """Returns why a session does not live; None: it does."""
        denial = judge(record, self.generation(app), Precondition(ADMIN, now))
        return denial if isinstance(denial, Gone) else None

    def live_sessions(self, app: str, now: int, subject: str | None = None) -> list[tuple[str, Record]]:
        """Returns the live sessions of an app, or of one of its subjects, sorted by id."""
        ids = sorted(session_id for owner, session_id in self._records if owner == app)
        found = ((session_id, self.load(app, session_id, now)) for session_id in ids)
        return [
            (session_id, record)
            for session_id, record in found
            if record is not None and self.is_live(app, record, now) and (subject is None or record.subject == subject)
        ]

    def revoke_app(self, app: str, now: int) -> None:
        self._generations[app] += 1
        self._add_event(app, "", admin_pb.SESSION_EVENT_KIND_APP_REVOKED, now)

    def _add_change(self, app: str, session_id: str, before: Record, after: Record, now: int) -> None:
        if after.end is not None:
            self._add_event(app, session_id, admin_pb.SESSION_EVENT_KIND_ENDED, now, after.end[0])
        elif before.subject != after.subject:
            self._add_event(app, session_id, admin_pb.SESSION_EVENT_KIND_SUBJECT_CHANGED, now)
        elif before.verifier != after.verifier:
            self._add_event(app, session_id, admin_pb.SESSION_EVENT_KIND_ROTATED, now)

    def _add_event(
        self,
        app: str,
        session_id: str,
        kind: admin_pb.SessionEventKind,
        now: int,
        end_reason: pb.EndReason = pb.END_REASON_UNSPECIFIED,
    ) -> None:
        event = admin_pb.SessionEvent(id=session_id, kind=kind, end_reason=end_reason, time=to_message(now))
        self.events(app).append(event)
        self.changed.notify_all()
