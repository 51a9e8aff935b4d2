"""A TCP proxy in front of the service that loses what it should forward.

It drops responses: the request arrives, then the connection is closed. Or it forgets its connections: it acknowledges
what arrives on them, and forwards nothing.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from service import free_port


class LossyProxy:
    """Forwards bytes in both directions. While `responses_to_drop` is above zero, it drops the next responses."""

    def __init__(self, target_port: int, port: int = 0) -> None:
        self._target_port = target_port
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.responses_to_drop = 0
        self.dropped = 0
        #: How many requests of HTTP/1.1 have passed.
        self.requests = 0
        self.accepted = 0
        self._open = 0
        self._forgotten: set[socket.socket] = set()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def forget_connections(self) -> None:
        """Forwards nothing more on the connections that exist. New ones work."""
        self._forgotten |= self._sockets

    def close_connections(self) -> None:
        """Closes the connections that exist. New ones work."""
        _close(*self._sockets)

    def open_count(self) -> int:
        """Returns how many connections of clients are open."""
        return self._open

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                self._open += 1
                service = socket.create_connection(("127.0.0.1", self._target_port))
                self._sockets |= {client, service}
                threading.Thread(target=self._forward_requests, args=(client, service), daemon=True).start()
                threading.Thread(target=self._forward_responses, args=(service, client), daemon=True).start()

    def _forward_requests(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.requests += data.startswith(b"POST ")
                if source not in self._forgotten:
                    target.sendall(data)
        _close(source, target)
        self._open -= 1

    def _forward_responses(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.responses_to_drop and _begins_response(data):
                    self.responses_to_drop -= 1
                    self.dropped += 1
                    break
                if source not in self._forgotten:
                    target.sendall(data)
        _close(source, target)

    def close(self) -> None:
        _close(self._listener, *self._sockets)


def _begins_response(data: bytes) -> bool:
    if data.startswith(b"HTTP/1.1 "):
        return True
    # Of HTTP/2, only a response has a HEADERS frame. SETTINGS, PING and WINDOW_UPDATE frames pass.
    at = 0
    while at + 9 <= len(data):
        if data[at + 3] == 1:
            return True
        at += 9 + int.from_bytes(data[at : at + 3], "big")
    return False


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
