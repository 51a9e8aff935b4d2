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
        """Waits only if there is no address at all yet, and then for the first one. Raises `CallFailed` without one."""
        due = self._replicas.due_names()
        running = {self._start(name) for name in due}
        error: BaseException | None = None
        while not self._replicas.all:
            ended, running = concurrent.futures.wait(
                running, max(end - now(), 0), return_when=concurrent.futures.FIRST_COMPLETED
            )
            error = next((each.exception() for each in ended), None) or error
            if not self._replicas.all and not (ended and running):
                message = f"cannot look up {due[0].address.host!r}: {error or 'no answer in time'}"
                raise CallFailed("UNAVAILABLE", "", message) from error

    def _start(self, name: Name) -> concurrent.futures.Future[None]:
        key, future = (os.getpid(), name), concurrent.futures.Future[None]()
        running = self._running.setdefault(key, future)
        if running is future:
            name.attempt_time = now()
            threading.Thread(target=self._look_up, args=(name, key, future), daemon=True).start()
        return running

    def _look_up(self, name: Name, key: tuple[int, Name], future: concurrent.futures.Future[None]) -> None:
        try:
            host, port = name.address.host, name.address.port
            self._replicas.found(name, socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except BaseException as error:
            name.note_failure()
            del self._running[key]
            future.set_exception(error)
        else:
            del self._running[key]
            future.set_result(None)
