"""The stream of what happens to an app's sessions, in an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..async_client import AsyncClient
from ..client import error_of
from ..messages import admin_service_pb2 as pb
from ..transport import AsyncResponseStream, CallFailed
from . import methods
from .events import EventBatch, batch_of


class AsyncEventStream:
    """Batches of events. One task reads, and any other may close it.

        async with admin.watch_events() as events:
            async for batch in events:
                print(batch.events)

    It begins with `async with`, or else with the first read. When its connection ends, the next read raises
    `SessionUnavailable`, and the one after it resumes at `cursor`.
    """

    def __init__(self, client: AsyncClient, cursor: str) -> None:
        self._client = client
        #: Resumes after the last batch that was returned.
        self.cursor = cursor
        self._is_closed = False
        self._stream: AsyncResponseStream[pb.WatchEventsResponse] | None = None

    async def next(self, timeout: float | None = None) -> EventBatch | None:
        """Returns the next batch. Returns None if there was none in time, or after `close`.

        Args:
            timeout: Seconds to wait. None: waits until something happens.

        Raises:
            SessionUnavailable: The stream was interrupted. Call it again to resume, and again if that fails.
            SessionRefused: With the reason EVENTS_MISSED, as for `AdminClient.watch_events`.
        """
        if self._stream is None and not self._is_closed:
            await self._begin()
        stream = self._stream
        if stream is None:
            return None
        try:
            response = await stream.next(timeout)
        except TimeoutError:
            return None
        except CallFailed as failed:
            self._leave_stream()
            raise error_of(failed) from failed
        if response is None:
            self._leave_stream()
            return None
        self.cursor = response.cursor
        return batch_of(response)

    def close(self) -> None:
        """Ends the stream, also from another task, whose `next` returns None then."""
        self._is_closed = True
        self._leave_stream()

    async def __aiter__(self) -> AsyncIterator[EventBatch]:
        """Returns the batches until another task closes the stream. Raises what `next` raises."""
        while (batch := await self.next()) is not None:
            yield batch

    async def __aenter__(self) -> AsyncEventStream:
        await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def _begin(self) -> None:
        request = pb.WatchEventsRequest(app=self._client.app, cursor=self.cursor)
        self._stream = await self._client.stream(methods.WATCH_EVENTS, request)
        if self._is_closed:
            # Another task has closed it meanwhile, and did not know this stream yet.
            self._leave_stream()

    def _leave_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
