"""Looks names up, with a deadline: the system's own look-up has none."""

from __future__ import annotations

import concurrent.futures
import os
import socket
import threading
from typing import Any

from ..clock import now
from ..transport import CallFailed
from .replicas import Name, Replicas


class Lookups:
    """Looks up the names among the addresses, in threads that end with each look-up."""

    def __init__(self, replicas: Replicas[Any]) -> None:
        self._replicas = replicas
        #: By process and name: a forked child has none of its parent's threads.
        self._running: dict[tuple[int, Name], concurrent.futures.Future[None]] = {}

    def look_up_due_names(self, end: float) -> None:
        """Waits only for names that have no address yet. Raises `CallFailed` if one of them gets none in time."""
        for name in self._replicas.names:
            if name.endpoints:
                if name.is_due():
                    self._start(name)
                continue
            try:
                self._start(name).result(max(end - now(), 0))
            except (OSError, UnicodeError, concurrent.futures.TimeoutError) as error:
                if not self._replicas.all:
                    message = f"cannot look up {name.address.host!r}: {str(error) or 'no answer in time'}"
                    raise CallFailed("UNAVAILABLE", "", message) from error

    def _start(self, name: Name) -> concurrent.futures.Future[None]:
        key, future = (os.getpid(), name), concurrent.futures.Future[None]()
        running = self._running.setdefault(key, future)
        if running is future:
            name.attempt_time = now()
            try:
                threading.Thread(target=self._look_up, args=(name, key, future), daemon=True).start()
            except RuntimeError as error:  # The process may have no more threads.
                del self._running[key]
                future.set_exception(OSError(str(error)))
        return running

    def _look_up(self, name: Name, key: tuple[int, Name], future: concurrent.futures.Future[None]) -> None:
        try:
            host, port = name.address.host, name.address.port
            self._replicas.found(name, socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except BaseException as error:
            del self._running[key]
            future.set_exception(error)
        else:
            del self._running[key]
            future.set_result(None)
