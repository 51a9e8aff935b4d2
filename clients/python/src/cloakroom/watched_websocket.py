"""A websocket of ASGI that is closed when its session ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, MutableMapping
from typing import Any, Callable

from .async_session import AsyncSession
from .async_watch import AsyncSessionWatch
from .errors import CloakroomError, SessionUnavailable
from .randomness import RANDOM

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("cloakroom")


class WatchedWebsocket:
    """The `receive` and `send` of a websocket, which watches its session while it is open."""

    def __init__(self, session: AsyncSession, receive: Receive, send: Send) -> None:
        self._session = session
        self._receive = receive
        self._send = send
        self._watch: AsyncSessionWatch | None = None
        self._watching: asyncio.Task[None] | None = None
        #: Done when the session has ended.
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: Waits for the next message, also while the application does not ask for it.
        self._receiving: asyncio.Future[Message] | None = None

    async def begin(self) -> None:
        """Begins the watch, before the websocket is accepted. A session that is not stored is not watched.

        Raises `SessionUnavailable` and `SessionRefused`: then the websocket must not be accepted.
        """
        await self._session.open_or_fail()
        if self._session.is_stored():
            self._watch = self._session.watch()
            await self._watch.begin()

    async def send(self, message: Message) -> None:
        """Sends a message. Raises ConnectionResetError, as servers do, if the websocket has been closed."""
        if self._ended.done():
            raise ConnectionResetError("the websocket was closed, for its session has ended")
        await self._send(message)
        if message["type"] == "websocket.accept" and self._watch is not None:
            self._watching = asyncio.ensure_future(self._close_at_end(self._watch))

    async def receive(self) -> Message:
        if self._watching is None:
            return await self._receive()
        if self._receiving is None:
            self._receiving = asyncio.ensure_future(self._receive())
        futures: set[asyncio.Future[Any]] = {self._receiving, self._ended}
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        if self._ended.done():
            return {"type": "websocket.disconnect", "code": SESSION_ENDED, "reason": _REASON}
        receiving, self._receiving = self._receiving, None
        return receiving.result()

    def close(self) -> None:
        """Ends the watch."""
        for task in (self._watching, self._receiving):
            if task is not None:
                task.cancel()
        if self._watch is not None:
            self._watch.close()

    async def _close_at_end(self, watch: AsyncSessionWatch) -> None:
        """Closes the websocket when its session has ended, or when nobody can see any more whether it has."""
        try:
            await self._wait_for_end(watch)
        except CloakroomError as error:
            log.warning("a websocket is closed, for its session cannot be watched any more: %s", error)
        self._ended.set_result(None)
        await self._send({"type": "websocket.close", "code": SESSION_ENDED, "reason": _REASON})

    async def _wait_for_end(self, watch: AsyncSessionWatch) -> None:
        """Waits until the session has ended, also through an outage."""
        while True:
            try:
                await watch.wait()
            except SessionUnavailable:
                await asyncio.sleep(_PAUSE * RANDOM.uniform(0.5, 1.0))
                continue
            if not await self._session.has_replaced_token(watch):
                return
            # The application itself has replaced the token, through this websocket.
            self._watch = watch = self._session.watch()


#: The code by which a websocket is closed when its session has ended: 4000 and the HTTP status.
SESSION_ENDED = 4401
_REASON = "the session has ended"
#: Seconds between two attempts to watch the session during an outage.
_PAUSE = 2.0
