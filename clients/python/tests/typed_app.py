"""An application that type checkers accept as it is: `make lint-python` runs mypy --strict and pyright on it.

`test_typed_app.py` runs it. Nothing here is ignored or cast.
"""

from __future__ import annotations

import datetime

from flask import Flask, Response, redirect, request

from cloakroom import Credentials, SessionUnavailable, Transport
from cloakroom.admin import AdminClient, SessionInfo
from cloakroom.flask import CloakroomSession, CloakroomSessionInterface, session
from cloakroom.session import Session
from cloakroom.testing import App, MemoryTransport
from cloakroom.watch import SessionWatch


class ShopSessionInterface(CloakroomSessionInterface):
    """Changes what happens in two rare cases."""

    def on_gone(self, app: Flask, session: Session, reason: str, response: Response) -> None:
        response.headers["X-Session-Gone"] = reason

    def on_unavailable(self, app: Flask, session: Session, error: SessionUnavailable, response: Response) -> None:
        response.status_code = 503


def make_app(service: str | Transport, admin: AdminClient) -> Flask:
    """Returns the application. `service` is an address or a transport."""
    app = Flask(__name__)
    app.session_interface = ShopSessionInterface(
        service,
        app="shop",
        deadline=1.5,
        unavailable="null",
        refresh_untouched=True,
        max_authenticate_age=datetime.timedelta(minutes=5),
        credentials=None if isinstance(service, MemoryTransport) else Credentials(token="secret"),
    )

    @app.get("/")
    def home() -> dict[str, str | int | bool | None]:
        user: str | None = session.subject
        session.increment("visits")
        visits: int = session["visits"]
        since: datetime.datetime | None = session.authenticate_time
        return {
            "user": user,
            "visits": visits,
            "id": session.id,
            "new": session.new,
            "recent": session.recently_authenticated,
            "since": since.isoformat() if since else None,
        }

    @app.post("/login")
    def login() -> Response:
        session.clear()
        session.permanent = True
        session.subject = request.form["user"]
        session["user"] = request.form["user"]
        session.rotate()
        return see_other("/")

    @app.post("/confirm")
    def confirm() -> Response:
        session.authenticated()
        session.save()
        return see_other("/")

    @app.post("/logout")
    def logout() -> Response:
        session.destroy()
        return see_other("/")

    @app.get("/devices")
    def devices() -> list[str]:
        found: list[SessionInfo] = admin.list_subject(session.subject) if session.subject else []
        return [f"{device.user_agent} {device.access_time:%Y-%m-%d}" for device in found]

    @app.get("/events")
    def events() -> str:
        watch: SessionWatch = session.watch()
        with watch:
            reason: str | None = watch.wait(timeout=0)
        return reason or "alive"

    @app.get("/copy")
    def copy() -> dict[str, object]:
        own: CloakroomSession = session
        return {**own.copy(), **(own | {"more": own.get("user", "")})}

    return app


def see_other(path: str) -> Response:
    """Returns a redirect to a page."""
    response = Response()
    response.headers["Location"] = redirect(path).location or path
    response.status_code = 303
    return response


def make_test_app() -> Flask:
    """Returns the application with its sessions in memory."""
    transport = MemoryTransport(App("shop", idle_timeout=datetime.timedelta(days=40), on_session_limit="refuse"))
    return make_app(transport, AdminClient(transport, app="shop"))
