"""The seam to the wire: five calls, each with the time that is left for it.

Knows nothing of retries, cookies or frameworks. `grpc_transport` is the one implementation; a native one follows.
"""

from __future__ import annotations

from typing import Protocol

from .v1 import session_service_pb2 as pb


class CallFailed(Exception):
    """One try of one call that did not answer."""

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """Carries calls to the service.

    Safe to use from several threads, and from a forked child that inherited it. Raises `CallFailed`, at the latest
    when `timeout` seconds have passed. Never repeats a call by itself.
    """

    def open(self, request: pb.OpenSessionRequest, timeout: float) -> pb.OpenSessionResponse: ...

    def save(self, request: pb.SaveSessionRequest, timeout: float) -> pb.SaveSessionResponse: ...

    def rotate(self, request: pb.RotateSessionRequest, timeout: float) -> pb.RotateSessionResponse: ...

    def destroy(self, request: pb.DestroySessionRequest, timeout: float) -> pb.DestroySessionResponse: ...

    def policy(self, request: pb.GetAppPolicyRequest, timeout: float) -> pb.GetAppPolicyResponse: ...
