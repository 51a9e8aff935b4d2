"""The client for programs with an event loop: deadlines and retries as in `client`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, Callable

from . import errors, methods
from .client import POLICY_RETRY_DELAY, T, error_of, failure_of_repeat, retry_delay
from .clock import now
from .connect import Credentials
from .connect.async_transport import shared_async_transport
from .messages import session_service_pb2 as pb
from .randomness import RANDOM
from .transport import AsyncResponseStream, AsyncTransport, CallFailed, Method, Request, Response


class AsyncClient:
    """Calls one service for the sessions of one app.

    It may be used from several event loops, one after the other or in several threads. Every call raises
    `SessionUnavailable` if it got no answer in time, `SessionRefused` if the service rejects the request, and
    `CloakroomError` for any other failure.

    Args:
        service: The service's address, such as `localhost:50051`, `https://cloakroom:50051` or `unix:/path`, or an
            `AsyncTransport`. Clients of the same address and credentials share connections.
        app: The app's name in the service's configuration. Empty means `default`.
        deadline: Seconds that one call may take, its retries included.
        credentials: What the calls are authenticated by. An `AsyncTransport` has its own.
    """

    def __init__(
        self,
        service: str | AsyncTransport,
        *,
        app: str = "",
        deadline: float = 2.0,
        credentials: Credentials | None = None,
    ) -> None:
        if not isinstance(service, str) and credentials is not None:
            raise ValueError("give the credentials to the transport")
        self.app = app
        self.deadline = deadline
        self.transport: AsyncTransport = (
            shared_async_transport(service, credentials) if isinstance(service, str) else service
        )
        # Loads the messages, which would block the event loop later.
        self._policy_method = methods.POLICY
        self._policy: pb.GetAppPolicyResponse | None = None
        self._policy_retry_time = 0.0
        #: Why the policy could not be fetched.
        self._policy_error: errors.SessionUnavailable | None = None

    def open(self, request: pb.OpenSessionRequest) -> Coroutine[Any, Any, pb.OpenSessionResponse]:
        return self.call(methods.OPEN, request)

    def save(self, request: pb.SaveSessionRequest) -> Coroutine[Any, Any, pb.SaveSessionResponse]:
        """Saves changes. The request must have a request_id, so that a retry is not applied twice."""
        return self.call(methods.SAVE, request)

    def rotate(self, request: pb.RotateSessionRequest) -> Coroutine[Any, Any, pb.RotateSessionResponse]:
        return self.call(methods.ROTATE, request)

    def destroy(self, request: pb.DestroySessionRequest) -> Coroutine[Any, Any, pb.DestroySessionResponse]:
        return self.call(methods.DESTROY, request)

    @property
    def knows_policy(self) -> bool:
        """Whether `policy` makes no call."""
        return self._policy is not None

    async def policy(self) -> pb.GetAppPolicyResponse:
        """Returns the app's policy. Fetches it once per process; forked children inherit it."""
        if self._policy is None:
            try:
                self._policy = await self.call(self._policy_method, pb.GetAppPolicyRequest(app=self.app))
            except errors.SessionUnavailable as error:
                self._policy_error = error
                raise
        return self._policy

    async def policy_if_due(self) -> pb.GetAppPolicyResponse | None:
        """Returns the app's policy, or None if fetching it has failed in the last few seconds."""
        if self._policy is None and now() < self._policy_retry_time:
            return None
        # Requests that come before the answer fetch it too, because they cannot go on without it.
        try:
            return await self.policy()
        except errors.SessionUnavailable:
            self._policy_retry_time = now() + POLICY_RETRY_DELAY
            raise

    def known_policy(self) -> pb.GetAppPolicyResponse:
        """Returns the app's policy without a call.

        Raises `SessionUnavailable` if fetching it has failed, and `SessionNotOpen` if nobody has tried.
        """
        if self._policy is None:
            raise self._policy_error or errors.SessionNotOpen(
                "the app's policy is not known yet: `await client.policy()` before"
            )
        return self._policy

    async def call(self, method: Method[Request, Response], request: Request) -> Response:
        """Makes a call that may be repeated, and repeats it until the deadline."""
        start = now()
        try:
            return await self.transport.call(method, request, self.deadline)
        except CallFailed as failed:
            return await self._repeat(self.transport.call, method, request, start, failed)

    async def stream(self, method: Method[Request, Response], request: Request) -> AsyncResponseStream[Response]:
        """Begins a call that is answered by a stream. Repeats it until its first message or the deadline.

        Raises TypeError if the transport makes no such calls.
        """
        begin = getattr(self.transport, "stream", None)
        if begin is None:
            raise TypeError(f"{type(self.transport).__name__} does not support streams; use an address instead")
        start = now()
        stream: AsyncResponseStream[Response]
        try:
            stream = await begin(method, request, self.deadline)
        except CallFailed as failed:
            stream = await self._repeat(begin, method, request, start, failed)
        return stream

    async def _repeat(
        self,
        attempt: Callable[[Method[Request, Response], Request, float], Awaitable[T]],
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
            await asyncio.sleep(delay * RANDOM.uniform(0.5, 1.0))
            retries += 1
            try:
                return await attempt(method, request, max(end - now(), 0.001))
            except CallFailed as again:
                failed = failure_of_repeat(failed, again, end)
