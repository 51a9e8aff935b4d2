"""A worker that has begun while the service does not answer, and so does not know the app's policy."""

from __future__ import annotations

import contextlib

import pytest
from event_loop import in_event_loop
from flask import Flask
from flask import session as flask_session
from quart import Quart
from quart import session as quart_session
from recording_transport import AsyncRecordingTransport, RecordingTransport, fail_at_deadline
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from cloakroom import SessionUnavailable, flask, quart, starlette, wsgi

COOKIE = {"Cookie": "session=v1.x"}
USES = {
    "read": lambda session: session.get("a"),
    "write": lambda session: session.update(a=1),
    "id": lambda session: session.id,
    "subject": lambda session: session.subject,
    "login": lambda session: setattr(session, "subject", "ada"),
    "rotate": lambda session: session.rotate(),
    "authenticated": lambda session: session.authenticated(),
}
READS = ["read", "id", "subject"]
WRITES = ["write", "login", "rotate", "authenticated"]


def in_outage(transport):
    """Has each call fail as if its deadline were over."""
    for method in ("GetAppPolicy", "OpenSession", "SaveSession"):
        fail_at_deadline(transport, method)
    return transport


@pytest.fixture
def transport(service):
    return in_outage(RecordingTransport(service.address))


@pytest.fixture
def async_transport(service):
    return in_outage(AsyncRecordingTransport(service.address))


def catching(use):
    """Returns a view's work that uses the session twice, and catches the errors of that."""

    def work(session):
        for _ in range(2):
            with contextlib.suppress(SessionUnavailable):
                use(session)

    return work


def make_flask(transport, **settings):
    app = Flask(__name__)
    app.session_interface = flask.CloakroomSessionInterface(transport, app="shop", **settings)
    app.add_url_rule("/untouched", "untouched", lambda: "")
    for name, use in USES.items():
        app.add_url_rule(f"/{name}", name, lambda use=use: repr(use(flask_session)))
        app.add_url_rule(f"/catch/{name}", f"catch {name}", lambda use=use: repr(catching(use)(flask_session)))
    return app.test_client()


@pytest.mark.parametrize("name", USES)
def test_each_use_in_flask_is_a_503_after_one_wait(transport, name):
    client = make_flask(transport)
    for _ in range(2):
        response = client.get(f"/{name}", headers=COOKIE)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert len(transport.take_calls()) == 1


@pytest.mark.parametrize("name", USES)
def test_a_view_of_flask_that_catches_the_error_waits_once(transport, name):
    make_flask(transport).get(f"/catch/{name}", headers=COOKIE)
    assert len(transport.take_calls()) == 1


def test_reads_in_flask_are_empty_with_unavailable_null_and_writes_are_a_503(transport):
    client = make_flask(transport, unavailable="null")
    for name in USES:
        response = client.get(f"/{name}", headers=COOKIE)
        assert (name, response.status_code) == (name, 200 if name in READS else 503)
        assert len(transport.take_calls()) == 1


@pytest.mark.parametrize("name", ["/id", "/login", "/write"])
def test_the_first_request_of_flask_after_the_outage_works(transport, name):
    client = make_flask(transport)
    client.get(name, headers=COOKIE)
    transport.instead.clear()
    assert client.get(name, headers=COOKIE).status_code == 200


def make_quart(transport, **settings):
    app = Quart(__name__)
    app.session_interface = quart.CloakroomSessionInterface(transport, app="shop", **settings)

    @app.get("/<name>")
    async def view(name):
        return repr(USES[name](quart_session)) if name in USES else ""

    return app.test_client()


class Interface(quart.CloakroomSessionInterface):
    def on_unavailable(self, app, session, error, response):
        response.headers["Retry-After"] = "60"


@pytest.mark.parametrize("name", USES)
@in_event_loop
async def test_on_unavailable_of_quart_is_called_for_each_use(async_transport, name):
    client = make_quart(async_transport)
    client.app.session_interface = Interface(async_transport, app="shop")
    response = await client.get(f"/{name}", headers=COOKIE)
    assert (response.headers["Retry-After"], response.headers["Vary"]) == ("60", "Cookie")


@pytest.mark.parametrize("name", USES)
@in_event_loop
async def test_each_use_in_quart_is_a_503_after_one_wait(async_transport, name):
    client = make_quart(async_transport)
    for _ in range(2):
        response = await client.get(f"/{name}", headers=COOKIE)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert async_transport.take_calls() == ["GetAppPolicy"]


@in_event_loop
async def test_an_untouched_request_of_quart_waits_once(async_transport):
    for headers in (COOKIE, {}):
        assert (await make_quart(async_transport).get("/untouched", headers=headers)).status_code == 200
        assert async_transport.take_calls() == ["GetAppPolicy"]


@in_event_loop
async def test_reads_in_quart_are_empty_with_unavailable_null_and_writes_are_a_503(async_transport):
    client = make_quart(async_transport, unavailable="null")
    for name in USES:
        response = await client.get(f"/{name}", headers=COOKIE)
        assert (name, response.status_code) == (name, 200 if name in READS else 503)
        assert async_transport.take_calls() == ["GetAppPolicy"]


@pytest.mark.parametrize("unavailable", ["raise", "null"])
@pytest.mark.parametrize("name", USES)
def test_each_use_in_starlette_waits_once(async_transport, name, unavailable):
    async def view(request):
        await request.session.open()
        return PlainTextResponse(repr(USES[name](request.session)))

    app = Starlette(routes=[Route("/", view)])
    app.add_middleware(starlette.CloakroomMiddleware, async_transport, app="shop", lazy=True, unavailable=unavailable)
    status = 200 if unavailable == "null" and name in READS else 503
    assert TestClient(app).get("/", headers=COOKIE).status_code == status
    assert async_transport.take_calls() == ["GetAppPolicy"]


@pytest.mark.parametrize("name", USES)
def test_a_wsgi_application_that_catches_the_error_waits_once(transport, name):
    def application(environ, start_response):
        session = environ[wsgi.SESSION]
        for use in (USES["read"], USES[name]):
            catching(use)(session)
        start_response("200 OK", [])
        return [b""]

    response = Client(wsgi.CloakroomMiddleware(application, transport, app="shop")).get("/", headers=COOKIE)
    assert (response.status_code, transport.take_calls()) == (503 if name == "write" else 200, ["OpenSession"])
