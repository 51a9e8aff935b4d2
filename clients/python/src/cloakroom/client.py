"""Makes calls with one deadline for all attempts, and retries those that are safe to repeat.

Does not depend on HTTP or on a framework.
"""

from __future__ import annotations

import time
from typing import Any, Callable, TypeVar

from . import errors, methods
from .clock import now
from .connect import Credentials, shared_transport
from .messages import session_service_pb2 as pb
from .randomness import RANDOM
from .transport import (
    REQUEST_TOO_LARGE,
    CallFailed,
    Method,
    Request,
    Response,
    ResponseStream,
    Transport,
    Untrusted,
)

T = TypeVar("T")


class Client:
    """Calls one service for the sessions of one app.

    Every call raises `SessionUnavailable` if it got no answer in time, `SessionRefused` if the service rejects the
    request, and `CloakroomError` for any other failure.

    Args:
        service: The service's address, such as `localhost:50051`, `https://cloakroom:50051` or `unix:/path`, or a
            `Transport`. Clients of the same address and credentials share connections.
        app: The app's name in the service's configuration. Empty means `default`.
        deadline: Seconds that one call may take, its retries included.
        credentials: What the calls are authenticated by. A `Transport` has its own.
    """

    def __init__(
        self,
        service: str | Transport,
        *,
        app: str = "",
        deadline: float = 2.0,
        credentials: Credentials | None = None,
    ) -> None:
        if not isinstance(service, str) and credentials is not None:
            raise ValueError("give the credentials to the transport")
        self.app = app
        self.deadline = deadline
        self.transport: Transport = shared_transport(service, credentials) if isinstance(service, str) else service
        # Loads the messages. Two threads must not do it at the same time before Python 3.12.
        self._policy_method = methods.POLICY
        self._policy: pb.GetAppPolicyResponse | None = None
        self._policy_retry_time = 0.0

    def open(self, request: pb.OpenSessionRequest) -> pb.OpenSessionResponse:
        return self.call(methods.OPEN, request)

    def save(self, request: pb.SaveSessionRequest) -> pb.SaveSessionResponse:
        """Saves changes. The request must have a request_id, so that a retry is not applied twice."""
        return self.call(methods.SAVE, request)

    def rotate(self, request: pb.RotateSessionRequest) -> pb.RotateSessionResponse:
        return self.call(methods.ROTATE, request)

    def destroy(self, request: pb.DestroySessionRequest) -> pb.DestroySessionResponse:
        return self.call(methods.DESTROY, request)

    @property
    def knows_policy(self) -> bool:
        """Whether `policy` makes no call."""
        return self._policy is not None

    def policy(self) -> pb.GetAppPolicyResponse:
        """Returns the app's policy. Fetches it once per process; forked children inherit it."""
        if self._policy is None:
            self._policy = self.call(self._policy_method, pb.GetAppPolicyRequest(app=self.app))
        return self._policy

    def policy_if_due(self) -> pb.GetAppPolicyResponse | None:
        """Returns the app's policy, or None if another request has begun to fetch it in the last few seconds."""
        if self._policy is None and now() < self._policy_retry_time:
            return None
        self._policy_retry_time = now() + POLICY_RETRY_DELAY
        return self.policy()

    def call(self, method: Method[Request, Response], request: Request) -> Response:
        """Makes a call that may be repeated, and repeats it until the deadline."""
        start = now()
        try:
            return self.transport.call(method, request, self.deadline)
        except CallFailed as failed:
            return self._repeat(self.transport.call, method, request, start, failed)

    def stream(self, method: Method[Request, Response], request: Request) -> ResponseStream[Response]:
        """Begins a call that is answered by a stream. Repeats it until its first message or the deadline.

        Raises TypeError if the transport makes no such calls, as `GrpcTransport`.
        """
        begin = getattr(self.transport, "stream", None)
        if begin is None:
            raise TypeError(f"{type(self.transport).__name__} does not support streams; use an address instead")
        start = now()
        try:
            stream: ResponseStream[Response] = begin(method, request, self.deadline)
            return stream
        except CallFailed as failed:
            return self._repeat(begin, method, request, start, failed)

    def _repeat(
        self,
        attempt: Callable[[Method[Request, Response], Request, float], T],
        method: Any,
        request: Any,
        start: float,
        failed: CallFailed,
    ) -> T:
        """Repeats a call whose first attempt has failed."""
        end = start + self.deadline
        retries = 0
        while True:
            delay = retry_delay(failed, retries)
            if delay is None or now() + delay >= end:
                raise error_of(failed) from failed
            # Random, so that many workers do not retry at the same time.
            time.sleep(delay * RANDOM.uniform(0.5, 1.0))
            retries += 1
            try:
                return attempt(method, request, max(end - now(), 0.001))
            except CallFailed as again:
                failed = failure_of_repeat(failed, again, end)


def retry_delay(failed: CallFailed, retries: int) -> float | None:
    """Returns the longest delay before a call is repeated. None: a retry would fail as well."""
    if isinstance(failed, Untrusted):
        return None
    is_unanswered = not failed.reason and (failed.code == "UNAVAILABLE" or _is_broken_connection(failed))
    if is_unanswered:
        return min(_FIRST_DELAY * 2.0**retries, _LAST_DELAY)
    # The service works, but something that it needs does not. Many retries would only be a load.
    if failed.code == "UNAVAILABLE" or failed.reason == "OVERLOADED":
        return min(_FIRST_DELAY * 2.0**retries, _LAST_DELAY_OF_ANSWERED)
    return None


def failure_of_repeat(failed: CallFailed, again: CallFailed, end: float) -> CallFailed:
    """Returns the failure of a repeat. That there was no time left for it does not say why the call was repeated."""
    if now() < end:
        return again
    both = CallFailed(again.code, again.reason, f"{again}; the attempt before: {failed}")
    both.__cause__ = again
    return both


def _is_broken_connection(failed: CallFailed) -> bool:
    """Whether the failure is one that gRPC also reports when a connection ends in the middle of a call."""
    return failed.code in ("CANCELLED", "INTERNAL") and not failed.reason


def error_of(failed: CallFailed) -> errors.CloakroomError:
    """Returns the error that applications see."""
    return _error_class(failed)(str(failed), failed.code, failed.reason)


def _error_class(failed: CallFailed) -> type[errors.CloakroomError]:
    if failed.reason == REQUEST_TOO_LARGE:
        return errors.SessionRefused
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
#: The last delay if the service has answered.
_LAST_DELAY_OF_ANSWERED = 1.0
#: Seconds before `policy_if_due` fetches the app's policy again after a failure.
POLICY_RETRY_DELAY = 5.0
