"""The app's setting `subject_key`: where the entries of a session have its subject."""

from __future__ import annotations

import functools
import json
from typing import Any, Callable

from .messages import session_service_pb2 as pb


def subject_change(text_of: Callable[[str], str | None], subject_key: str) -> str | None:
    """Returns the subject that changes of entries give, "" if they remove it, or None if they leave it as it is.

    Args:
        text_of: Returns the JSON text that an entry gets, "" if it is removed, or None if it stays.
        subject_key: The app's setting.
    """
    for entry, path in _readings(subject_key):
        text = text_of(entry)
        if text is not None:
            return _subject_in(text, path)
    return None


def subject_of_entries(changes: pb.Changes, subject_key: str) -> str | None:
    """Returns the subject that the entries of a save give, as `subject_change` does."""

    def text_of(name: str) -> str | None:
        if name in changes.set:
            return changes.set[name].json  # Bytes are no subject: their text is empty.
        return "" if name in changes.unset else None

    return subject_change(text_of, subject_key)


def may_be_in(entry: str, subject_key: str) -> bool:
    """Returns whether an entry may have the subject, alone or in a path inside of it."""
    return entry in entries_of(subject_key)


def entries_of(subject_key: str) -> tuple[str, ...]:
    """Returns the names of the entries that may have the subject. More than one: the key may be a path."""
    return tuple(name for name, _ in _readings(subject_key))


@functools.lru_cache(16)
def _readings(subject_key: str) -> list[tuple[str, list[str]]]:
    """Returns the ways to read the key as the name of an entry and a path inside of it, the longest name first."""
    names = subject_key.split(".")
    readings = [(".".join(names[:end]), names[end:]) for end in range(len(names), 0, -1)]
    return [(entry, path) for entry, path in readings if entry]


def _subject_in(text: str, path: list[str]) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return ""
    for step in path:
        value = _member(value, step)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _member(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
        return value[int(step)]
    return None
