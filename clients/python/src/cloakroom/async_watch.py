"""Waits for the end of a session in an event loop: for websockets and other long responses."""

from __future__ import annotations

import asyncio

from . import errors, methods
from .async_client import AsyncClient
from .client import error_of
from .clock import now
from .messages import session_service_pb2 as pb
from .randomness import RANDOM
from .transport import AsyncResponseStream, CallFailed
from .watch import LONGEST_STREAM, PAUSE, WatchState


class AsyncSessionWatch(WatchState):
    """Learns within half a second that a session has ended, or that its token was replaced.

        async with session.watch() as watch:
            reason = await watch.wait()

    It begins again by itself when its connection ends. One task waits, and any other may close it. A running watch has
    a connection of its own.

    Args:
        client: Makes the calls.
        request: Names the session.
    """

    def __init__(self, client: AsyncClient, request: pb.WatchSessionRequest) -> None:
        super().__init__(request)
        self._client = client
        self._stream: AsyncResponseStream[pb.WatchSessionResponse] | None = None

    async def begin(self) -> None:
        """Begins the watch. `async with` does it.

        Raises:
            SessionUnavailable: The service did not answer within the client's deadline.
            SessionRefused: The token does not verify, or the request's cookies name two live sessions.
        """
        self._stream = stream = await self._client.stream(methods.WATCH, self.request)
        self._renew_time = now() + LONGEST_STREAM * RANDOM.uniform(0.5, 1.0)
        try:
            self._apply(await stream.next(self._client.deadline))
        except (CallFailed, TimeoutError) as error:
            self._leave_stream()
            failed = error if isinstance(error, CallFailed) else CallFailed("DEADLINE_EXCEEDED", "", str(error))
            raise error_of(failed) from error
        except BaseException:
            self._leave_stream()
            raise
        if self._is_closed:
            # Another task has closed the watch meanwhile, and did not know this stream yet.
            self._leave_stream()

    async def wait(self, timeout: float | None = None) -> str | None:
        """Waits for the end of the session and returns its reason. Returns None if it lives, or after `close`.

        Args:
            timeout: Seconds to wait. None: waits until the session has ended.

        Raises:
            SessionUnavailable: The watch was interrupted, and the service did not answer within the client's deadline.
                That says nothing about the session: `wait` may be called again.
        """
        end = None if timeout is None else now() + timeout
        while self.end_reason is None and not self._is_closed:
            stream = self._stream
            if stream is None:
                await self.begin()
                continue
            stream_end = self._renew_time if end is None else min(end, self._renew_time)
            try:
                response = await stream.next(max(stream_end - now(), 0.001))
            except TimeoutError:
                if end is not None and end <= self._renew_time:
                    return None
                self._leave_stream()
            except CallFailed as failed:
                self._leave_stream()
                error = error_of(failed)
                if not isinstance(error, errors.SessionUnavailable):
                    raise error from failed
                await asyncio.sleep(PAUSE)
            else:
                self._apply(response)
        return self.end_reason

    async def __aenter__(self) -> AsyncSessionWatch:
        await self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
