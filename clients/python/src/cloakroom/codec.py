"""Converts one value of a session to JSON text and back."""

from __future__ import annotations

import json
from typing import Any, Protocol


class Codec(Protocol):
    """Writes and reads the JSON text of one value."""

    def dumps(self, value: Any) -> str:
        """Returns the value as JSON text by RFC 8259. Raises TypeError or ValueError if that is not possible."""
        ...

    def loads(self, text: str) -> Any:
        """Returns a new object that equals the one that was written."""
        ...


class JsonCodec:
    """Plain JSON: dicts, lists, strings, numbers, booleans and None."""

    def dumps(self, value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)

    def loads(self, text: str) -> Any:
        return json.loads(text)
