"""A request that fails after one of its saves was answered: the cookie of that one is on the response all the same."""

from __future__ import annotations

import asyncio

import django_app
import pytest
from django.core.signals import got_request_exception
from django.test import AsyncClient as AsyncDjangoClient
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

from cloakroom import AsyncConnectTransport, SessionRefused, SessionUnavailable, flask, quart, starlette, wsgi
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
LARGE = "x" * 100_000
SERVER_ERROR = "Internal Server Error"


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


def keep_what_no_json_has(session):
    session["late"] = object()


def keep_too_much(session):
    session["late"] = LARGE


@pytest.mark.parametrize("late", [keep_what_no_json_has, keep_too_much])
def test_flask_sends_the_cookie_of_a_rotation_with_an_error_page_that_cannot_be_saved(service, late):
    def act(session, transport):
        session.rotate()
        session.save()
        late(session)

    def apologize(error):
        late(flask_session)
        return "sorry", 500

    client = in_flask(RecordingTransport(service.address), act)
    client.application.register_error_handler(500, apologize)
    client.get("/fill")

    failed = client.get("/act")

    assert (failed.status_code, failed.text, len(failed.headers.getlist("Set-Cookie"))) == (500, "sorry", 1)
    assert client.get("/read").json == {"cart": [1]}


@pytest.mark.parametrize("late", [keep_what_no_json_has, keep_too_much])
def test_quart_sends_the_cookie_of_a_rotation_with_an_error_page_that_cannot_be_saved(service, late):
    async def run():
        app = Quart(__name__)
        app.session_interface = quart.CloakroomSessionInterface(service.address, app="shop")

        @app.get("/fill")
        async def fill():
            quart_session["cart"] = [1]
            return ""

        @app.get("/act")
        async def act():
            quart_session.rotate()
            await quart_session.save()
            late(quart_session)
            return ""

        @app.get("/read")
        async def read():
            return dict(quart_session)

        @app.errorhandler(500)
        async def apologize(error):
            late(quart_session)
            return "sorry", 500

        client = app.test_client()
        await client.get("/fill")
        failed = await client.get("/act")

        assert (failed.status_code, await failed.get_data(as_text=True)) == (500, "sorry")
        assert len(failed.headers.getlist("Set-Cookie")) == 1
        assert await (await client.get("/read")).get_json() == {"cart": [1]}

    asyncio.run(run())


@pytest.mark.parametrize("late", [keep_what_no_json_has, keep_too_much])
def test_django_sends_the_cookie_of_a_rotation_with_the_500_for_a_save_that_fails(service, late):
    client, errors = DjangoClient(raise_request_exception=False), []

    def act(request):
        request.session.cycle_key()
        request.session.save()
        late(request.session)

    def note(sender, **_):
        errors.append(sender)

    with override_settings(CLOAKROOM={"SERVICE": service.address, "APP": "shop"}):
        got_request_exception.connect(note)
        django_app.get(client, lambda request: request.session.update({"cart": [1]}))
        before = django_app.cookie(client)
        failed = django_app.get(client, act)
        got_request_exception.disconnect(note)

        assert (failed.status_code, len(errors), django_app.cookie(client) != before) == (500, 1, True)
        assert django_app.get(client, lambda request: request.session["cart"]).result == [1]


@pytest.mark.skipif(django_app.django.VERSION < (5, 1), reason="Django 5.1 has made sessions awaitable")
@pytest.mark.parametrize("late", [keep_what_no_json_has, keep_too_much])
def test_django_sends_the_cookie_of_an_awaited_rotation_with_the_500_for_a_save_that_fails(service, late):
    async def act(request):
        await request.session.acycle_key()
        await request.session.asave()
        late(request.session)

    async def requests():
        client = AsyncDjangoClient(raise_request_exception=False)
        await django_app.aget(client, lambda request: request.session.aset("cart", [1]))
        before = django_app.cookie(client)
        failed = await django_app.aget(client, act)

        assert (failed.status_code, django_app.cookie(client) != before) == (500, True)
        assert (await django_app.aget(client, lambda request: request.session.aget("cart"))).result == [1]

    with override_settings(CLOAKROOM={"SERVICE": service.address, "APP": "shop"}):
        django_app.run(requests())


async def fail(session):
    session.rotate()
    await session.save()
    raise ZeroDivisionError


async def have_refused(session):
    session.rotate()
    await session.save()
    keep_too_much(session)


@pytest.mark.parametrize("act", [fail, have_refused])
def test_starlette_sends_the_cookie_of_a_rotation_with_the_500_and_raises_the_error(service, act):
    async def view(request):
        if request.url.path == "/fill":
            request.session["cart"] = [1]
        if request.url.path == "/act":
            await act(request.session)
        return JSONResponse(dict(request.session))

    app = Starlette(routes=[Route(path, view) for path in ("/fill", "/act", "/read")])
    app.add_middleware(starlette.CloakroomMiddleware, service.address, app="shop")
    client = TestClient(app, raise_server_exceptions=False)
    client.get("/fill")
    before = client.cookies["session"]

    failed = client.get("/act")

    assert (failed.status_code, failed.text, len(failed.headers.get_list("Set-Cookie"))) == (500, SERVER_ERROR, 1)
    assert client.cookies["session"] != before
    assert client.get("/read").json() == {"cart": [1]}
    with pytest.raises(SessionRefused if act is have_refused else ZeroDivisionError):
        TestClient(app, cookies=client.cookies).get("/act")


def test_a_websocket_whose_server_can_send_no_response_just_fails(service):
    sent = []

    async def application(scope, receive, send):
        scope["session"]["cart"] = [1]
        await scope["session"].save()
        raise ZeroDivisionError

    async def send(message):
        sent.append(message)

    middleware = starlette.CloakroomMiddleware(application, service.address, app="shop")
    with pytest.raises(ZeroDivisionError):
        asyncio.run(middleware({"type": "websocket", "headers": []}, None, send))
    assert sent == []
