"""A request's session: a mapping that is opened when it is first read and saved when the request is done.

Knows nothing of frameworks: they make one for each request, hand it to the application, and call `finish` for what
the response does with the cookie.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

from . import carry, errors
from .carry import Carry, Verdict
from .client import Client
from .codec import Codec
from .entries import MISSING, PERMANENT, UNKNOWN, Entries
from .v1 import session_service_pb2 as pb


@dataclass
class Visit:
    """What is known of a request before its session is looked at, and how its session is asked for."""

    client: Client
    codec: Codec
    #: The whole Cookie header, its bytes read as Latin-1.
    cookie_header: str = ""
    #: The cookie's name, if it is not the one of the app's policy.
    cookie_name: str = ""
    context: pb.RequestContext = field(default_factory=pb.RequestContext)
    #: Read as empty and refuse writes, instead of failing, while the service is away.
    tolerates_absence: bool = False
    max_authenticate_age: timedelta | None = None
    #: Answers how long the session lives unused, if that is not as long as the service grants by itself.
    idle_timeout: Callable[[], timedelta | None] = lambda: None

    def sent(self) -> list[str]:
        """What the browser sent as this cookie."""
        return carry.values(self.cookie_header, self.cookie_name or self.client.policy().cookie_name)

    def foreign_name(self) -> str:
        """The cookie's name, if the app's policy has another one."""
        return "" if self.cookie_name == self.client.policy().cookie_name else self.cookie_name


class Session(MutableMapping[str, Any]):
    """A request's session. What it holds is asked for when it is first needed; only what changed is saved.

    Assigning, `update` and `clear` need no answer of the service; everything that reads, and `del`, `pop` and
    `setdefault`, which may have to, opens the session first, unless this request has written the very key.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._entries = Entries(visit.codec)
        #: The request looked at its session.
        self.accessed = False
        self._modified = False
        self._is_muted = False
        #: Something happened since the last save that a save has to tell.
        self._is_touched = False
        self._terms = pb.Changes()
        self._rotates = False
        self._opened: pb.OpenSessionResponse | None = None
        #: The session as the service last told it.
        self._known: pb.Session | None = None
        #: Set: every write is refused by raising it.
        self._refusal: errors.CloakroomError | None = None
        #: A save whose outcome is not known yet, as it was sent.
        self._pending: pb.SaveSessionRequest | None = None
        self._credential: dict[str, Any] = {"cookie_header": visit.cookie_header}
        #: What the last save, or the end of the session, says about the cookie.
        self._verdict: Verdict | None = None
        #: Why the session had ended when it was to be saved, such as `SUPERSEDED`; None: it had not.
        self.gone: str | None = None

    # Reading.

    def __getitem__(self, key: str) -> Any:
        value = self._look(key)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return self._look(key) is not MISSING

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __reversed__(self) -> Iterator[str]:
        return iter(self._keys()[::-1])

    def __len__(self) -> int:
        return len(self._keys())

    def copy(self) -> dict[str, Any]:
        """A plain dict of what the session holds now."""
        return dict(self)

    def __or__(self, other: Any) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Any) -> dict[str, Any]:
        return {**other, **self}

    def __repr__(self) -> str:
        if not self._entries.is_complete:
            return f"<{type(self).__name__} not opened>"
        return f"<{type(self).__name__} {dict(self)!r}>"

    def __reduce__(self) -> Any:
        raise TypeError("a session belongs to its request and can't be pickled; copy() is a plain dict")

    # Writing.

    def __setitem__(self, key: str, value: Any) -> None:
        self._touch()
        self._entries.set(key, value)

    def __delitem__(self, key: str) -> None:
        self._check_writable()
        if self._look(key) is MISSING:
            raise KeyError(key)
        self._touch()
        self._entries.remove(key)

    def clear(self) -> None:
        """Empties the session, takes its subject away and, since it begins anew, replaces its token."""
        self._touch()
        self._entries.clear()
        self._terms.Clear()

    def update(self, *args: Any, **kwargs: Any) -> None:
        self._touch()
        super().update(*args, **kwargs)

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def pop(self, key: str, *default: Any) -> Any:
        self._check_writable()
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """Takes the last entry."""
        self._check_writable()
        keys = self._keys()
        if not keys:
            raise KeyError("popitem(): session is empty")
        return keys[-1], self.pop(keys[-1])

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._check_writable()
        return super().setdefault(key, default)

    def increment(self, key: str, by: int = 1) -> None:
        """Adds to a counter, exactly, however many requests do so at once. An absent one counts from 0."""
        self._touch()
        self._entries.increment(key, by)

    @property
    def modified(self) -> bool:
        """The request changed the session. Set it for a change that nothing else tells."""
        return self._modified

    @modified.setter
    def modified(self, value: bool) -> None:
        if value:
            self._touch()
        self._modified, self._is_muted = bool(value), not value

    # What is known of the session besides its entries.

    @property
    def permanent(self) -> bool:
        """The cookie outlives the browser."""
        return bool(self.get(PERMANENT, False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self[PERMANENT] = bool(value)

    @property
    def new(self) -> bool:
        """No store knows this session yet."""
        return self._info().new

    @property
    def id(self) -> str:
        """The public handle, safe to log: it opens nothing, and stays through rotations. Empty: there is none."""
        self._check_stored("id")
        return self._info().id

    @property
    def subject(self) -> str | None:
        """Whose session it is; None: nobody's. Setting it is a login: the token is replaced by the same save."""
        if self._terms.HasField("subject"):
            return self._terms.subject or None
        self._check_stored("subject")
        return self._info().subject or None

    @subject.setter
    def subject(self, value: str | None) -> None:
        self._check_stored("subject")
        self._touch()
        self._terms.subject = value or ""

    @property
    def authenticate_time(self) -> datetime | None:
        """When the subject last authenticated."""
        info = self._info()
        return info.authenticate_time.ToDatetime(timezone.utc) if info.HasField("authenticate_time") else None

    @property
    def recently_authenticated(self) -> bool:
        """The subject authenticated less than `max_authenticate_age` ago, on the service's clock."""
        self._info()
        return self._opened is not None and self._opened.recently_authenticated

    def authenticated(self) -> None:
        """Says that the subject has just authenticated again; the token is replaced by the same save."""
        self._check_stored("authenticated")
        self._touch()
        self._terms.authenticated = True

    def rotate(self) -> None:
        """Replaces the token with the save: call it when what the user may do changes. Older tokens are dead then."""
        self._check_stored("rotate")
        self._touch()
        self._rotates = True

    def destroy(self) -> None:
        """Ends the session now, everywhere; the response deletes the cookie. What is written after begins another."""
        self._check_writable()
        client = self._visit.client
        request = pb.DestroySessionRequest(
            app=client.app, request_id=_request_id(), cookie_name=self._visit.foreign_name(), **self._credential
        )
        self._verdict = carry.of_destroy(client.destroy(request))
        self._begin_anew()
        self.accessed = self._modified = True

    def save(self) -> None:
        """Saves now what has changed, such as while a body is streamed. A cookie still needs a response to go with."""
        self.finish()

    # For frameworks.

    def finish(self, *, is_read: bool = True) -> Verdict:
        """Saves what has changed, and says what the response does with the cookie.

        May be called again: a save whose outcome is unknown is repeated as it was, and counts once.
        """
        while (request := self._pending or self._draw_up()) is not None:
            self._pending = request
            saved = self._visit.client.save(request)
            self._pending = None
            self._take_in(request, saved)
        verdict = self._verdict
        if self._opened is None:
            return verdict or Verdict()
        opened = carry.of_open(self._opened, self._visit.sent(), is_read=is_read)
        if verdict is None:
            return opened
        # A token that came with the open was the save's credential: nobody but the open says that it is new.
        is_kept = verdict.carry is Carry.KEEP and self.gone is None
        return opened if is_kept and opened.carry is Carry.SET else verdict

    def open(self) -> None:
        """Asks the service what the session holds, if nobody has yet."""
        if self._opened is None and self._refusal is None:
            self._open()

    def is_opened(self) -> bool:
        """What the service keeps has been asked for."""
        return self._opened is not None

    # Inside.

    def _look(self, key: Any) -> Any:
        self.accessed = True
        value = self._entries.lookup(key)
        if value is UNKNOWN:
            self._open()
            value = self._entries.lookup(key)
        return value

    def _keys(self) -> list[Any]:
        self.accessed = True
        if not self._entries.is_complete:
            self._open()
        return list(self._entries.keys())

    def _info(self) -> pb.Session:
        self.accessed = True
        if self._known is None and self._refusal is None:
            self._open()
        return self._known or pb.Session()

    def _open(self) -> None:
        visit = self._visit
        try:
            request = pb.OpenSessionRequest(
                app=visit.client.app, cookie_name=visit.foreign_name(), context=visit.context, **self._credential
            )
            if visit.max_authenticate_age is not None:
                request.max_authenticate_age.FromTimedelta(visit.max_authenticate_age)
            opened = visit.client.open(request)
        except errors.SessionUnavailable as error:
            if not visit.tolerates_absence:
                raise
            self._refusal = error
            if not self._entries.is_complete:
                self._entries.fill({})
            return
        self._opened, self._known = opened, opened.session
        if opened.session.HasField("null_session"):
            null = opened.session.null_session
            self._refusal = errors.SessionRefused(null.message, "FAILED_PRECONDITION", null.reason)
        elif opened.session.token:
            self._credential = {"token": opened.session.token}
        if not self._entries.is_complete:
            self._entries.fill(_kept(opened.session))

    def _touch(self) -> None:
        self._check_writable()
        self.accessed = self._modified = self._is_touched = True
        self._is_muted = False

    def _check_writable(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def _check_stored(self, what: str) -> None:
        if self._visit.client.policy().kind == _KIND_COOKIE:
            raise errors.NotInCookieKind(
                f"session.{what} needs a session in a store, and this app keeps its sessions in the cookie itself",
                "FAILED_PRECONDITION",
                "NOT_IN_COOKIE_KIND",
            )

    def _draw_up(self) -> pb.SaveSessionRequest | None:
        """The save that tells what has changed since the last one."""
        if self._is_muted or self._refusal is not None:
            return None
        if not self._is_touched and not self._entries.has_changes():
            return None
        self._modified = True
        changes = self._entries.changes()
        changes.MergeFrom(self._terms)
        visit = self._visit
        idle_timeout = visit.idle_timeout()
        if idle_timeout is not None and visit.client.policy().kind != _KIND_COOKIE:
            changes.idle_timeout.FromTimedelta(idle_timeout)
        request = pb.SaveSessionRequest(
            app=visit.client.app,
            changes=changes,
            accessed=True,
            request_id=_request_id(),
            rotate=self._rotates,
            cookie_name=visit.foreign_name(),
            context=visit.context,
            **self._credential,
        )
        self._entries.settle(changes)
        self._terms.Clear()
        self._rotates = self._is_touched = False
        return request

    def _take_in(self, request: pb.SaveSessionRequest, saved: pb.SaveSessionResponse) -> None:
        changes = request.changes
        if saved.outcome == pb.OUTCOME_GONE:
            if self._is_beginning(request):
                self._pending = _begun_anew(request)
                return
            self.gone = pb.EndReason.Name(saved.end_reason).replace("END_REASON_", "")
        touches_permanent = changes.clear or PERMANENT in changes.set or PERMANENT in changes.unset
        later = carry.of_save(saved, self._visit.sent(), touches_permanent=touches_permanent)
        earlier = Verdict() if saved.outcome == pb.OUTCOME_GONE else self._verdict or Verdict()
        self._verdict = earlier.then(later)
        self._entries.counted(saved.counters.items())
        if saved.outcome == pb.OUTCOME_DELETED:
            self._credential = {"cookie_header": ""}
            self._known = pb.Session()
        elif saved.HasField("session"):
            self._known = saved.session
            if saved.session.token:
                self._credential = {"token": saved.session.token}

    def _is_beginning(self, request: pb.SaveSessionRequest) -> bool:
        """A save such as a login form's, which begins a session whatever there was."""
        changes = request.changes
        subject_key = self._visit.client.policy().subject_key
        gains_subject = bool(changes.subject) or (subject_key != "" and subject_key in changes.set)
        return bool(changes.set) and (request.rotate or changes.clear or gains_subject)

    def _begin_anew(self) -> None:
        self._entries = Entries(self._visit.codec)
        self._entries.fill({})
        self._terms.Clear()
        self._rotates = self._is_touched = False
        self._opened, self._known, self._pending = None, pb.Session(), None
        self._credential = {"cookie_header": ""}


def _kept(session: pb.Session) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in session.entries.items():
        kept[name] = value.json if value.WhichOneof("kind") == "json" else value.raw
    if session.HasField("permanent"):
        kept[PERMANENT] = "true" if session.permanent else "false"
    return kept


def _begun_anew(request: pb.SaveSessionRequest) -> pb.SaveSessionRequest:
    """The same save for a session that nobody has yet."""
    begun = pb.SaveSessionRequest()
    begun.CopyFrom(request)
    begun.cookie_header, begun.request_id = "", _request_id()
    begun.changes.clear, begun.rotate = False, False
    del begun.changes.unset[:]
    return begun


def _request_id() -> str:
    return secrets.token_hex(16)


#: APP_KIND_COOKIE.
_KIND_COOKIE = 2
