"""How one value of a session becomes JSON text and back."""

from __future__ import annotations

import json
from typing import Any, Protocol


class Codec(Protocol):
    """Writes and reads the JSON text of one value."""

    def dumps(self, value: Any) -> str:
        """The value as RFC 8259 text. Raises TypeError or ValueError for what has none."""
        ...

    def loads(self, text: str) -> Any:
        """A new object, equal to what was written."""
        ...


class JsonCodec:
    """Plain JSON: dicts, lists, strings, numbers, booleans and None."""

    def dumps(self, value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)

    def loads(self, text: str) -> Any:
        return json.loads(text)
