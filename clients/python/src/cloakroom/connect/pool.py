"""The connections of a process to one endpoint."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from typing import Callable

from ..clock import now
from .connection import Connection


class Pool:
    """Lends connections to calls. Safe for threads; a forked child begins without connections and locks.

    Args:
        connect: Connects until a time, or raises OSError.
    """

    def __init__(self, connect: Callable[[float], Connection]) -> None:
        self._connect = connect
        self._begin()
        #: The process that the connections belong to.
        self._pid = os.getpid()
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

    def take_idle(self, time: float) -> Connection | None:
        """Returns an idle connection, which must be given back to `put` or `drop`, or None if there is none.

        Args:
            time: The present time.
        """
        if self._pid != os.getpid():
            self._forget_parent()
        while True:
            try:
                # In one step, so that it needs no lock.
                connection = self._idle.pop()
            except IndexError:
                return None
            age = time - connection.last_use
            if age < _MAX_UNSEEN_AGE:
                return connection
            is_usable = False
            try:
                # A greenlet may be ended here.
                is_usable = age < MAX_IDLE_TIME and connection.is_silent()
            finally:
                if not is_usable:
                    self.drop(connection)
            if is_usable:
                return connection

    def take(self, end: float) -> Connection:
        """Returns a connection, which must be given back to `put` or `drop`.

        Raises OSError if none can be had until the time `end`.
        """
        while True:
            connection = self.take_idle(now())
            if connection is not None:
                return connection
            with self._lock:
                # Before the look at the idle ones, for `put` looks at it after it has added one.
                self._waiting += 1
                try:
                    while not self._idle and len(self._connections) + self._connecting >= MAX_CONNECTIONS:
                        self._wait(end)
                finally:
                    self._waiting -= 1
                if not self._idle:
                    self._connecting += 1
                    break
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
        idle = self._idle
        # In one step, so that it needs no lock.
        idle.append(connection)
        if self._waiting:
            with self._lock:
                self._changed.notify()
        if connection not in self._connections or len(idle) > 1:
            self._drop_unwanted(idle, connection)

    def drop(self, connection: Connection) -> None:
        """Closes a connection that was taken."""
        with self._lock:
            self._connections.discard(connection)
            if self._waiting:
                self._changed.notify()
        connection.close()

    def _drop_unwanted(self, idle: list[Connection], connection: Connection) -> None:
        """Closes a connection that is not the pool's any more, for `close` was called, or else one that is too old."""
        unwanted = None
        with contextlib.suppress(IndexError, ValueError):  # Another thread has taken it.
            if connection not in self._connections:
                idle.remove(connection)
                unwanted = connection
            elif connection.last_use - idle[0].last_use >= MAX_IDLE_TIME:
                unwanted = idle.pop(0)
        if unwanted is not None:
            self.drop(unwanted)

    def drop_idle(self) -> None:
        """Closes all connections that no call uses."""
        idle = self._idle
        # The list stays, for another thread may be about to put a connection there. The oldest are at its beginning.
        with contextlib.suppress(IndexError):  # Another thread has taken some.
            for _ in range(len(idle)):
                self.drop(idle.pop(0))

    def close(self) -> None:
        """Closes all connections; those in use after their calls."""
        if self._pid != os.getpid():
            self._forget_parent()
        with self._lock:
            idle, self._idle, self._connections = self._idle, [], set()
        while idle:
            idle.pop().close()

    def _wait(self, end: float) -> None:
        remaining = end - now()
        if remaining <= 0:
            raise TimeoutError(f"{MAX_CONNECTIONS} calls are under way already")
        self._changed.wait(remaining)

    def _leave_parent(self) -> None:
        """Forgets what a forked child has inherited, calls under way included: their threads are the parent's."""
        inherited = self._connections
        self._begin()
        self._pid = os.getpid()
        for connection in inherited:
            connection.leave()

    def _forget_parent(self) -> None:
        """Does so at the first use in a child that was forked in C, by which Python's hooks do not run, as in uWSGI.

        It closes nothing: what has forked may have used the numbers of the sockets for something else.
        """
        with lock_of_process():
            if self._pid != os.getpid():
                INHERITED.append((self._idle, self._connections))
                self._begin()
                # Last, for another thread that sees it waits for nothing.
                self._pid = os.getpid()


def lock_of_process() -> threading.Lock:
    """Returns a lock that no thread of a parent process holds."""
    return _LOCKS.setdefault(os.getpid(), threading.Lock())


def _leave_parents() -> None:
    for pool in list(_POOLS):
        pool._leave_parent()


#: Calls at a time from one process to one endpoint. Others wait for a connection.
MAX_CONNECTIONS = 64
#: Seconds after which a connection without a call is left. The service closes it after 15 minutes.
MAX_IDLE_TIME = 60.0
#: Seconds after a call for which a connection is used without a look at it, as for the save after an open: the service
#: may as well close it after the look.
_MAX_UNSEEN_AGE = 0.001
_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()
_LOCKS: dict[int, threading.Lock] = {}
#: What a forked child never uses. Kept, because its finalizers would close or wake something of the parent.
INHERITED: list[object] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parents)
