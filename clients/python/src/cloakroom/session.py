"""A request's session: a mapping that is opened at the first read and saved at the end of the request.

Depends on no framework and on no network. `SessionState` builds requests and applies responses; `Session` makes the
calls in between. A framework's integration creates one session per request, passes it to the application, and calls
`finish` to save it and to learn what the response does with the cookie.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import os
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, NoReturn, TypeVar

from . import cookie, errors
from .client import Client
from .clock import now
from .codec import Codec
from .cookie import CookieAction, CookieDecision
from .entries import MISSING, PERMANENT, UNKNOWN, Entries
from .enums import name_of
from .messages import session_service_pb2 as pb
from .subject_key import entries_of, may_be_in, subject_change, subject_of_entries
from .watch import SessionWatch

log = logging.getLogger("cloakroom")

T = TypeVar("T")


@dataclass
class RequestInfo:
    """What a session needs to know of its request and of its app."""

    #: The app's name in the service's configuration.
    app: str
    #: Returns the app's policy. Called only where it matters.
    policy: Callable[[], pb.GetAppPolicyResponse]
    codec: Codec
    #: The whole Cookie header, its bytes decoded as Latin-1.
    cookie_header: str = field(default="", repr=False)
    #: The cookie's name, if it differs from the one in the app's policy.
    cookie_name: str = ""
    #: Returns whether `policy` makes no call.
    knows_policy: Callable[[], bool] = lambda: True
    #: Returns where the request comes from. Called only if there is a call to make.
    context: Callable[[], pb.RequestContext] = lambda: pb.RequestContext()
    #: While the service is unavailable, reads find an empty session and writes raise. Otherwise both raise.
    null_when_unavailable: bool = False
    #: How long an authentication counts as recent. None: `recently_authenticated` is always false.
    max_authenticate_age: timedelta | None = None
    #: Returns how long the session lives without use. None: always the app's idle timeout in the service.
    idle_timeout: Callable[[], timedelta | None] | None = None
    #: Returns the time at which the session ends however much it is used. Without a time, `idle_timeout` counts.
    deadline_time: Callable[[], datetime | None] | None = None
    #: Returns whether the cookie outlives the browser, for a framework that does not keep that as an entry.
    permanent: Callable[[], bool] | None = None
    #: The attributes of the cookie that this request chooses, for a framework that sends the service's headers.
    cookie_attributes: pb.CookieAttributes | None = None

    def may_name_session(self, cookie_header: str) -> bool:
        """Whether a Cookie header has a cookie that may name a session."""
        if not cookie_header:
            return False
        name = self.cookie_name or self.policy().cookie_name
        if cookie_header.startswith(f"{name}=") or cookie.cookie_values(cookie_header, name):
            return True
        return any(cookie.cookie_values(cookie_header, each) for each in self.policy().legacy_cookie_names)

    def sent_tokens(self) -> list[str]:
        """Returns the values that the browser sent for this cookie."""
        return cookie.cookie_values(self.cookie_header, self.cookie_name or self.policy().cookie_name)

    def cookie_name_override(self) -> str:
        """Returns the cookie's name if it differs from the app's policy, else an empty string."""
        name = self.cookie_name
        return "" if name == "" or name == self.policy().cookie_name else name


class SessionState(MutableMapping[str, Any]):
    """What a request knows of its session, and what it changed. Makes no calls.

    Assigning, `update`, `clear` and `increment` need no open. Reads, `del`, `pop` and `setdefault` need the session to
    be open, unless this request has already written the same key: then they call `_open_now`.
    """

    # These begin so in each request. They stand here because most requests never set them.

    #: Whether an open is no use of the session, which extends its lifetime.
    is_look = False
    #: Whether the request has used its session.
    accessed = False
    _modified = False
    #: Set by `modified = False`: nothing is saved until the next change.
    _is_save_suppressed = False
    #: Whether to save even if no entry has changed.
    _needs_save = False
    #: The changes of the next save that are not entries: subject and authentication.
    _other_changes: pb.Changes | None = None
    _rotate_requested = False
    _keep_empty = False
    _opened: pb.OpenSessionResponse | None = None
    #: Where the request comes from, for all its calls.
    _known_context: pb.RequestContext | None = None
    #: The session's properties as the service returned them last.
    _info: pb.Session | None = None
    #: When that was.
    _info_time = 0.0
    #: Why the last call failed, if the service did not answer it.
    unavailable: errors.SessionUnavailable | None = None
    #: When a read makes a call again after that.
    _open_retry_time = 0.0
    #: Why this session cannot be written. Every write raises it; what was written before it was known stays.
    _write_error: errors.CloakroomError | None = None
    #: Whether reads find an empty session because the service did not answer.
    _is_empty_by_outage = False
    #: A save whose result is unknown, exactly as it was sent.
    _unconfirmed_save: pb.SaveSessionRequest | None = None
    #: Whether a change of an entry may have passed the session to another user, which no read has looked at yet.
    _may_become_others = False
    #: The save that the service has refused last.
    _refused_save: pb.SaveSessionRequest | None = None
    #: Whether the browser does not have the token of the open yet, so that a save sets it.
    _cookie_outdated = False
    #: The Cookie header by which the session was opened, until something is saved.
    _opened_header = ""
    #: What the saves and the end of the session mean for the cookie. None before the first of them.
    _cookie_decision: CookieDecision | None = None
    _gone: str | None = None
    #: Whether the application knows of the end: it has read `gone`, or `take_unread_gone` has returned it.
    _is_gone_read = False

    def __init__(self, request_info: RequestInfo) -> None:
        self._request_info = request_info
        self._entries = Entries(request_info.codec)
        self._credential: dict[str, Any] = {"cookie_header": request_info.cookie_header}
        #: When the request was received, or has ended its last session.
        self._receive_time = now()

    # Reading.

    def __getitem__(self, key: str) -> Any:
        value = self._lookup(key)
        if value is MISSING:
            raise KeyError(key)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        value = self._lookup(key)
        return default if value is MISSING else value

    def __contains__(self, key: object) -> bool:
        return self._lookup(key) is not MISSING

    def __iter__(self) -> Iterator[str]:
        return iter(self._list_keys())

    def __reversed__(self) -> Iterator[str]:
        return iter(self._list_keys()[::-1])

    def __len__(self) -> int:
        return len(self._list_keys())

    def copy(self) -> dict[str, Any]:
        """Returns the entries as a plain dict."""
        return dict(self)

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(dict(self), memo)

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
        self._begin_anew_with([key])
        self._mark_modified()
        self._entries.set(key, value)

    def __delitem__(self, key: str) -> None:
        self._check_writable()
        if self._lookup(key) is MISSING:
            raise KeyError(key)
        self._mark_modified()
        self._entries.remove(key)

    def clear(self) -> None:
        """Removes all entries and the subject. The save also replaces the token.

        If the request has the cookies of two live sessions, the save ends both.
        """
        self._begin_anew()
        self._mark_modified()
        self._entries.clear()
        self._other_changes = None

    def update(self, *args: Any, **kwargs: Any) -> None:
        changes = dict(*args, **kwargs)
        self._begin_anew_with(changes)
        self._mark_modified()
        for key, value in changes.items():
            self._entries.set(key, value)

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def pop(self, key: str, *default: Any) -> Any:
        self._check_writable()
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """Removes the last entry and returns its key and value. Raises KeyError if the session is empty."""
        self._check_writable()
        keys = self._list_keys()
        if not keys:
            raise KeyError("popitem(): session is empty")
        return keys[-1], self.pop(keys[-1])

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._check_writable()
        return super().setdefault(key, default)

    def increment(self, key: str, by: int = 1) -> None:
        """Adds to a counter. Concurrent requests lose no counts. A missing counter starts at 0."""
        self._mark_modified()
        self._entries.increment(key, by)

    @property
    def modified(self) -> bool:
        """Whether the request changed the session.

        Setting it to True makes a save even without changes; setting it to False saves nothing until the next change.
        """
        return self._modified

    @modified.setter
    def modified(self, value: bool) -> None:
        if value:
            self._mark_modified()
        self._modified, self._is_save_suppressed = bool(value), not value

    # Properties of the session besides its entries.

    @property
    def permanent(self) -> bool:
        """Whether the cookie outlives the browser."""
        return bool(self.get(PERMANENT, False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self[PERMANENT] = bool(value)

    @property
    def new(self) -> bool:
        """Whether the session has not been stored yet."""
        return self._load_info().new

    @property
    def id(self) -> str:
        """The session's public id. Empty if there is no session, as after `destroy`, or not yet.

        A session of `AsyncSession` has none before its first save if the request had no session cookie.

        It is safe to log, because it does not open the session. It stays the same when the token is replaced. Raises
        `NotInCookieKind` if the app's kind is `cookie`.
        """
        self._require_stored_kind("id")
        return self._load_info().id

    @property
    def subject(self) -> str | None:
        """The id of the user to whom the session belongs, or None for an anonymous session.

        Setting it is a login: the same save replaces the token. An integer is set as its digits. Raises
        `NotInCookieKind` if the app's kind is `cookie`, and TypeError for an id of another type.
        """
        if self._other_changes is not None and self._other_changes.HasField("subject"):
            return self._other_changes.subject or None
        self._require_stored_kind("subject")
        next_subject = self._next_subject()
        return (self._load_info_of_user().subject if next_subject is None else next_subject) or None

    @subject.setter
    def subject(self, value: str | int | None) -> None:
        # Before anything is marked as changed.
        subject = _subject_text(value)
        self._require_stored_kind("subject")
        self._begin_anew()
        self._mark_modified()
        self._change_other().subject = subject

    @property
    def authenticate_time(self) -> datetime | None:
        """The time when the subject last authenticated, in UTC. None for an anonymous session."""
        info = self._load_info_of_user()
        return info.authenticate_time.ToDatetime(timezone.utc) if info.HasField("authenticate_time") else None

    @property
    def recently_authenticated(self) -> bool:
        """Whether the subject authenticated less than `max_authenticate_age` ago, by the service's clock.

        It becomes false while the session is open, as in a long websocket, and true by a save after `authenticated`.
        """
        info, longest = self._load_info_of_user(), self._request_info.max_authenticate_age
        if longest is None or not (info.HasField("authenticate_time") and info.HasField("access_time")):
            return False
        # Both are of the service. What has passed since needs no clock of the day.
        age = info.access_time.ToDatetime() - info.authenticate_time.ToDatetime()
        return age + timedelta(seconds=now() - self._info_time) < longest

    def authenticated(self) -> None:
        """Records that the subject has just authenticated again. The same save replaces the token.

        Raises `NotInCookieKind` if the app's kind is `cookie`.
        """
        self._require_stored_kind("authenticated")
        self._mark_modified()
        self._change_other().authenticated = True

    def rotate(self) -> None:
        """Replaces the token with the next save, and so invalidates older tokens.

        Call it when the user's privileges change. Raises `NotInCookieKind` if the app's kind is `cookie`.
        """
        self._require_stored_kind("rotate")
        self._mark_modified()
        self._rotate_requested = True

    def keep_empty(self) -> None:
        """Stores the session with the next save even if it has no entries."""
        self._mark_modified()
        self._keep_empty = True

    @contextlib.contextmanager
    def save_of_application(self) -> Iterator[None]:
        """Has the save of its `with` block send what was refused before, and keep its changes if it is refused itself.

        Not so at the end of a request: an error page can save its own changes after that. After a refused save of the
        application, its changes go with those of the error page.
        """
        self._refused_save = None
        try:
            yield
        except errors.SessionRefused:
            self._take_back()
            raise

    @property
    def gone(self) -> str | None:
        """Why the session had ended before it was saved, such as `SUPERSEDED`. None if it had not.

        `on_gone` is not called for a reason that the application has read here, after its own `save`.
        """
        self._is_gone_read = self._gone is not None
        return self._gone

    def take_unread_gone(self) -> str | None:
        """Returns the same, but only once, and only if the application has not read it."""
        return None if self._is_gone_read else self.gone

    # Requests and responses.

    def _open_now(self) -> None:
        """Opens the session, or raises an error that says how."""
        raise NotImplementedError

    def has_unsaved_changes(self) -> bool:
        """Whether a save would send something."""
        return self._unconfirmed_save is not None or self._has_changes()

    def _needs_open(self) -> bool:
        return self._opened is None and (self._write_error is None or self._may_be_over())

    def _may_be_over(self) -> bool:
        """Whether the session cannot be written because of an outage, and the service may answer again."""
        return isinstance(self._write_error, errors.SessionUnavailable) and now() >= self._open_retry_time

    def _end_outage(self) -> None:
        """Allows reads and writes again, for the service has answered."""
        self.unavailable = None
        if isinstance(self._write_error, errors.SessionUnavailable):
            self._write_error = None
        if self._is_empty_by_outage:
            self._entries.is_complete = self._is_empty_by_outage = False

    def _open_request(self) -> pb.OpenSessionRequest:
        info = self._request_info
        request = pb.OpenSessionRequest(app=info.app, context=self._context(), **self._credential)
        cookie_name = info.cookie_name_override()
        if cookie_name:
            request.cookie_name = cookie_name
        if self.is_look:
            request.no_touch = True
        if info.cookie_attributes is not None:
            request.cookie_attributes.CopyFrom(info.cookie_attributes)
        if info.max_authenticate_age is not None:
            request.max_authenticate_age.FromTimedelta(info.max_authenticate_age)
        age = self._request_age()
        # An open as soon as the request arrives needs none.
        if age and request.cookie_header:
            request.request_age.FromMilliseconds(age)
        return request

    def _request_age(self) -> int:
        """Returns how long ago the request was received, in milliseconds."""
        return int((now() - self._receive_time) * 1000)

    def _context(self) -> pb.RequestContext:
        if self._known_context is None:
            self._known_context = self._request_info.context()
        return self._known_context

    def _apply_open(self, opened: pb.OpenSessionResponse) -> None:
        self._end_outage()
        self._opened, self._info, self._info_time = opened, opened.session, now()
        session = self._info
        token = session.token
        if token:
            self._opened_header = self._credential.get("cookie_header", self._opened_header)
            self._credential = {"token": token}
            self._cookie_outdated = opened.cookie_outdated
        elif session.HasField("null_session") and not self.has_unsaved_changes():
            # What was changed before is still sent: the service refuses it, or it is a login, which ends both sessions.
            null = session.null_session
            self._write_error = errors.SessionRefused(null.message, "FAILED_PRECONDITION", null.reason)
        if not self._entries.is_complete:
            self._entries.load(session, has_permanent=self._request_info.permanent is None)
        # The login of another user, without a look at the session before it.
        unconfirmed = self._unconfirmed_save
        if unconfirmed is not None and session.subject and _is_other(session, self._subject_of(unconfirmed)):
            self._entries.keep_only(unconfirmed.changes.set)
        self._find_other_user()

    def _open_without_call(self) -> bool:
        """Opens the session as a new one if the request has no cookie that may name one. Returns whether it did."""
        header = self._credential.get("cookie_header")
        if header is None or self._request_info.may_name_session(header):
            return False
        null_session = self._request_info.policy().null_session
        self._apply_open(_null_session_response(null_session) if null_session.reason else _new_session_response())
        return True

    def note_unavailable(self, error: errors.SessionUnavailable) -> None:
        """Has the reads of the next seconds fail without a call: the request has waited for the service."""
        self.unavailable, self._open_retry_time = error, now() + OPEN_RETRY_DELAY

    def _fails_without_call(self) -> bool:
        """Whether a call has just failed. Then an open fails as well, so that a request waits for the service once.

        Raises the error of that call, unless reads find an empty session.
        """
        if self.unavailable is None or now() >= self._open_retry_time:
            return False
        self._fail_open(self.unavailable)
        return True

    def _handle_unavailable_open(self, error: errors.SessionUnavailable) -> None:
        self.note_unavailable(error)
        self._fail_open(error)

    def _fail_open(self, error: errors.SessionUnavailable) -> None:
        if not self._request_info.null_when_unavailable:
            self._raise(error)
        self._write_error = error
        if not self._entries.is_complete:
            self._entries.load()
            self._is_empty_by_outage = True

    def _next_save(self) -> pb.SaveSessionRequest | None:
        """Returns the save to send next. None: there is nothing to save. `_apply_save` takes the response.

        A save whose result is unknown is repeated with the same request_id, so that it is applied only once.
        """
        self._unconfirmed_save = save = self._unconfirmed_save or self._build_save()
        if save is not None and save.cookie_header:
            save.request_age.FromMilliseconds(self._request_age())
        return save

    def _open_before(self, save: pb.SaveSessionRequest) -> pb.OpenSessionRequest | None:
        """Returns the open that gives a save its token, or None if the save needs none. `_apply_open_before` takes it.

        A save by the Cookie header begins another session each time that it is repeated. For a login, each would be
        among the user's sessions, and count for the limit of their number. By a token all of them are one.
        """
        if save.token or not self._sets_subject(save):
            return None
        info = self._request_info
        if info.policy().kind != pb.APP_KIND_STORED or info.may_name_session(save.cookie_header):
            return None
        return pb.OpenSessionRequest(app=save.app, cookie_header=save.cookie_header, cookie_name=save.cookie_name)

    def _apply_open_before(self, save: pb.SaveSessionRequest, opened: pb.OpenSessionResponse) -> None:
        # A null session has none. The service refuses the save then, and says why.
        if opened.session.token:
            save.token = opened.session.token

    def _apply_save(self, saved: pb.SaveSessionResponse) -> None:
        request, self._unconfirmed_save = self._unconfirmed_save, None
        assert request is not None
        self._end_outage()
        self._opened_header = ""
        if saved.outcome == pb.OUTCOME_GONE:
            if self._replaces_session(request):
                self._unconfirmed_save = request = _for_new_session(request)
                self._entries.keep_only(request.changes.set)
                self._credential, self._info = {"cookie_header": ""}, pb.Session(new=True)
                # That of the session that has ended may have been among its entries.
                self._set_lifetime(request.changes)
                return
            self._gone = name_of(pb.EndReason, saved.end_reason, "END_REASON_")
        later = cookie.after_save(saved, self._request_info.sent_tokens)
        earlier = None if saved.outcome == pb.OUTCOME_GONE else self._cookie_decision
        self._cookie_decision = later if earlier is None else earlier.followed_by(later)
        if _is_other(self._info, saved.session.subject):
            self._entries.keep_only(request.changes.set, saved.session)
        if saved.counters:
            self._entries.update_counters(saved.counters.items())
        if saved.outcome == pb.OUTCOME_DELETED:
            # If the cookie stays, it leads to another session from now on.
            is_kept = later.action is CookieAction.KEEP
            self._credential = {"cookie_header": self._request_info.cookie_header if is_kept else ""}
            # This request itself has ended the session, which does not hinder its next save.
            self._receive_time = now()
            self._cookie_outdated, self._info = False, pb.Session()
        elif saved.HasField("session"):
            self._info, self._info_time = saved.session, now()
            if saved.session.token:
                self._credential, self._cookie_outdated = {"token": saved.session.token}, False

    def _handle_failed_save(self, error: errors.CloakroomError) -> None:
        if isinstance(error, errors.SessionUnavailable):
            self.note_unavailable(error)
        else:
            refused, self._unconfirmed_save = self._unconfirmed_save, None
            if isinstance(error, errors.SessionRefused):
                self._end_outage()
                self._refused_save = refused

    def _take_back(self) -> None:
        """Makes the changes of the refused save changes of the next one, unless the session was cleared since."""
        refused = self._refused_save
        if refused is None or self._entries.is_cleared:
            return
        changes = refused.changes
        self._entries.take_back(changes)
        self._rotate_requested |= refused.rotate
        self._keep_empty |= refused.keep_empty
        self._needs_save = True
        if changes.authenticated:
            self._change_other().authenticated = True
        if changes.HasField("subject") and not self._change_other().HasField("subject"):
            self._change_other().subject = changes.subject
        self._find_other_user()

    def _is_refused_again(self, save: pb.SaveSessionRequest) -> bool:
        """Whether a save has the changes of the one that was refused, and only those.

        The error page that a framework makes of that error would fail as well.
        """
        refused = self._refused_save
        return refused is not None and save.changes == refused.changes and save.rotate == refused.rotate

    @property
    def saved_decision(self) -> CookieDecision | None:
        """What the saves and the end of the session mean for the cookie, although a later save has failed.

        The browser's token is worth nothing any more after a rotation. None if there was neither a save nor an end.
        """
        return self._cookie_decision

    def _decide(self, *, is_read: bool) -> CookieDecision:
        """Decides what the response does with the cookie, when everything is saved."""
        if self._cookie_decision is not None or self._opened is None:
            return self._cookie_decision or cookie.NO_CHANGE
        return cookie.after_open(self._opened, self._request_info.sent_tokens, is_read=is_read)

    def _destroy_request(self) -> pb.DestroySessionRequest:
        self._begin_anew()
        self._check_may_call()
        info, credential = self._request_info, self._credential
        if self._opened_header:
            # It also leads to a login whose answer the browser does not have yet.
            credential = {"cookie_header": self._opened_header}
        return pb.DestroySessionRequest(
            app=info.app,
            request_id=_new_request_id(),
            cookie_name=info.cookie_name_override(),
            cookie_attributes=info.cookie_attributes,
            **credential,
        )

    def _apply_destroy(self, destroyed: pb.DestroySessionResponse) -> None:
        """Forgets the session, so that the next save creates another one."""
        self._cookie_decision = cookie.after_destroy(destroyed)
        self._end_outage()
        self._begin_empty()

    def _begin_empty(self) -> None:
        """Continues as a new session, without the changes that have not been saved."""
        self._entries = Entries(self._request_info.codec)
        self._entries.load()
        self._other_changes = None
        self._rotate_requested = self._needs_save = self._keep_empty = False
        self._opened, self._info, self._unconfirmed_save, self._refused_save = None, pb.Session(), None, None
        self._gone, self._is_gone_read = None, False
        self._credential, self._cookie_outdated, self._opened_header = {"cookie_header": ""}, False, ""
        self.accessed = self._modified = True

    def _watch_request(self) -> pb.WatchSessionRequest:
        self._require_stored_kind("watch")
        self._check_may_call()
        info = self._request_info
        return pb.WatchSessionRequest(app=info.app, cookie_name=info.cookie_name_override(), **self._credential)

    # Private.

    def _lookup(self, key: Any) -> Any:
        self.accessed = True
        if self._may_become_others:
            self._find_other_user()
        value = self._entries.lookup(key)
        if value is UNKNOWN:
            self._open_now()
            value = self._entries.lookup(key)
        return value

    def _list_keys(self) -> list[Any]:
        self.accessed = True
        if self._may_become_others:
            self._find_other_user()
        if not self._entries.is_complete:
            self._open_now()
        return list(self._entries.keys())

    def _load_info(self) -> pb.Session:
        self.accessed = True
        if self._info is None and self._write_error is None:
            self._open_now()
        return self._info or pb.Session()

    def _load_info_of_user(self) -> pb.Session:
        """Returns the session's properties, or none of them if the next save removes the user or names another one."""
        if self._entries.is_cleared:
            return pb.Session()
        info = self._load_info()
        is_same = not info.subject or self._next_subject() in (None, info.subject)
        return info if is_same else pb.Session()

    def _mark_modified(self) -> None:
        self._check_writable()
        self.accessed = self._modified = self._needs_save = self._may_become_others = True
        self._is_save_suppressed = False
        self._refused_save = None

    def _change_other(self) -> pb.Changes:
        if self._other_changes is None:
            self._other_changes = pb.Changes()
        return self._other_changes

    def _next_subject(self) -> str | None:
        """Returns the subject that the next save gives, "" if it removes it, or None if it leaves it as it is."""
        other = self._other_changes
        if other is not None and other.HasField("subject"):
            return other.subject
        subject_key = self._subject_key() if self._entries.may_have_changes() else ""
        return subject_change(self._entries.changed_text, subject_key) if subject_key else None

    def _subject_key(self) -> str:
        """Returns the app's subject_key. Empty if it has none, or reads find an empty session during an outage."""
        try:
            return self._request_info.policy().subject_key
        except errors.SessionUnavailable as error:
            self._handle_unavailable_open(error)
            return ""

    def _find_other_user(self) -> None:
        """Finds out whether the next save passes the session to another user. Then its entries are not seen any more.

        Called after each open, and before a read and a save if something was written since.
        """
        info, entries = self._info, self._entries
        self._may_become_others = False
        if info is None or not info.subject:
            entries.are_others = False
            return
        becomes_others = _is_other(info, self._next_subject())
        # The policy is not fetched for an entry that nobody has changed. A part of an entry may change in place.
        names = entries_of(self._subject_key()) if self._request_info.knows_policy() else None
        self._may_become_others = names is None or len(names) > 1
        if becomes_others and not entries.are_others:
            for name in names or ():
                entries.assign_changed(name)
        entries.are_others = becomes_others

    def _begin_anew(self) -> None:
        """Allows writes again if the cookies name two live sessions: what follows leaves nothing of either."""
        if self._is_refused_as_ambiguous():
            self._write_error = None

    def _is_refused_as_ambiguous(self) -> bool:
        return self._write_error is not None and self._write_error.reason == errors.COOKIES_AMBIGUOUS

    def _begin_anew_with(self, keys: Iterable[str]) -> None:
        """Does so if one of the keys is that of an entry that may have the subject."""
        if self._is_refused_as_ambiguous():
            subject_key = self._request_info.policy().subject_key
            if any(may_be_in(key, subject_key) for key in keys):
                self._begin_anew()

    def _check_writable(self) -> None:
        if self._opened is not None and self._may_be_over():
            # What is read is the session's own, so that a write may depend on it.
            self._end_outage()
        if self._write_error is not None:
            self._raise(self._write_error)

    def _check_may_call(self) -> None:
        """Raises why the session makes no calls. An outage is no reason: an explicit call sees whether it is over."""
        if not isinstance(self._write_error, errors.SessionUnavailable):
            self._check_writable()

    def _raise(self, error: errors.CloakroomError) -> NoReturn:
        """Raises the error of a call, as the one that the framework answers otherwise than by 500 if there is one."""
        raise error

    def _require_stored_kind(self, attribute: str) -> None:
        """Raises `NotInCookieKind` in such an app. If its policy cannot be fetched, that is an open that has failed."""
        info = self._request_info
        if not info.knows_policy():
            # As for a read, so that the end of the request handles the outage.
            self.accessed = True
            if self._fails_without_call():
                return
        try:
            kind = info.policy().kind
        except errors.SessionUnavailable as error:
            self._handle_unavailable_open(error)
            return
        if kind == pb.APP_KIND_COOKIE:
            raise errors.NotInCookieKind(
                f"session.{attribute} needs a session in a store, and this app keeps its sessions in the cookie itself",
                "FAILED_PRECONDITION",
                "NOT_IN_COOKIE_KIND",
            )

    def _has_changes(self) -> bool:
        return not self._is_save_suppressed and (self._needs_save or self._entries.has_changes())

    def _build_save(self) -> pb.SaveSessionRequest | None:
        """Builds the request that saves the changes since the last save. None: there are none, or only refused ones."""
        if not self._has_changes():
            return None
        self._modified = True
        if self._may_become_others:
            self._find_other_user()
        info = self._request_info
        request = pb.SaveSessionRequest(
            app=info.app, accessed=True, request_id=_new_request_id(), context=self._context(), **self._credential
        )
        changes = request.changes
        # Set even if it stays empty: the session is modified.
        changes.SetInParent()
        self._entries.write_changes(changes)
        if self._other_changes is not None:
            changes.MergeFrom(self._other_changes)
        self._set_lifetime(changes)
        # These are seldom set, and each argument costs time.
        if self._rotate_requested or self._keep_empty or self._cookie_outdated:
            request.rotate, request.keep_empty = self._rotate_requested, self._keep_empty
            request.cookie_outdated = self._cookie_outdated
        cookie_name = info.cookie_name_override()
        if cookie_name:
            request.cookie_name = cookie_name
        if info.cookie_attributes is not None:
            request.cookie_attributes.CopyFrom(info.cookie_attributes)
        if self._is_refused_again(request):
            return None
        self._entries.mark_saved()
        self._other_changes = None
        self._rotate_requested = self._needs_save = self._keep_empty = False
        return request

    def _set_lifetime(self, changes: pb.Changes) -> None:
        """Adds the lifetime that the framework gives the session, and whether its cookie outlives the browser."""
        info = self._request_info
        deadline_time = info.deadline_time() if info.deadline_time is not None else None
        if deadline_time is not None:
            changes.deadline_time.FromDatetime(deadline_time)
        elif info.idle_timeout is not None:
            idle_timeout = info.idle_timeout()
            if idle_timeout is not None and info.policy().kind != pb.APP_KIND_COOKIE:
                changes.idle_timeout.FromTimedelta(idle_timeout)
        if info.permanent is not None:
            permanent, stored = info.permanent(), self._info
            is_stored = stored is not None and stored.HasField("permanent") and stored.permanent == permanent
            # Otherwise each save would send the cookie again.
            if self._removes_stored or not is_stored:
                changes.permanent = permanent

    @property
    def _removes_stored(self) -> bool:
        """Whether the next save removes what the session had before: by `clear`, or because it is another user's."""
        return self._entries.is_cleared or self._entries.are_others

    def _replaces_session(self, request: pb.SaveSessionRequest) -> bool:
        """Whether this save may start a new session after the old one has ended, as a login does."""
        changes = request.changes
        return (bool(changes.set) and (request.rotate or changes.clear)) or self._sets_subject(request)

    def _sets_subject(self, request: pb.SaveSessionRequest) -> bool:
        """Whether this save is a login."""
        return bool(self._subject_of(request))

    def _subject_of(self, request: pb.SaveSessionRequest) -> str | None:
        """Returns the subject that a save gives, "" if it removes it, or None if it leaves it as it is."""
        changes = request.changes
        if changes.HasField("subject"):
            return changes.subject
        return subject_of_entries(changes, self._request_info.policy().subject_key)


class Session(SessionState):
    """A request's session. It is opened when a value is needed, and a save sends only what changed.

    Every method that makes a call may raise `SessionUnavailable` or `SessionRefused`. For 5 seconds after a call that
    the service did not answer, reads and `open` raise that call's error without another call.
    """

    def __init__(self, client: Client, request_info: RequestInfo) -> None:
        super().__init__(request_info)
        self._client = client

    def open(self) -> None:
        """Opens the session if it is not open yet."""
        if self._needs_open():
            self._open_now()

    def save(self) -> None:
        """Saves the changes now, for example while a body is streamed.

        A new cookie can only be sent if the response's headers have not been sent yet. After `SessionRefused` nothing
        is stored: the next save sends the changes again, with what was changed since.
        """
        with self.save_of_application():
            self.finish()

    def destroy(self) -> None:
        """Ends the session at once. The response deletes the cookie; later writes start another session.

        If the request has the cookies of two live sessions, it ends both.
        """
        try:
            destroyed = self._client.destroy(self._destroy_request())
        except (errors.SessionUnavailable, errors.SessionRefused) as error:
            self._raise(error)
        self._apply_destroy(destroyed)

    def watch(self) -> SessionWatch:
        """Begins to watch the session, for as long as a websocket or a stream of events is open.

        It is no use of the session, and sees nothing that is not saved yet. Close the watch at the end. Raises
        `NotInCookieKind` if the app's kind is `cookie`.
        """
        try:
            self._client.policy()
            return SessionWatch(self._client, self._watch_request())
        except (errors.SessionUnavailable, errors.SessionRefused) as error:
            self._raise(error)

    def finish(self, *, is_read: bool = True) -> CookieDecision:
        """Saves the changes and returns what the response does with the cookie. It may be called again.

        Args:
            is_read: Whether the request used its session. If not, the decision is the one for an untouched session.
        """
        if self._unconfirmed_save is None and not self._has_changes():
            return self._decide(is_read=is_read)
        repeats = self._unconfirmed_save is not None
        try:
            request = self._next_save()
            while request is not None:
                open_request = self._open_before(request)
                if open_request is not None:
                    self._apply_open_before(request, self._client.open(open_request))
                self._apply_save(self._client.save(request))
                # A login whose session has ended meanwhile begins another one. More may have changed since a save that
                # is repeated; after other saves that would only compare all values once more.
                request = self._next_save() if repeats else self._unconfirmed_save
        except errors.CloakroomError as error:
            self._handle_failed_save(error)
            self._raise(error)
        return self._decide(is_read=is_read)

    def finish_request(self, on_gone: Callable[[str], T], *, is_read: bool = True) -> tuple[CookieDecision, T | None]:
        """Does so at the end of a request, and reports the end of the session unless the application has read it.

        Args:
            on_gone: Is given why the session had ended before its changes were saved.
            is_read: As for `finish`.

        Returns:
            What the response does with the cookie, and what `on_gone` has returned if it was called.
        """
        decision = self.finish(is_read=is_read)
        reason = self.take_unread_gone()
        return decision, None if reason is None else on_gone(reason)

    def _open_now(self) -> None:
        if not self._fails_without_call():
            self._call_open()

    def _call_open(self) -> None:
        try:
            opened = self._client.open(self._open_request())
        except errors.SessionUnavailable as error:
            self._handle_unavailable_open(error)
        else:
            self._apply_open(opened)


def warn_of_gone(reason: str) -> None:
    """Tells the log that the changes of a request are lost."""
    log.warning("a request's changes were not saved, for its session has ended: %s", reason)


def _null_session_response(null_session: pb.NullSession) -> pb.OpenSessionResponse:
    return pb.OpenSessionResponse(session=pb.Session(null_session=null_session))


def _subject_text(value: str | int | None) -> str:
    """Returns the id of a user as the service keeps one, as it does with an entry that `subject_key` names."""
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    raise TypeError(f"the subject is a str or an int, such as str(user.id), not {type(value).__name__}")


def _is_other(before: pb.Session | None, subject: str | None) -> bool:
    """Whether a session passes from one user to another: then the service removes what the first one left."""
    return before is not None and bool(before.subject) and bool(subject) and before.subject != subject


def _for_new_session(request: pb.SaveSessionRequest) -> pb.SaveSessionRequest:
    """Returns the same save for a session that does not exist yet."""
    for_new = pb.SaveSessionRequest()
    for_new.CopyFrom(request)
    for_new.cookie_header, for_new.request_id = "", _new_request_id()
    for_new.changes.clear, for_new.rotate = False, False
    del for_new.changes.unset[:]
    return for_new


def _new_request_id() -> str:
    return os.urandom(16).hex()


#: Seconds after a failed call in which reads of the same session raise its error without a call.
OPEN_RETRY_DELAY = 5.0


@functools.lru_cache(None)
def _new_session_response() -> pb.OpenSessionResponse:
    """Returns what the service answers to a request without a cookie, but for id and token. Never changed."""
    return pb.OpenSessionResponse(session=pb.Session(new=True), read_headers=[pb.Header(name="Vary", value="Cookie")])
