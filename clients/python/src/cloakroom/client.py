"""Calls with one deadline for all tries, repeated only where the contract says that it is harmless.

Knows nothing of HTTP or frameworks.
"""

from __future__ import annotations

import random
import time
from typing import Any, Callable

from . import errors
from .grpc_transport import GrpcTransport
from .transport import CallFailed, Transport
from .v1 import session_service_pb2 as pb


class Client:
    """One app's sessions at one service."""

    def __init__(self, service: str | Transport, *, app: str = "", deadline: float = 2.0) -> None:
        #: The app, as the service's configuration calls it; empty is `default`.
        self.app = app
        #: Seconds that one call may take, its retries included.
        self.deadline = deadline
        self.transport: Transport = GrpcTransport(service) if isinstance(service, str) else service
        self._policy: pb.GetAppPolicyResponse | None = None
        self._ask_policy_after = 0.0

    def open(self, request: pb.OpenSessionRequest) -> pb.OpenSessionResponse:
        response: pb.OpenSessionResponse = self._call(self.transport.open, request)
        return response

    def save(self, request: pb.SaveSessionRequest) -> pb.SaveSessionResponse:
        """Saves; the request has a request_id, so that repeating it is harmless."""
        response: pb.SaveSessionResponse = self._call(self.transport.save, request)
        return response

    def rotate(self, request: pb.RotateSessionRequest) -> pb.RotateSessionResponse:
        response: pb.RotateSessionResponse = self._call(self.transport.rotate, request)
        return response

    def destroy(self, request: pb.DestroySessionRequest) -> pb.DestroySessionResponse:
        response: pb.DestroySessionResponse = self._call(self.transport.destroy, request)
        return response

    def policy(self) -> pb.GetAppPolicyResponse:
        """The app's policy, asked once a process; children inherit the answer."""
        if self._policy is None:
            self._policy = self._call(self.transport.policy, pb.GetAppPolicyRequest(app=self.app))
        assert self._policy is not None
        return self._policy

    def policy_if_known(self) -> pb.GetAppPolicyResponse | None:
        """The app's policy; None while the service is away, which is asked about once in a few seconds."""
        if self._policy is None and time.monotonic() >= self._ask_policy_after:
            self._ask_policy_after = time.monotonic() + _POLICY_PAUSE
            try:
                return self.policy()
            except errors.SessionUnavailable:
                return None
        return self._policy

    def _call(self, call: Callable[[Any, float], Any], request: object) -> Any:
        end = time.monotonic() + self.deadline
        pause = _FIRST_PAUSE
        while True:
            try:
                return call(request, max(end - time.monotonic(), 0.001))
            except CallFailed as failed:
                if not _is_passing(failed) or time.monotonic() + pause >= end or pause > _LAST_PAUSE:
                    raise _error(failed) from failed
            # Half of it by chance, so that many workers do not come back at once.
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause *= 2


def _is_passing(failed: CallFailed) -> bool:
    return failed.code == "UNAVAILABLE" or failed.reason == "OVERLOADED"


def _error(failed: CallFailed) -> errors.CloakroomError:
    return _kind(failed)(str(failed), failed.code, failed.reason)


def _kind(failed: CallFailed) -> type[errors.CloakroomError]:
    if failed.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED"):
        return errors.SessionUnavailable
    if failed.reason == "NOT_IN_COOKIE_KIND":
        return errors.NotInCookieKind
    if failed.code in _REFUSALS:
        return errors.SessionRefused
    return errors.CloakroomError


_REFUSALS = (
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "ABORTED",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "UNIMPLEMENTED",
)
#: Seconds before the second try, doubled for each further one, of which there are at most three.
_FIRST_PAUSE = 0.05
_LAST_PAUSE = 0.2
#: Seconds for which an app's policy is not asked again after the service was away.
_POLICY_PAUSE = 5.0
