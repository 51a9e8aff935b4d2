"""One connection to the service, by the sockets of this process."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl

from ..clock import now
from .address import Endpoint
from .http1 import Response, ResponseReader, read_whole


class Connection:
    """Carries one call at a time. Not safe for threads."""

    __slots__ = ("__weakref__", "_poll", "_socket", "_timeout", "is_new", "last_use")

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._poll: select.poll | None = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(connected, select.POLLIN)
        #: Of the socket, in steps.
        self._timeout = 0
        #: Whether no call was answered on it yet.
        self.is_new = True
        #: When the last call began.
        self.last_use = now()

    def call(self, request: bytes, start: float, end: float) -> Response:
        """Sends a request and returns its response.

        Raises TimeoutError at the time `end`, another OSError if the connection breaks, and `Malformed`. Then, and if
        the response is not reusable, the connection must be closed.

        Args:
            request: The whole request.
            start: The present time, which is not read again, for most calls take less than a millisecond.
            end: The time at which the call fails.
        """
        connection = self._socket
        # In steps, because setting it is a system call, and most calls have the same.
        timeout = int((end - start) * _TIMEOUT_STEPS + 1.5)
        if timeout != self._timeout:
            self._set_timeout(end)
        if len(request) <= _SMALL_REQUEST:
            connection.sendall(request)
        else:
            self._send_parts(request, end)
        data = connection.recv(_READ_SIZE)
        response = read_whole(data)
        if response is None:
            response = self._read_on(data, end)
        self.is_new = False
        self.last_use = start
        return response

    def _send_parts(self, request: bytes, end: float) -> None:
        """Sends a request that may wait for the peer, and leaves the socket with the time that is left then."""
        view = memoryview(request)
        while view:
            self._set_timeout(end)
            view = view[self._socket.send(view) :]
        self._set_timeout(end)

    def _read_on(self, data: bytes, end: float) -> Response:
        reader = ResponseReader()
        response = reader.receive(data)
        while response is None:
            self._set_timeout(end)
            response = reader.receive(self._socket.recv(_READ_SIZE))
        return response

    def send(self, request: bytes, end: float) -> None:
        """Sends the request of a stream. Raises TimeoutError at the time `end`, and other OSErrors."""
        self._set_timeout(end)
        self._socket.sendall(request)

    def receive(self, end: float | None) -> bytes:
        """Returns the next bytes of a stream; none if the connection has ended.

        Raises TimeoutError at the time `end`. None: waits for as long as the peer's host is there.
        """
        self._socket.settimeout(None if end is None else _remaining(end))
        return self._socket.recv(_READ_SIZE)

    def _set_timeout(self, end: float) -> None:
        timeout = int(_remaining(end) * _TIMEOUT_STEPS + 1.5)
        self._socket.settimeout(timeout / _TIMEOUT_STEPS)
        self._timeout = timeout

    def is_silent(self) -> bool:
        """Whether nothing has arrived since the last response. If it has, the service has closed the connection."""
        if self._poll is None:
            return not select.select([self._socket], [], [], 0)[0]
        return not self._poll.poll(0)

    def close(self) -> None:
        """Ends the connection, also if a forked child has inherited it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.leave()

    def leave(self) -> None:
        """Closes this process's part of a connection that belongs to its parent."""
        with contextlib.suppress(OSError):
            self._socket.close()

    __del__ = leave


def connect(endpoint: Endpoint, context: ssl.SSLContext | None, end: float) -> Connection:
    """Connects, and raises OSError if that is not possible until the time `end`."""
    connected = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        if not endpoint.is_unix_socket:
            set_options(connected)
        connected.settimeout(_remaining(end))
        connected.connect(endpoint.target)
        if context is not None:
            connected.settimeout(_remaining(end))
            connected = context.wrap_socket(connected, server_hostname=endpoint.tls_name)
    except BaseException:
        connected.close()
        raise
    return Connection(connected)


def set_options(connected: socket.socket) -> None:
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        # Linux has all of them, other systems have some.
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _remaining(end: float) -> float:
    remaining = end - now()
    if remaining <= 0:
        raise TimeoutError("no answer in time")
    return remaining


#: Before Python 3.10 sockets raise another error than TimeoutError.
TIMEOUTS = (TimeoutError, socket.timeout)
#: Finds a peer that is gone without a word: seconds of silence until a probe, between probes, and their number.
_KEEPALIVE = {
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 2,
    # Milliseconds for which what was sent may stay without acknowledgement.
    "TCP_USER_TIMEOUT": 5000,
}
#: Per second.
_TIMEOUT_STEPS = 64
_READ_SIZE = 64 * 1024
#: Bytes. A larger request may have to wait until the peer reads.
_SMALL_REQUEST = 64 * 1024
