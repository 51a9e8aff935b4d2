"""A call that is answered by a stream of messages, on a connection of its own."""

from __future__ import annotations

from collections import deque
from typing import Any, Generic

from ..clock import now
from ..transport import CallFailed, Method, Response
from .connection import TIMEOUTS, Connection
from .envelope import StreamReader
from .http1 import Malformed
from .protocol import failure_to_begin


class Stream(Generic[Response]):
    """The messages of one call. One thread reads, and any other may close it."""

    def __init__(self, connection: Connection, method: Method[Any, Response]) -> None:
        self._connection = connection
        self._reader = StreamReader(method)
        #: What arrived together with a message that was returned already.
        self._messages: deque[Response] = deque()
        self._is_closed = False

    def begin(self, request: bytes, end: float) -> None:
        """Sends the request, and waits for the first message or the end. Raises `CallFailed`."""
        try:
            self._connection.send(request, end)
            while not self._messages and not self._reader.is_ended:
                self._receive(end)
        except TIMEOUTS as error:
            self.close()
            raise failure_to_begin() from error
        except OSError as error:
            self.close()
            raise CallFailed("UNAVAILABLE", "", f"the stream did not begin: {error}") from error

    def next(self, timeout: float | None = None) -> Response | None:
        """Returns the next message, or None if the stream has ended.

        Args:
            timeout: Seconds to wait. None: waits until there is a message.

        Raises:
            TimeoutError: There was none in that time. The stream goes on.
            CallFailed: The stream failed, or was cut off.
        """
        end = None if timeout is None else now() + timeout
        while not self._messages and not self._reader.is_ended and not self._is_closed:
            try:
                self._receive(end)
            except TIMEOUTS as error:
                if end is not None and now() >= end:
                    raise TimeoutError("no message in time") from error
                self._fail(OSError("the service's host does not answer"))
            except OSError as error:
                self._fail(error)
        if self._is_closed or not self._messages:
            self.close()
            return None
        return self._messages.popleft()

    def close(self) -> None:
        """Ends the stream, also from another thread, whose `next` returns None then."""
        self._is_closed = True
        self._connection.close()

    def _receive(self, end: float | None) -> None:
        data = self._connection.receive(end)
        if not data and self._is_closed:
            return
        try:
            self._messages.extend(self._reader.receive(data))
        except Malformed as error:
            self.close()
            raise CallFailed("INTERNAL", "", f"what answered is not the service: {error}") from error
        except CallFailed:
            self.close()
            raise

    def _fail(self, error: OSError) -> None:
        # The other thread's `close` makes a read fail.
        if not self._is_closed:
            self.close()
            raise CallFailed("UNAVAILABLE", "", f"the stream was cut off: {error}") from error
