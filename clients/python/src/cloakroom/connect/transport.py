"""A transport by the Connect protocol over HTTP/1.1, to one or several addresses."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any, Callable

from ..clock import now
from ..transport import CallFailed, Method, Request, Response, serialize
from .address import Endpoint
from .connection import TIMEOUTS, Connection, connect
from .credentials import Credentials, TlsContexts
from .envelope import CONTENT_TYPE, write_envelope
from .http1 import Malformed
from .lookup import Lookups
from .pool import Exhausted, Pool
from .protocol import RequestWriter, read_response
from .replicas import Replica, Replicas, exhausted
from .stream import Stream


class ConnectTransport:
    """Makes calls to the replicas of a service, which take turns.

    A process connects at its first call. A forked child makes its own connections and does not use its parent's.
    `shared_transport` gives all parts of a process the same connections.

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
        self._tls = TlsContexts(self._credentials)
        self._replicas = Replicas(address, self._make_peer)
        self._credentials.check(self._replicas.addresses)
        self._lookups = Lookups(self._replicas)

    def call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response:
        start = now()
        end = start + timeout
        message = serialize(request)
        replicas = self._replicas
        if replicas.names:
            self._lookups.look_up_due_names(end)
            start = now()
        replica = replicas.next(method.name)
        connection = replica.peer.pool.take_idle(start)
        if connection is None:
            replica, connection = self._take_connection(replica, method, end)
            start = now()
            timeout = end - start
        attempt_end = replicas.attempt_end(start, end, is_new_connection=connection.is_new)
        try:
            response = connection.call(replica.peer.writer.write(method, message, timeout), start, attempt_end)
        except BaseException as error:
            raise self._not_answered(replica, connection, error, is_deadline=attempt_end == end) from error
        if response.is_reusable:
            replica.peer.pool.put(connection)
        else:
            replica.peer.pool.drop(connection)
        if replica.avoid_until:
            replica.answered()
        return read_response(method, response)

    def stream(self, method: Method[Request, Response], request: Request, timeout: float) -> Stream[Response]:
        """Begins a call that is answered by a stream, on a connection of its own.

        Raises `CallFailed` if the stream did not begin within `timeout` seconds.
        """
        message = write_envelope(serialize(request))
        end = now() + timeout
        if self._replicas.names:
            self._lookups.look_up_due_names(end)
        replica = self._replicas.next(method.name)
        try:
            connection = replica.peer.connect(end)
        except OSError as error:
            raise self._replicas.not_connected(replica, error) from error
        stream = Stream(connection, method)
        try:
            stream.begin(replica.peer.writer.write(method, message, max(end - now(), 0), CONTENT_TYPE), end)
        except CallFailed as failed:
            if not failed.reason:
                self._replicas.did_not_answer(replica)
            raise
        replica.answered()
        return stream

    def close(self) -> None:
        """Closes this process's connections, those in use after their calls. The next call connects again."""
        for replica in self._replicas.all:
            replica.peer.pool.close()

    def _take_connection(
        self, replica: Replica[_Peer], method: Method[Any, Any], end: float
    ) -> tuple[Replica[_Peer], Connection]:
        """Returns a connection of a replica, or of another one that can be reached. Raises `CallFailed`."""
        tried: list[Replica[_Peer]] = []
        while True:
            try:
                return replica, replica.peer.pool.take(end)
            except OSError as error:
                # Nothing was sent, so another replica may have the call at once.
                is_exhausted = isinstance(error, Exhausted)
                failed = exhausted(replica, error) if is_exhausted else self._replicas.not_connected(replica, error)
                tried.append(replica)
                if len(tried) >= len(self._replicas.all) or now() >= end:
                    raise failed from error
            replica = self._replicas.next(method.name, tried)

    def _not_answered(
        self, replica: Replica[_Peer], connection: Connection, error: BaseException, *, is_deadline: bool
    ) -> CallFailed:
        """Closes the connection of a call that failed. Returns the call's failure, or raises what is none."""
        pool = replica.peer.pool
        pool.drop(connection)
        if not isinstance(error, (OSError, Malformed)):
            raise error
        is_timeout = isinstance(error, TIMEOUTS)
        if is_timeout:
            # The others that wait may lead to the same silence.
            pool.drop_idle()
        return self._replicas.not_answered(replica, error, is_deadline=is_timeout and is_deadline)

    def _make_peer(self, endpoint: Endpoint) -> _Peer:
        def connect_to(end: float) -> Connection:
            context = self._tls.context() if endpoint.tls_name else None
            return connect(endpoint, context, min(end, now() + CONNECT_TIMEOUT))

        return _Peer(connect_to, Pool(connect_to), RequestWriter(endpoint.host, self._credentials.token))


@dataclass(frozen=True)
class _Peer:
    """What the calls to one endpoint need."""

    connect: Callable[[float], Connection]
    pool: Pool
    writer: RequestWriter


def shared_transport(address: str, credentials: Credentials | None = None) -> ConnectTransport:
    """Returns the transport that this process has for an address and credentials. It is made at the first use."""
    key = address, credentials or Credentials()
    transport = _SHARED.get(key)
    # Two threads may each make one, and one of them stays.
    return transport or _SHARED.setdefault(key, ConnectTransport(address, credentials))


_SHARED: weakref.WeakValueDictionary[tuple[str, Credentials], ConnectTransport] = weakref.WeakValueDictionary()
#: Seconds that the opening of a connection may take.
CONNECT_TIMEOUT = 1.0
