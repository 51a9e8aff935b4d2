"""The Connect protocol: writes a call as an HTTP request, and reads the response of a unary one.

`docs/wire.md` describes it. `envelope` reads the response of a stream.
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
        self._fields = f"{authorization}host: {host}\r\nconnect-timeout-ms: "
        #: The last head of each path, for most calls have the same timeout.
        self._heads: dict[str, tuple[float, bytes]] = {}

    def write(
        self, method: Method[Any, Any], message: bytes, timeout: float, content_type: str = "application/proto"
    ) -> bytes:
        """Returns the whole request, for a service that may take `timeout` seconds to begin its response."""
        head = self._heads.get(method.path)
        if head is None or head[0] != timeout:
            start = f"POST {method.path} HTTP/1.1\r\ncontent-type: {content_type}\r\n"
            milliseconds = min(int(timeout * 1000) + 1, _MAX_MILLISECONDS)
            text = f"{start}{self._fields}{milliseconds}\r\ncontent-length: "
            head = self._heads[method.path] = timeout, text.encode("latin-1")
        return b"%b%d\r\n\r\n%b" % (head[1], len(message), message)


def read_response(method: Method[Any, Message], response: Response) -> Message:
    """Returns the message of a response. Raises `CallFailed`."""
    if response.status != 200:
        raise failure_of_response(response.status, response.headers, response.body)
    if response.headers.get(b"content-type") != b"application/proto":
        raise CallFailed("INTERNAL", "", "what answered is not the service: its response is no message")
    try:
        return method.read(response.body)
    except Exception as error:
        raise CallFailed("INTERNAL", "", f"the response is no message of {method.path}") from error


def failure_of_response(status: int, headers: dict[bytes, bytes], body: bytes) -> CallFailed:
    """Returns the failure that a response with another status than 200 stands for."""
    code, message = "", ""
    try:
        error = json.loads(body)
        code, message = str(error["code"]).upper(), str(error.get("message", ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # A proxy has answered.
        code = _CODES.get(status, "UNKNOWN")
    reason = headers.get(b"cloakroom-reason", b"").decode("latin-1")
    return CallFailed(code, reason, message or f"HTTP status {status}")


def failure_to_begin() -> CallFailed:
    """Returns the failure of a stream whose first message did not come in time."""
    return CallFailed(
        "DEADLINE_EXCEEDED",
        "",
        "the stream did not begin within the deadline; if there is a proxy, it must not buffer responses (nginx: "
        "proxy_buffering off)",
    )


def failure_of_stream(error: Any) -> CallFailed:
    """Returns the failure that the last message of a stream has as its error."""
    try:
        reasons = [detail["debug"]["reason"] for detail in error.get("details", ()) if "debug" in detail]
        code, message = str(error["code"]).upper(), str(error.get("message", ""))
        return CallFailed(code, str(reasons[0]) if reasons else "", message)
    except (TypeError, KeyError, AttributeError):
        return CallFailed("UNKNOWN", "", "the stream ended with an error that is not readable")


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
