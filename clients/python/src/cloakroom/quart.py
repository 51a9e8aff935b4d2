"""Quart's session interface for Cloakroom."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from datetime import timedelta
from typing import Any, Literal

from quart import Quart, websocket_tearing_down
from quart.globals import websocket_ctx
from quart.sessions import SessionInterface, SessionMixin

from . import browser_input, errors
from .async_client import AsyncClient
from .async_session import AsyncSession
from .async_watch import AsyncSessionWatch
from .codec import Codec, JsonCodec
from .connect import Credentials
from .cookie import CookieAction
from .errors import SessionGone, SessionRefused
from .messages import session_service_pb2 as pb
from .session_interface import (
    AppRequestInfo,
    CookiesAmbiguous,
    HttpErrors,
    InterfaceBase,
    SessionUnavailable,
    http_error,
    replace,
    session_gone,
    vary_by_cookie,
)
from .transport import AsyncTransport

log = logging.getLogger("cloakroom")


class CloakroomSession(HttpErrors, AsyncSession, SessionMixin):  # type: ignore[override, unused-ignore]
    """Quart's session, with `rotate`, `destroy`, `id`, `subject` and `increment` in addition.

    It is open when a view begins, so that only `save` and `destroy` are awaited.
    """

    def watch(self) -> SessionWatch:
        try:
            return SessionWatch(self._client, self._watch_request())
        except (errors.SessionUnavailable, SessionRefused) as error:
            self._raise(error)


class SessionWatch(AsyncSessionWatch):
    """A watch whose errors Quart answers otherwise than by 500."""

    async def begin(self) -> None:
        try:
            await super().begin()
        except (errors.SessionUnavailable, SessionRefused) as error:
            raise http_error(error) from error


class CloakroomSessionInterface(InterfaceBase, SessionInterface):
    """Stores a Quart application's sessions in Cloakroom.

        app.session_interface = CloakroomSessionInterface("localhost:50051", app="shop")

    A request that has the session cookie opens its session before the view begins, by one call. Without the cookie it
    makes none. `on_gone` and `on_unavailable` may be coroutines.

    Args:
        service: The service's address, such as `localhost:50051`, `https://cloakroom:50051` or `unix:/path`, or an
            `AsyncTransport`.
        app: The app's name in the service's configuration. Empty means `default`.
        deadline: Seconds that one call may take, its retries included.
        credentials: What the calls are authenticated by. An `AsyncTransport` has its own.
        unavailable: What happens while the service is unavailable. "raise": the line that needs the session raises
            `SessionUnavailable`, which Quart answers by 503. "null": the session reads as empty, and writes raise.
            See `on_unavailable` for writes that need no read.
        send_context: Whether to send the browser's user agent and address, for the list of a user's sessions.
        max_authenticate_age: How long an authentication counts for `session.recently_authenticated`. Not for apps of
            kind `cookie`.
        codec: Converts values to JSON text and back. The default writes Flask's tags. `JsonCodec()` writes plain JSON,
            for sessions that are shared with another framework or language. Not for apps of kind `cookie`.

    Raises:
        ValueError: `unavailable` is neither "raise" nor "null".
    """

    client: AsyncClient
    session_class = CloakroomSession
    _default_expiration_time = SessionInterface.get_expiration_time

    def __init__(
        self,
        service: str | AsyncTransport = "localhost:50051",
        *,
        app: str = "",
        deadline: float = 2.0,
        credentials: Credentials | None = None,
        unavailable: Literal["raise", "null"] = "raise",
        send_context: bool = True,
        max_authenticate_age: timedelta | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.client = AsyncClient(service, app=app, deadline=deadline, credentials=credentials)
        super().__init__(
            app,
            self.client.known_policy,
            unavailable=unavailable,
            send_context=send_context,
            max_authenticate_age=max_authenticate_age,
            codec=codec,
        )
        websocket_tearing_down.connect(self._save_cancelled)

    async def open_session(self, app: Quart, request: Any) -> Any:
        """Opens the session of a request or of a websocket."""
        failed: errors.SessionUnavailable | None = None
        if app.config["PERMANENT_SESSION_LIFETIME"] is not self._checked_setting:
            try:
                policy = await self.client.policy_if_due()
                if policy is not None:
                    self._apply_policy(app, policy)
            except errors.SessionUnavailable as error:
                failed = error
        if self._has_null_session:
            return None
        headers = request.headers

        def context() -> pb.RequestContext:
            return browser_input.request_context(headers.get("User-Agent", ""), request.remote_addr or "")

        session = self.session_class(
            self.client, AppRequestInfo(self, app, "; ".join(headers.getlist("Cookie")), context)
        )
        if failed is not None:
            session.note_unavailable(failed)
        # If it is unavailable, the first read raises it. A request that does not read does not fail.
        with contextlib.suppress(errors.SessionUnavailable):
            await session.open()
        return session

    async def save_session(self, app: Quart, session: SessionMixin | None, response: Any) -> None:
        """Saves the changes, and sets or deletes the cookie if needed.

        Args:
            app: The application.
            session: The request's session.
            response: The response. None at the end of a websocket, which cannot set a cookie any more.
        """
        if not isinstance(session, AsyncSession):
            return
        is_read, current = session.accessed, session

        async def report_gone(reason: str) -> None:
            if response is None:
                # There is no response that an override could change.
                InterfaceBase.on_gone(self, app, current, reason, None)
            else:
                await _result(self.on_gone(app, current, reason, response))

        if response is None:
            decision, _ = await session.finish_request(report_gone, is_read=is_read)
            if decision.changes_cookie:
                log.warning("a websocket has changed its session, and its browser cannot get the new cookie")
            return
        if is_read:
            vary_by_cookie(response)
        if session.unavailable is not None:
            # The request has waited for the service already.
            if is_read:
                await _result(self.on_unavailable(app, session, session.unavailable, response))
                self._apply_saved(app, session, response)
            return
        try:
            decision, _ = await session.finish_request(report_gone, is_read=is_read)
        except errors.SessionUnavailable as error:
            await _result(self.on_unavailable(app, session, error, response))
            self._apply_saved(app, session, response)
            return
        except CookiesAmbiguous as error:
            # A browser's cookies are no reason for a 500.
            replace(response, error.get_response())
            return
        except Exception:
            # This may be the response of an error handler, which is sent although this error is raised.
            self._apply_saved(app, session, response)
            raise
        if decision.action is not CookieAction.KEEP:
            self._apply_to_cookie(app, session, decision, response)

    async def _save_cancelled(self, app: Any, exc: BaseException | None = None) -> None:
        """Saves the session of a websocket that its browser has closed: Quart cancels the view, and saves nothing."""
        if app.session_interface is not self or not isinstance(exc, asyncio.CancelledError):
            return
        try:
            await self.save_session(app, websocket_ctx.session, None)
        except Exception:
            log.exception("the changes of a websocket that its browser has closed were not saved")


async def _result(returned: Any) -> Any:
    return await returned if inspect.isawaitable(returned) else returned


__all__ = [
    "CloakroomSession",
    "CloakroomSessionInterface",
    "CookiesAmbiguous",
    "JsonCodec",
    "SessionGone",
    "SessionUnavailable",
    "session_gone",
]
