"""Makes calls with one deadline for all attempts, and retries those that are safe to repeat.

Does not depend on HTTP or on a framework.
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
    """Calls one service for the sessions of one app.

    Every call raises `SessionUnavailable` if it got no answer in time, `SessionRefused` if the service rejects the
    request, and `CloakroomError` for any other failure.

    Args:
        service: The service's address, such as `localhost:50051` or `unix:/path`, or a `Transport`.
        app: The app's name in the service's configuration. Empty means `default`.
        deadline: Seconds that one call may take, its retries included.
    """

    def __init__(self, service: str | Transport, *, app: str = "", deadline: float = 2.0) -> None:
        self.app = app
        self.deadline = deadline
        self.transport: Transport = GrpcTransport(service) if isinstance(service, str) else service
        self._policy: pb.GetAppPolicyResponse | None = None
        self._policy_retry_time = 0.0

    def open(self, request: pb.OpenSessionRequest) -> pb.OpenSessionResponse:
        response: pb.OpenSessionResponse = self._call(self.transport.open, request)
        return response

    def save(self, request: pb.SaveSessionRequest) -> pb.SaveSessionResponse:
        """Saves changes. The request must have a request_id, so that a retry is not applied twice."""
        response: pb.SaveSessionResponse = self._call(self.transport.save, request)
        return response

    def rotate(self, request: pb.RotateSessionRequest) -> pb.RotateSessionResponse:
        response: pb.RotateSessionResponse = self._call(self.transport.rotate, request)
        return response

    def destroy(self, request: pb.DestroySessionRequest) -> pb.DestroySessionResponse:
        response: pb.DestroySessionResponse = self._call(self.transport.destroy, request)
        return response

    def policy(self) -> pb.GetAppPolicyResponse:
        """Returns the app's policy. Fetches it once per process; forked children inherit it."""
        if self._policy is None:
            self._policy = self._call(self.transport.policy, pb.GetAppPolicyRequest(app=self.app))
        assert self._policy is not None
        return self._policy

    def policy_if_available(self) -> pb.GetAppPolicyResponse | None:
        """Returns the app's policy, or None while the service is unavailable.

        After a failure it waits a few seconds before it calls the service again.
        """
        if self._policy is None and time.monotonic() >= self._policy_retry_time:
            self._policy_retry_time = time.monotonic() + _POLICY_RETRY_DELAY
            try:
                return self.policy()
            except errors.SessionUnavailable:
                return None
        return self._policy

    def _call(self, call: Callable[[Any, float], Any], request: object) -> Any:
        end = time.monotonic() + self.deadline
        retries = 0
        while True:
            delay = min(_FIRST_DELAY * 2**retries, _LAST_DELAY)
            try:
                return call(request, max(end - time.monotonic(), 0.001))
            except CallFailed as failed:
                if not _is_retryable(failed, retries) or time.monotonic() + delay >= end:
                    raise _error(failed) from failed
            # Random, so that many workers do not retry at the same time.
            time.sleep(delay * random.uniform(0.5, 1.0))
            retries += 1


def _is_retryable(failed: CallFailed, retries: int) -> bool:
    # Without a reason nothing has answered: the service may be restarting, and is back before the deadline.
    if failed.code == "UNAVAILABLE" and not failed.reason:
        return True
    # The service works, but something that it needs does not. Many retries would only be a load.
    is_temporary = failed.code == "UNAVAILABLE" or failed.reason == "OVERLOADED" or _is_broken_connection(failed)
    return is_temporary and retries < _MAX_RETRIES_OF_ANSWERED


def _is_broken_connection(failed: CallFailed) -> bool:
    """Whether the failure is one that gRPC also reports when a connection ends in the middle of a call."""
    return failed.code in ("CANCELLED", "INTERNAL") and not failed.reason


def _error(failed: CallFailed) -> errors.CloakroomError:
    return _error_class(failed)(str(failed), failed.code, failed.reason)


def _error_class(failed: CallFailed) -> type[errors.CloakroomError]:
    is_unavailable = failed.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED")
    if is_unavailable or _is_broken_connection(failed):
        return errors.SessionUnavailable
    if failed.reason == "NOT_IN_COOKIE_KIND":
        return errors.NotInCookieKind
    if failed.code in _REFUSED_CODES:
        return errors.SessionRefused
    return errors.CloakroomError


_REFUSED_CODES = (
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "ABORTED",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "UNIMPLEMENTED",
)
#: Seconds before the first retry. The delay doubles for each further retry, up to the last delay.
_FIRST_DELAY = 0.05
_LAST_DELAY = 0.2
#: Retries of a call that the service has answered. Without a connection, a call is repeated until the deadline.
_MAX_RETRIES_OF_ANSWERED = 3
#: Seconds before the app's policy is fetched again after a failure.
_POLICY_RETRY_DELAY = 5.0
