"""A middleware for Starlette, FastAPI and every other ASGI application: `request.session` is in Cloakroom.

Needs no framework: the session is in `scope["session"]`. The cookie has the attributes that the service's configuration
gives the app. The session is saved before the head of the response is sent. Changes made later, in a background task,
while a body is streamed or after a websocket was accepted, need `await request.session.save()`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Iterable, MutableMapping
from datetime import timedelta
from typing import Any, Callable, Literal

from . import browser_input
from .async_client import AsyncClient
from .async_session import AsyncSession
from .codec import Codec, JsonCodec
from .connect import Credentials
from .cookie_attributes import CookieAttributes, to_message
from .errors import COOKIES_AMBIGUOUS, RETRY_AFTER, CloakroomError, SessionRefused, SessionUnavailable
from .messages import session_service_pb2 as pb
from .session import RequestInfo, warn_of_gone
from .transport import AsyncTransport
from .watched_websocket import Message, Receive, Send, WatchedWebsocket

Scope = MutableMapping[str, Any]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("cloakroom")


class CloakroomSession(AsyncSession):
    """What `request.session` is. Starlette calls `mark_accessed` each time that it hands it out."""

    def mark_accessed(self) -> None:
        self.accessed = True

    def mark_modified(self) -> None:
        """Has the session saved, even without changes."""
        self.modified = True


class CloakroomMiddleware:
    """Stores the sessions of an ASGI application in Cloakroom.

        app.add_middleware(CloakroomMiddleware, service="localhost:50051", app="shop")

    Args:
        application: The ASGI application.
        service: The service's address, such as `localhost:50051`, `https://cloakroom:50051` or `unix:/path`, or an
            `AsyncTransport`.
        app: The app's name in the service's configuration. Empty means `default`.
        deadline: Seconds that one call may take, its retries included.
        credentials: What the calls are authenticated by. An `AsyncTransport` has its own.
        lazy: Whether the application opens the session itself, by `await request.session.open()` before the first
            read. A request that does not use its session then makes no call. Otherwise each request that has the
            session cookie makes one.
        unavailable: What happens while the service is unavailable. "raise": the line that needs the session raises
            `SessionUnavailable`. "null": the session reads as empty, and writes raise `SessionUnavailable`.
        idle_timeout: How long a session lives without use, if shorter than the app's idle timeout in the service.
        codec: Converts values to JSON text and back. The default is plain JSON, as Starlette's.
        send_context: Whether to send the browser's user agent and address, for the list of a user's sessions.
        cookie_attributes: Returns the attributes of the cookie that a request chooses, by its scope: a dict with some
            of `domain`, `path`, `secure` and `samesite`. The others are the app's. The service refuses what the app
            forbids.
        max_authenticate_age: How long an authentication counts for `session.recently_authenticated`. Not for apps of
            kind `cookie`.
        close_websockets: Whether to close a websocket when its session ends, with the code 4401. That is so after a
            logout, a revocation, a login, or when its lifetime is over: the use of a websocket is no use of its
            session. Each open websocket with a stored session then has a connection to the service. Not for apps of
            kind `cookie`.

    Raises:
        ValueError: `unavailable` is neither "raise" nor "null".
    """

    session_class = CloakroomSession

    def __init__(
        self,
        application: ASGIApp,
        /,
        service: str | AsyncTransport = "localhost:50051",
        *,
        app: str = "",
        deadline: float = 2.0,
        credentials: Credentials | None = None,
        lazy: bool = False,
        unavailable: Literal["raise", "null"] = "raise",
        idle_timeout: timedelta | None = None,
        codec: Codec | None = None,
        send_context: bool = True,
        max_authenticate_age: timedelta | None = None,
        cookie_attributes: Callable[[Scope], CookieAttributes | None] | None = None,
        close_websockets: bool = False,
    ) -> None:
        if unavailable not in ("raise", "null"):
            raise ValueError('unavailable must be "raise" or "null"')
        self.client = AsyncClient(service, app=app, deadline=deadline, credentials=credentials)
        self._application = application
        self._is_lazy = lazy
        self._null_when_unavailable = unavailable == "null"
        self._idle_timeout = idle_timeout
        self._codec = codec or JsonCodec()
        self._send_context = send_context
        self._max_authenticate_age = max_authenticate_age
        self._cookie_attributes = cookie_attributes
        self._closes_websockets = close_websockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        outer = scope.get("session")
        if isinstance(outer, AsyncSession) and outer.is_of_app(self.client.app):
            # A middleware before this one saves it, as that of an application in which this one is mounted. By two
            # sessions, the browser would get the cookie of each, and the one of the outer may be that before a login.
            await self._open(scope, outer)
            await self._application(scope, receive, send)
            return
        session = scope["session"] = self.session_class(self.client, self._request_info(scope))
        if scope["type"] == "websocket" and self._closes_websockets:
            websocket = WatchedWebsocket(session, receive, send)
            try:
                await self._run(scope, session, websocket.receive, websocket.send, websocket)
            finally:
                websocket.close()
        else:
            await self._run(scope, session, receive, send)

    async def _run(
        self,
        scope: Scope,
        session: AsyncSession,
        receive: Receive,
        send: Send,
        websocket: WatchedWebsocket | None = None,
    ) -> None:
        """Runs the application, whose first message takes the headers of the session along."""
        has_head = is_replaced = False

        async def send_with_session(message: Message) -> None:
            nonlocal has_head, is_replaced
            if is_replaced:
                return
            if not has_head and message["type"] in _HEADS:
                # The application may send the same message to other browsers, which must not get this cookie.
                message = {**message}
                try:
                    response = await self._finish(scope, session, message)
                    if websocket is not None and message["type"] == "websocket.accept":
                        await websocket.begin()
                except CloakroomError as error:
                    response = await self._response_to(scope, error)
                    if response is None:
                        raise
                if response is not None:
                    is_replaced = True
                    await _reply(response, scope, receive, _with_saved(session, send))
                    # Ends the application, which has to do nothing more: no background task, for example.
                    raise _ResponseReplaced
                has_head = True
            await send(message)

        try:
            await self._open(scope, session)
            await self._application(scope, receive, send_with_session)
        except Exception as error:
            if is_replaced:
                return
            if has_head:
                raise
            response = await self._response_to(scope, error)
            if response is not None:
                is_replaced = True
                await _reply(response, scope, receive, _with_saved(session, send))
                return
            decision = session.saved_decision
            if decision is not None and decision.changes_cookie and _takes_response(scope):
                # A 500 that is made elsewhere would not have the cookie. Starlette's own is sent before the error is
                # raised, too.
                is_replaced = True
                await _PlainResponse(500, "Internal Server Error")(scope, receive, _with_saved(session, send))
            raise

    async def on_unavailable(self, scope: Scope, error: SessionUnavailable) -> ASGIApp | None:
        """Returns the response to a request whose session could not be opened or saved: 503, with Retry-After.

        It is not called if the application has handled the error. An override may return any ASGI application, such as
        a response of Starlette, or None to raise the error. A websocket is refused.

        Args:
            scope: The request's scope.
            error: Why.
        """
        log.warning("the session service does not answer: %s", error)
        return _PlainResponse(503, "The service is not available. Try again soon.", retry_after=RETRY_AFTER)

    async def on_gone(self, scope: Scope, session: AsyncSession, reason: str) -> ASGIApp | None:
        """Called if the session had ended before it was saved. Nothing was written, and the cookie stays as it is.

        A `save` of the application that has met the end counts too, unless it has read the reason in `session.gone`.
        Logs a warning and returns None: the response of the application is sent. An override may return another one.

        Args:
            scope: The request's scope.
            session: The request's session.
            reason: Why the session had ended, such as `DESTROYED` or `SUPERSEDED`.
        """
        warn_of_gone(reason)
        return None

    async def _open(self, scope: Scope, session: AsyncSession) -> None:
        """Opens the session, if that is not left to the application."""
        if self._is_lazy:
            try:
                await self.client.policy_if_due()
            except SessionUnavailable as error:
                session.note_unavailable(error)
            return
        try:
            await session.open()
        except SessionUnavailable:
            # The first read raises it, so a request that does not read does not fail. A websocket may last for long.
            if scope["type"] == "websocket":
                raise

    async def _finish(self, scope: Scope, session: AsyncSession, head: Message) -> ASGIApp | None:
        """Saves the session, and adds its headers to the head of the response. Returns a response to send instead."""
        if session.unavailable is not None and session.has_unsaved_changes():
            # The request has waited for the service already.
            raise session.unavailable
        report_gone = functools.partial(self.on_gone, scope, session)
        decision, response = await session.finish_request(report_gone, is_read=session.accessed)
        if response is not None:
            return response
        headers: Iterable[tuple[str, str]] = decision.headers
        if not headers and session.accessed:
            headers = (("Vary", "Cookie"),)
        _add(headers, head)
        return None

    async def _response_to(self, scope: Scope, error: Exception) -> ASGIApp | None:
        """Returns the response to an error of the session that the application has not handled."""
        error = _error_of(error)
        if isinstance(error, SessionUnavailable):
            return await self.on_unavailable(scope, error)
        if isinstance(error, SessionRefused) and error.reason == COOKIES_AMBIGUOUS:
            # A browser's cookies are no reason for a 500.
            return _PlainResponse(400, str(error))
        return None

    def _request_info(self, scope: Scope) -> RequestInfo:
        cookies, user_agent = [], b""
        for name, value in scope["headers"]:
            if name == b"cookie":
                cookies.append(value)
            elif name == b"user-agent":
                user_agent = value

        # Without the scope, which has the session: a cycle would be left to the garbage collector.
        context = functools.partial(self._context, user_agent, scope.get("client"))
        return RequestInfo(
            app=self.client.app,
            policy=self.client.known_policy,
            codec=self._codec,
            cookie_header=browser_input.cookie_header(b"; ".join(cookies).decode("latin-1")),
            context=context,
            null_when_unavailable=self._null_when_unavailable,
            max_authenticate_age=self._max_authenticate_age,
            idle_timeout=lambda: self._idle_timeout,
            cookie_attributes=to_message(self._cookie_attributes(scope)) if self._cookie_attributes else None,
        )

    def _context(self, user_agent: bytes, client: Any) -> pb.RequestContext:
        if not self._send_context:
            return pb.RequestContext()
        return browser_input.request_context(user_agent.decode("latin-1"), client[0] if client else "")


class _ResponseReplaced(Exception):
    """Ends an application whose response was replaced."""


class _PlainResponse:
    """A response of one line of text, as an ASGI application."""

    def __init__(self, status: int, text: str, retry_after: int | None = None) -> None:
        self._status = status
        self._body = text.encode()
        self._headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(self._body)),
            (b"cache-control", b"no-store"),
        ]
        if retry_after is not None:
            self._headers.append((b"retry-after", b"%d" % retry_after))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
        await send({"type": f"{kind}.start", "status": self._status, "headers": self._headers})
        await send({"type": f"{kind}.body", "body": self._body})


def _error_of(error: Exception) -> Exception:
    """Returns the error in a group, as a TaskGroup raises, that has only errors of sessions. An outage goes first."""
    leaves = _leaves(error)
    if not all(isinstance(each, CloakroomError) for each in leaves):
        return error
    return next((each for each in leaves if isinstance(each, SessionUnavailable)), leaves[0])


def _leaves(error: Exception) -> list[Exception]:
    # Python before 3.11 has no groups, but packages that do.
    grouped: tuple[Exception, ...] | None = getattr(error, "exceptions", None)
    return [error] if not grouped else [leaf for each in grouped for leaf in _leaves(each)]


def _add(headers: Iterable[tuple[str, str]], head: Message) -> None:
    added = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if added:
        head["headers"] = [*head.get("headers", ()), *added]


def _with_saved(session: AsyncSession, send: Send) -> Send:
    """Adds the headers of the calls that were answered before one failed."""
    decision = session.saved_decision
    if decision is None:
        return send

    async def send_with_saved(message: Message) -> None:
        if message["type"] in _HEADS:
            message = {**message}
            _add(decision.headers, message)
        await send(message)

    return send_with_saved


async def _reply(response: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a response. A websocket whose server can send none is refused."""
    if _takes_response(scope):
        await response(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1013, "reason": "try again later"})


def _takes_response(scope: Scope) -> bool:
    return scope["type"] == "http" or "websocket.http.response" in (scope.get("extensions") or {})


#: The messages whose headers a browser takes cookies from.
_HEADS = ("http.response.start", "websocket.accept", "websocket.http.response.start")

__all__ = ["CloakroomMiddleware", "CloakroomSession"]
