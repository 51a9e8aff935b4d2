"""The stream of what happens to an app's sessions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from ..client import Client, error_of
from ..enums import name_of
from ..messages import admin_service_pb2 as pb
from ..transport import CallFailed, ResponseStream
from . import methods
from .answers import end_reason_of


@dataclass(frozen=True)
class Event:
    """Something that happened to a session, or to all sessions of an app."""

    #: `CREATED`, `ROTATED`, `SUBJECT_CHANGED`, `ENDED` or `APP_REVOKED`.
    kind: str
    #: Of the session. Empty with APP_REVOKED.
    id: str
    #: With ENDED: the reason.
    end_reason: str | None
    time: datetime


@dataclass(frozen=True)
class EventBatch:
    """Events, those of one session in their order."""

    events: list[Event]
    #: Resumes after these events.
    cursor: str


def batch_of(response: pb.WatchEventsResponse) -> EventBatch:
    return EventBatch([_event(event) for event in response.events], response.cursor)


class EventStream:
    """Batches of events. One thread reads, and any other may close it.

    When its connection ends, the next read raises `SessionUnavailable`, and the one after it resumes at `cursor`.
    """

    def __init__(self, client: Client, cursor: str) -> None:
        self._client = client
        #: Resumes after the last batch that was returned.
        self.cursor = cursor
        self._is_closed = False
        self._stream: ResponseStream[pb.WatchEventsResponse] | None = self._begin()

    def next(self, timeout: float | None = None) -> EventBatch | None:
        """Returns the next batch. Returns None if there was none in time, or after `close`.

        Args:
            timeout: Seconds to wait. None: waits until something happens.

        Raises:
            SessionUnavailable: The stream was interrupted. Call it again to resume, and again if that fails.
            SessionRefused: With the reason EVENTS_MISSED, as for `watch_events`.
        """
        stream = self._stream
        if stream is None and not self._is_closed:
            stream = self._stream = self._begin()
        if stream is None or self._is_closed:
            self.close()
            return None
        try:
            response = stream.next(timeout)
        except TimeoutError:
            return None
        except CallFailed as failed:
            stream.close()
            self._stream = None
            raise error_of(failed) from failed
        if response is None:
            stream.close()
            self._stream = None
            return None
        self.cursor = response.cursor
        return batch_of(response)

    def close(self) -> None:
        """Ends the stream, also from another thread, whose `next` returns None then."""
        self._is_closed = True
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def __iter__(self) -> Iterator[EventBatch]:
        """Returns the batches until another thread closes the stream. Raises what `next` raises."""
        while (batch := self.next()) is not None:
            yield batch

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> ResponseStream[pb.WatchEventsResponse]:
        request = pb.WatchEventsRequest(app=self._client.app, cursor=self.cursor)
        return self._client.stream(methods.WATCH_EVENTS, request)


def _event(event: pb.SessionEvent) -> Event:
    return Event(
        kind=name_of(pb.SessionEventKind, event.kind, "SESSION_EVENT_KIND_"),
        id=event.id,
        end_reason=end_reason_of(event.end_reason),
        time=event.time.ToDatetime(timezone.utc),
    )
