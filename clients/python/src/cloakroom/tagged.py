"""Writes values as Flask's own sessions do: JSON with tags for tuples, bytes, Markup, UUIDs and datetimes."""

from __future__ import annotations

import json
import math
from json.encoder import encode_basestring_ascii
from typing import Any

from flask.json.tag import JSONTag, TaggedJSONSerializer


class TagNonFinite(JSONTag):
    """A tag for NaN and the infinities, which JSON cannot express."""

    __slots__ = ()
    key = " f"

    def check(self, value: Any) -> bool:
        return isinstance(value, float) and not math.isfinite(value)

    def to_json(self, value: Any) -> Any:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"

    def to_python(self, value: Any) -> Any:
        return float(value)


def unregister_non_finite(serializer: TaggedJSONSerializer) -> None:
    """Removes the tag for NaN: Flask's own cookie has a bare NaN, although that is not valid JSON."""
    if serializer.tags.pop(TagNonFinite.key, None) is not None:
        serializer.order = [tag for tag in serializer.order if not isinstance(tag, TagNonFinite)]


class TaggedCodec:
    """Uses a serializer of Flask, and a faster path for values that need no tags."""

    def __init__(self, serializer: TaggedJSONSerializer) -> None:
        self.serializer = serializer

    def dumps(self, value: Any) -> str:
        kind = type(value)
        if kind is str:
            text: str = encode_basestring_ascii(value)
            return text
        if kind is int:
            return int.__repr__(value)
        if value is None or kind is bool:
            return {None: "null", True: "true", False: "false"}[value]
        return self.serializer.dumps(value)

    def loads(self, text: str) -> Any:
        # Only arrays and objects can have tags.
        if text[0] in _FIRST_OF_CONTAINER:
            return self.serializer.loads(text)
        # `json.loads` looks for white space and other encodings first, which costs more than most values.
        return _DECODER.raw_decode(text)[0]


_DECODER = json.JSONDecoder()
#: White space may stand before it.
_FIRST_OF_CONTAINER = "{[ \t\r\n"
