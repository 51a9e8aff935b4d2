"""The connections of a process to one endpoint."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque
from typing import Callable

from ..clock import now
from .connection import Connection


class Exhausted(TimeoutError):
    """All connections carry calls. The service may well answer."""


class _Waiter:
    """A call that waits for a connection."""

    def __init__(self) -> None:
        self.is_served = False
        #: What it was handed. None: it may connect, and counts as a call that connects.
        self.connection: Connection | None = None
        #: Released when it is served. A condition on the pool's lock would let other greenlets run while it has that
        #: lock, with gevent, and one of them may be ended while it waits for the lock.
        self._turn = threading.Lock()
        self._turn.acquire()

    def serve(self, connection: Connection | None) -> None:
        self.is_served, self.connection = True, connection
        self._turn.release()

    def wait(self, end: float) -> None:
        """Waits until the call is served, at most until the time `end`."""
        self._turn.acquire(timeout=max(end - now(), 0))


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
        #: Those that no call uses; the one that was used last is at the end.
        self._idle: list[Connection] = []
        #: All that may be used, those in calls too.
        self._connections: set[Connection] = set()
        #: Calls that connect.
        self._connecting = 0
        #: Calls that wait until a connection is free, in the order of their arrival.
        self._waiters: deque[_Waiter] = deque()

    def take_idle(self, time: float) -> Connection | None:
        """Returns an idle connection, which must be given back to `put` or `drop`, or None.

        There is none if all carry calls, or if other calls wait for one already.

        Args:
            time: The present time.
        """
        if self._pid != os.getpid():
            self._forget_parent()
        while not self._waiters:
            try:
                # In one step, so that it needs no lock.
                connection = self._idle.pop()
            except IndexError:
                return None
            is_usable = False
            try:
                # A greenlet may be ended here.
                is_usable = _is_usable(connection, time)
            finally:
                if not is_usable:
                    self.drop(connection)
            if is_usable:
                return connection
        return None

    def take(self, end: float) -> Connection:
        """Returns a connection, which must be given back to `put` or `drop`.

        Raises `Exhausted` if all carry calls until the time `end`, and OSError if no other one can be made.
        """
        connection = self.take_idle(now())
        if connection is None:
            connection = self._wait_for_turn(end)
        if connection is None:
            connection = self._connect_in_turn(end)
        return connection

    def _wait_for_turn(self, end: float) -> Connection | None:
        """Returns a connection, or None if the call may connect, when all calls that came before have theirs."""
        waiter = _Waiter()
        with self._lock:
            # Before the look at the idle ones, for `put` looks at it after it has added one.
            self._waiters.append(waiter)
            self._serve()
        try:
            waiter.wait(end)
            if not waiter.is_served:
                raise Exhausted(f"{MAX_CONNECTIONS} calls are under way already")
        except BaseException:  # A greenlet may be ended here.
            with self._lock:
                self._leave_queue(waiter)
            raise
        connection = waiter.connection
        try:
            if connection is None or _is_usable(connection, now()):
                return connection
        except BaseException:  # Here as well.
            if connection is not None:
                self.drop(connection)
            raise
        with self._lock:
            self._connections.discard(connection)
            self._connecting += 1
        connection.close()
        return None

    def _connect_in_turn(self, end: float) -> Connection:
        """Connects. The call counts as one that connects already."""
        # If `close` is called meanwhile, the connection is not the pool's any more.
        connections, connected = self._connections, None
        try:
            connected = self._connect(end)
        finally:
            with self._lock:
                self._connecting -= 1
                if connected is not None:
                    connections.add(connected)
                self._serve()
        return connected

    def _serve(self) -> None:
        """Hands what is free to the calls that wait, in their order. Needs the lock."""
        while self._waiters:
            connection = None
            if len(self._connections) + self._connecting < MAX_CONNECTIONS and not self._idle:
                self._connecting += 1
            else:
                try:
                    connection = self._idle.pop()
                except IndexError:  # Another thread may have taken it.
                    if len(self._connections) + self._connecting >= MAX_CONNECTIONS:
                        return
                    continue
            self._waiters.popleft().serve(connection)

    def _leave_queue(self, waiter: _Waiter) -> None:
        """Passes on the turn of a call that does not go on. Needs the lock."""
        if not waiter.is_served:
            self._waiters.remove(waiter)
            return
        if waiter.connection is None:
            self._connecting -= 1
        elif waiter.connection in self._connections:
            self._idle.append(waiter.connection)
        else:
            waiter.connection.close()
        self._serve()

    def put(self, connection: Connection) -> None:
        """Gives a connection back that can carry another call. The call that has waited longest gets it."""
        idle = self._idle
        # In one step, so that it needs no lock.
        idle.append(connection)
        if connection not in self._connections or len(idle) > 1:
            self._drop_unwanted(idle, connection)
        if self._waiters:
            with self._lock:
                self._serve()

    def drop(self, connection: Connection) -> None:
        """Closes a connection that was taken."""
        with self._lock:
            self._connections.discard(connection)
            self._serve()
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
            # First, for `put` looks there after it has added one to those that are idle.
            self._connections = set()
            idle, self._idle = self._idle, []
            self._serve()
        while idle:
            idle.pop().close()

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


def _is_usable(connection: Connection, time: float) -> bool:
    """Whether a connection that carries no call can carry one. Its peer may have closed it."""
    age = time - connection.last_use
    return age < _MAX_UNSEEN_AGE or (age < MAX_IDLE_TIME and connection.is_silent())


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
