"""Reads responses of HTTP/1.1 (RFC 9112). Makes no calls: the bytes come from a socket, an event loop or a test.

A response that two programs could read differently is refused, because the next one on its connection would be
misread: two lengths, a length beside chunks, white space before a colon, a line that ends in LF alone, and a body
that only the end of the connection ends.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Malformed(Exception):
    """The bytes are not one clear response. The connection cannot be used any more."""


class Response(NamedTuple):
    """One whole response."""

    status: int
    #: By their names in lower case. The values of equal names are joined by ", ".
    headers: dict[bytes, bytes]
    body: bytes
    #: Whether another request may be sent on the connection.
    is_reusable: bool


def read_whole(data: bytes) -> Response | None:
    """Returns a response that has arrived whole and has a head like an earlier one. None: `ResponseReader` reads it.

    The heads of the service differ in the length only, so most responses are read here.
    """
    end = data.find(b"\r\n\r\n")
    head = _KNOWN_HEADS.get(data[:end])
    if head is None or len(data) != head.end + head.length:  # type: ignore[operator]
        return None
    return Response(head.status, head.headers, data[head.end :], head.keeps_connection)


class ResponseReader:
    """Reads one response from bytes as they arrive."""

    __slots__ = ("_body", "_data", "_head")

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: Head | None = None
        self._body: _ChunkedBody | None = None

    def receive(self, data: bytes) -> Response | None:
        """Takes the next bytes, and returns the response when it is complete. Empty bytes: the connection has ended.

        Raises `Malformed`.
        """
        if not data:
            raise Malformed("the connection ended before the response was complete")
        if self._data:
            self._data += data
            return self._next(self._data)
        response = self._next(data)
        if response is None and not self._data:
            self._data += data
        return response

    def _next(self, data: bytes | bytearray) -> Response | None:
        head = self._head
        if head is None:
            self._head = head = _read_head(data)
            if head is None:
                return None
            if head.status < 200:
                return self._skip_interim(data, head)
        if head.length is None:
            self._body = self._body or _ChunkedBody(head.end)
            if not self._body.receive(data):
                return None
            return self._response(data, head, bytes(self._body.content), self._body.at)
        end = head.end + head.length
        if len(data) < end:
            return None
        return self._response(data, head, bytes(data[head.end : end]), end)

    def _response(self, data: bytes | bytearray, head: Head, body: bytes, end: int) -> Response:
        # What follows belongs to no request.
        return Response(head.status, head.headers, body, head.keeps_connection and len(data) == end)

    def _skip_interim(self, data: bytes | bytearray, head: Head) -> Response | None:
        if head.status == 101:
            raise Malformed("the connection was switched to another protocol, which nobody asked for")
        rest = bytes(data[head.end :])
        self._head, self._data = None, bytearray()
        return self.receive(rest) if rest else None


class BodyReader:
    """Reads one response whose body is used as it arrives, such as a stream. Interim responses are refused."""

    __slots__ = ("_body", "_data", "_left", "head", "is_complete")

    def __init__(self) -> None:
        self._data = bytearray()
        #: The status and the headers, once they have arrived.
        self.head: Head | None = None
        self._body: _ChunkedBody | None = None
        #: Bytes of a body that is not chunked.
        self._left = 0
        self.is_complete = False

    def receive(self, data: bytes) -> bytes:
        """Takes the next bytes, and returns the next bytes of the body. Empty bytes: the connection has ended.

        Raises `Malformed`.
        """
        if not data:
            raise Malformed("the connection ended before the response was complete")
        self._data += data
        if self.head is None:
            self.head = head = _read_head(self._data)
            if head is None:
                return b""
            if head.status < 200:
                raise Malformed(f"an interim response that nobody asked for: {head.status}")
            del self._data[: head.end]
            if head.length is None:
                self._body = _ChunkedBody(0)
            else:
                self._left = head.length
        return self._read_chunks(self._body) if self._body else self._read_rest()

    def _read_chunks(self, body: _ChunkedBody) -> bytes:
        self.is_complete = body.receive(self._data)
        if not body.is_in_trailers:
            # What was read is not needed any more.
            del self._data[: body.at]
            body.at = 0
        content = bytes(body.content)
        body.content.clear()
        return content

    def _read_rest(self) -> bytes:
        content = bytes(self._data[: self._left])
        self._data.clear()
        self._left -= len(content)
        self.is_complete = not self._left
        return content


class Head(NamedTuple):
    """The status line and the headers of a response."""

    status: int
    headers: dict[bytes, bytes]
    #: Of the body. None: it is chunked.
    length: int | None
    keeps_connection: bool
    #: The position behind the head.
    end: int


def _read_head(data: bytes | bytearray) -> Head | None:
    end = data.find(b"\r\n\r\n")
    if end > _MAX_HEAD or (end < 0 and len(data) > _MAX_HEAD):
        raise Malformed(f"the head of the response is over {_MAX_HEAD} bytes")
    if end < 0:
        return None
    head = bytes(data[:end])
    found = _HEAD.fullmatch(head)
    if found is None:
        raise Malformed(f"not a response of HTTP/1.1: {head[:80]!r}")
    status = int(found[2])
    headers: dict[bytes, bytes] = {}
    for raw_name, raw_value in _FIELD.findall(head, found.end(2)):
        name, value = raw_name.lower(), raw_value.rstrip(b" \t")
        if name in _LENGTH_FIELDS and (name in headers or value != raw_value):
            raise Malformed(f"the response has two fields {name.decode()}, or white space behind one")
        if name in headers:
            value = headers[name] + b", " + value
        headers[name] = value
    is_http_1_1 = found[1] == b"1"
    options = headers.get(b"connection", b"").lower()
    keeps_connection = is_http_1_1 if not options else _keeps_connection(options, is_http_1_1)
    read = Head(status, headers, _body_length(status, headers, is_http_1_1), keeps_connection, end + 4)
    if status == 200 and read.length is not None and end < _MAX_KNOWN_HEAD:
        if len(_KNOWN_HEADS) >= _MAX_KNOWN_HEADS:
            _KNOWN_HEADS.clear()
        _KNOWN_HEADS[head] = read
    return read


def _keeps_connection(options: bytes, is_http_1_1: bool) -> bool:
    names = [name.strip() for name in options.split(b",")]
    return b"close" not in names and (is_http_1_1 or b"keep-alive" in names)


def _body_length(status: int, headers: dict[bytes, bytes], is_http_1_1: bool) -> int | None:
    """Returns the length of the body. None: it is chunked."""
    length = headers.get(b"content-length")
    encoding = headers.get(b"transfer-encoding")
    if status < 200 or status in (204, 304):
        if encoding is not None or length not in (None, b"0"):
            raise Malformed(f"a response with status {status} has no body, and this one names a length")
        return 0
    if encoding is not None:
        if length is not None:
            raise Malformed("the response has a content-length beside its transfer-encoding")
        if encoding.lower() != b"chunked" or not is_http_1_1:
            raise Malformed(f"the transfer-encoding is not supported: {encoding[:40]!r}")
        return None
    if length is None:
        raise Malformed("the response does not say how long it is")
    if not length.isdigit() or len(length) > 10 or int(length) > _MAX_BODY:
        raise Malformed(f"not a content-length up to {_MAX_BODY}: {length[:40]!r}")
    return int(length)


class _ChunkedBody:
    """Reads a body in chunks."""

    __slots__ = ("_trailers_end", "at", "content", "is_in_trailers")

    def __init__(self, at: int) -> None:
        self.content = bytearray()
        #: The position behind what was read.
        self.at = at
        self.is_in_trailers = False
        self._trailers_end = 0

    def receive(self, data: bytes | bytearray) -> bool:
        """Reads on in all bytes of the response. Returns whether the body is complete."""
        while not self.is_in_trailers:
            line_end = data.find(b"\r\n", self.at, self.at + _MAX_CHUNK_LINE)
            if line_end < 0:
                if len(data) - self.at >= _MAX_CHUNK_LINE:
                    raise Malformed("the line before a chunk is too long")
                return False
            line = bytes(data[self.at : line_end])
            found = _CHUNK_LINE.fullmatch(line)
            if found is None:
                raise Malformed(f"not the size of a chunk: {line[:40]!r}")
            size = int(found[1], 16)
            if size == 0:
                self.at, self.is_in_trailers = line_end + 2, True
                break
            end = line_end + 2 + size
            if len(self.content) + size > _MAX_BODY:
                raise Malformed(f"the body of the response is over {_MAX_BODY} bytes")
            if len(data) < end + 2:
                return False
            if data[end : end + 2] != b"\r\n":
                raise Malformed("a chunk is longer than it says")
            self.content += data[line_end + 2 : end]
            self.at = end + 2
        return self._skip_trailers(data)

    def _skip_trailers(self, data: bytes | bytearray) -> bool:
        self._trailers_end = self._trailers_end or self.at + _MAX_HEAD
        while True:
            line_end = data.find(b"\r\n", self.at, self._trailers_end)
            if line_end < 0:
                if len(data) >= self._trailers_end:
                    raise Malformed("the trailers of the response are too long")
                return False
            line = bytes(data[self.at : line_end])
            self.at = line_end + 2
            if not line:
                return True
            if _FIELD.fullmatch(b"\r\n" + line) is None:
                raise Malformed(f"not a trailer: {line[:40]!r}")


_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
_HEAD = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: " + _VALUE + rb")?(?:\r\n" + _TOKEN + rb":" + _VALUE + rb")*")
_FIELD = re.compile(rb"\r\n(" + _TOKEN + rb"):[ \t]*(" + _VALUE + rb")")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;" + _VALUE + rb")?")
_LENGTH_FIELDS = (b"content-length", b"transfer-encoding")
#: Heads with a content-length, without the empty line.
_KNOWN_HEADS: dict[bytes, Head] = {}
_MAX_KNOWN_HEADS = 1024
#: Bytes.
_MAX_KNOWN_HEAD = 512
_MAX_HEAD = 64 * 1024
_MAX_CHUNK_LINE = 4096
_MAX_BODY = 64 * 1024 * 1024
