"""A TCP proxy before the service that loses answers: the request goes through, and then the connection is cut."""

from __future__ import annotations

import contextlib
import socket
import threading

from service import free_port


class Proxy:
    """Passes bytes on, and counts connections. While `loses` is above zero, the next answers are lost."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.loses = 0
        self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                service = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pass, args=(caller, service), daemon=True).start()
                threading.Thread(target=self._answer, args=(service, caller), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        _cut(source, target)

    def _answer(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                # A HEADERS frame is an answer; settings, pings and windows are not.
                if self.loses and _has_headers(data):
                    self.loses -= 1
                    self.lost += 1
                    break
                target.sendall(data)
        _cut(source, target)

    def close(self) -> None:
        self._listener.close()


def _has_headers(data: bytes) -> bool:
    at = 0
    while at + 9 <= len(data):
        if data[at + 3] == 1:
            return True
        at += 9 + int.from_bytes(data[at : at + 3], "big")
    return False


def _cut(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
