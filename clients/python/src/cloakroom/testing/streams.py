"""Streams of a service in memory."""

from __future__ import annotations

import asyncio
import binascii
from typing import Callable, Generic

from ..clock import now
from ..messages import admin_service_pb2 as admin_pb
from ..messages import session_service_pb2 as pb
from ..transport import CallFailed, Response, ResponseStream
from .store import Store


class WatchStream:
    """The answer to WatchSession."""

    def __init__(self, store: Store, look: Callable[[], pb.WatchSessionResponse]) -> None:
        self._store = store
        self._look = look
        self._first: pb.WatchSessionResponse | None = look()
        self._is_ended = False

    def next(self, timeout: float | None = None) -> pb.WatchSessionResponse | None:
        end = None if timeout is None else now() + timeout
        with self._store.changed:
            found, self._first = self._first, None
            while found is None and not self._is_ended:
                found = self._look()
                if found.state == pb.WATCH_STATE_ALIVE:
                    found = None
                    _wait(self._store, end)
            if found is not None and found.state == pb.WATCH_STATE_ENDED:
                self._is_ended = True
            return found

    def close(self) -> None:
        with self._store.changed:
            self._is_ended = True
            self._store.changed.notify_all()


class EventStream:
    """The answer to WatchEvents."""

    def __init__(self, store: Store, app: str, cursor: str) -> None:
        self._store = store
        self._app = app
        self._position = _position(app, cursor) if cursor else len(store.events(app))
        self._is_first, self._is_ended = True, False
        if self._position > len(store.events(app)):
            raise _events_missed()

    def next(self, timeout: float | None = None) -> admin_pb.WatchEventsResponse | None:
        end = None if timeout is None else now() + timeout
        with self._store.changed:
            while not self._is_ended:
                events = self._store.events(self._app)[self._position :]
                if events or self._is_first:
                    self._is_first = False
                    self._position += len(events)
                    return admin_pb.WatchEventsResponse(events=events, cursor=_cursor(self._app, self._position))
                _wait(self._store, end)
            return None

    def close(self) -> None:
        with self._store.changed:
            self._is_ended = True
            self._store.changed.notify_all()


class AsyncMemoryStream(Generic[Response]):
    """The same for programs with an event loop. It looks again and again, and so needs no thread."""

    def __init__(self, stream: ResponseStream[Response]) -> None:
        self._stream = stream

    async def next(self, timeout: float | None = None) -> Response | None:
        end = None if timeout is None else now() + timeout
        while True:
            try:
                return self._stream.next(timeout=0)
            except TimeoutError:
                if end is not None and now() >= end:
                    raise
            await asyncio.sleep(_POLL_INTERVAL)

    def close(self) -> None:
        self._stream.close()


def _wait(store: Store, end: float | None) -> None:
    """Waits for an event of the store, or a while. Raises TimeoutError."""
    remaining = _LONGEST_WAIT if end is None else end - now()
    if remaining <= 0:
        raise TimeoutError("nothing has happened in time")
    store.changed.wait(min(remaining, _LONGEST_WAIT))


def _cursor(app: str, position: int) -> str:
    return f"{app.encode().hex()}-{position}"


def _position(app: str, cursor: str) -> int:
    try:
        name, _, position = cursor.partition("-")
        if bytes.fromhex(name).decode() == app:
            return int(position)
    except (ValueError, binascii.Error):
        pass
    raise _events_missed()


def _events_missed() -> CallFailed:
    return CallFailed(
        "ABORTED", "EVENTS_MISSED", "events since this cursor are kept no longer, or it is not this app's"
    )


#: Seconds, so that a session that expires is noticed without an event.
_LONGEST_WAIT = 0.1
#: Seconds between two looks of an event loop.
_POLL_INTERVAL = 0.01
