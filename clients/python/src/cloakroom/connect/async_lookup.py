"""Looks names up by the event loop, with a deadline."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from ..clock import now
from ..transport import CallFailed
from .replicas import Name, Replicas


class AsyncLookups:
    """Looks up the names among the addresses."""

    def __init__(self, replicas: Replicas[Any]) -> None:
        self._replicas = replicas
        self._running: dict[Name, asyncio.Task[None]] = {}

    async def look_up_due_names(self, end: float) -> None:
        """Waits only if there is no address at all yet, and then for the first one. Raises `CallFailed` without one."""
        due = self._replicas.due_names()
        running = {self._start(name) for name in due}
        error: BaseException | None = None
        while not self._replicas.all:
            ended, running = await asyncio.wait(
                running, timeout=max(end - now(), 0), return_when=asyncio.FIRST_COMPLETED
            )
            error = next((each.exception() for each in ended if not each.cancelled()), None) or error
            if not self._replicas.all and not (ended and running):
                message = f"cannot look up {due[0].address.host!r}: {error or 'no answer in time'}"
                raise CallFailed("UNAVAILABLE", "", message) from error

    def _start(self, name: Name) -> asyncio.Task[None]:
        running = self._running.get(name)
        if running is None:
            name.attempt_time = now()
            running = self._running[name] = asyncio.get_running_loop().create_task(self._look_up(name))
            running.add_done_callback(_ignore_failure)
        return running

    async def _look_up(self, name: Name) -> None:
        loop, address = asyncio.get_running_loop(), name.address
        try:
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except BaseException:
            name.note_failure()
            raise
        finally:
            del self._running[name]
        self._replicas.found(name, found)


def _ignore_failure(task: asyncio.Task[None]) -> None:
    """Marks the failure of a look-up as seen: the old addresses are used until the next one."""
    if not task.cancelled():
        task.exception()
