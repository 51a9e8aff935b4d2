"""The transport by the Connect protocol for programs with an event loop."""

from __future__ import annotations

import asyncio
import os
import ssl
import weakref
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass
from typing import Any

from ..clock import now
from ..transport import CallFailed, Method, Request, Response, serialize
from .address import Endpoint, parse
from .async_connection import AsyncConnection, connect
from .async_lookup import AsyncLookups
from .async_pool import AsyncPool
from .async_stream import AsyncStream
from .credentials import Credentials, TlsContexts
from .envelope import CONTENT_TYPE, write_envelope
from .http1 import Malformed
from .pool import INHERITED, Exhausted, lock_of_process
from .protocol import RequestWriter, read_response
from .replicas import Replica, Replicas, exhausted
from .timeouts import Timeouts
from .transport import CONNECT_TIMEOUT


class AsyncConnectTransport:
    """Makes calls to the replicas of a service from event loops of asyncio, uvloop included.

    Each loop has connections of its own, which end with it, and which a forked child does not use.
    `shared_async_transport` gives all parts of a process the same transport.

    Args:
        address: The service's address, such as `localhost:50051`, `https://cloakroom:50051` with TLS, or `unix:/path`.
            Several addresses are separated by commas. A name stands for all addresses that it has.
        credentials: What the calls are authenticated by.

    Raises:
        ValueError: An address is not valid, or the credentials need TLS and an address is without.
    """

    def __init__(self, address: str, credentials: Credentials | None = None) -> None:
        self.address = address
        self._credentials = credentials or Credentials()
        self._credentials.check(parse(address))
        self._tls = TlsContexts(self._credentials)
        self._by_loop: dict[asyncio.AbstractEventLoop, _LoopTransport] = {}
        #: The process that the connections belong to.
        self._pid = os.getpid()
        _TRANSPORTS.add(self)

    def call(
        self, method: Method[Request, Response], request: Request, timeout: float
    ) -> Coroutine[Any, Any, Response]:
        transport = self._of_loop()
        if transport is None:
            return self._begin_and_call(method, request, timeout)
        return transport.call(method, request, timeout)

    async def stream(
        self, method: Method[Request, Response], request: Request, timeout: float
    ) -> AsyncStream[Response]:
        """Begins a call that is answered by a stream, on a connection of its own.

        Raises `CallFailed` if the stream did not begin within `timeout` seconds.
        """
        transport = self._of_loop() or await self._begin()
        return await transport.stream(method, request, timeout)

    async def close(self) -> None:
        """Closes the connections of this loop, those in use after their calls. The next call connects again."""
        transport = self._of_loop()
        if transport is not None:
            transport.close()

    def _of_loop(self) -> _LoopTransport | None:
        if self._pid != os.getpid():
            self._forget_parent()
        return self._by_loop.get(asyncio.get_running_loop())

    async def _begin_and_call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response:
        return await (await self._begin()).call(method, request, timeout)

    async def _begin(self) -> _LoopTransport:
        """Makes what the calls of this loop need."""
        loop = asyncio.get_running_loop()
        begun = self._by_loop.get(loop)
        if begun is not None:
            # By a call that was made beside this one. A second one would end the first when it is collected.
            return begun
        for other in list(self._by_loop):
            if other.is_closed():
                self._end_of_loop(other)
        transport = self._by_loop[loop] = _LoopTransport(loop, self.address, self._credentials, self._tls)
        transport.end = _call_at_end_of_loop(weakref.ref(self), loop)
        # The loop knows a generator from its first step on.
        await transport.end.__anext__()
        return transport

    def _end_of_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        transport = self._by_loop.pop(loop, None)
        if transport is not None:
            transport.abort()  # Which closes the sockets alone if the loop is closed.

    def _leave_parent(self) -> None:
        """Forgets what a forked child has inherited. Touches no loop: its selector is shared with the parent."""
        inherited, self._by_loop = self._by_loop, {}
        self._pid = os.getpid()
        for transport in inherited.values():
            transport.leave()
        INHERITED.extend(inherited.values())

    def _forget_parent(self) -> None:
        """Does so at the first use in a child that was forked in C, without Python's hooks. Closes nothing."""
        with lock_of_process():
            if self._pid != os.getpid():
                INHERITED.extend(self._by_loop.values())
                self._by_loop = {}
                self._pid = os.getpid()

    def __del__(self) -> None:
        if getattr(self, "_pid", None) != os.getpid():
            return
        for loop, transport in getattr(self, "_by_loop", {}).items():
            try:
                loop.call_soon_threadsafe(transport.abort)
            except RuntimeError:  # It is closed.
                transport.leave()


async def _call_at_end_of_loop(
    owner: weakref.ref[AsyncConnectTransport], loop: asyncio.AbstractEventLoop
) -> AsyncGenerator[None, None]:
    """Closes the connections when the loop ends its generators, as `asyncio.run` does before it closes the loop."""
    try:
        yield
    finally:
        transport = owner()
        if transport is not None:
            transport._end_of_loop(loop)


class _LoopTransport:
    """The calls of one event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: str, credentials: Credentials, tls: TlsContexts
    ) -> None:
        self._loop = loop
        self._credentials = credentials
        self._tls = tls
        self._timeouts = Timeouts(loop)
        self._replicas = Replicas(address, self._make_peer)
        self._lookups = AsyncLookups(self._replicas)
        self._streams: set[AsyncStream[Any]] = set()
        self._beginning_streams = 0
        #: Kept here, because the loop does not.
        self.end: AsyncGenerator[None, None] | None = None

    async def call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response:
        start = now()
        end = start + timeout
        message = serialize(request)
        replicas = self._replicas
        if replicas.names:
            await self._lookups.look_up_due_names(end)
            start = now()
        replica = replicas.next(method.name)
        connection = replica.peer.pool.take_idle(start)
        if connection is None:
            replica, connection = await self._take_connection(replica, method, end)
            start = now()
            timeout = end - start
        attempt_end = replicas.attempt_end(start, end, is_new_connection=connection.is_new)
        data = replica.peer.writer.write(method, message, timeout)
        try:
            try:
                response = await connection.begin_call(data, start, attempt_end)
            finally:
                connection.end_call()
        except BaseException as error:
            # A cancelled call too: its response is still to come, and belongs to no other call.
            raise self._not_answered(replica, connection, error, is_deadline=attempt_end == end) from error
        if response.is_reusable:
            replica.peer.pool.put(connection)
        else:
            replica.peer.pool.drop(connection)
        if replica.avoid_until:
            replica.answered()
        return read_response(method, response)

    async def _take_connection(
        self, replica: Replica[_Peer], method: Method[Any, Any], end: float
    ) -> tuple[Replica[_Peer], AsyncConnection]:
        """Returns a connection of a replica, or of another one that can be reached. Raises `CallFailed`."""
        tried: list[Replica[_Peer]] = []
        while True:
            try:
                return replica, await replica.peer.pool.take(end)
            except OSError as error:
                # Nothing was sent, so another replica may have the call at once.
                is_exhausted = isinstance(error, Exhausted)
                failed = exhausted(replica, error) if is_exhausted else self._replicas.not_connected(replica, error)
                tried.append(replica)
                if len(tried) >= len(self._replicas.all) or now() >= end:
                    raise failed from error
            replica = self._replicas.next(method.name, tried)

    def _not_answered(
        self, replica: Replica[_Peer], connection: AsyncConnection, error: BaseException, *, is_deadline: bool
    ) -> CallFailed:
        """Closes the connection of a call that failed. Returns the call's failure, or raises what is none."""
        pool = replica.peer.pool
        pool.drop(connection)
        if not isinstance(error, (OSError, Malformed)):
            raise error
        is_timeout = isinstance(error, TimeoutError)
        if is_timeout:
            # The others that wait may lead to the same silence.
            pool.drop_idle()
        return self._replicas.not_answered(replica, error, is_deadline=is_timeout and is_deadline)

    async def stream(
        self, method: Method[Request, Response], request: Request, timeout: float
    ) -> AsyncStream[Response]:
        message = write_envelope(serialize(request))
        end = now() + timeout
        if len(self._streams) + self._beginning_streams >= MAX_STREAMS:
            raise CallFailed("RESOURCE_EXHAUSTED", "", f"{MAX_STREAMS} streams are open already")
        self._beginning_streams += 1
        try:
            if self._replicas.names:
                await self._lookups.look_up_due_names(end)
            replica = self._replicas.next(method.name)
            try:
                connection = await self._connect(replica.endpoint, min(end, now() + CONNECT_TIMEOUT))
            except OSError as error:
                raise self._replicas.not_connected(replica, error) from error
            stream = AsyncStream(connection, method, self._timeouts, self._streams.discard)
            self._streams.add(stream)
        finally:
            self._beginning_streams -= 1
        try:
            await stream.begin(replica.peer.writer.write(method, message, max(end - now(), 0), CONTENT_TYPE), end)
        except CallFailed as failed:
            if not failed.reason:
                self._replicas.did_not_answer(replica)
            raise
        replica.answered()
        return stream

    def close(self) -> None:
        for replica in self._replicas.all:
            replica.peer.pool.close()

    def abort(self) -> None:
        """Closes all connections now."""
        self._timeouts.close()
        for replica in self._replicas.all:
            replica.peer.pool.abort()
        for stream in list(self._streams):
            stream.close()

    def leave(self) -> None:
        """Closes this process's part of connections whose loop is closed, or belongs to the parent."""
        for replica in self._replicas.all:
            replica.peer.pool.leave()
        for stream in self._streams:
            stream.leave()

    def _make_peer(self, endpoint: Endpoint) -> _Peer:
        async def connect_to(end: float) -> AsyncConnection:
            return await self._connect(endpoint, min(end, now() + CONNECT_TIMEOUT))

        return _Peer(AsyncPool(connect_to, self._timeouts), RequestWriter(endpoint.host, self._credentials.token))

    async def _connect(self, endpoint: Endpoint, end: float) -> AsyncConnection:
        """Connects until the time `end`, or raises OSError. A connection that comes too late is closed."""
        task = self._loop.create_task(self._open_connection(endpoint))
        try:
            await asyncio.wait({task}, timeout=max(end - now(), 0))
            if not task.done():
                raise TimeoutError("no connection in time")
            return task.result()
        except BaseException:
            task.cancel()
            task.add_done_callback(_close_late_connection)
            raise

    async def _open_connection(self, endpoint: Endpoint) -> AsyncConnection:
        context: ssl.SSLContext | None = None
        if endpoint.tls_name:
            # Reads files, which may take long.
            context = await self._loop.run_in_executor(None, self._tls.context)
        return await connect(endpoint, context, self._timeouts)


def _close_late_connection(task: asyncio.Task[AsyncConnection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


@dataclass(frozen=True)
class _Peer:
    """What the calls to one endpoint need."""

    pool: AsyncPool
    writer: RequestWriter


#: Streams at a time from one event loop. The service takes 1024 connections of one address, if it is not configured.
MAX_STREAMS = 512


def shared_async_transport(address: str, credentials: Credentials | None = None) -> AsyncConnectTransport:
    """Returns the transport that this process has for an address and credentials. It is made at the first use."""
    key = address, credentials or Credentials()
    transport = _SHARED.get(key)
    return transport or _SHARED.setdefault(key, AsyncConnectTransport(address, credentials))


def _leave_parents() -> None:
    for transport in list(_TRANSPORTS):
        transport._leave_parent()


_SHARED: weakref.WeakValueDictionary[tuple[str, Credentials], AsyncConnectTransport] = weakref.WeakValueDictionary()
_TRANSPORTS: weakref.WeakSet[AsyncConnectTransport] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parents)
