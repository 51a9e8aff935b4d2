"""The Connect protocol for unary calls: writes a call as an HTTP request, and reads the response of one.

`docs/wire.md` describes it.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from ..transport import CallFailed, Method
from .http1 import Response

Message = TypeVar("Message")


class RequestWriter:
    """Writes the requests to one host."""

    def __init__(self, host: str, token: str) -> None:
        authorization = f"authorization: Bearer {token}\r\n" if token else ""
        self._fields = f"host: {host}\r\ncontent-type: application/proto\r\n{authorization}connect-timeout-ms: "
        self._heads: dict[str, bytes] = {}

    def write(self, method: Method[Any, Any], message: bytes, timeout: float) -> bytes:
        """Returns the whole request, for a service that may take `timeout` seconds."""
        head = self._heads.get(method.path)
        if head is None:
            head = self._heads[method.path] = f"POST {method.path} HTTP/1.1\r\n{self._fields}".encode("latin-1")
        milliseconds = min(int(timeout * 1000) + 1, _MAX_MILLISECONDS)
        return b"%b%d\r\ncontent-length: %d\r\n\r\n%b" % (head, milliseconds, len(message), message)


def read_response(method: Method[Any, Message], response: Response) -> Message:
    """Returns the message of a response. Raises `CallFailed`."""
    if response.status != 200:
        raise _call_failed(response)
    if response.headers.get(b"content-type") != b"application/proto":
        raise CallFailed("INTERNAL", "", "what answered is not the service: its response is no message")
    try:
        return method.read(response.body)
    except Exception as error:
        raise CallFailed("INTERNAL", "", f"the response is no message of {method.path}") from error


def _call_failed(response: Response) -> CallFailed:
    code, message = "", ""
    try:
        error = json.loads(response.body)
        code, message = str(error["code"]).upper(), str(error.get("message", ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # A proxy has answered.
        code = _CODES.get(response.status, "UNKNOWN")
    reason = response.headers.get(b"cloakroom-reason", b"").decode("latin-1")
    return CallFailed(code, reason, message or f"HTTP status {response.status}")


#: What the HTTP status means where the body does not say it, by Connect's specification.
_CODES = {
    400: "INTERNAL",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "UNIMPLEMENTED",
    429: "UNAVAILABLE",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "UNAVAILABLE",
}
#: The service takes ten digits.
_MAX_MILLISECONDS = 9_999_999_999
