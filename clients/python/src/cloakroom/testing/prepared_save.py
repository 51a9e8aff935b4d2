"""A save as a write with one credential."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..messages import session_service_pb2 as pb
from .app_call import AppCall, Presented
from .changes import KEEP, Changes, Message
from .edit import Edit, anonymous_lifetimes, edit, new_lifetime
from .record import Record
from .tokens import Note
from .write import IMPOSSIBLE_ETAG, Write, fingerprint_of


@dataclass
class PreparedSave:
    """A save as a write with one credential."""

    presented: Presented
    write: Write
    #: Whether the token is replaced, if the session exists already.
    may_rotate: bool
    only_for_subject: bool

    @property
    def changes(self) -> Changes | None:
        assert isinstance(self.write.operation, Edit)
        return self.write.operation.changes

    def with_credential(self, presented: Presented) -> PreparedSave:
        return replace(self, presented=presented, write=replace(self.write, token=presented.token))

    def rotating(self, now: int) -> Write:
        if not self.may_rotate:
            return self.write
        return self.write.rotating(0, now, only_for_subject=self.only_for_subject)


def prepare(
    call: AppCall, request: pb.SaveSessionRequest, message: Message | None, etag: int | None, presented: Presented
) -> PreparedSave:
    changes = message.check(call.app.subject_key) if message else None
    rotates = request.rotate or bool(changes and (changes.clear or changes.authenticated))
    content = repr((request.rotate, request.keep_empty)).encode() + (changes.canonical() if changes else b"")
    work = Edit(
        app=call.app,
        changes=changes,
        lifetime=new_lifetime(call.app, changes) if changes else None,
        keep_empty=request.keep_empty,
        context=request.context if request.HasField("context") else None,
    )
    if changes and changes.deadline_time is not None and changes.deadline_time <= call.now:
        # A repetition of the save that set this deadline gets its answer. Another save must write nothing.
        etag = IMPOSSIBLE_ETAG
    prepared = Write(presented.token, work, etag, fingerprint_of(request.request_id, b"s" + content))
    return PreparedSave(
        presented=presented,
        write=prepared,
        may_rotate=rotates or bool(changes and changes.subject is not KEEP),
        only_for_subject=not rotates,
    )


def first_record(call: AppCall, prepared: PreparedSave) -> tuple[Record, dict[str, int]] | None:
    """Returns the record of a session that does not exist yet; None if that leaves nothing to store."""
    # An older credential leads to a recovery session. Its holder must not share it after a login.
    prepared_write = prepared.write
    if prepared.presented.note is not Note.NONE:
        prepared_write = prepared.rotating(call.now)
    work = prepared_write.operation
    assert isinstance(work, Edit)
    if work.changes is None:
        return None
    lifetimes = anonymous_lifetimes(call.app)
    deadline_time = call.now + lifetimes.absolute_timeout
    empty = Record(prepared.write.token.verifier, call.now, call.now, lifetimes.idle_timeout, deadline_time)
    record, effect, counters = edit(empty, work, call.now)
    is_empty = not record.entries and record.subject is None and not work.keep_empty
    if effect == pb.OUTCOME_DELETED or is_empty:
        return None
    record.version = 1
    record.remember(prepared.write.fingerprint, call.now, pb.OUTCOME_CREATED)
    return record, counters
