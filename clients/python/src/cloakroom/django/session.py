"""The session of one request, with calls that wait and calls that are awaited."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from ..cookie import CookieDecision
from ..errors import COOKIES_AMBIGUOUS, CloakroomError, SessionUnavailable
from ..session import Session
from . import conf
from .errors import http_error
from .event_loop import refuse_in_event_loop


class RequestSession(Session):
    """Makes no call for a request without a session cookie, and none that blocks an event loop."""

    _lock: asyncio.Lock | None = None

    @property
    def is_ambiguous(self) -> bool:
        """Whether the request has the cookies of two live sessions."""
        return self._load_info().null_session.reason == COOKIES_AMBIGUOUS

    @property
    def is_stored(self) -> bool:
        """Whether the service has this session."""
        info = self._load_info()
        return bool(info.id) and not info.new

    @property
    def may_be_stored(self) -> bool:
        """Whether there may be a stored session, as far as that is known without an open."""
        if self.is_opened:
            return self.is_stored or self.is_ambiguous
        try:
            return self._request_info.may_name_session(str(self._credential.get("cookie_header", "")))
        except SessionUnavailable as error:
            self.note_unavailable(error)
            raise

    @property
    def may_end(self) -> bool:
        """Whether a logout may end something: this session, or the one whose cookie a login has replaced meanwhile."""
        return self.may_be_stored or self._request_info.may_name_session(self._opened_header)

    @property
    def is_opened(self) -> bool:
        """Whether the service has answered what the session is."""
        return self._info is not None

    @property
    def is_rotation_pending(self) -> bool:
        """Whether the next save replaces the token."""
        return self._rotate_requested

    @property
    def cookie_value(self) -> str:
        """The cookie's value, a secret. Empty if the session is not stored."""
        return self._load_info().token if self.is_stored else ""

    def is_empty(self) -> bool:
        """Whether there is no stored session and nothing to store, as far as that is known without an open."""
        if self.is_opened:
            return not self.is_stored and len(self) == 0
        return not self.may_be_stored and not self.has_unsaved_changes()

    def begin_empty(self) -> None:
        """Continues as a new session, without the changes that have not been saved."""
        self._begin_empty()

    def forget_changes(self) -> None:
        """Saves nothing of what has changed so far."""
        self.modified = False

    def another(self, cookie_header: str | None = None) -> RequestSession:
        """Returns the same session as the service has it now, or the one of another Cookie header."""
        other = RequestSession(self._client, self._request_info)
        other._credential = dict(self._credential) if cookie_header is None else {"cookie_header": cookie_header}
        return other

    # Calls that wait.

    def open(self) -> None:
        if self._needs_open():
            self._open_now()

    def open_for_save(self) -> None:
        """Opens the session unless the service has given its token.

        The lifetime may be one of the entries. And a save that is repeated by a token stores a new session only once.
        """
        if self._needs_token():
            refuse_in_event_loop()
            self._call_open()

    def destroy(self) -> None:
        refuse_in_event_loop()
        try:
            super().destroy()
        except SessionUnavailable as error:
            self.note_unavailable(error)
            raise

    def finish(self, *, is_read: bool = True) -> CookieDecision:
        if self.has_unsaved_changes():
            refuse_in_event_loop()
        return super().finish(is_read=is_read)

    # Calls that are awaited.

    async def afetch_policy(self) -> None:
        """Fetches the app's policy if `may_be_stored` may need it, which would block the event loop by that call."""
        if not self.is_opened and self._credential.get("cookie_header"):
            try:
                await conf.apolicy()
            except SessionUnavailable as error:
                self.note_unavailable(error)
                raise

    async def aopen(self) -> None:
        if not self._needs_open():
            return
        async with self._calls_in_turn():
            if self._needs_open() and not self._fails_without_call():
                await self._aopen_now(may_be_new=True)

    async def aopen_for_save(self) -> None:
        if self._needs_token():
            async with self._calls_in_turn():
                await self._aopen_now()

    async def adestroy(self) -> None:
        async with self._calls_in_turn():
            try:
                await conf.apolicy()
                self._apply_destroy(await conf.async_client().destroy(self._destroy_request()))
            except SessionUnavailable as error:
                self.note_unavailable(error)
                raise

    async def afinish(self, *, is_read: bool = True) -> CookieDecision:
        if self.has_unsaved_changes():
            async with self._calls_in_turn():
                await self._save_changes()
        return self._decide(is_read=is_read)

    # Private.

    def _needs_token(self) -> bool:
        is_null = self._opened is not None and self._opened.session.HasField("null_session")
        return "token" not in self._credential and not is_null

    async def _aopen_now(self, *, may_be_new: bool = False) -> None:
        try:
            await conf.apolicy()
            if not (may_be_new and self._open_without_call()):
                self._apply_open(await conf.async_client().open(self._open_request()))
        except SessionUnavailable as error:
            self._handle_unavailable_open(error)

    async def _save_changes(self) -> None:
        try:
            await conf.apolicy()
            while (request := self._next_save()) is not None:
                self._apply_save(await conf.async_client().save(request))
        except CloakroomError as error:
            self._handle_failed_save(error)
            self._raise(error)

    def _calls_in_turn(self) -> asyncio.Lock:
        """Returns a lock, so that tasks that share the session do not send the same changes twice."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        return self._lock

    def _open_now(self) -> None:
        if self._fails_without_call():
            return
        refuse_in_event_loop()
        try:
            if self._open_without_call():
                return
        except SessionUnavailable as error:
            self._handle_unavailable_open(error)
            return
        self._call_open()

    def _raise(self, error: CloakroomError) -> NoReturn:
        raised = http_error(error)
        if raised is error:
            raise error
        raise raised from error
