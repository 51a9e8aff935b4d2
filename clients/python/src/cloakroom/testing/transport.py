"""A transport whose service is in memory."""

from __future__ import annotations

from typing import Any, Callable, cast

from ..transport import CallFailed, Method, Request, Response
from .admin import Admin
from .app import App
from .sessions import Sessions
from .store import Store
from .streams import AsyncMemoryStream, EventStream, WatchStream
from .tokens import Signer


class MemoryTransport:
    """Answers calls in this process, by the rules of the service.

        transport = MemoryTransport()
        app.session_interface = CloakroomSessionInterface(transport, app="shop")

    Several interfaces and an `AdminClient` may share a transport, as processes share a service. It is safe to use from
    several threads.

    Args:
        apps: The apps that exist. Without any, an app of each name exists, with the default settings.
    """

    def __init__(self, *apps: App) -> None:
        #: While it is False, every call fails at once, as after a whole deadline without an answer.
        self.is_available = True
        self._apps = {app.name: app for app in apps}
        self._accepts_any_app = not apps
        self._store = Store()
        self._sessions, self._admin = Sessions(self._store, Signer()), Admin(self._store)
        self._calls: dict[str, Callable[[App, Any], Any]] = {
            "OpenSession": self._sessions.open,
            "SaveSession": self._sessions.save,
            "RotateSession": self._sessions.rotate,
            "DestroySession": self._sessions.destroy,
            "GetAppPolicy": lambda app, request: app.policy(),
            "ListSessions": self._admin.list,
            "GetSession": self._admin.get,
            "RevokeSession": self._admin.revoke,
            "RevokeSubject": self._admin.revoke_subject,
            "RevokeApp": self._admin.revoke_app,
            "GetStats": self._admin.stats,
        }

    def call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response:
        self._check_available()
        answer = self._calls.get(method.name)
        if answer is None:
            raise CallFailed("UNIMPLEMENTED", "METHOD_UNKNOWN", f"cloakroom.testing has no {method.name}")
        with self._store.changed:
            return cast(Response, answer(self._app(request), request))

    def stream(self, method: Method[Request, Response], request: Request, timeout: float) -> Any:
        self._check_available()
        with self._store.changed:
            app = self._app(request)
            if method.name == "WatchSession":
                return WatchStream(self._store, lambda: self._sessions.watch(app, cast(Any, request)))
            if method.name == "WatchEvents":
                return EventStream(self._store, app.name, cast(Any, request).cursor)
        raise CallFailed("UNIMPLEMENTED", "METHOD_UNKNOWN", f"cloakroom.testing has no {method.name}")

    def _check_available(self) -> None:
        if not self.is_available:
            # With this code no client waits for a repeat.
            raise CallFailed("DEADLINE_EXCEEDED", "", "MemoryTransport.is_available is False")

    def _app(self, request: Any) -> App:
        name = request.app or "default"
        app = self._apps.get(name)
        if app is None:
            if not self._accepts_any_app:
                raise CallFailed("NOT_FOUND", "APP_UNKNOWN", "no app of that name is configured")
            app = self._apps[name] = App(name)
        return app


class AsyncMemoryTransport:
    """The same for programs with an event loop.

    Args:
        transport: Whose sessions it has, if it shares them. None: it has its own, of apps with the default settings.
    """

    def __init__(self, transport: MemoryTransport | None = None) -> None:
        self.transport = transport or MemoryTransport()

    async def call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response:
        return self.transport.call(method, request, timeout)

    async def stream(
        self, method: Method[Request, Response], request: Request, timeout: float
    ) -> AsyncMemoryStream[Response]:
        return AsyncMemoryStream(self.transport.stream(method, request, timeout))
