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
        """Waits only for names that have no address yet. Raises `CallFailed` if one of them gets none in time."""
        for name in self._replicas.names:
            if name.endpoints:
                if name.is_due():
                    self._start(name)
                continue
            task = self._start(name)
            await asyncio.wait({task}, timeout=max(end - now(), 0))
            error = task.exception() if task.done() and not task.cancelled() else None
            if not name.endpoints and not self._replicas.all:
                message = f"cannot look up {name.address.host!r}: {error or 'no answer in time'}"
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
        finally:
            del self._running[name]
        self._replicas.found(name, found)


def _ignore_failure(task: asyncio.Task[None]) -> None:
    """Marks the failure of a look-up as seen: the old addresses are used until the next one."""
    if not task.cancelled():
        task.exception()
