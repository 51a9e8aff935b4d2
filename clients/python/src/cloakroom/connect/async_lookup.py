"""Looks names up by the event loop, with a deadline."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from ..clock import now
from .replicas import Name, Replicas, cannot_look_up


class AsyncLookups:
    """Looks up the names among the addresses."""

    def __init__(self, replicas: Replicas[Any]) -> None:
        self._replicas = replicas
        self._running: dict[Name, asyncio.Task[None]] = {}

    async def look_up_due_names(self, end: float) -> None:
        """Waits only while there is no address at all. Raises `CallFailed` if there is none in time."""
        replicas = self._replicas
        running = {self._start(name): name for name in replicas.names if name.is_due() or not replicas.all}
        failures: list[tuple[Name, BaseException | None]] = []
        while running and not replicas.all:
            timeout = max(end - now(), 0)
            done, _ = await asyncio.wait(set(running), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            failures += [(running.pop(each), None if each.cancelled() else each.exception()) for each in done]
            if not done:
                failures += [(name, None) for name in running.values()]
                break
        if not replicas.all:
            raise cannot_look_up(failures)

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
        finally:
            del self._running[name]
        self._replicas.found(name, found)


def _ignore_failure(task: asyncio.Task[None]) -> None:
    """Marks the failure of a look-up as seen: the old addresses are used until the next one."""
    if not task.cancelled():
        task.exception()
