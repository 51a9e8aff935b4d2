"""Waits for the end of a session, without calls in between: for websockets and other long responses."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from . import errors, methods
from .client import Client, error_of
from .clock import now
from .enums import name_of
from .messages import session_service_pb2 as pb
from .randomness import RANDOM
from .transport import AsyncResponseStream, CallFailed, ResponseStream


class WatchState:
    """What a watch knows of its session. Makes no calls."""

    def __init__(self, request: pb.WatchSessionRequest) -> None:
        self.request = request
        #: When the session ends if it is not used, as of the begin of the watch. None if it has ended.
        self.expire_time: datetime | None = None
        #: Why the session has ended, such as `DESTROYED`, `REVOKED` or `SUPERSEDED`; `UNKNOWN` if the service does not
        #: know it. None while it lives.
        self.end_reason: str | None = None
        self._is_closed = False
        #: When to begin again. A connection may be silent because the service hangs.
        self._renew_time = 0.0
        self._stream: ResponseStream[pb.WatchSessionResponse] | AsyncResponseStream[pb.WatchSessionResponse] | None
        self._stream = None

    def close(self) -> None:
        """Ends the watch, also from another thread or task, whose `wait` returns None then."""
        self._is_closed = True
        self._leave_stream()

    def _apply(self, response: pb.WatchSessionResponse | None) -> None:
        if response is None:
            self._leave_stream()
        elif response.state == pb.WATCH_STATE_ENDED:
            known = response.end_reason != pb.END_REASON_UNSPECIFIED
            self.end_reason = name_of(pb.EndReason, response.end_reason, "END_REASON_") if known else "UNKNOWN"
            self.expire_time = None
            self._leave_stream()
        elif response.HasField("expire_time"):
            self.expire_time = response.expire_time.ToDatetime(timezone.utc)

    def _leave_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class SessionWatch(WatchState):
    """Learns within half a second that a session has ended, or that its token was replaced.

        with session.watch() as watch:
            while watch.wait(timeout=30) is None:
                send_ping()

    It begins again by itself when its connection ends. One thread waits, and any other may close it.

    Args:
        client: Makes the calls.
        request: Names the session.

    Raises:
        SessionUnavailable: The service did not answer within the client's deadline.
        SessionRefused: The token does not verify, or the request's cookies name two live sessions.
    """

    def __init__(self, client: Client, request: pb.WatchSessionRequest) -> None:
        super().__init__(request)
        self._client = client
        self._stream: ResponseStream[pb.WatchSessionResponse] | None = None
        self._begin()

    def wait(self, timeout: float | None = None) -> str | None:
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
                self._begin()
                continue
            stream_end = self._renew_time if end is None else min(end, self._renew_time)
            try:
                response = stream.next(max(stream_end - now(), 0.001))
            except TimeoutError:
                if end is not None and end <= self._renew_time:
                    return None
                self._leave_stream()
            except CallFailed as failed:
                self._leave_stream()
                error = error_of(failed)
                if not isinstance(error, errors.SessionUnavailable):
                    raise error from failed
                time.sleep(PAUSE)
            else:
                self._apply(response)
        return self.end_reason

    def __enter__(self) -> SessionWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        self._stream = stream = self._client.stream(methods.WATCH, self.request)
        self._renew_time = now() + LONGEST_STREAM * RANDOM.uniform(0.5, 1.0)
        try:
            self._apply(stream.next(self._client.deadline))
        except (CallFailed, TimeoutError) as error:
            self._leave_stream()
            failed = error if isinstance(error, CallFailed) else CallFailed("DEADLINE_EXCEEDED", "", str(error))
            raise error_of(failed) from error
        if self._is_closed:
            # Another thread has closed the watch meanwhile, and did not know this stream yet.
            self._leave_stream()


#: Seconds before an interrupted watch begins again, so that a replica that stops is not asked in a loop.
PAUSE = 0.05
#: Seconds for which a watch uses one stream.
LONGEST_STREAM = 300.0
