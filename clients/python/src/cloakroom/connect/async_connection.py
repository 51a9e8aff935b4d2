"""One connection to the service, in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from typing import Callable, cast

from ..clock import now
from .address import Endpoint
from .connection import set_options
from .http1 import Malformed, Response, ResponseReader, read_whole
from .timeouts import Timeouts


class AsyncConnection(asyncio.BufferedProtocol):
    """Carries one call at a time.

    A `BufferedProtocol` reads into the same memory each time. asyncio's streams and `sock_recv` cost much more.
    """

    def __init__(self, connected: socket.socket, timeouts: Timeouts) -> None:
        self._socket = connected
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(_READ_SIZE)
        self._view = memoryview(self._buffer)
        self._reader: ResponseReader | None = None
        self._response: asyncio.Future[Response] | None = None
        #: What takes the bytes of a stream, and learns of its end.
        self._stream: tuple[Callable[[bytes], None], Callable[[OSError], None]] | None = None
        self._poll: select.poll | None = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(connected, select.POLLIN)
        self.is_closed = False
        #: Whether no call was answered on it yet.
        self.is_new = True
        self.last_use = now()

    def begin_call(self, request: bytes, start: float, end: float) -> asyncio.Future[Response]:
        """Sends a request and returns its response, which is to be awaited. `end_call` has to follow in any case.

        The future fails with TimeoutError at the time `end`, with another OSError if the connection breaks, and with
        `Malformed`. Then, and if it is cancelled or the response is not reusable, the connection must be closed.

        Args:
            request: The whole request.
            start: The present time.
            end: The time at which the call fails.
        """
        self._response = future = self._loop.create_future()
        self.last_use = start
        if self._transport is None or self.is_closed:
            future.set_exception(ConnectionResetError("the connection has ended"))
        else:
            self._timeouts.add(future, end)
            self._transport.write(request)
        return future

    def end_call(self) -> None:
        if self._response is not None:
            self._timeouts.discard(self._response)
        self._reader = self._response = None
        self.is_new = False

    def begin_stream(self, request: bytes, receive: Callable[[bytes], None], lose: Callable[[OSError], None]) -> None:
        """Sends a request whose response is a stream. The connection can carry no other call then.

        Args:
            request: The whole request.
            receive: Called with the next bytes.
            lose: Called when the connection has ended.
        """
        self._stream = receive, lose
        if self._transport is None or self.is_closed:
            lose(ConnectionResetError("the connection has ended"))
        else:
            self._transport.write(request)

    def pause_reading(self) -> None:
        if self._transport is not None and not self.is_closed:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self.is_closed and not self._transport.is_reading():
            self._transport.resume_reading()

    def is_silent(self) -> bool:
        """Whether nothing has arrived since the last response. If it has, the service has closed the connection."""
        if self.is_closed:
            return False
        # The loop may not have looked yet.
        if self._poll is None:
            return not select.select([self._socket], [], [], 0)[0]
        return not self._poll.poll(0)

    def close(self) -> None:
        """Ends the connection. What is being sent or received is lost."""
        self.is_closed = True
        if self._loop.is_closed():
            self.leave()
        elif self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Closes this process's part of a connection that belongs to its parent, or to a loop that is closed."""
        self.is_closed = True
        with contextlib.suppress(OSError):
            self._socket.close()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is no subclass.
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        future, data = self._response, bytes(self._view[:nbytes])
        if self._stream is not None:
            self._stream[0](data)
            return
        if future is None or future.done():
            # No call waits for it.
            self.close()
            return
        response = read_whole(data) if self._reader is None else None
        if response is None:
            self._reader = self._reader or ResponseReader()
            try:
                response = self._reader.receive(data)
            except Malformed as error:
                future.set_exception(error)
                return
        if response is not None:
            future.set_result(response)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        lost = error if isinstance(error, OSError) else ConnectionResetError("the connection ended")
        if self._stream is not None:
            self._stream[1](lost)
        elif self._response is not None and not self._response.done():
            self._response.set_exception(lost)


async def connect(endpoint: Endpoint, context: ssl.SSLContext | None, timeouts: Timeouts) -> AsyncConnection:
    """Connects, or raises OSError. It has no deadline: the caller cancels it."""
    loop = asyncio.get_running_loop()
    connected = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        connected.setblocking(False)
        if not endpoint.is_unix_socket:
            set_options(connected)
        await loop.sock_connect(connected, endpoint.target)
    except BaseException:
        connected.close()
        raise
    connection = AsyncConnection(connected, timeouts)
    if endpoint.is_unix_socket:
        await loop.create_unix_connection(lambda: connection, sock=connected)
    else:
        name = endpoint.tls_name if context is not None else None
        await loop.create_connection(lambda: connection, sock=connected, ssl=context, server_hostname=name)
    return connection


#: Bytes. Larger responses are read in several steps.
_READ_SIZE = 16 * 1024
