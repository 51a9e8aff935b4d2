"""The changes of one request, checked: aliases are resolved, and values are as they are stored."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import TypeVar

from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from .times import span_of, time_of

T = TypeVar("T")


class Keep(enum.Enum):
    """The changes leave this as it is."""

    KEEP = "keep"


KEEP = Keep.KEEP


class Lifetime(enum.Enum):
    """The session gets the app's own lifetime."""

    DEFAULT = "default"


@dataclass(frozen=True)
class Changes:
    """None stands for the removal of a value."""

    clear: bool
    unset: tuple[str, ...]
    #: JSON text as it is; raw bytes after a zero byte.
    set: dict[str, bytes]
    increment: dict[str, int]
    permanent: bool | None | Keep
    subject: str | None | Keep
    authenticated: bool
    #: Milliseconds without a use.
    idle_timeout: int | Lifetime | None
    deadline_time: int | None
    #: Whether the request may change `permanent`.
    touches_permanent: bool
    #: Whether the request may change the subject.
    touches_subject: bool

    def canonical(self) -> bytes:
        """Returns bytes that are equal exactly if the changes are."""
        parts = (self.clear, self.unset, sorted(self.set.items()), sorted(self.increment.items()), self.permanent)
        return repr((*parts, self.subject, self.authenticated, self.idle_timeout, self.deadline_time)).encode()


class Message:
    """The changes of a request as they came, each value checked by itself."""

    def __init__(self, message: pb.Changes) -> None:
        self._message = message
        self._set = {name: _stored(name, message.set[name]) for name in sorted(message.set)}
        if len(message.subject.encode()) > _MAX_SUBJECT:
            raise _subject_invalid()
        self._idle_timeout: int | Lifetime | None = None
        self._deadline_time: int | None = None
        self._read_lifetime()

    def _read_lifetime(self) -> None:
        kind = self._message.WhichOneof("lifetime")
        if kind == "idle_timeout":
            self._idle_timeout = span_of(self._message.idle_timeout, at_least=1000)
            if self._idle_timeout is None:
                raise _invalid("LIFETIME_INVALID", "changes.idle_timeout: it has to be a valid span of at least 1 s")
        elif kind == "deadline_time":
            self._deadline_time = time_of(self._message.deadline_time)
            if self._deadline_time is None:
                raise _invalid("LIFETIME_INVALID", "changes.deadline_time: it has to be a valid time")
        elif kind == "default_lifetime" and self._message.default_lifetime:
            self._idle_timeout = Lifetime.DEFAULT

    def may_begin_anew(self, subject_key: str) -> bool:
        """Whether the changes leave nothing of the session before them: a `clear`, or another subject."""
        message = self._message
        is_alias = subject_key != "" and (subject_key in message.set or subject_key in message.unset)
        return message.clear or message.HasField("subject") or is_alias

    def check(self, subject_key: str) -> Changes:
        """Checks the names and resolves aliases. Raises `CallFailed`."""
        message = self._message
        increment = dict(message.increment)
        if len(message.unset) + len(self._set) + len(increment) > _MAX_NAMES:
            raise _invalid("TOO_MANY_CHANGES", f"the limit of entries in one save is {_MAX_NAMES}")
        unset = sorted(set(message.unset), key=str.encode)
        for name in [*unset, *self._set, *increment]:
            if not 1 <= len(name.encode()) <= _MAX_NAME:
                raise _invalid("ENTRY_NAME_INVALID", "an entry's name needs 1 to 256 bytes")
        for name in [*increment, *unset]:
            if name in self._set or (name in increment and name in unset):
                raise _repeated(name)
        permanent = self._permanent(unset, increment)
        subject = self._subject(subject_key, unset, increment)
        return Changes(
            clear=message.clear,
            unset=tuple(name for name in unset if name != _PERMANENT),
            set={name: value for name, value in self._set.items() if name != _PERMANENT},
            increment=increment,
            permanent=permanent,
            subject=subject,
            authenticated=message.authenticated,
            idle_timeout=self._idle_timeout,
            deadline_time=self._deadline_time,
            touches_permanent=message.clear or permanent is not KEEP,
            touches_subject=subject is not KEEP,
        )

    def _permanent(self, unset: list[str], increment: dict[str, int]) -> bool | None | Keep:
        if _PERMANENT in increment:
            raise _permanent_invalid()
        field: bool | None | Keep = self._message.permanent if self._message.HasField("permanent") else KEEP
        alias: bool | None | Keep = KEEP
        if _PERMANENT in self._set:
            try:
                alias = {b"true": True, b"false": False}[self._set[_PERMANENT].strip(b" \t\n\r\x0c")]
            except KeyError:
                raise _permanent_invalid() from None
        if _PERMANENT in unset:
            alias = None
        return _agreed(_PERMANENT, field, alias)

    def _subject(self, key: str, unset: list[str], increment: dict[str, int]) -> str | None | Keep:
        field: str | None | Keep = (self._message.subject or None) if self._message.HasField("subject") else KEEP
        if key == "":
            return field
        if key in increment:
            raise _subject_invalid()
        alias: str | None | Keep = KEEP
        if key in self._set:
            alias = _subject_of(self._set[key])
        elif key in unset:
            alias = None
        return _agreed(key, field, alias)


def _agreed(name: str, field: T | Keep, alias: T | Keep) -> T | Keep:
    if alias is not KEEP and field is not KEEP and field != alias:
        raise _repeated(name)
    return field if alias is KEEP else alias


def _stored(name: str, value: pb.Value) -> bytes:
    kind = value.WhichOneof("kind")
    if kind == "raw":
        return b"\0" + value.raw
    if kind is None:
        raise _invalid("VALUE_INVALID", f"changes.set[{name!r}]: a value needs a kind, json or raw")
    if not _is_json(value.json):
        raise _invalid("VALUE_INVALID", f"changes.set[{name!r}]: json is not RFC 8259 text of at most 127 levels")
    return value.json.encode()


def _is_json(text: str) -> bool:
    depth, in_string, is_escaped = 0, False, False
    for character in text:
        if is_escaped:
            is_escaped = False
        elif character == "\\":
            is_escaped = True
        elif character == '"':
            in_string = not in_string
        elif not in_string and character in "[{":
            depth += 1
            if depth > _MAX_DEPTH:
                return False
        elif not in_string and character in "]}":
            depth = max(depth - 1, 0)
    try:
        json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _number(_: str) -> int:
    # Its digits do not matter here, and int() refuses very many of them.
    return 0


def _refuse(_: str) -> None:
    raise ValueError("JSON has no such number")


def _subject_of(stored: bytes) -> str | None:
    """Reads a stored value as a subject: a string as it is, an integer as its digits."""
    try:
        value = json.loads(stored.decode()) if stored[:1] != b"\0" else False
    except ValueError:
        raise _subject_invalid() from None
    if value is None or value == "":
        return None
    is_integer = type(value) is int
    text = str(value) if is_integer else value
    if not isinstance(text, str) or not _is_unicode(text) or len(text.encode()) > _MAX_SUBJECT:
        raise _subject_invalid()
    return text


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _invalid(reason: str, message: str) -> CallFailed:
    return CallFailed("INVALID_ARGUMENT", reason, message)


def _repeated(name: str) -> CallFailed:
    return _invalid("ENTRY_REPEATED", f"`{name}` is changed in two ways at once")


def _permanent_invalid() -> CallFailed:
    return _invalid("VALUE_INVALID", "the entry `_permanent` has to be the JSON true or false")


def _subject_invalid() -> CallFailed:
    return _invalid("SUBJECT_INVALID", "a subject is a string or an integer of 1 to 256 bytes")


_PERMANENT = "_permanent"
_MAX_NAMES = 8192
#: Bytes.
_MAX_NAME = 256
_MAX_SUBJECT = 256
#: Levels of lists and objects.
_MAX_DEPTH = 127
