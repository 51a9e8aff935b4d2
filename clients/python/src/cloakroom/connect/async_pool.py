"""The connections of an event loop to one endpoint."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Callable

from ..clock import now
from .async_connection import AsyncConnection
from .pool import MAX_CONNECTIONS, MAX_IDLE_TIME, Exhausted
from .timeouts import Timeouts


class AsyncPool:
    """Lends connections to calls.

    Args:
        connect: Connects until a time, or raises OSError.
        timeouts: Of the loop.
    """

    def __init__(self, connect: Callable[[float], Awaitable[AsyncConnection]], timeouts: Timeouts) -> None:
        self._connect = connect
        self._timeouts = timeouts
        #: Those that no call uses; the one that was used last is at the end.
        self._idle: list[AsyncConnection] = []
        self._lent: set[AsyncConnection] = set()
        #: Calls that connect.
        self._connecting = 0
        #: Calls that wait until a connection is free, in the order of their arrival. Each gets a connection, or None:
        #: then it may connect, and counts as a call that connects.
        self._waiting: deque[asyncio.Future[AsyncConnection | None]] = deque()

    def take_idle(self, time: float) -> AsyncConnection | None:
        """Returns an idle connection, which must be given back to `put` or `drop`, or None.

        There is none if all carry calls, or if other calls wait for one already.

        Args:
            time: The present time.
        """
        return None if self._waiting else self._pop_idle(time)

    async def take(self, end: float) -> AsyncConnection:
        """Returns a connection, which must be given back to `put` or `drop`.

        Raises `Exhausted` if all carry calls until the time `end`, and OSError if no other one can be made.
        """
        connection = self.take_idle(now())
        if connection is not None:
            return connection
        if self._waiting or not self._may_connect():
            connection = await self._wait(end)
            if connection is not None:
                return connection
        else:
            self._connecting += 1
        # If `close` is called meanwhile, the connection is not the pool's any more.
        lent = self._lent
        try:
            connection = await self._connect(end)
            lent.add(connection)
            return connection
        finally:
            self._connecting -= 1
            self._serve()

    def put(self, connection: AsyncConnection) -> None:
        """Gives a connection back that can carry another call. The call that has waited longest gets it."""
        if connection not in self._lent:
            # `close` was called meanwhile.
            connection.close()
        else:
            self._lent.remove(connection)
            self._idle.append(connection)
            oldest = self._idle[0]
            if connection.last_use - oldest.last_use >= MAX_IDLE_TIME:
                self._idle.pop(0)
                oldest.close()
        if self._waiting:
            self._serve()

    def drop(self, connection: AsyncConnection) -> None:
        """Closes a lent connection."""
        self._lent.discard(connection)
        connection.close()
        self._serve()

    def drop_idle(self) -> None:
        """Closes all connections that no call uses."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Closes all connections; those in use after their calls."""
        self._lent = set()
        self.drop_idle()

    def abort(self) -> None:
        """Closes all connections now."""
        lent = self._lent
        self.close()
        for connection in lent:
            connection.close()

    def leave(self) -> None:
        """Closes this process's part of connections that belong to its parent."""
        for connection in [*self._idle, *self._lent]:
            connection.leave()

    async def _wait(self, end: float) -> AsyncConnection | None:
        if len(self._waiting) >= MAX_WAITING:
            raise Exhausted(f"{MAX_WAITING} calls wait for a connection already")
        future: asyncio.Future[AsyncConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._timeouts.add(future, end)
        try:
            return await future
        except TimeoutError as error:
            raise Exhausted(f"{MAX_CONNECTIONS} calls are under way already") from error
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._pass_on(future.result())
            raise
        finally:
            self._timeouts.discard(future)
            if future in self._waiting:
                self._waiting.remove(future)

    def _pass_on(self, connection: AsyncConnection | None) -> None:
        """Takes back what a call was handed that does not go on."""
        if connection is not None:
            self.put(connection)
        else:
            self._connecting -= 1
            self._serve()

    def _serve(self) -> None:
        """Hands what is free to the calls that wait, in their order."""
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
                continue
            connection = self._pop_idle(now())
            if connection is None:
                if not self._may_connect():
                    return
                self._connecting += 1
            self._waiting.popleft().set_result(connection)

    def _pop_idle(self, time: float) -> AsyncConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if time - connection.last_use < MAX_IDLE_TIME and connection.is_silent():
                self._lent.add(connection)
                return connection
            connection.close()
        return None

    def _may_connect(self) -> bool:
        return len(self._lent) + self._connecting < MAX_CONNECTIONS


#: Calls that wait for a connection at a time. Others fail at once.
MAX_WAITING = 4096
