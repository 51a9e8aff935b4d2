"""A transport by the grpcio package. No other module imports grpcio."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Callable, TypeVar

# grpc reads it when it is first imported. Without it, a child that is forked after a call cannot make calls.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "true")

import grpc  # noqa: E402

from .transport import CallFailed  # noqa: E402
from .v1 import session_service_pb2 as pb  # noqa: E402


class GrpcTransport:
    """Makes calls over one channel per process.

    The channel is created at the first call. A forked child creates its own and does not use its parent's.

    Args:
        address: The service's address, such as `localhost:50051` or `unix:/path`.
        credentials: TLS settings, from `grpc.ssl_channel_credentials`. None: the connection is not encrypted.
        metadata: Pairs that are sent with every call, such as `("authorization", "Bearer <caller token>")`.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.address = address
        self._credentials = credentials
        self._metadata = tuple(metadata) or None
        self._channel: _ProcessChannel | None = None

    def open(self, request: pb.OpenSessionRequest, timeout: float) -> pb.OpenSessionResponse:
        return self._call(self._process_channel().open, request, timeout)

    def save(self, request: pb.SaveSessionRequest, timeout: float) -> pb.SaveSessionResponse:
        return self._call(self._process_channel().save, request, timeout)

    def rotate(self, request: pb.RotateSessionRequest, timeout: float) -> pb.RotateSessionResponse:
        return self._call(self._process_channel().rotate, request, timeout)

    def destroy(self, request: pb.DestroySessionRequest, timeout: float) -> pb.DestroySessionResponse:
        return self._call(self._process_channel().destroy, request, timeout)

    def policy(self, request: pb.GetAppPolicyRequest, timeout: float) -> pb.GetAppPolicyResponse:
        return self._call(self._process_channel().policy, request, timeout)

    def close(self) -> None:
        """Closes this process's channel. The next call creates another one."""
        channel, self._channel = self._channel, None
        if channel is not None and channel.pid == os.getpid():
            channel.grpc_channel.close()

    def _process_channel(self) -> _ProcessChannel:
        channel = self._channel
        if channel is None or channel.pid != os.getpid():
            if channel is not None:
                _INHERITED_CHANNELS.append(channel)
            # Two threads may each create one. Both work, and the one that is overwritten closes after its last call.
            channel = self._channel = _ProcessChannel(self._connect())
        return channel

    def _connect(self) -> grpc.Channel:
        options = _OPTIONS + (_UNIX_OPTIONS if self.address.startswith("unix:") else [])
        if self._credentials is None:
            return grpc.insecure_channel(self.address, options)
        return grpc.secure_channel(self.address, self._credentials, options)

    def _call(self, call: Callable[..., _Response], request: object, timeout: float) -> _Response:
        try:
            return call(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _call_failed(error) from error


_Response = TypeVar("_Response")


class _ProcessChannel:
    """A channel, the process that created it, and the methods to call."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.pid = os.getpid()
        self.grpc_channel = channel
        self.open = _method(channel, "OpenSession", pb.OpenSessionRequest, pb.OpenSessionResponse)
        self.save = _method(channel, "SaveSession", pb.SaveSessionRequest, pb.SaveSessionResponse)
        self.rotate = _method(channel, "RotateSession", pb.RotateSessionRequest, pb.RotateSessionResponse)
        self.destroy = _method(channel, "DestroySession", pb.DestroySessionRequest, pb.DestroySessionResponse)
        self.policy = _method(channel, "GetAppPolicy", pb.GetAppPolicyRequest, pb.GetAppPolicyResponse)


def _method(
    channel: grpc.Channel, name: str, request: type[Any], response: type[_Response]
) -> Callable[..., _Response]:
    path = f"/cloakroom.v1.SessionService/{name}"
    response_type: Any = response
    method: Callable[..., _Response] = channel.unary_unary(path, request.SerializeToString, response_type.FromString)
    return method


def _call_failed(error: grpc.RpcError) -> CallFailed:
    code = error.code().name
    details = error.details() or code
    return CallFailed(code, _error_reason(error), details)


def _error_reason(error: grpc.RpcError) -> str:
    pairs: Any = error.trailing_metadata() or ()
    for key, value in pairs:
        if key == "grpc-status-details-bin":
            return _error_info_reason(value)
    return ""


def _error_info_reason(status: bytes) -> str:
    """Returns the reason in the ErrorInfo of a serialized google.rpc.Status.

    Parsed by hand, because the protobuf package does not include google.rpc.Status.
    """
    for status_field, detail in _bytes_fields(status):
        if status_field == 3:  # Status.details, of type Any
            for any_field, error_info in _bytes_fields(detail):
                if any_field == 2:  # Any.value
                    reasons = [text for field, text in _bytes_fields(error_info) if field == 1]
                    return reasons[0].decode() if reasons else ""
    return ""


def _bytes_fields(message: bytes) -> list[tuple[int, bytes]]:
    """Returns the number and the content of each length-delimited field of a message."""
    fields, at = [], 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            _, at = _varint(message, at)
        elif key & 7 == 2:
            size, at = _varint(message, at)
            fields.append((key >> 3, message[at : at + size]))
            at += size
        else:
            break
    return fields


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


#: Channels that a forked child inherited. They are never garbage-collected: that would wait for threads that exist only
#: in the parent.
_INHERITED_CHANNELS: list[_ProcessChannel] = []

_OPTIONS: list[tuple[str, Any]] = [
    # The client itself retries, within one deadline and only if that is safe.
    ("grpc.enable_retries", 0),
    # A forked child must not reuse its parent's connection.
    ("grpc.use_local_subchannel_pool", 1),
    # Calls carry tokens. They do not go to the proxy of http_proxy and similar variables.
    ("grpc.enable_http_proxy", 0),
    # Reconnects to a restarted service within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
# The default authority is the percent-encoded path of the socket, which HTTP/2 servers reject.
_UNIX_OPTIONS: list[tuple[str, Any]] = [("grpc.default_authority", "localhost")]
