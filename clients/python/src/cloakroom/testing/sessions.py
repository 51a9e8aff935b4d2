"""SessionService in memory: opens, saves, rotates and ends sessions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Union

from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from . import view
from .app import App
from .changes import KEEP, Changes, Message
from .credentials import (
    Credentials,
    Live,
    Presented,
    Superseded,
    check_header,
    new_ticket,
    require_credential,
)
from .edit import Edit, anonymous_lifetimes, edit, new_lifetime
from .record import ADMIN, Fingerprint, Gone, Grace, Precondition, Record, judge
from .store import Missing, Store
from .times import current_time, milliseconds, span_of, to_message
from .tokens import Note, Signer, Token, is_ticket
from .write import Done, Write, WriteResult, etag_mismatch, try_write, write


class Sessions:
    """Answers the calls of SessionService for apps in memory. Each method raises `CallFailed`."""

    def __init__(self, store: Store, signer: Signer) -> None:
        self._store = store
        self._signer = signer

    def open(self, app: App, request: pb.OpenSessionRequest) -> pb.OpenSessionResponse:
        if request.HasField("max_authenticate_age"):
            _check_age(request)
        return _Call(self._begin(app, request)).open(request)

    def save(self, app: App, request: pb.SaveSessionRequest) -> pb.SaveSessionResponse:
        changes = Message(request.changes) if request.HasField("changes") else None
        etag = _etag(request.etag)
        _check_request_id(request)
        return _Call(self._begin(app, request)).save(request, changes, etag)

    def rotate(self, app: App, request: pb.RotateSessionRequest) -> pb.RotateSessionResponse:
        _check_request_id(request)
        saved = _Call(self._begin(app, request)).rotate(request)
        response = pb.RotateSessionResponse(
            outcome=saved.outcome, end_reason=saved.end_reason, headers=list(saved.headers)
        )
        if saved.HasField("session"):
            response.session.CopyFrom(saved.session)
        return response

    def destroy(self, app: App, request: pb.DestroySessionRequest) -> pb.DestroySessionResponse:
        _check_request_id(request)
        return _Call(self._begin(app, request)).destroy(request)

    def watch(self, app: App, request: pb.WatchSessionRequest) -> pb.WatchSessionResponse:
        """Returns what a watch finds now."""
        return _Call(self._begin(app, request)).watch(request)

    def _begin(self, app: App, request: _Request) -> Credentials:
        check_header(request)
        return Credentials(app.named(request.cookie_name), self._store, self._signer, current_time())


_Request = Union[
    pb.OpenSessionRequest,
    pb.SaveSessionRequest,
    pb.RotateSessionRequest,
    pb.DestroySessionRequest,
    pb.WatchSessionRequest,
]


@dataclass
class _Save:
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

    def with_credential(self, presented: Presented) -> _Save:
        return replace(self, presented=presented, write=replace(self.write, token=presented.token))

    def rotating(self, now: int) -> Write:
        if not self.may_rotate:
            return self.write
        return self.write.rotating(0, now, only_for_subject=self.only_for_subject)


class _Call:
    """One call for one app."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._app, self._now, self._store = credentials.app, credentials.now, credentials.store

    # Opening.

    def open(self, request: pb.OpenSessionRequest) -> pb.OpenSessionResponse:
        live: tuple[Live, Note] | None = None
        superseded: list[Superseded] = []
        for presented in self._presented(request):
            state = self._credentials.state(presented.token)
            if isinstance(state, Superseded):
                superseded.append(state)
            if not isinstance(state, Live):
                continue
            note = presented.note if state.token == presented.token else Note.SET
            if live is not None and live[0].token.selector != state.token.selector:
                session = view.ambiguous_session()
                return pb.OpenSessionResponse(session=session, read_headers=[view.vary()])
            if live is None or live[1] is not Note.NONE:
                live = state, note
        if live is not None:
            return self._open_live(*live, request)
        first: tuple[Token, Note] | None = None
        for each in superseded:
            recovery = self._credentials.find_recovery(each)
            if recovery.record is not None:
                return self._open_live(Live(recovery.record, recovery.token), recovery.note, request)
            first = first or (recovery.token, recovery.note)
        token, note = first or (Token.random(), Note.NONE)
        return pb.OpenSessionResponse(session=self._new_session(token, note), read_headers=[view.vary()])

    def _presented(self, request: pb.OpenSessionRequest) -> list[Presented]:
        kind = request.WhichOneof("credential")
        if kind == "cookie_header":
            return self._credentials.in_header(request.cookie_header)
        if kind is None or not request.token or is_ticket(request.token):
            return []
        try:
            presented = self._credentials.verify(request.token)
        except CallFailed:
            return []
        note = Note.NONE if presented.note is Note.NONE else Note.SET
        return [presented._replace(note=note)]

    def _open_live(self, live: Live, note: Note, request: pb.OpenSessionRequest) -> pb.OpenSessionResponse:
        record, token = live
        self._store.counts(self._app.name).opened += 1
        self._store.touch(record, request.context if request.HasField("context") else None, self._now)
        signed_note = note if note is Note.KEEP else Note.NONE
        text = self._credentials.signer.sign_token(self._app.name, token, signed_note)
        session_id = self._credentials.session_id(token)
        session = view.stored_session(session_id, record, text, self._now, with_entries=True)
        refreshes = bool(session.permanent) and self._app.refresh_each_request
        sets_cookie = note is Note.SET or (note is Note.NONE and refreshes)
        recently_authenticated = False
        if request.HasField("max_authenticate_age") and record.authenticate_time is not None:
            age = request.max_authenticate_age.ToMilliseconds()
            recently_authenticated = self._now < record.authenticate_time + age
        return pb.OpenSessionResponse(
            session=session,
            read_headers=self._headers(session, sets_cookie=sets_cookie, varies=True),
            untouched_headers=self._headers(session, sets_cookie=sets_cookie, varies=False),
            recently_authenticated=recently_authenticated,
            cookie_outdated=note is Note.SET,
        )

    # Saving.

    def save(self, request: pb.SaveSessionRequest, message: Message | None, etag: int | None) -> pb.SaveSessionResponse:
        try:
            presented = self._credentials.of_write(request) or new_ticket()
        except CallFailed as failed:
            may_begin_anew = message is not None and message.may_begin_anew(self._app.subject_key)
            if failed.reason != "COOKIES_AMBIGUOUS" or not may_begin_anew:
                raise
            prepared = self._prepare(request, message, etag, new_ticket())
            self._destroy_all(request.cookie_header, None)
            return self._save_prepared(prepared, varies=request.accessed)
        is_token = not presented.is_ticket and not presented.is_cookie
        if request.cookie_outdated and is_token and presented.note is Note.NONE:
            presented = presented._replace(note=Note.SET)
        if message is None and not request.rotate:
            context = request.context if request.HasField("context") else None
            return self._save_unmodified(presented, context, varies=request.accessed)
        return self._save_prepared(self._prepare(request, message, etag, presented), varies=request.accessed)

    def _prepare(
        self, request: pb.SaveSessionRequest, message: Message | None, etag: int | None, presented: Presented
    ) -> _Save:
        changes = message.check(self._app.subject_key) if message else None
        rotates = request.rotate or bool(changes and (changes.clear or changes.authenticated))
        content = repr((request.rotate, request.keep_empty)).encode() + (changes.canonical() if changes else b"")
        work = Edit(
            app=self._app,
            changes=changes,
            lifetime=new_lifetime(self._app, changes, self._now) if changes else None,
            keep_empty=request.keep_empty,
            context=request.context if request.HasField("context") else None,
        )
        prepared = Write(presented.token, work, etag, _fingerprint(request.request_id, b"s" + content))
        return _Save(
            presented=presented,
            write=prepared,
            may_rotate=rotates or bool(changes and changes.subject is not KEEP),
            only_for_subject=not rotates,
        )

    def _save_prepared(self, prepared: _Save, *, varies: bool) -> pb.SaveSessionResponse:
        result = self._try_save(prepared)
        if isinstance(result, (Gone, Missing)) and prepared.presented.is_cookie:
            # A save by cookie_header is an open and a save in one step.
            prepared = prepared.with_credential(self._credentials.begin_anew(prepared.presented.token))
            result = self._try_save(prepared)
        if result is not None:
            self._evict(prepared, result)
            return self._saved(prepared, result, varies=varies)
        changes, presented = prepared.changes, prepared.presented
        if changes is not None and not isinstance(changes.permanent, bool):
            return self._deleted(presented, pb.END_REASON_EMPTIED, {}, varies=varies)
        session = self._new_session(presented.token, presented.note)
        return self._unchanged(session, sets_cookie=False, varies=varies)

    def _try_save(self, prepared: _Save) -> WriteResult | None:
        """Writes a save with its credential; None if there is no session and nothing to store."""
        self._enforce_session_limit(prepared)
        if not prepared.presented.is_ticket:
            return write(self._credentials, prepared.rotating(self._now))
        token, may_create = prepared.presented.token, prepared.write.etag in (None, 0)
        session_id = self._credentials.session_id(token)
        refused: CallFailed | None = None
        try:
            first = self._first_record(prepared)
        except CallFailed as failed:
            refused = failed
        else:
            if first is not None and may_create and self._store.create(self._app.name, session_id, first[0], self._now):
                record, counters, token = *first, token._replace(verifier=first[0].verifier)
                return Done(pb.OUTCOME_CREATED, pb.END_REASON_UNSPECIFIED, record, token, counters)
        result = write(self._credentials, prepared.rotating(self._now))
        if not isinstance(result, Missing):
            return result
        if not may_create:
            raise etag_mismatch()
        if refused is not None:
            raise refused
        return None

    def _first_record(self, prepared: _Save) -> tuple[Record, dict[str, int]] | None:
        """Returns the record of a session that does not exist yet; None if that leaves nothing to store."""
        # An older credential leads to a recovery session. Its holder must not share it after a login.
        prepared_write = prepared.write
        if prepared.presented.note is not Note.NONE:
            prepared_write = prepared.rotating(self._now)
        work = prepared_write.operation
        assert isinstance(work, Edit)
        if work.changes is None:
            return None
        lifetimes = anonymous_lifetimes(self._app)
        deadline_time = self._now + lifetimes.absolute_timeout
        empty = Record(prepared.write.token.verifier, self._now, self._now, lifetimes.idle_timeout, deadline_time)
        record, effect, counters = edit(empty, work, self._now)
        is_empty = not record.entries and record.subject is None and not work.keep_empty
        if effect == pb.OUTCOME_DELETED or is_empty:
            return None
        record.version = 1
        record.remember(prepared.write.fingerprint, self._now, pb.OUTCOME_CREATED)
        return record, counters

    def _save_unmodified(
        self, presented: Presented, context: pb.RequestContext | None, *, varies: bool
    ) -> pb.SaveSessionResponse:
        state = self._credentials.state(presented.token)
        if presented.is_cookie and not isinstance(state, Live):
            presented = self._credentials.begin_anew(presented.token)
            state = self._credentials.state(presented.token)
        if isinstance(state, Live):
            record, token = state
            self._store.touch(record, context, self._now)
            session = self._session(record, token if presented.note is not Note.KEEP else None, presented.token)
            refreshes = self._app.refresh_each_request and bool(session.permanent) and presented.note is not Note.KEEP
            return self._unchanged(session, sets_cookie=refreshes or presented.sets_cookie_for(token), varies=varies)
        if isinstance(state, Gone) and state.reason is None and presented.is_ticket:
            session = self._new_session(presented.token, presented.note)
            return self._unchanged(session, sets_cookie=False, varies=varies)
        return self._gone(state.reason, varies=varies)

    def _saved(self, prepared: _Save, result: WriteResult, *, varies: bool) -> pb.SaveSessionResponse:
        if isinstance(result, Gone):
            return self._gone(result.reason, varies=varies)
        if isinstance(result, Missing):
            return self._gone(None, varies=varies)
        if result.outcome == pb.OUTCOME_DELETED:
            return self._deleted(prepared.presented, result.end_reason, result.counters, varies=varies)
        if result.record is None:
            # A repeated save whose session has ended since.
            saved = self._gone(None, varies=varies)
            saved.outcome = result.outcome
            saved.counters.update(result.counters)
            return saved
        sets_cookie = self._sets_cookie(prepared, result, result.record)
        is_kept = prepared.presented.note is Note.KEEP and not sets_cookie
        session = self._session(result.record, None if is_kept else result.token, prepared.write.token)
        return pb.SaveSessionResponse(
            outcome=result.outcome,
            session=session,
            headers=self._headers(session, sets_cookie=sets_cookie, varies=varies),
            counters=result.counters,
        )

    @staticmethod
    def _sets_cookie(prepared: _Save, result: Done, record: Record) -> bool:
        presented, is_other_token = prepared.presented, result.token != prepared.write.token
        if presented.note is Note.KEEP:
            return prepared.may_rotate and is_other_token
        touches_permanent = prepared.changes is not None and prepared.changes.touches_permanent
        if result.outcome == pb.OUTCOME_CREATED or is_other_token or record.permanent or touches_permanent:
            return True
        # The browser has this very cookie. A late response must not set it again over a newer one.
        return presented.sets_cookie_for(prepared.write.token)

    # The limit of sessions of a subject.

    def _enforce_session_limit(self, prepared: _Save) -> None:
        subject = prepared.changes.subject if prepared.changes else KEEP
        limit = self._app.max_sessions_per_subject
        if not isinstance(subject, str) or not limit or self._app.on_session_limit != "refuse":
            return
        sessions = dict(self._store.live_sessions(self._app.name, self._now, subject))
        token = prepared.presented.token
        is_one_of_them = self._credentials.session_id(token) in sessions
        if len(sessions) >= limit and not is_one_of_them and self._would_write(prepared):
            message = f"the subject has {limit} sessions already, which is the limit; end one of them first"
            raise CallFailed("FAILED_PRECONDITION", "TOO_MANY_SESSIONS", message)

    def _would_write(self, prepared: _Save) -> bool:
        """Whether the save would be written but for the limit."""
        record = self._credentials.load(prepared.presented.token)
        if record is None:
            return prepared.presented.is_ticket and prepared.write.etag in (None, 0)
        precondition = prepared.write.precondition(prepared.presented.token, self._now)
        denial = judge(record, self._store.generation(self._app.name), precondition)
        return denial is None or isinstance(denial, Grace)

    def _evict(self, prepared: _Save, result: WriteResult) -> None:
        limit = self._app.max_sessions_per_subject
        sets_subject = prepared.changes is not None and isinstance(prepared.changes.subject, str)
        if not limit or self._app.on_session_limit != "evict" or not sets_subject:
            return
        if not isinstance(result, Done) or result.record is None or result.record.subject is None:
            return
        sessions = self._store.live_sessions(self._app.name, self._now, result.record.subject)
        sessions.sort(key=_eviction_order)
        for session_id, _ in sessions[: max(len(sessions) - limit, 0)]:
            precondition = Precondition(ADMIN, self._now)
            self._store.apply(self._app.name, session_id, precondition, pb.END_REASON_EVICTED)

    # Rotating.

    def rotate(self, request: pb.RotateSessionRequest) -> pb.SaveSessionResponse:
        presented = self._credentials.of_write(request)
        if presented is None:
            return self._gone(None, varies=False)
        is_renewal = request.cause == pb.ROTATION_CAUSE_RENEWAL
        if is_renewal and presented.note is Note.KEEP:
            # The cookie of the renewal could replace that of a login.
            return self._save_unmodified(presented, None, varies=False)
        context = request.context if request.HasField("context") else None
        work = Edit(app=self._app, changes=None, lifetime=None, keep_empty=True, context=context)
        fingerprint = _fingerprint(request.request_id, b"r" + bytes([is_renewal]))
        grace = milliseconds(self._app.rotation_grace) if is_renewal else 0
        prepared = Write(presented.token, work, fingerprint=fingerprint).rotating(grace, self._now)
        result: WriteResult | Token
        if is_renewal:
            result = try_write(self._credentials, prepared, presented.token)
        else:
            result = write(self._credentials, prepared)
        if isinstance(result, Token):
            return self._answer_renewal(result)
        if isinstance(result, Gone):
            return self._gone(result.reason, varies=False)
        if isinstance(result, Missing):
            if not presented.is_ticket:
                return self._gone(None, varies=False)
            session = self._new_session(presented.token, presented.note)
            return pb.SaveSessionResponse(outcome=pb.OUTCOME_UNCHANGED, session=session)
        if result.record is None:
            saved = self._gone(None, varies=False)
            saved.outcome = result.outcome
            return saved
        return self._rotated(result.outcome, result.record, result.token, presented.token)

    def _answer_renewal(self, token: Token) -> pb.SaveSessionResponse:
        """Answers a renewal that another call has made already, with its token if it is still the current one."""
        state = self._credentials.state(token)
        if isinstance(state, Live):
            if state.token == token:
                return self._rotated(pb.OUTCOME_UPDATED, state.record, token, token)
            return self._gone(pb.END_REASON_SUPERSEDED, varies=False)
        return self._gone(state.reason, varies=False)

    def _rotated(self, outcome: pb.Outcome, record: Record, token: Token | None, of: Token) -> pb.SaveSessionResponse:
        session = self._session(record, token, of)
        headers = self._headers(session, sets_cookie=True, varies=False)
        return pb.SaveSessionResponse(outcome=outcome, session=session, headers=headers)

    # Ending.

    def destroy(self, request: pb.DestroySessionRequest) -> pb.DestroySessionResponse:
        fingerprint = _fingerprint(request.request_id, b"d")
        if require_credential(request) == "token":
            ended = self._destroy_one(self._credentials.verify(request.token).token, fingerprint)
        else:
            ended = self._destroy_all(request.cookie_header, fingerprint)
        outcome, reason = ended
        # The browser may have the current token in a cookie of the same name, which must stay.
        is_superseded = outcome == pb.OUTCOME_GONE and reason == pb.END_REASON_SUPERSEDED
        headers = [] if is_superseded else [self._app.delete_cookie(), view.vary()]
        return pb.DestroySessionResponse(outcome=outcome, end_reason=reason, headers=headers)

    def _destroy_all(self, header: str, fingerprint: Fingerprint | None) -> _Ended:
        outcome: _Ended = _NOT_THERE
        for presented in self._credentials.in_header(header):
            ended = [self._destroy_one(presented.token, fingerprint)]
            if ended[0][0] == pb.OUTCOME_GONE and ended[0] != _NOT_THERE:
                recovery = self._credentials.recovery_of(presented.token)
                if recovery is not None:
                    ended.append(self._destroy_one(recovery.token, fingerprint))
            for each in ended:
                # The answer prefers a session that this call ended, and a reason to none.
                if outcome[0] != pb.OUTCOME_DELETED and each != _NOT_THERE:
                    outcome = each
        return outcome

    def _destroy_one(self, token: Token, fingerprint: Fingerprint | None) -> _Ended:
        result = write(self._credentials, Write(token, pb.END_REASON_DESTROYED, fingerprint=fingerprint))
        if isinstance(result, Done):
            return result.outcome, result.end_reason
        reason = result.reason if isinstance(result, Gone) else None
        return pb.OUTCOME_GONE, reason or pb.END_REASON_UNSPECIFIED

    # Watching.

    def watch(self, request: pb.WatchSessionRequest) -> pb.WatchSessionResponse:
        presented = self._credentials.of_write(request)
        if presented is None:
            return pb.WatchSessionResponse(state=pb.WATCH_STATE_ENDED)
        state = self._credentials.state(presented.token)
        if not isinstance(state, Live):
            return pb.WatchSessionResponse(state=pb.WATCH_STATE_ENDED, end_reason=state.reason)
        record = state.record
        until = record.expire_time(record.access_time)
        if record.verifier != presented.token.verifier and record.previous is not None:
            # The token is in its grace.
            until = min(until, record.previous.time + record.previous.grace)
        return pb.WatchSessionResponse(state=pb.WATCH_STATE_ALIVE, expire_time=to_message(until))

    # Responses.

    def _new_session(self, token: Token, note: Note) -> pb.Session:
        ticket = self._credentials.signer.sign_ticket(self._app.name, token, note, self._now)
        return view.new_session(self._app, self._credentials.session_id(token), ticket, self._now)

    def _session(self, record: Record, token: Token | None, of: Token) -> pb.Session:
        text = "" if token is None else self._credentials.signer.sign_token(self._app.name, token)
        return view.stored_session(self._credentials.session_id(of), record, text, self._now)

    def _headers(self, session: pb.Session, *, sets_cookie: bool, varies: bool) -> list[pb.Header]:
        return view.headers(self._app, session, self._now, sets_cookie=sets_cookie, varies=varies)

    def _unchanged(self, session: pb.Session, *, sets_cookie: bool, varies: bool) -> pb.SaveSessionResponse:
        headers = self._headers(session, sets_cookie=sets_cookie, varies=varies)
        return pb.SaveSessionResponse(outcome=pb.OUTCOME_UNCHANGED, session=session, headers=headers)

    @staticmethod
    def _gone(reason: pb.EndReason | None, *, varies: bool) -> pb.SaveSessionResponse:
        headers = [view.vary()] if varies else []
        return pb.SaveSessionResponse(outcome=pb.OUTCOME_GONE, end_reason=reason, headers=headers)

    def _deleted(
        self, presented: Presented, reason: pb.EndReason, counters: dict[str, int], *, varies: bool
    ) -> pb.SaveSessionResponse:
        headers = [self._app.delete_cookie(), view.vary()]
        if presented.note is Note.KEEP:
            # The browser may be about to get the cookie of a login.
            headers = [view.vary()] if varies else []
        return pb.SaveSessionResponse(outcome=pb.OUTCOME_DELETED, end_reason=reason, headers=headers, counters=counters)


def _fingerprint(request_id: str, content: bytes) -> Fingerprint | None:
    return Fingerprint(request_id, content) if request_id else None


def _eviction_order(session: tuple[str, Record]) -> tuple[bool, int, int, str]:
    session_id, record = session
    return record.authenticate_time is not None, record.authenticate_time or 0, record.create_time, session_id


def _etag(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or str(int(text)) != text or int(text) >= 2**53:
        raise CallFailed("INVALID_ARGUMENT", "ETAG_INVALID", "etag: it has to be one that this service gave out")
    return int(text)


def _check_request_id(request: pb.SaveSessionRequest | pb.RotateSessionRequest | pb.DestroySessionRequest) -> None:
    size = len(request.request_id.encode())
    if size > _MAX_REQUEST_ID:
        message = f"request_id has {size} bytes; the limit is {_MAX_REQUEST_ID}"
        raise CallFailed("INVALID_ARGUMENT", "REQUEST_ID_INVALID", message)


def _check_age(request: pb.OpenSessionRequest) -> None:
    if span_of(request.max_authenticate_age, at_least=1) is None:
        message = "max_authenticate_age: it has to be a valid and positive span"
        raise CallFailed("INVALID_ARGUMENT", "AUTHENTICATE_AGE_INVALID", message)


#: The outcome of an end, and its reason.
_Ended = tuple[pb.Outcome, pb.EndReason]
_NOT_THERE: _Ended = (pb.OUTCOME_GONE, pb.END_REASON_UNSPECIFIED)
#: Bytes.
_MAX_REQUEST_ID = 64
