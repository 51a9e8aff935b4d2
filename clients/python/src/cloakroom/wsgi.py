"""A middleware that adds `environ["cloakroom.session"]` to any WSGI application.

Needs no framework. The cookie has the attributes that the service's configuration gives the app. The session is saved
when the application calls `start_response`. Changes made later, while the body is read, need `session.save()`.

If the service does not answer, and the application does not handle that, the response is 503 with Retry-After.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable

from . import browser_input
from .client import Client
from .codec import Codec, JsonCodec
from .connect import Credentials
from .cookie_attributes import CookieAttributes, to_message
from .errors import COOKIES_AMBIGUOUS, RETRY_AFTER, CloakroomError, SessionUnavailable
from .session import RequestInfo, Session, warn_of_gone
from .transport import Transport

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("cloakroom")

#: The session's key in the environ.
SESSION = "cloakroom.session"


class CloakroomMiddleware:
    """Wraps a WSGI application.

        application = CloakroomMiddleware(application, "localhost:50051", app="shop")

    Args:
        application: The WSGI application.
        service: The service's address, such as `localhost:50051`, `https://cloakroom:50051` or `unix:/path`, or a
            `Transport`.
        app: The app's name in the service's configuration. Empty means `default`.
        deadline: Seconds that one call may take, its retries included.
        credentials: What the calls are authenticated by. A `Transport` has its own.
        idle_timeout: How long a session lives without use, if shorter than the app's idle timeout in the service.
        codec: Converts values to JSON text and back. The default is plain JSON.
        cookie_attributes: Returns the attributes of the cookie that a request chooses, by its environ: a dict with some
            of `domain`, `path`, `secure` and `samesite`. The others are the app's. The service refuses what the app
            forbids.
    """

    def __init__(
        self,
        application: WSGIApplication,
        service: str | Transport = "localhost:50051",
        *,
        app: str = "",
        deadline: float = 2.0,
        credentials: Credentials | None = None,
        idle_timeout: timedelta | None = None,
        codec: Codec | None = None,
        cookie_attributes: Callable[[WSGIEnvironment], CookieAttributes | None] | None = None,
    ) -> None:
        self.client = Client(service, app=app, deadline=deadline, credentials=credentials)
        self._application = application
        self._codec = codec or JsonCodec()
        self._idle_timeout = idle_timeout
        self._cookie_attributes = cookie_attributes

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        session = environ[SESSION] = Session(self.client, self._request_info(environ))
        is_started = False

        def start_response_with_session(
            status: str,
            headers: list[tuple[str, str]],
            exc_info: tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None = None,
        ) -> Any:
            nonlocal is_started
            if session.accessed:
                if session.unavailable is not None and session.has_unsaved_changes():
                    # The request has waited for the service already.
                    raise session.unavailable
                decision, _ = session.finish_request(lambda reason: self.on_gone(environ, session, reason))
                headers = [*headers, *decision.headers]
            is_started = True
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            body = self._application(environ, start_response_with_session)
        except Exception as error:
            if is_started:
                raise
            return _answer(error, session, start_response)
        # A generator begins when the server asks for its first part.
        return body if is_started else _late_body(body, lambda: is_started, session, start_response)

    def on_gone(self, environ: WSGIEnvironment, session: Session, reason: str) -> None:
        """Called if the session had ended before it was saved. Nothing was written, and the cookie stays as it is.

        A `save` of the application that has met the end counts too, unless it has read the reason in `session.gone`.
        Logs a warning. An override may raise an error, which the server answers by 500.

        Args:
            environ: The request's environ.
            session: The request's session.
            reason: Why the session had ended, such as `DESTROYED` or `SUPERSEDED`.
        """
        warn_of_gone(reason)

    def _request_info(self, environ: WSGIEnvironment) -> RequestInfo:
        return RequestInfo(
            app=self.client.app,
            policy=self.client.policy,
            knows_policy=lambda: self.client.knows_policy,
            codec=self._codec,
            idle_timeout=lambda: self._idle_timeout,
            cookie_attributes=to_message(self._cookie_attributes(environ)) if self._cookie_attributes else None,
            cookie_header=browser_input.cookie_header(environ.get("HTTP_COOKIE", "")),
            context=lambda: browser_input.request_context(
                environ.get("HTTP_USER_AGENT", ""), environ.get("REMOTE_ADDR", "")
            ),
        )


def _late_body(
    body: Iterable[bytes], is_started: Callable[[], bool], session: Session, start_response: StartResponse
) -> Iterator[bytes]:
    """Returns the parts of a body whose response begins with its first part."""
    try:
        yield from body
    except Exception as error:
        if is_started():
            raise
        yield from _answer(error, session, start_response)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def _answer(error: Exception, session: Session, start_response: StartResponse) -> Iterable[bytes]:
    """Answers a request whose application has failed before it called `start_response`."""
    if isinstance(error, SessionUnavailable):
        log.warning("the session service does not answer: %s", error)
        status, more = "503 Service Unavailable", [("Retry-After", str(RETRY_AFTER))]
        text = b"The service is not available. Try again soon."
    elif isinstance(error, CloakroomError) and error.reason == COOKIES_AMBIGUOUS:
        # A browser's cookies are no reason for a 500.
        status, more, text = "400 Bad Request", [], str(error).encode()
    else:
        return _fail(error, session, start_response)
    start_response(status, [*_headers(text, session), *more])
    return [text]


def _fail(error: Exception, session: Session, start_response: StartResponse) -> Iterable[bytes]:
    """Raises an error, for which the server answers 500. If earlier saves have changed the cookie, it answers first.

    The server's own 500 would not have the cookie, whatever was given to `start_response`. So the body is sent before
    the error is raised: gunicorn, wsgiref and werkzeug only log it then. Clients for tests raise it at once.
    """
    if session.saved_decision is None or not session.saved_decision.changes_cookie:
        raise error
    text = b"Internal Server Error"
    start_response("500 Internal Server Error", _headers(text, session), sys.exc_info())

    def body() -> Iterator[bytes]:
        yield text
        raise error

    return body()


def _headers(text: bytes, session: Session) -> list[tuple[str, str]]:
    """Returns the headers of a response of one line of text."""
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))]
    # Those of the calls that were answered before one failed.
    saved = () if session.saved_decision is None else session.saved_decision.headers
    return [*headers, ("Cache-Control", "no-store"), *saved]
