"""Looks names up, with a deadline: the system's own look-up has none."""

from __future__ import annotations

import concurrent.futures
import os
import socket
import threading
from typing import Any

from ..clock import now
from .replicas import Name, Replicas, cannot_look_up


class Lookups:
    """Looks up the names among the addresses, in threads that end with each look-up."""

    def __init__(self, replicas: Replicas[Any]) -> None:
        self._replicas = replicas
        #: By process and name: a forked child has none of its parent's threads.
        self._running: dict[tuple[int, Name], concurrent.futures.Future[None]] = {}

    def look_up_due_names(self, end: float) -> None:
        """Waits only while there is no address at all. Raises `CallFailed` if there is none in time."""
        replicas = self._replicas
        running = {self._start(name): name for name in replicas.names if name.is_due() or not replicas.all}
        failures: list[tuple[Name, BaseException | None]] = []
        while running and not replicas.all:
            done = concurrent.futures.wait(running, max(end - now(), 0), concurrent.futures.FIRST_COMPLETED).done
            failures += [(running.pop(each), each.exception()) for each in done]
            if not done:
                failures += [(name, None) for name in running.values()]
                break
        if not replicas.all:
            raise cannot_look_up(failures)

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
