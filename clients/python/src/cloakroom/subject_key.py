"""The app's setting `subject_key`: where the entries of a session have its subject."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .messages import session_service_pb2 as pb


def sets_subject(changes: pb.Changes, subject_key: str) -> bool:
    """Returns whether changes of entries set the subject."""
    for entry, path in _readings(subject_key):
        if entry in changes.set:
            return _has_subject(changes.set[entry].json, path)
    return False


def may_be_in(entry: str, subject_key: str) -> bool:
    """Returns whether an entry may have the subject, alone or in a path inside of it."""
    return any(entry == name for name, _ in _readings(subject_key))


def _readings(subject_key: str) -> Iterator[tuple[str, list[str]]]:
    """Yields the ways to read the key as the name of an entry and a path inside of it, the longest name first."""
    names = subject_key.split(".")
    for end in range(len(names), 0, -1):
        entry = ".".join(names[:end])
        if entry:
            yield entry, names[end:]


def _has_subject(text: str, path: list[str]) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False  # Bytes are no subject.
    for step in path:
        value = _member(value, step)
    return value != "" if isinstance(value, str) else isinstance(value, int) and not isinstance(value, bool)


def _member(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
        return value[int(step)]
    return None
