"""A TCP relay between the application and one replica: it logs the calls, and causes faults."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from .calls import CallLog
from .faults import Faults
from .http1 import Http1Connection
from .http2 import PREFACE, Http2Connection
from .messages import Contract


class Relay:
    """Listens on a port of its own and forwards connections to a replica.

    Args:
        replica: The number of the replica.
        port: The replica's port.
    """

    def __init__(self, replica: int, port: int, contract: Contract, log: CallLog, faults: Faults) -> None:
        self.replica = replica
        self.contract, self.log, self.faults = contract, log, faults
        #: How many connections it has accepted.
        self.accepted = 0
        #: Set to end what waits.
        self.closed = threading.Event()
        self._service_port = port
        self._lock = threading.Lock()
        self._open: set[Connection] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.accept()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def accept(self) -> None:
        """Accepts connections, at the same port as before."""
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Ends all connections, and has new ones refused."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            # Wakes the thread that accepts.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.end_connections()

    def end_connections(self) -> None:
        """Ends all connections, as a service does with those that are idle."""
        for connection in self._connections():
            connection.end()

    def forget_connections(self) -> None:
        """Forwards nothing more on the connections that exist, as if their packets were lost. New ones work."""
        for connection in self._connections():
            connection.is_forgotten = True

    def close(self) -> None:
        self.closed.set()
        self.refuse()

    def _connections(self) -> list[Connection]:
        with self._lock:
            return list(self._open)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            service = socket.create_connection(("127.0.0.1", self._service_port), timeout=5)
            service.settimeout(None)
        except OSError:
            _reset(client)
            return
        for each in (client, service):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, client, service)
        with self._lock:
            if self._listener is None:
                connection.end()
            self._open.add(connection)
        try:
            connection.serve()
        except OSError:
            pass
        finally:
            connection.end()
            with self._lock:
                self._open.discard(connection)
            client.close()
            service.close()


class Connection:
    """A connection of the application and the one to the service that it is forwarded to."""

    def __init__(self, relay: Relay, client: socket.socket, service: socket.socket) -> None:
        self.relay, self.client, self.service = relay, client, service
        self.is_forgotten = False

    def serve(self) -> None:
        start = self.client.recv(len(PREFACE), socket.MSG_PEEK)
        if start[:3] == PREFACE[:3]:
            Http2Connection(self).serve()
        else:
            Http1Connection(self).serve()

    def send_to_client(self, data: bytes) -> None:
        if not self.is_forgotten:
            self.client.sendall(data)

    def send_to_service(self, data: bytes) -> None:
        if not self.is_forgotten:
            self.service.sendall(data)

    def end(self) -> None:
        """Ends both. The thread that serves them closes the sockets, for it may be reading from them."""
        for each in (self.client, self.service):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class ProxyTrap:
    """Stands where a proxy would, and counts who comes."""

    def __init__(self) -> None:
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._listener.accept()[0].close()
                self.connections += 1

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _reset(connection: socket.socket) -> None:
    """Ends a connection as the kernel of a machine does where nobody listens."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
