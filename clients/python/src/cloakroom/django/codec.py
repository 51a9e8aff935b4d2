"""Writes values as Django's JSON serializer does."""

from __future__ import annotations

import json
from typing import Any


class SerializerCodec:
    """Uses a class derived from `django.core.signing.JSONSerializer`."""

    def __init__(self, serializer: Any) -> None:
        self._serializer = serializer()

    def dumps(self, value: Any) -> str:
        text: str = self._serializer.dumps(value).decode("latin-1")
        return text

    def loads(self, text: str) -> Any:
        if not text.isascii():
            # A client in another language wrote it. The serializer reads Latin-1.
            text = json.dumps(json.loads(text))
        return self._serializer.loads(text.encode("latin-1"))
