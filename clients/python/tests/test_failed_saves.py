"""A save that fails after another one was answered: the cookie of that one is on the response all the same."""

from __future__ import annotations

import asyncio

import django_app
import pytest
from django.test import Client as DjangoClient
from django.test import override_settings
from flask import Flask
from flask import session as flask_session
from quart import Quart
from quart import session as quart_session
from recording_transport import RecordingTransport
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from cloakroom import AsyncConnectTransport, SessionUnavailable, flask, quart, starlette, wsgi
from cloakroom.transport import CallFailed


class FailingTransport:
    """Makes calls, and fails all saves while `is_on`."""

    def __init__(self, transport) -> None:
        self.transport, self.is_on = transport, False

    def call(self, method, request, timeout):
        if self.is_on and method.name == "SaveSession":
            raise CallFailed("UNAVAILABLE", "", "no answer")
        return self.transport.call(method, request, timeout)


class AsyncFailingTransport(FailingTransport):
    async def call(self, method, request, timeout):
        return await super().call(method, request, timeout)


DEADLINE = 0.3


def rotate(session, outage):
    session.rotate()
    session.save()
    session["late"] = True
    outage.is_on = True


async def rotate_async(session, outage):
    session.rotate()
    await session.save()
    session["late"] = True
    outage.is_on = True


def in_flask(outage, act):
    app = Flask(__name__)
    app.session_interface = flask.CloakroomSessionInterface(outage, app="shop", deadline=DEADLINE)
    app.add_url_rule("/fill", "fill", lambda: str(flask_session.update(cart=[1])))
    app.add_url_rule("/act", "act", lambda: str(act(flask_session, outage)))
    app.add_url_rule("/read", "read", lambda: dict(flask_session))
    return app.test_client()


def in_wsgi(outage, act):
    def application(environ, start_response):
        session, path = environ[wsgi.SESSION], environ["PATH_INFO"]
        if path == "/fill":
            session["cart"] = [1]
        if path == "/act":
            act(session, outage)
        body = repr(dict(session)).replace("'", '"').encode() if path == "/read" else b""
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]

    return Client(wsgi.CloakroomMiddleware(application, outage, app="shop", deadline=DEADLINE))


@pytest.mark.parametrize("make_client", [in_flask, in_wsgi])
def test_the_cookie_of_a_rotation_is_sent_although_a_later_save_has_failed(service, make_client):
    outage = FailingTransport(RecordingTransport(service.address))
    client = make_client(outage, rotate)
    client.get("/fill")

    failed = client.get("/act")
    outage.is_on = False

    assert (failed.status_code, len(failed.headers.getlist("Set-Cookie"))) == (503, 1)
    assert client.get("/read").json == {"cart": [1]}


def test_a_logout_after_a_read_without_an_answer_deletes_the_cookie(service):
    transport = RecordingTransport(service.address)

    def act(session, outage):
        def fail(method, request, timeout):
            transport.instead["OpenSession"] = fail
            raise CallFailed("UNAVAILABLE", "", "no answer")

        transport.instead["OpenSession"] = fail
        with pytest.raises(SessionUnavailable):
            session["cart"]
        session.destroy()

    client = in_flask(transport, act)
    client.get("/fill")

    out = client.get("/act")

    assert (out.status_code, client.get_cookie("session")) == (200, None)


def test_the_cookie_of_a_rotation_is_sent_by_starlette_although_a_later_save_has_failed(service):
    outage = AsyncFailingTransport(AsyncConnectTransport(service.address))

    async def fill(request):
        request.session["cart"] = [1]
        return JSONResponse({})

    async def act(request):
        await rotate_async(request.session, outage)
        return JSONResponse({})

    async def read(request):
        return JSONResponse(dict(request.session))

    app = Starlette(routes=[Route("/fill", fill), Route("/act", act), Route("/read", read)])
    middleware = starlette.CloakroomMiddleware(app, outage, app="shop", deadline=DEADLINE)
    with TestClient(middleware) as client:
        client.get("/fill")
        failed = client.get("/act")
        outage.is_on = False

        assert (failed.status_code, len(failed.headers.get_list("Set-Cookie"))) == (503, 1)
        assert client.get("/read").json() == {"cart": [1]}


def test_the_cookie_of_a_rotation_is_sent_by_quart_although_a_later_save_has_failed(service):
    async def run():
        outage = AsyncFailingTransport(AsyncConnectTransport(service.address))
        app = Quart(__name__)
        app.session_interface = quart.CloakroomSessionInterface(outage, app="shop", deadline=DEADLINE)

        @app.get("/fill")
        async def fill():
            quart_session["cart"] = [1]
            return ""

        @app.get("/act")
        async def act():
            await rotate_async(quart_session, outage)
            return ""

        @app.get("/read")
        async def read():
            return dict(quart_session)

        client = app.test_client()
        await client.get("/fill")
        failed = await client.get("/act")
        outage.is_on = False

        assert (failed.status_code, len(failed.headers.getlist("Set-Cookie"))) == (503, 1)
        assert await (await client.get("/read")).get_json() == {"cart": [1]}

    asyncio.run(run())


def test_the_cookie_of_a_rotation_is_sent_by_django_although_a_later_save_has_failed(service):
    outage = FailingTransport(RecordingTransport(service.address))
    client = DjangoClient()

    def act(request):
        request.session.cycle_key()
        request.session.save()
        request.session["late"] = True
        outage.is_on = True

    with override_settings(CLOAKROOM={"SERVICE": outage, "APP": "shop", "DEADLINE": DEADLINE}):
        django_app.get(client, lambda request: request.session.update({"cart": [1]}))
        before = client.cookies["session"].value if "session" in client.cookies else client.cookies["sessionid"].value
        failed = django_app.get(client, act)
        outage.is_on = False

        assert failed.status_code == 503
        assert [cookie.value != before for cookie in failed.cookies.values()] == [True]
        read = django_app.get(client, lambda request: request.session["cart"])
        assert read.status_code == 200
