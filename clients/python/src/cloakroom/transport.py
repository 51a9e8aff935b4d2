"""The interface to the network: five calls, each with a timeout.

Does not depend on retries, cookies or frameworks. `grpc_transport` implements it.
"""

from __future__ import annotations

from typing import Protocol

from .v1 import session_service_pb2 as pb


class CallFailed(Exception):
    """One attempt of one call failed.

    Args:
        code: The canonical gRPC code, such as `UNAVAILABLE`.
        reason: The service's reason, such as `OVERLOADED`. Empty if the service did not answer.
        message: A description for people.
    """

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """Makes calls to the service.

    An implementation is safe to use from several threads, and in a forked child that inherited it. It raises
    `CallFailed`, at the latest after `timeout` seconds, and never retries by itself.
    """

    def open(self, request: pb.OpenSessionRequest, timeout: float) -> pb.OpenSessionResponse: ...

    def save(self, request: pb.SaveSessionRequest, timeout: float) -> pb.SaveSessionResponse: ...

    def rotate(self, request: pb.RotateSessionRequest, timeout: float) -> pb.RotateSessionResponse: ...

    def destroy(self, request: pb.DestroySessionRequest, timeout: float) -> pb.DestroySessionResponse: ...

    def policy(self, request: pb.GetAppPolicyRequest, timeout: float) -> pb.GetAppPolicyResponse: ...
