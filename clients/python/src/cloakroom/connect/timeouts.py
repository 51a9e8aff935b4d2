"""Deadlines of many futures by one timer of the event loop, which costs less than a timer for each."""

from __future__ import annotations

import asyncio
from typing import Any

from ..clock import now


class Timeouts:
    """Fails futures of one loop with TimeoutError at their time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_end = 0.0

    def add(self, future: asyncio.Future[Any], end: float) -> None:
        """Fails the future at the time `end`, unless it is done or discarded before."""
        self._ends[future] = end
        if self._timer is None or end < self._timer_end:
            self._set_timer(end)

    def discard(self, future: asyncio.Future[Any]) -> None:
        self._ends.pop(future, None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self, end: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_end = end
        self._timer = self._loop.call_later(max(end - now(), 0.0), self._fail_overdue)

    def _fail_overdue(self) -> None:
        self._timer = None
        time = now()
        for future, end in list(self._ends.items()):
            if end <= time and not future.done():
                future.set_exception(TimeoutError("no answer in time"))
        ends = [end for future, end in self._ends.items() if not future.done()]
        # A call that has ended meanwhile had set the timer. It goes on only for those that wait.
        if ends:
            self._set_timer(min(ends))
