"""A call that is answered by a stream of messages, on a connection of its own, in an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Callable, Generic

from ..clock import now
from ..transport import CallFailed, Method, Response
from .async_connection import AsyncConnection
from .envelope import StreamReader
from .http1 import Malformed
from .protocol import failure_to_begin
from .timeouts import Timeouts


class AsyncStream(Generic[Response]):
    """The messages of one call. One task reads, and any other may close it."""

    def __init__(
        self,
        connection: AsyncConnection,
        method: Method[Any, Response],
        timeouts: Timeouts,
        on_close: Callable[[AsyncStream[Any]], None],
    ) -> None:
        self._connection = connection
        self._reader = StreamReader(method)
        self._timeouts = timeouts
        self._on_close = on_close
        self._messages: deque[Response] = deque()
        #: Why the stream has failed.
        self._failure: CallFailed | None = None
        self._is_closed = False
        #: The task that waits for a message.
        self._waiting: asyncio.Future[None] | None = None

    async def begin(self, request: bytes, end: float) -> None:
        """Sends the request, and waits for the first message or the end. Raises `CallFailed`."""
        self._connection.begin_stream(request, self._receive, self._lose)
        try:
            await self._wait(end)
        except TimeoutError as error:
            self.close()
            raise failure_to_begin() from error
        except BaseException:
            self.close()
            raise
        if self._failure is not None and not self._messages:
            self.close()
            raise self._failure

    async def next(self, timeout: float | None = None) -> Response | None:
        """Returns the next message, or None if the stream has ended.

        Args:
            timeout: Seconds to wait. None: waits until there is a message.

        Raises:
            TimeoutError: There was none in that time. The stream goes on.
            CallFailed: The stream failed, or was cut off.
        """
        await self._wait(None if timeout is None else now() + timeout)
        if self._is_closed:
            return None
        if self._messages:
            message = self._messages.popleft()
            if len(self._messages) < _MAX_MESSAGES:
                self._connection.resume_reading()
            return message
        self.close()
        if self._failure is not None:
            raise self._failure
        return None

    def close(self) -> None:
        """Ends the stream. A task that waits in `next` gets None."""
        self._is_closed = True
        self._wake()
        self._connection.close()
        self._on_close(self)

    def leave(self) -> None:
        """Closes this process's part of a connection that belongs to its parent."""
        self._is_closed = True
        self._connection.leave()

    async def _wait(self, end: float | None) -> None:
        """Waits until there is a message, or there will be none."""
        while not (self._messages or self._reader.is_ended or self._failure or self._is_closed):
            self._waiting = waiting = asyncio.get_running_loop().create_future()
            if end is not None:
                self._timeouts.add(waiting, end)
            try:
                await waiting
            finally:
                self._timeouts.discard(waiting)
                self._waiting = None

    def _receive(self, data: bytes) -> None:
        try:
            self._messages.extend(self._reader.receive(data))
        except Malformed as error:
            self._fail(CallFailed("INTERNAL", "", f"what answered is not the service: {error}"))
        except CallFailed as failure:
            self._fail(failure)
        if len(self._messages) >= _MAX_MESSAGES:
            self._connection.pause_reading()
        self._wake()

    def _lose(self, error: OSError) -> None:
        if not self._reader.is_ended:
            self._fail(CallFailed("UNAVAILABLE", "", f"the stream was cut off: {error}"))

    def _fail(self, failure: CallFailed) -> None:
        self._failure = self._failure or failure
        self._connection.close()
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


#: Messages that wait for their reader. While there are as many, no more are read from the connection.
_MAX_MESSAGES = 64
