"""Makes calls to one address by the grpcio package, which no other module imports.

Does not know of other addresses, and never repeats a call.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

# grpc reads it when it is first imported. Without it, a child that is forked after a call cannot make calls.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "true")

import grpc  # noqa: E402

from . import grpc_status  # noqa: E402
from .clock import now  # noqa: E402
from .transport import CallFailed, Method, Untrusted, serialize  # noqa: E402


@dataclass(frozen=True)
class ChannelSettings:
    """What the channels to all addresses have in common."""

    credentials: grpc.ChannelCredentials | None
    metadata: tuple[tuple[str, str], ...]
    options: Mapping[str, Any]


class GrpcChannel:
    """Makes calls to one address, over a connection of its own.

    A name with several addresses, such as `dns:///cloakroom:50051`, has a connection to each. They take turns.
    """

    def __init__(self, address: str, settings: ChannelSettings) -> None:
        self.pid = os.getpid()
        self.create_time = now()
        self._metadata = settings.metadata or None
        options = {**_OPTIONS, **_unix_options(address), **settings.options}
        # gRPC shares a connection between channels whose options are equal. So the channels of this object share one,
        # but never that of a parent process, or one that has stopped working.
        options["cloakroom.channel"] = f"{self.pid}-{next(_NUMBERS)}"
        pairs = list(options.items())
        self._methods: dict[str, Callable[..., Any]] = {}
        if settings.credentials is None:
            # Each method has a channel of its own, so that connections take turns for each method. Otherwise a program
            # that opens and saves by turns would send each open to one replica and each save to the other.
            self._channel: Callable[[], Any] = lambda: grpc.insecure_channel(address, pairs)
        else:
            # Channels with credentials never share a connection.
            channel = grpc.secure_channel(address, settings.credentials, pairs)
            self._channel = lambda: channel

    def call(self, method: Method[Any, Any], request: Any, timeout: float) -> Any:
        """Makes one call. Raises `CallFailed`."""
        try:
            return self._callable(method)(serialize(request), timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _call_failed(error) from error

    def _callable(self, method: Method[Any, Any]) -> Callable[..., Any]:
        known = self._methods.get(method.path)
        if known is None:
            known = self._channel().unary_unary(method.path, None, method.read)
            # Of two threads at the first call, both use the one that is kept.
            return self._methods.setdefault(method.path, known)
        return known


def _unix_options(address: str) -> dict[str, Any]:
    # The default authority is the percent-encoded path of the socket, which HTTP/2 servers reject.
    return {"grpc.default_authority": "localhost"} if address.startswith("unix") else {}


def _call_failed(error: grpc.RpcError) -> CallFailed:
    code = error.code().name
    pairs: Any = error.trailing_metadata() or ()
    reasons = [grpc_status.reason(value) for key, value in pairs if key == "grpc-status-details-bin"]
    details = error.details() or code
    if code == "UNAVAILABLE" and not reasons and any(each in details for each in _UNTRUSTED):
        return Untrusted(
            f"the certificate of the service is not trusted: {details}; give its authority to ssl_channel_credentials, "
            "and an address that the certificate names"
        )
    return CallFailed(code, reasons[0] if reasons else "", details)


#: How gRPC describes a certificate of another authority, or for another name.
_UNTRUSTED = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed", "is not in peer certificate")
_NUMBERS = itertools.count()
_OPTIONS: dict[str, Any] = {
    # The client itself retries, within one deadline and only if that is safe.
    "grpc.enable_retries": 0,
    # Calls carry tokens. They do not go to the proxy of http_proxy and similar variables.
    "grpc.enable_http_proxy": 0,
    # A name with several addresses: use all of them, and leave out those that do not answer.
    "grpc.lb_policy_name": "round_robin",
    # A program that makes no calls keeps no connections. Their number is limited, and they would be opened again and
    # again: the service closes a connection on which no call was made.
    "grpc.client_idle_timeout_ms": 60_000,
    # Reconnects to a restarted service within a second.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1000,
    "grpc.max_reconnect_backoff_ms": 500,
    # Finds replaced replicas. gRPC's own limit is 30 s.
    "grpc.dns_min_time_between_resolutions_ms": 5000,
    # Pings go on for as long as a connection is silent, with calls or without.
    "grpc.http2.max_pings_without_data": 0,
    "grpc.keepalive_permit_without_calls": 1,
}
