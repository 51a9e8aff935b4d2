"""The connections of a process to one endpoint."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Callable

from ..clock import now
from .connection import Connection


class Pool:
    """Lends connections to calls. Safe for threads; a forked child begins without connections.

    Args:
        connect: Connects until a time, or raises OSError.
    """

    def __init__(self, connect: Callable[[float], Connection]) -> None:
        self._connect = connect
        self._begin()
        _POOLS.add(self)

    def _begin(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        #: Those that no call uses; the one that was used last is at the end.
        self._idle: list[Connection] = []
        self._lent: set[Connection] = set()
        #: Calls that connect.
        self._connecting = 0
        self._waiting = 0

    def take(self, end: float) -> Connection:
        """Returns a connection, which must be given back to `put` or `drop`.

        Raises OSError if none can be had until the time `end`.
        """
        while True:
            with self._changed:
                while not self._idle and len(self._lent) + self._connecting >= MAX_CONNECTIONS:
                    self._wait(end)
                if not self._idle:
                    self._connecting += 1
                    break
                connection = self._idle.pop()
                self._lent.add(connection)
            is_usable = False
            try:
                # A greenlet may be ended here.
                is_usable = now() - connection.last_use < _MAX_IDLE_TIME and connection.is_silent()
            finally:
                if not is_usable:
                    self.drop(connection)
            if is_usable:
                return connection
        connected = None
        try:
            connected = self._connect(end)
        finally:
            with self._changed:
                self._connecting -= 1
                if connected is not None:
                    self._lent.add(connected)
                elif self._waiting:
                    self._changed.notify()
        return connected

    def put(self, connection: Connection) -> None:
        """Gives a connection back that can carry another call."""
        with self._changed:
            if connection not in self._lent:
                # `close` was called meanwhile.
                connection.close()
                return
            self._lent.remove(connection)
            self._idle.append(connection)
            if self._waiting:
                self._changed.notify()
            oldest = self._idle[0]
            if connection.last_use - oldest.last_use < _MAX_IDLE_TIME:
                return
            self._idle.pop(0)
        oldest.close()

    def drop(self, connection: Connection) -> None:
        """Closes a lent connection."""
        with self._changed:
            self._lent.discard(connection)
            if self._waiting:
                self._changed.notify()
        connection.close()

    def drop_idle(self) -> None:
        """Closes all connections that no call uses."""
        with self._changed:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Closes all connections; those in use after their calls."""
        with self._changed:
            self._lent = set()
        self.drop_idle()

    def _wait(self, end: float) -> None:
        remaining = end - now()
        if remaining <= 0:
            raise TimeoutError(f"{MAX_CONNECTIONS} calls are under way already")
        self._waiting += 1
        try:
            self._changed.wait(remaining)
        finally:
            self._waiting -= 1

    def _leave_parent(self) -> None:
        """Forgets what a forked child has inherited, calls under way included: their threads are the parent's."""
        inherited = [*self._idle, *self._lent]
        self._begin()
        for connection in inherited:
            connection.leave()


def _leave_parents() -> None:
    for pool in list(_POOLS):
        pool._leave_parent()


#: Calls at a time from one process to one endpoint. Others wait for a connection.
MAX_CONNECTIONS = 64
#: Seconds after which a connection without a call is left. The service closes it after 15 minutes.
_MAX_IDLE_TIME = 60.0
_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parents)
