"""The transport that uses the grpcio package. The only file that knows it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Callable, TypeVar

# A child that was forked after a call needs it to make calls of its own. Read when grpc is first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "true")

import grpc  # noqa: E402

from .transport import CallFailed  # noqa: E402
from .v1 import session_service_pb2 as pb  # noqa: E402


class GrpcTransport:
    """One channel a process, made at the first call: after a fork the child makes its own and leaves its parent's."""

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
        self._calls: _Calls | None = None

    def open(self, request: pb.OpenSessionRequest, timeout: float) -> pb.OpenSessionResponse:
        return self._try(self._here().open, request, timeout)

    def save(self, request: pb.SaveSessionRequest, timeout: float) -> pb.SaveSessionResponse:
        return self._try(self._here().save, request, timeout)

    def rotate(self, request: pb.RotateSessionRequest, timeout: float) -> pb.RotateSessionResponse:
        return self._try(self._here().rotate, request, timeout)

    def destroy(self, request: pb.DestroySessionRequest, timeout: float) -> pb.DestroySessionResponse:
        return self._try(self._here().destroy, request, timeout)

    def policy(self, request: pb.GetAppPolicyRequest, timeout: float) -> pb.GetAppPolicyResponse:
        return self._try(self._here().policy, request, timeout)

    def close(self) -> None:
        """Closes this process's channel; the next call makes another."""
        calls, self._calls = self._calls, None
        if calls is not None and calls.pid == os.getpid():
            calls.channel.close()

    def _here(self) -> _Calls:
        calls = self._calls
        if calls is None or calls.pid != os.getpid():
            if calls is not None:
                _ABANDONED.append(calls)
            # Two threads may each make one; both work, and the one that is not kept closes when it is unused.
            calls = self._calls = _Calls(self._channel())
        return calls

    def _channel(self) -> grpc.Channel:
        options = _OPTIONS + (_UNIX if self.address.startswith("unix:") else [])
        if self._credentials is None:
            return grpc.insecure_channel(self.address, options)
        return grpc.secure_channel(self.address, self._credentials, options)

    def _try(self, call: Callable[..., _Response], request: object, timeout: float) -> _Response:
        try:
            return call(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _failure(error) from error


_Response = TypeVar("_Response")


class _Calls:
    """A channel, whose it is, and its methods."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.pid = os.getpid()
        self.channel = channel
        self.open = _method(channel, "OpenSession", pb.OpenSessionRequest, pb.OpenSessionResponse)
        self.save = _method(channel, "SaveSession", pb.SaveSessionRequest, pb.SaveSessionResponse)
        self.rotate = _method(channel, "RotateSession", pb.RotateSessionRequest, pb.RotateSessionResponse)
        self.destroy = _method(channel, "DestroySession", pb.DestroySessionRequest, pb.DestroySessionResponse)
        self.policy = _method(channel, "GetAppPolicy", pb.GetAppPolicyRequest, pb.GetAppPolicyResponse)


def _method(
    channel: grpc.Channel, name: str, request: type[Any], response: type[_Response]
) -> Callable[..., _Response]:
    path = f"/cloakroom.v1.SessionService/{name}"
    read: Any = response
    method: Callable[..., _Response] = channel.unary_unary(path, request.SerializeToString, read.FromString)
    return method


def _failure(error: grpc.RpcError) -> CallFailed:
    code = error.code().name
    details = error.details() or code
    return CallFailed(code, _reason(error), details)


def _reason(error: grpc.RpcError) -> str:
    pairs: Any = error.trailing_metadata() or ()
    for key, value in pairs:
        if key == "grpc-status-details-bin":
            return _error_info_reason(value)
    return ""


def _error_info_reason(status: bytes) -> str:
    """The reason of the ErrorInfo in a google.rpc.Status, which the protobuf package does not bring along."""
    for number, detail in _fields(status):
        if number == 3:  # Status.details: an Any, whose value is field 2
            for part, info in _fields(detail):
                if part == 2:
                    reasons = [text for field, text in _fields(info) if field == 1]
                    return reasons[0].decode() if reasons else ""
    return ""


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """The length-delimited fields of a message."""
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


#: A channel that a fork left behind belongs to the parent: collecting it in the child would wait for threads that are
#: not there.
_ABANDONED: list[_Calls] = []

_OPTIONS: list[tuple[str, Any]] = [
    # The client repeats calls itself, within one deadline and only where that is harmless.
    ("grpc.enable_retries", 0),
    # A forked child must not find its parent's connection.
    ("grpc.use_local_subchannel_pool", 1),
    # Find a service that was restarted within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
# Without it the authority is the percent-encoded path, which HTTP/2 servers refuse.
_UNIX: list[tuple[str, Any]] = [("grpc.default_authority", "localhost")]
