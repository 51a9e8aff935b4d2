"""Tracks a session's entries in one request, and what the request changes.

Makes no calls: `lookup` returns `UNKNOWN` where the session must be opened first. So a write needs no read, and neither
does a read of a key that was just written. Values are decoded at their first use. Values that can change in place are
compared before the save with the text that they were decoded from.
"""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Union

from .codec import Codec
from .messages import session_service_pb2 as pb


class Sentinel(enum.Enum):
    """What `lookup` returns instead of a value."""

    #: There is no such entry.
    MISSING = "missing"
    #: The session must be opened to know the value.
    UNKNOWN = "unknown"


MISSING, UNKNOWN = Sentinel.MISSING, Sentinel.UNKNOWN

#: JSON text, or bytes that a client in another language wrote.
RawValue = Union[str, bytes]


class Entries:
    """The stored entries, as far as they are known, and the changes of this request."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._stored: dict[str, RawValue] = {}
        #: Whether `_stored` has all entries of the session.
        self.is_complete = False
        #: Decoded values that were read or written.
        self._values: dict[Any, Any] = {}
        # These two are dicts because a dict keeps the order of its keys.
        self._written_keys: dict[Any, None] = {}
        self._removed_keys: dict[Any, None] = {}
        #: Every key removed since the last save: if it is written again, it moves to the end of `keys`.
        self._ever_removed: set[Any] = set()
        self._increments: dict[str, int] = {}
        self._is_cleared = False

    def load(self, stored: dict[str, RawValue]) -> None:
        """Sets what the service has stored. The changes of this request stay and take precedence."""
        self._stored = stored
        self.is_complete = True

    def lookup(self, key: Any) -> Any:
        """Returns the value of a key, MISSING or UNKNOWN."""
        value: Any = self._values.get(key, MISSING)
        if value is not MISSING or key in self._removed_keys:
            return value
        raw = self._stored.get(key, MISSING)
        if raw is MISSING:
            if not self.is_complete:
                return UNKNOWN
            return self._increments.get(key, MISSING)
        value = raw if isinstance(raw, bytes) else self._codec.loads(raw)
        if key in self._increments:
            return value + self._increments[key]
        self._values[key] = value
        return value

    def keys(self) -> Iterator[Any]:
        """Returns all keys: first the stored ones, sorted, then the new ones. Needs `is_complete`."""
        stored = [key for key in sorted(self._stored) if key not in self._ever_removed]
        added = [*self._written_keys, *self._increments]
        return iter(dict.fromkeys([*stored, *added]))

    def set(self, key: Any, value: Any) -> None:
        self._values[key] = value
        self._written_keys[key] = None
        self._removed_keys.pop(key, None)
        self._increments.pop(key, None)

    def remove(self, key: Any) -> None:
        """Removes a key, whether it exists or not."""
        self._values.pop(key, None)
        self._written_keys.pop(key, None)
        self._increments.pop(key, None)
        self._removed_keys[key] = None
        self._ever_removed.add(key)

    def clear(self) -> None:
        """Removes all entries. The session need not be opened after that."""
        self._stored = {}
        self.is_complete = self._is_cleared = True
        for changed in (self._values, self._written_keys, self._removed_keys, self._increments):
            changed.clear()

    def increment(self, key: str, by: int) -> None:
        if key in self._written_keys:
            self._values[key] += by
            return
        if key in self._removed_keys:
            self.set(key, by)
            return
        self._values.pop(key, None)
        self._increments[key] = self._increments.get(key, 0) + by

    def changes(self) -> pb.Changes:
        """Returns what a save must send. Raises TypeError for a value that cannot be written as JSON."""
        changes = pb.Changes(clear=self._is_cleared, unset=map(_entry_name, self._removed_keys))
        for key in self._written_keys:
            _set_entry(changes, _entry_name(key), self._values[key], self._codec)
        for key, value in self._values.items():
            if key not in self._written_keys and not isinstance(value, _IMMUTABLE) and self._is_mutated(key, value):
                _set_entry(changes, key, value, self._codec)
        changes.increment.update(self._increments)
        return changes

    def has_changes(self) -> bool:
        """Whether there is something to save, changes inside of values included."""
        if self._is_cleared or self._removed_keys or self._written_keys or self._increments:
            return True
        values = self._values.items()
        return any(not isinstance(value, _IMMUTABLE) and self._is_mutated(key, value) for key, value in values)

    def mark_saved(self, changes: pb.Changes) -> None:
        """Treats these changes as stored. Later changes belong to the next save."""
        for name in changes.unset:
            self._stored.pop(name, None)
        for name, value in changes.set.items():
            self._stored[name] = value.json if value.WhichOneof("kind") == "json" else value.raw
        for name, by in changes.increment.items():
            if name in self._stored or self.is_complete:
                self._stored[name] = str(int(self._stored.get(name, "0")) + by)
        for changed in (self._written_keys, self._removed_keys, self._increments):
            changed.clear()
        self._ever_removed.clear()
        self._is_cleared = False

    def update_counters(self, counters: Iterable[tuple[str, int]]) -> None:
        """Sets counters to the values that a save returned."""
        self._stored.update((name, str(value)) for name, value in counters)

    def _is_mutated(self, key: str, value: Any) -> bool:
        """Whether a value changed in place after it was decoded."""
        raw = self._stored.get(key)
        if raw is None or isinstance(raw, bytes):
            return raw is not None and value != raw
        text = self._codec.dumps(value)
        # A client in another language may have written the same value as a different JSON text.
        return text != raw and text != self._codec.dumps(self._codec.loads(raw))


def _set_entry(changes: pb.Changes, name: str, value: Any, codec: Codec) -> None:
    changes.set[name].json = codec.dumps(bool(value) if name == PERMANENT else value)


def _entry_name(key: Any) -> str:
    """Converts a key to text as JSON does, and so as Flask's own sessions do."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return float.__repr__(key)
    raise TypeError(f"keys of a session must be str, int, float, bool or None, not {type(key).__name__}")


#: The entry in which Flask stores whether the cookie outlives the browser.
PERMANENT = "_permanent"
#: Types whose values cannot change in place.
_IMMUTABLE = (str, int, float, bool, bytes, type(None), uuid.UUID, datetime.date)
