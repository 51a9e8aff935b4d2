"""Tracks a session's entries in one request, and what the request changes.

Makes no calls: `lookup` returns `UNKNOWN` where the session must be opened first. So a write needs no read, and neither
does a read of a key that was just written. Values are taken from the message and decoded at their first use. Values
that can change in place are compared before the save with the text that they were decoded from.
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
        #: The session as the service has answered it. None: all its entries are in `_taken`, if they are known.
        self._session: pb.Session | None = None
        self._has_permanent = False
        #: The stored entries that are not in `_session`, or differ from there.
        self._taken: dict[str, RawValue] = {}
        #: Whether all entries of the session are known.
        self.is_complete = False
        #: Decoded values that were read or written.
        self._values: dict[Any, Any] = {}
        # These two are dicts because a dict keeps the order of its keys.
        self._written_keys: dict[Any, None] = {}
        self._removed_keys: dict[Any, None] = {}
        #: Every key removed since the last save: if it is written again, it moves to the end of `keys`.
        self._ever_removed: set[Any] = set()
        self._increments: dict[str, int] = {}
        #: Whether all earlier entries were removed and that is not saved yet.
        self.is_cleared = False
        #: Whether the stored entries are another user's: the service removes them in the save that changes the subject.
        self.are_others = False
        #: What `write_changes` has written last.
        self._texts: dict[str, str] = {}
        #: What `mark_saved` has taken last: written keys, removed keys and increments.
        self._saved: tuple[dict[Any, None], dict[Any, None], dict[str, int]] = ({}, {}, {})
        #: What was known of the session before that if its entries were another user's.
        self._others: tuple[pb.Session | None, dict[str, RawValue], dict[Any, Any]] | None = None

    def load(self, session: pb.Session | None = None, *, has_permanent: bool = False) -> None:
        """Sets what the service has stored. The changes of this request stay and take precedence.

        Args:
            session: The session as the service has answered it. None: an empty one.
            has_permanent: Whether its `permanent` is the entry PERMANENT here.
        """
        self._session, self._has_permanent = session, has_permanent
        self._taken = {}
        self.is_complete = True

    def lookup(self, key: Any) -> Any:
        """Returns the value of a key, MISSING or UNKNOWN."""
        value: Any = self._values.get(key, MISSING)
        if self.are_others and key not in self._written_keys:
            return self._increments.get(key, MISSING)
        if value is not MISSING or key in self._removed_keys:
            return value
        raw = self._raw(key)
        if raw is None:
            if not self.is_complete:
                return UNKNOWN
            return self._increments.get(key, MISSING)
        if key in self._increments:
            return self._decoded(_increased(raw, self._increments[key]))
        value = self._decoded(raw)
        self._values[key] = value
        return value

    def keys(self) -> Iterator[Any]:
        """Returns all keys: first the stored ones, sorted, then the new ones. Needs `is_complete`."""
        stored = [] if self.are_others else [key for key in sorted(self._stored()) if key not in self._ever_removed]
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
        self._session, self._taken = None, {}
        self.is_complete = self.is_cleared = True
        self.are_others = False
        for changed in (self._values, self._written_keys, self._removed_keys, self._increments):
            changed.clear()

    def keep_only(self, names: Iterable[str], session: pb.Session | None = None) -> None:
        """Forgets what the service has removed: all that was stored before, but for what a save has set.

        Args:
            names: What the save has set.
            session: The properties of the session after the save.
        """
        kept = {name: self._taken[name] for name in names if name in self._taken}
        permanent = _permanent_text(session) if session is not None and self._has_permanent else None
        if permanent is not None:
            kept[PERMANENT] = permanent
        self._session, self._taken, self.is_complete, self.are_others = None, kept, True, False
        self._others = None
        self._values = {
            key: value for key, value in self._values.items() if key in self._written_keys or _entry_name(key) in kept
        }

    def increment(self, key: str, by: int) -> None:
        if key in self._written_keys:
            self._values[key] += by
            return
        if key in self._removed_keys:
            self.set(key, by)
            return
        self._values.pop(key, None)
        self._increments[key] = self._increments.get(key, 0) + by

    def write_changes(self, changes: pb.Changes) -> None:
        """Writes what a save must send. Raises TypeError for a value that cannot be written as JSON."""
        if self.is_cleared or self._removed_keys:
            changes.clear = self.is_cleared
            changes.unset.extend(map(_entry_name, self._removed_keys))
        texts = self._texts = self._changed_texts()
        for name, text in texts.items():
            changes.set[name].json = text
        if self._increments:
            changes.increment.update(self._increments)

    def has_changes(self) -> bool:
        """Whether there is something to save, changes inside of values included."""
        if self.is_cleared or self._removed_keys or self._written_keys or self._increments:
            return True
        return any(True for _ in self._mutated())

    def may_have_changes(self) -> bool:
        """Whether there may be a change of an entry. Quicker than `has_changes`, and true more often."""
        if self._written_keys or self._removed_keys:
            return True
        return any(not isinstance(value, _IMMUTABLE) for value in self._values.values())

    def changed_text(self, name: str) -> str | None:
        """Returns the JSON text that the next save gives an entry, "" if it removes it, or None if it stays.

        A value that cannot be written as JSON counts as one that stays: its save fails.
        """
        if name in self._removed_keys:
            return ""
        value = self._values.get(name, MISSING)
        try:
            if name in self._written_keys:
                return self._codec.dumps(value)
            is_mutable = value is not MISSING and not isinstance(value, _IMMUTABLE)
            return self._mutated_text(name, value) if is_mutable else None
        except (TypeError, ValueError):
            return None

    def assign_changed(self, name: str) -> None:
        """Treats a value that has changed in place as one that was assigned."""
        if name not in self._removed_keys and self.changed_text(name) is not None:
            self._written_keys[name] = None

    def mark_saved(self) -> None:
        """Treats the changes that were written as stored. Later changes belong to the next save."""
        others = (self._session, self._taken, self._values) if self.are_others else None
        if self.are_others:
            self.keep_only(())
        self._others = others
        for key in self._removed_keys:
            self._stored().pop(_entry_name(key), None)
        self._taken.update(self._texts)
        for name, by in self._increments.items():
            raw = self._raw(name)
            if raw is not None or self.is_complete:
                self._taken[name] = _increased(raw or "0", by)
        self._saved = (self._written_keys, self._removed_keys, self._increments)
        self._written_keys, self._removed_keys, self._increments = {}, {}, {}
        self._ever_removed.clear()
        self.is_cleared = False

    def take_back(self, refused: pb.Changes) -> None:
        """Makes the changes that `mark_saved` took changes of the next save again. Later changes take precedence.

        Args:
            refused: These changes as they were sent last. Those for a new session remove nothing.
        """
        later_written = {key: self._values[key] for key in self._written_keys}
        later_removed, later_increments = self._removed_keys, self._increments
        self._written_keys, removed, self._increments = self._saved
        self._removed_keys = removed if refused.unset else {}
        self._ever_removed.update(self._removed_keys)
        self.is_cleared = refused.clear
        written_names = set(map(_entry_name, self._written_keys))
        # Values that have changed in place.
        self._written_keys.update((name, None) for name in self._texts if name not in written_names)
        for key in self._written_keys:
            if key not in self._values:
                self._values[key] = self._codec.loads(self._texts[_entry_name(key)])
        if self._others is not None:
            self._session, self._taken, values = self._others
            self._values = {**values, **self._values}
        else:
            for name, by in self._increments.items():
                if name in self._taken:
                    self._taken[name] = _increased(self._taken[name], -by)
        for key in later_removed:
            self.remove(key)
        for key, value in later_written.items():
            self.set(key, value)
        for name, by in later_increments.items():
            self.increment(name, by)

    def update_counters(self, counters: Iterable[tuple[str, int]]) -> None:
        """Sets counters to the values that a save returned."""
        self._taken.update((name, str(value)) for name, value in counters)

    def _decoded(self, raw: RawValue) -> Any:
        return raw if isinstance(raw, bytes) else self._codec.loads(raw)

    def _raw(self, key: Any) -> RawValue | None:
        """Returns the stored form of a value, if it is known."""
        raw = self._taken.get(key)
        if raw is not None or self._session is None or not isinstance(key, str):
            return raw
        if key == PERMANENT and self._has_permanent:
            return _permanent_text(self._session)
        try:
            value = self._session.entries.get(key)
        except UnicodeError:  # A key with lone surrogates, which no entry has.
            return None
        # JSON text is never empty.
        return None if value is None else value.json or value.raw

    def _stored(self) -> dict[str, RawValue]:
        """Returns all stored entries that are known, after it has taken them from the message."""
        session, self._session = self._session, None
        if session is not None:
            stored: dict[str, RawValue] = {name: value.json or value.raw for name, value in session.entries.items()}
            permanent = _permanent_text(session) if self._has_permanent else None
            if permanent is not None:
                stored[PERMANENT] = permanent
            self._taken = {**stored, **self._taken}
        return self._taken

    def _changed_texts(self) -> dict[str, str]:
        """Returns the JSON texts of the values that were assigned or have changed in place, by the names of entries."""
        texts = {}
        for key in self._written_keys:
            name, value = _entry_name(key), self._values[key]
            texts[name] = self._codec.dumps(bool(value) if name == PERMANENT else value)
        texts.update(self._mutated())
        return texts

    def _mutated(self) -> Iterator[tuple[str, str]]:
        """Returns the keys and JSON texts of values that have changed in place."""
        if self.are_others:
            return
        for key, value in self._values.items():
            if key not in self._written_keys and not isinstance(value, _IMMUTABLE):
                text = self._mutated_text(key, value)
                if text is not None:
                    yield key, text

    def _mutated_text(self, key: str, value: Any) -> str | None:
        """Returns the JSON text of a value that changed in place after it was decoded, or None if it did not."""
        raw = self._raw(key)
        if not isinstance(raw, str):
            # Bytes cannot change in place.
            return None
        text = self._codec.dumps(value)
        # A client in another language may have written the same value as a different JSON text.
        is_same = text == raw or text == self._codec.dumps(self._codec.loads(raw))
        return None if is_same else text


def _increased(raw: RawValue, by: int) -> RawValue:
    """Returns the stored form of a counter after an increment. What is no counter stays: the service refuses that."""
    try:
        return raw if isinstance(raw, bytes) else str(int(raw) + by)
    except ValueError:
        return raw


def _permanent_text(session: pb.Session) -> str | None:
    if not session.HasField("permanent"):
        return None
    return "true" if session.permanent else "false"


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
