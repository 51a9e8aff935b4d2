"""A transport by gRPC, to one or several addresses.

Chooses the address of each call, and leaves connections that do not answer.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .clock import now
from .grpc_channel import ChannelSettings, GrpcChannel
from .randomness import RANDOM
from .transport import CallFailed, Method, Request, Response, Untrusted

if TYPE_CHECKING:
    import grpc


class GrpcTransport:
    """Makes calls to the replicas of a service, which take turns.

    A process connects at its first call. A forked child makes its own connections and does not use its parent's.

    Args:
        address: The service's address, such as `localhost:50051` or `unix:/path`. Several addresses are separated by
            commas. A name of the form `dns:///name:port` stands for all addresses that it has.
        credentials: TLS settings, from `grpc.ssl_channel_credentials`. None: the connection is not encrypted.
        metadata: Pairs that are sent with every call, such as `("authorization", "Bearer <caller token>")`.
        keepalive_time: Seconds without data after which a connection is pinged.
        keepalive_timeout: Seconds after which a connection is left if it does not answer the ping.
        options: Further options of gRPC channels. They override those that this class sets.

    Raises:
        ValueError: There is no address.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Sequence[tuple[str, str]] = (),
        keepalive_time: float = 10.0,
        keepalive_timeout: float = 5.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        keepalive = {
            "grpc.keepalive_time_ms": int(keepalive_time * 1000),
            "grpc.keepalive_timeout_ms": int(keepalive_timeout * 1000),
            # Of the pings that measure bandwidth: while one is under way, gRPC sends no other.
            "grpc.http2.ping_timeout_ms": int(keepalive_timeout * 1000),
        }
        settings = ChannelSettings(credentials, tuple(metadata), {**keepalive, **(options or {})})
        self.address = address
        self._replicas = [_Replica(each, settings) for each in _split(address)]
        self._first = RANDOM.randrange(len(self._replicas))
        # Each method takes turns by itself: otherwise a program that opens and saves by turns would send every open to
        # one of two replicas, and every save to the other.
        self._turns: dict[str, itertools.count[int]] = {}

    def call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response:
        try:
            response: Response = self._next_replica(method.path).call(method, request, timeout)
        except Untrusted as failed:
            if len(self._replicas) == 1:
                raise
            # Another replica may have a certificate that is trusted.
            raise CallFailed(failed.code, failed.reason, str(failed)) from failed
        return response

    def close(self) -> None:
        """Closes this process's connections after their running calls. The next call connects again."""
        for replica in self._replicas:
            replica.close()

    def _next_replica(self, path: str) -> _Replica:
        time = now()
        usable = [replica for replica in self._replicas if replica.avoid_until <= time] or self._replicas
        return usable[next(self._turns.setdefault(path, itertools.count(self._first))) % len(usable)]


class _Replica:
    """One address, and the channel to it."""

    def __init__(self, address: str, settings: ChannelSettings) -> None:
        #: Until then, calls go to other replicas if there are any.
        self.avoid_until = 0.0
        self._avoid_time = _FIRST_AVOID_TIME
        self._address = address
        self._settings = settings
        self._channel: GrpcChannel | None = None

    def call(self, method: Method[Any, Any], request: object, timeout: float) -> Any:
        channel = self._process_channel()
        try:
            response = channel.call(method, request, timeout)
        except CallFailed as failed:
            # With a reason, the service has answered.
            if failed.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED") and not failed.reason:
                self._handle_silence(channel, failed)
            raise
        self._avoid_time = _FIRST_AVOID_TIME
        return response

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and channel.pid != os.getpid():
            _INHERITED_CHANNELS.append(channel)

    def _process_channel(self) -> GrpcChannel:
        channel = self._channel
        if channel is None or channel.pid != os.getpid():
            self.close()
            # Two threads may each create one. Both work, and the one that is overwritten closes after its last call.
            channel = self._channel = GrpcChannel(self._address, self._settings)
        return channel

    def _handle_silence(self, channel: GrpcChannel, failed: CallFailed) -> None:
        """Prefers other replicas for a while. After a timeout, also leaves the connection: its packets may be lost."""
        time = now()
        # Calls that fail at the same time count as one.
        if time >= self.avoid_until:
            self.avoid_until = time + self._avoid_time
            self._avoid_time = min(2 * self._avoid_time, _LAST_AVOID_TIME)
        is_old = time - channel.create_time >= _MIN_CHANNEL_AGE
        if failed.code == "DEADLINE_EXCEEDED" and is_old and channel is self._channel:
            self._channel = None


def _split(address: str) -> list[str]:
    """Returns the addresses in a list, which may have the form of gRPC's targets `ipv4:` and `ipv6:`."""
    parts = [part.strip() for part in address.split(",")]
    # One by one, because gRPC would make an invalid authority of several.
    addresses = [part.removeprefix("ipv4:").removeprefix("ipv6:") for part in parts if part]
    if not addresses:
        raise ValueError("the service's address is empty; it is, for example, localhost:50051")
    return addresses


#: Channels that a forked child inherited. They are never garbage-collected: that would wait for threads that exist only
#: in the parent.
_INHERITED_CHANNELS: list[GrpcChannel] = []
#: Seconds for which a replica is avoided after it has not answered. The time doubles until it answers.
_FIRST_AVOID_TIME = 1.0
_LAST_AVOID_TIME = 30.0
#: Seconds that a channel is kept even if a call gets no answer: the service may be slow, and new connections make it
#: slower.
_MIN_CHANNEL_AGE = 1.0
