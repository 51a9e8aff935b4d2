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
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        #: Those that no call uses; the one that was used last is at the end.
        self._idle: list[Connection] = []
        #: All that may be used, those in calls too.
        self._connections: set[Connection] = set()
        #: Calls that connect.
        self._connecting = 0
        self._waiting = 0

    def take(self, end: float) -> Connection:
        """Returns a connection, which must be given back to `put` or `drop`.

        Raises OSError if none can be had until the time `end`.
        """
        while True:
            with self._lock:
                while not self._idle and len(self._connections) + self._connecting >= MAX_CONNECTIONS:
                    self._wait(end)
                if not self._idle:
                    self._connecting += 1
                    break
                connection = self._idle.pop()
            is_usable = False
            try:
                # A greenlet may be ended here.
                is_usable = now() - connection.last_use < MAX_IDLE_TIME and connection.is_silent()
            finally:
                if not is_usable:
                    self.drop(connection)
            if is_usable:
                return connection
        connected = None
        try:
            connected = self._connect(end)
        finally:
            with self._lock:
                self._connecting -= 1
                if connected is not None:
                    self._connections.add(connected)
                elif self._waiting:
                    self._changed.notify()
        return connected

    def put(self, connection: Connection) -> None:
        """Gives a connection back that can carry another call."""
        oldest = None
        with self._lock:
            if connection in self._connections:
                self._idle.append(connection)
                if self._waiting:
                    self._changed.notify()
                if connection.last_use - self._idle[0].last_use < MAX_IDLE_TIME:
                    return
                oldest = self._idle.pop(0)
        # Without an oldest one, `close` was called meanwhile.
        self.drop(oldest or connection)

    def drop(self, connection: Connection) -> None:
        """Closes a connection that was taken."""
        with self._lock:
            self._connections.discard(connection)
            if self._waiting:
                self._changed.notify()
        connection.close()

    def drop_idle(self) -> None:
        """Closes all connections that no call uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self.drop(connection)

    def close(self) -> None:
        """Closes all connections; those in use after their calls."""
        with self._lock:
            idle, self._idle, self._connections = self._idle, [], set()
        for connection in idle:
            connection.close()

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
        inherited = self._connections
        self._begin()
        for connection in inherited:
            connection.leave()


def _leave_parents() -> None:
    for pool in list(_POOLS):
        pool._leave_parent()


#: Calls at a time from one process to one endpoint. Others wait for a connection.
MAX_CONNECTIONS = 64
#: Seconds after which a connection without a call is left. The service closes it after 15 minutes.
MAX_IDLE_TIME = 60.0
_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parents)
