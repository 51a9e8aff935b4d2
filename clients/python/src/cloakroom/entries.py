"""A session's entries as one request sees them, and what it changed of them.

Makes no call: what it would have to ask for is `UNKNOWN`. So a write needs no read, and a read after a write of the
same key neither. A value is decoded when it is first looked at; one that can change in place is compared with the text
it came from before the save.
"""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Union

from .codec import Codec
from .v1 import session_service_pb2 as pb


class Answer(enum.Enum):
    """What stands for a value that is not there."""

    #: There is no such entry.
    MISSING = "missing"
    #: The session has to be opened to tell.
    UNKNOWN = "unknown"


MISSING, UNKNOWN = Answer.MISSING, Answer.UNKNOWN

#: JSON text, or bytes that another language wrote.
Raw = Union[str, bytes]


class Entries:
    """What is kept, as far as it is known, and what this request made of it."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._kept: dict[str, Raw] = {}
        #: Whether `_kept` is all there is.
        self.is_complete = False
        #: What was handed out or written, decoded.
        self._values: dict[Any, Any] = {}
        self._written: dict[Any, None] = {}
        self._removed: dict[Any, None] = {}
        #: What was removed once: it is no longer where it was, even if it is written again.
        self._moved: set[Any] = set()
        self._counted: dict[str, int] = {}
        self._is_cleared = False

    def fill(self, kept: dict[str, Raw]) -> None:
        """Takes in what the service keeps; what this request has changed lies over it."""
        self._kept = kept
        self.is_complete = True

    def lookup(self, key: Any) -> Any:
        """The value of a key, MISSING or UNKNOWN."""
        value: Any = self._values.get(key, MISSING)
        if value is not MISSING or key in self._removed:
            return value
        raw = self._kept.get(key, MISSING)
        if raw is MISSING:
            if not self.is_complete:
                return UNKNOWN
            return self._counted.get(key, MISSING)
        value = raw if isinstance(raw, bytes) else self._codec.loads(raw)
        if key in self._counted:
            return value + self._counted[key]
        self._values[key] = value
        return value

    def keys(self) -> Iterator[Any]:
        """All keys, those that were kept before in order; only if `is_complete`."""
        kept = [key for key in sorted(self._kept) if key not in self._moved]
        added = [*self._written, *self._counted]
        return iter(dict.fromkeys([*kept, *added]))

    def set(self, key: Any, value: Any) -> None:
        self._values[key] = value
        self._written[key] = None
        self._removed.pop(key, None)
        self._counted.pop(key, None)

    def remove(self, key: Any) -> None:
        """Takes a key away, whether it is there or not."""
        self._values.pop(key, None)
        self._written.pop(key, None)
        self._counted.pop(key, None)
        self._removed[key] = None
        self._moved.add(key)

    def clear(self) -> None:
        """Empties; from here on all is known."""
        self._kept = {}
        self.is_complete = self._is_cleared = True
        for changed in (self._values, self._written, self._removed, self._counted):
            changed.clear()

    def increment(self, key: str, by: int) -> None:
        if key in self._written:
            self._values[key] += by
            return
        if key in self._removed:
            self.set(key, by)
            return
        self._values.pop(key, None)
        self._counted[key] = self._counted.get(key, 0) + by

    def changes(self) -> pb.Changes:
        """What has to travel. Raises TypeError for a value that has no JSON."""
        changes = pb.Changes(clear=self._is_cleared, unset=map(_name, self._removed))
        for key in self._written:
            _put(changes, _name(key), self._values[key], self._codec)
        for key, value in self._values.items():
            if key not in self._written and not isinstance(value, _UNCHANGING) and self._differs(key, value):
                _put(changes, key, value, self._codec)
        changes.increment.update(self._counted)
        return changes

    def has_changes(self) -> bool:
        """Whether something would travel: a list that was handed out and appended to as well."""
        if self._is_cleared or self._removed or self._written or self._counted:
            return True
        values = self._values.items()
        return any(not isinstance(value, _UNCHANGING) and self._differs(key, value) for key, value in values)

    def settle(self, changes: pb.Changes) -> None:
        """Takes the changes for kept: what is changed from here on is another save's."""
        for name in changes.unset:
            self._kept.pop(name, None)
        for name, value in changes.set.items():
            self._kept[name] = value.json if value.WhichOneof("kind") == "json" else value.raw
        for name, by in changes.increment.items():
            if name in self._kept or self.is_complete:
                self._kept[name] = str(int(self._kept.get(name, "0")) + by)
        for changed in (self._written, self._removed, self._counted):
            changed.clear()
        self._moved.clear()
        self._is_cleared = False

    def counted(self, counters: Iterable[tuple[str, int]]) -> None:
        """Takes in what counters stand at after a save."""
        self._kept.update((name, str(value)) for name, value in counters)

    def _differs(self, key: str, value: Any) -> bool:
        raw = self._kept.get(key)
        if raw is None or isinstance(raw, bytes):
            return raw is not None and value != raw
        text = self._codec.dumps(value)
        # Another language may have spelt the same value in another way.
        return text != raw and text != self._codec.dumps(self._codec.loads(raw))


def _put(changes: pb.Changes, name: str, value: Any, codec: Codec) -> None:
    changes.set[name].json = codec.dumps(bool(value) if name == PERMANENT else value)


def _name(key: Any) -> str:
    """A key as JSON has it, which is how Flask's own sessions keep it."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return float.__repr__(key)
    raise TypeError(f"keys of a session must be str, int, float, bool or None, not {type(key).__name__}")


#: Flask's entry for whether the cookie outlives the browser.
PERMANENT = "_permanent"
#: Values that nobody can change in place.
_UNCHANGING = (str, int, float, bool, bytes, type(None), uuid.UUID, datetime.date)
