"""A request's session for programs with an event loop: opening and saving are awaited, everything else is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Callable

from . import errors
from .async_client import AsyncClient
from .async_watch import AsyncSessionWatch
from .cookie import CookieDecision
from .session import RequestInfo, SessionState, T


class AsyncSession(SessionState):
    """A request's session, which is opened by `open` and saved by `save` or `finish`.

    Reading a session that is not open raises `SessionNotOpen`. Assigning, `update`, `clear` and `increment` need no
    open, and a save sends only what changed. Every method that is awaited may raise `SessionUnavailable` or
    `SessionRefused`. Tasks may share a session: their calls are made one after the other.
    """

    def __init__(self, client: AsyncClient, request_info: RequestInfo) -> None:
        super().__init__(request_info)
        self._client = client
        self._lock: asyncio.Lock | None = None

    async def open(self) -> None:
        """Opens the session if it is not open yet. Makes no call if the request has no session cookie.

        For 5 seconds after a call that the service did not answer, it raises that call's error without another call.
        """
        if not self._needs_open():
            return
        async with self._calls_in_turn():
            if not self._needs_open():
                return
            if self._fails_without_call():
                return
            try:
                if not self._client.knows_policy:
                    await self._client.policy()
                if not self._open_without_call():
                    self._apply_open(await self._client.open(self._open_request()))
            except errors.SessionUnavailable as error:
                self._handle_unavailable_open(error)

    async def open_or_fail(self) -> None:
        """Opens the session, and raises `SessionUnavailable` also where reads would find an empty session instead."""
        await self.open()
        if self._opened is None and self.unavailable is not None:
            self._raise(self.unavailable)

    async def save(self) -> None:
        """Saves the changes now, for example in a background task or while a body is streamed.

        A new cookie can only be sent if the response's headers have not been sent yet. After `SessionRefused` nothing
        is stored: the next save sends the changes again, with what was changed since.
        """
        with self.save_of_application():
            await self.finish()

    async def destroy(self) -> None:
        """Ends the session at once. The response deletes the cookie; later writes start another session.

        If the request has the cookies of two live sessions, it ends both.
        """
        async with self._calls_in_turn():
            try:
                await self._client.policy()
                self._apply_destroy(await self._client.destroy(self._destroy_request()))
            except (errors.SessionUnavailable, errors.SessionRefused) as error:
                self._raise(error)

    def watch(self) -> AsyncSessionWatch:
        """Returns a watch of the session, for as long as a websocket or a stream of events is open.

        It is no use of the session, and sees nothing that is not saved yet. Close it at the end, as `async with` does.
        Raises `NotInCookieKind` if the app's kind is `cookie`.
        """
        return AsyncSessionWatch(self._client, self._watch_request())

    def is_of_app(self, app: str) -> bool:
        """Whether this is a session of an app in the service's configuration. Empty means `default`."""
        return (self._client.app or "default") == (app or "default")

    def is_stored(self) -> bool:
        """Whether the service has stored the session. It has to be open."""
        info = self._load_info()
        return bool(info.token) and not info.new

    async def has_replaced_token(self, watch: AsyncSessionWatch) -> bool:
        """Returns whether this session has saved another token since a watch of it began."""
        # A watch may end before the answer to the save that has ended it.
        async with self._calls_in_turn():
            return watch.request != self._watch_request()

    async def finish(self, *, is_read: bool = True) -> CookieDecision:
        """Saves the changes and returns what the response does with the cookie. It may be called again.

        Args:
            is_read: Whether the request used its session. If not, the decision is the one for an untouched session.
        """
        if self.has_unsaved_changes():
            async with self._calls_in_turn():
                await self._save_changes()
        return self._decide(is_read=is_read)

    async def finish_request(
        self, on_gone: Callable[[str], Awaitable[T]], *, is_read: bool = True
    ) -> tuple[CookieDecision, T | None]:
        """Does so at the end of a request, and reports the end of the session unless the application has read it.

        Args:
            on_gone: Is given why the session had ended before its changes were saved.
            is_read: As for `finish`.

        Returns:
            What the response does with the cookie, and what `on_gone` has returned if it was called.
        """
        decision = await self.finish(is_read=is_read)
        reason = self.take_unread_gone()
        return decision, None if reason is None else await on_gone(reason)

    async def _save_changes(self) -> None:
        try:
            if not self._client.knows_policy:
                await self._client.policy()
            while (request := self._next_save()) is not None:
                if (open_request := self._open_before(request)) is not None:
                    self._apply_open_before(request, await self._client.open(open_request))
                self._apply_save(await self._client.save(request))
        except errors.CloakroomError as error:
            self._handle_failed_save(error)
            self._raise(error)

    def _open_now(self) -> None:
        if self.unavailable is not None:
            self._raise(self.unavailable)
        raise errors.SessionNotOpen("the session is not open: `await session.open()` before the first read")

    def _calls_in_turn(self) -> asyncio.Lock:
        """Returns a lock, so that tasks that share the session do not send the same changes twice."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        return self._lock
