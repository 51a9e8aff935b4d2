"""Names of the numbers in messages."""

from __future__ import annotations

from typing import Any


def name_of(enum: Any, number: int, prefix: str) -> str:
    """Returns the name without its prefix, or the number as text if only a newer service knows it."""
    try:
        name: str = enum.Name(number)
    except ValueError:
        return str(number)
    return name.removeprefix(prefix)
