"""One call: the tokens that it shows, and what they are to their sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Union

from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from .app import App
from .record import Authority, Fingerprint, Gone, Grace, Precondition, Record, end_time, judge, previous_token
from .store import Store
from .tokens import Note, Rejected, Signer, Token, is_ticket
from .view import COOKIES_AMBIGUOUS


class Presented(NamedTuple):
    """A token that a request shows. In a cookie, `Note.SET` says that the browser should get another text."""

    token: Token
    note: Note
    #: Whether the session may not be stored yet.
    is_ticket: bool = False
    #: Whether it came in a cookie: if its session has ended, a save begins anew.
    is_cookie: bool = False

    def sets_cookie_for(self, token: Token | None) -> bool:
        """Whether a response sets the cookie if the session's token is this one, and no write of the call set it."""
        if self.note is Note.NONE:
            return self.is_ticket or self.token != token
        return self.note is Note.SET


class Live(NamedTuple):
    """The token opens its session. `token` is the token itself, or in its grace the next one."""

    record: Record
    token: Token


class Superseded(NamedTuple):
    """Another token has replaced this one, or its session has ended since."""

    token: Token
    rotate_time: int
    reason: pb.EndReason


State = Union[Live, Superseded, Gone]


class Recovery(NamedTuple):
    """The session that a superseded token leads to. Without a record it is not stored yet."""

    token: Token
    record: Record | None
    note: Note
    #: When the one before it was over by a call. 0: none was.
    end_time: int = 0


@dataclass
class AppCall:
    """One call for one app, at one time."""

    app: App
    store: Store
    signer: Signer
    now: int

    def session_id(self, token: Token) -> str:
        return token.id(self.app.name)

    def load(self, token: Token) -> Record | None:
        return self.store.load(self.app.name, self.session_id(token), self.now)

    def in_header(self, header: str) -> list[Presented]:
        """Returns the tokens in a Cookie header, each once."""
        found: dict[Token, Note] = {}
        for value in _cookie_values(header, self.app.cookie_name):
            try:
                token, note = self.signer.verify_token(self.app.name, value)
            except Rejected:
                continue
            # Of two texts of one token, the one that the browser can keep.
            if found.get(token) is not Note.NONE:
                found[token] = Note.NONE if note is Note.NONE else Note.SET
        return [Presented(token, note, is_cookie=True) for token, note in found.items()]

    def verify(self, text: str) -> Presented:
        """Verifies a token or a ticket by itself. Raises `CallFailed`."""
        try:
            if is_ticket(text):
                return Presented(*self.signer.verify_ticket(self.app.name, text, self.now), is_ticket=True)
            return Presented(*self.signer.verify_token(self.app.name, text))
        except Rejected as error:
            message = f"token does not verify: {error}; open the session again"
            raise CallFailed("INVALID_ARGUMENT", "TOKEN_INVALID", message) from error

    def of_write(self, request: Any) -> Presented | None:
        """Returns the token that a write is made with; None: the request has no session. Raises `CallFailed`."""
        kind = require_credential(request)
        if kind == "token":
            return self.verify(request.token)
        presented = self.in_header(request.cookie_header)
        if len(presented) > 1:
            return self._select(presented, getattr(request, "request_id", ""))
        return presented[0] if presented else None

    def _select(self, presented: list[Presented], request_id: str) -> Presented | None:
        """Selects the token that a write can learn most from; of a repeated call that of the first time."""
        call = Fingerprint(request_id, b"") if request_id else None
        best: tuple[int, Presented] | None = None
        superseded: list[tuple[Superseded, Presented]] = []
        for each in presented:
            record = self.load(each.token)
            if record is not None and record.find_call(call, self.now) is not None:
                return each
            state = self.state(each.token)
            relevance = _relevance(state)
            if isinstance(state, Superseded):
                superseded.append((state, each))
            if best is not None and best[0] == relevance == _LIVE and best[1].token.selector != each.token.selector:
                raise CallFailed("INVALID_ARGUMENT", "COOKIES_AMBIGUOUS", COOKIES_AMBIGUOUS)
            if best is None or best[0] < relevance:
                best = relevance, each
        if best is not None and best[0] == _SUPERSEDED:
            # As an open does.
            for token_state, each in superseded:
                if self.find_recovery(token_state, call).record is not None:
                    return each
        return best[1] if best else None

    def state(self, token: Token) -> State:
        """Judges what a token is to its session."""
        record = self.load(token)
        if record is None:
            return Gone(None)
        authority = Authority(token.verifier)
        denial = judge(record, self.store.generation(self.app.name), Precondition(authority, self.now))
        if isinstance(denial, Grace):
            return Live(record, token._replace(verifier=denial.previous.next_verifier))
        if isinstance(denial, Gone):
            if denial.reason is None or not self._is_superseded(record, token):
                return denial
            rotate_time = record.previous.time if record.previous else record.create_time
            return Superseded(token, rotate_time, denial.reason)
        return Live(record, token)

    def _is_superseded(self, record: Record, token: Token) -> bool:
        """Whether another token had replaced this one before the session ended."""
        if record.verifier == token.verifier:
            return False
        previous = previous_token(record, token.verifier, self.now)
        return previous is None or not previous.is_in_grace(self.now)

    def recovery_of(self, token: Token) -> Presented | None:
        """Returns the credential of a token's recovery session; None: the token is not superseded."""
        state = self.state(token)
        if not isinstance(state, Superseded):
            return None
        recovery = self.find_recovery(state)
        return Presented(recovery.token, recovery.note, is_ticket=True)

    def begin_anew(
        self, token: Token, fingerprint: Fingerprint | None, request: pb.SaveSessionRequest
    ) -> Presented | None:
        """Returns the credential of the session that a dead cookie gets, a repeated save that of the first time.

        None: a call has ended its session since the request was received.
        """
        has_age = request.HasField("request_age")
        received = self.now - request.request_age.ToMilliseconds()
        if has_age and received < self.end_time(token):
            return None
        state = self.state(token)
        if not isinstance(state, Superseded):
            return new_ticket()
        recovery = self.find_recovery(state, fingerprint)
        if has_age and received < recovery.end_time:
            return None
        return Presented(recovery.token, recovery.note, is_ticket=True)

    def end_time(self, token: Token) -> int:
        record = self.load(token)
        return (end_time(record, token.verifier, self.now) or 0) if record else 0

    def find_recovery(self, superseded: Superseded, fingerprint: Fingerprint | None = None) -> Recovery:
        token, rotate_time, ended = superseded.token, superseded.rotate_time, 0
        for _ in range(_MAX_RECOVERIES):
            token = token.recovery(self.app.name)
            record = self.load(token)
            if record is None or record.find_call(fingerprint, self.now) is not None:
                return Recovery(token, record, self._recovery_note(rotate_time), ended)
            state = self.state(token)
            if isinstance(state, Live):
                return Recovery(state.token, state.record, self._recovery_note(rotate_time), ended)
            ended = max(ended, self.end_time(token))
            if isinstance(state, Superseded):
                rotate_time = max(rotate_time, state.rotate_time)
        return Recovery(Token.random(), None, self._recovery_note(rotate_time), ended)

    def _recovery_note(self, rotate_time: int) -> Note:
        return Note.KEEP if self.now < rotate_time + _COOKIE_DELAY else Note.SET


def require_credential(request: Any) -> str:
    """Returns which credential a write has. Raises `CallFailed` without one."""
    kind = request.WhichOneof("credential")
    if kind is None or (kind == "token" and not request.token):
        message = "set token to what OpenSession gave, or cookie_header to the request's Cookie header"
        raise CallFailed("INVALID_ARGUMENT", "TOKEN_MISSING", message)
    return str(kind)


def check_header(request: Any) -> None:
    """Refuses a Cookie header that is too long."""
    if len(request.cookie_header) > _MAX_HEADER:
        message = f"cookie_header has {len(request.cookie_header)} bytes; the limit is {_MAX_HEADER}"
        raise CallFailed("INVALID_ARGUMENT", "COOKIE_HEADER_TOO_LARGE", message)


def new_ticket() -> Presented:
    return Presented(Token.random(), Note.NONE, is_ticket=True)


def _cookie_values(header: str, name: str) -> list[str]:
    pairs = (pair.partition("=") for pair in header.split(";"))
    values = [value.strip(" \t") for key, equals, value in pairs if equals and key.strip(" \t") == name]
    return values[:_MAX_CANDIDATES]


def _relevance(state: State) -> int:
    if isinstance(state, Live):
        return _LIVE
    if isinstance(state, Superseded):
        return _SUPERSEDED
    return 0 if state.reason is None else 1


_LIVE = 3
_SUPERSEDED = 2
#: Characters.
_MAX_HEADER = 1024 * 1024
#: Cookies of the name that are read.
_MAX_CANDIDATES = 8
#: Recovery sessions in a row that may have ended or were replaced.
_MAX_RECOVERIES = 8
#: Milliseconds after a rotation in which its cookie may still be on its way to the browser.
_COOKIE_DELAY = 30 * 1000
