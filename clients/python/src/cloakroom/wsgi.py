"""A middleware that gives any WSGI application its session, in `environ["cloakroom.session"]`.

Needs no framework: the cookie is the service's own, as the app's configuration there describes it. The session is saved
when the application calls `start_response`; what it writes while its body is read is saved by `session.save()`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .client import Client
from .codec import Codec, JsonCodec
from .session import Session, Visit
from .transport import Transport
from .v1 import session_service_pb2 as pb

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Where the session stands in the environ.
SESSION = "cloakroom.session"


class CloakroomMiddleware:
    """Wraps a WSGI application.

        application = CloakroomMiddleware(application, "localhost:50051", app="shop")

    `idle_timeout` is how long a session lives unused, if that is less than the service grants by itself.
    """

    def __init__(
        self,
        application: WSGIApplication,
        service: str | Transport = "localhost:50051",
        *,
        app: str = "",
        deadline: float = 2.0,
        idle_timeout: timedelta | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.client = Client(service, app=app, deadline=deadline)
        self._application = application
        self._codec = codec or JsonCodec()
        self._idle_timeout = idle_timeout

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        session = environ[SESSION] = Session(self._visit(environ))

        def start(
            status: str,
            headers: list[tuple[str, str]],
            exc_info: tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None = None,
        ) -> Any:
            if session.accessed:
                headers = [*headers, *session.finish().headers]
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return self._application(environ, start)

    def _visit(self, environ: WSGIEnvironment) -> Visit:
        agent, address = environ.get("HTTP_USER_AGENT", ""), environ.get("REMOTE_ADDR", "")
        return Visit(
            client=self.client,
            codec=self._codec,
            idle_timeout=lambda: self._idle_timeout,
            cookie_header=environ.get("HTTP_COOKIE", ""),
            context=pb.RequestContext(user_agent=agent[:256], remote_address=address if len(address) <= 64 else ""),
        )
