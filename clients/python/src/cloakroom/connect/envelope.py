"""Streams of the Connect protocol: writes the envelope of a request, and reads the messages of a response.

Makes no calls: the bytes come from a socket, an event loop or a test. `docs/wire.md` describes the envelopes.
"""

from __future__ import annotations

import json
from typing import Any, Generic

from ..transport import CallFailed, Method, Response
from .http1 import BodyReader, Malformed
from .protocol import failure_of_response, failure_of_stream


def write_envelope(message: bytes) -> bytes:
    """Returns the body of a request that begins a stream."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class StreamReader(Generic[Response]):
    """Reads the whole response of one call, which is a stream of messages."""

    def __init__(self, method: Method[Any, Response]) -> None:
        self._method = method
        self._body = BodyReader()
        self._envelopes = bytearray()
        #: Whether the stream has ended well.
        self.is_ended = False

    def receive(self, data: bytes) -> list[Response]:
        """Takes the next bytes, and returns the messages that are complete. Empty bytes: the connection has ended.

        Raises `CallFailed` if the call or the stream failed, and `Malformed`. Messages that came with the end of a
        failed stream are lost: the service sends none that the next stream does not repeat.
        """
        try:
            self._envelopes += self._body.receive(data)
        except Malformed as error:
            if not data:
                raise CallFailed("UNAVAILABLE", "", f"the stream was cut off: {error}") from error
            raise
        head = self._body.head
        if head is None:
            return []
        if head.status != 200:
            if len(self._envelopes) > _MAX_MESSAGE:
                raise Malformed(f"the body of the response is over {_MAX_MESSAGE} bytes")
            if not self._body.is_complete:
                return []
            raise failure_of_response(head.status, head.headers, bytes(self._envelopes))
        if head.headers.get(b"content-type") != CONTENT_TYPE.encode():
            raise CallFailed("INTERNAL", "", "what answered is not the service: its response is no stream")
        messages = self._take_messages()
        if self._body.is_complete and not self.is_ended:
            raise CallFailed("UNAVAILABLE", "", "the stream was cut off")
        return messages

    def _take_messages(self) -> list[Response]:
        messages: list[Response] = []
        data = self._envelopes
        while len(data) >= _PREFIX and not self.is_ended:
            flags, length = data[0], int.from_bytes(data[1:_PREFIX], "big")
            if length > _MAX_MESSAGE:
                raise Malformed(f"a message of the stream is over {_MAX_MESSAGE} bytes")
            if len(data) < _PREFIX + length:
                break
            message = bytes(data[_PREFIX : _PREFIX + length])
            del data[: _PREFIX + length]
            if flags == _END:
                self._end(message)
            elif flags == 0:
                messages.append(self._read(message))
            else:
                raise Malformed(f"the flags of an envelope are {flags}, which nobody asked for")
        return messages

    def _end(self, text: bytes) -> None:
        try:
            end = json.loads(text)
            error = end.get("error")
        except (ValueError, AttributeError, RecursionError) as failed:
            raise Malformed("the end of the stream is not JSON") from failed
        if error is not None:
            raise failure_of_stream(error)
        self.is_ended = True

    def _read(self, message: bytes) -> Response:
        try:
            return self._method.read(message)
        except Exception as error:
            raise CallFailed("INTERNAL", "", f"a message of the stream is none of {self._method.path}") from error


#: Bytes: the flags and the length before each message.
_PREFIX = 5
#: The flags of the last envelope.
_END = 2
#: The content type of requests and responses.
CONTENT_TYPE = "application/connect+proto"
#: Bytes. The service's own limit of a message is less.
_MAX_MESSAGE = 16 * 1024 * 1024
