"""Applications of each framework for the tests, whose requests change the session by given functions."""

from __future__ import annotations

import asyncio

import django_app
import pytest
from django.contrib import auth
from django.test import AsyncClient as AsyncDjangoClient
from django.test import Client as DjangoClient
from flask import Flask
from flask import session as flask_session
from quart import Quart
from quart import session as quart_session
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from cloakroom import flask, quart, starlette, wsgi

#: The app whose `subject_key` is `_user_id`.
APP = "login"


def read(session):
    return session.get("theme"), session.id


class InFlask:
    """Sends requests to an application of Flask. `changes` are made one after the other, with a read after each."""

    user_key = "_user_id"

    def __init__(self, address, app=APP, **settings):
        self.flask = Flask(__name__)
        self.flask.session_interface = flask.CloakroomSessionInterface(address, app=app, **settings)
        self.flask.add_url_rule("/", "view", lambda: self.view())

    def send(self, *changes, headers=None):
        def view():
            for change in changes:
                change(flask_session)
                read(flask_session)
            return repr(dict(flask_session))

        self.view = view
        response = self.flask.test_client(use_cookies=False).get("/", headers=headers)
        return response.status_code, response.text, response.headers.getlist("Set-Cookie")


class InWsgi:
    """The same for an application of WSGI."""

    user_key = "_user_id"

    def __init__(self, address, app=APP):
        self.middleware = wsgi.CloakroomMiddleware(self.respond, address, app=app)

    def respond(self, environ, start_response):
        session = environ[wsgi.SESSION]
        for change in self.changes:
            change(session)
            read(session)
        text = repr(dict(session))
        start_response("200 OK", [])
        return [text.encode()]

    def send(self, *changes, headers=None):
        self.changes = changes
        response = Client(self.middleware, use_cookies=False).get("/", headers=headers)
        return response.status_code, response.text, response.headers.getlist("Set-Cookie")


class InStarlette:
    """The same for an application of Starlette that opens its sessions itself."""

    user_key = "_user_id"

    def __init__(self, address, app=APP, **settings):
        self.starlette = starlette.CloakroomMiddleware(
            Starlette(routes=[Route("/", self.view)]), address, app=app, lazy=True, **settings
        )

    async def view(self, request):
        for change in self.changes:
            change(request.session)
            await request.session.open()
            read(request.session)
        await request.session.open()
        return PlainTextResponse(repr(dict(request.session)))

    def send(self, *changes, headers=None):
        self.changes = changes
        response = TestClient(self.starlette).get("/", headers=headers)
        return response.status_code, response.text, response.headers.get_list("Set-Cookie")


class InQuart:
    """The same for an application of Quart."""

    user_key = "_user_id"

    def __init__(self, address, app=APP, **settings):
        self.quart = Quart(__name__)
        self.quart.session_interface = quart.CloakroomSessionInterface(address, app=app, **settings)
        self.quart.add_url_rule("/", "view", self.view)

    async def view(self):
        for change in self.changes:
            change(quart_session)
            read(quart_session)
        return repr(dict(quart_session))

    def send(self, *changes, headers=None):
        self.changes = changes
        return asyncio.run(self.send_in_loop(headers))

    async def send_in_loop(self, headers):
        response = await self.quart.test_client(use_cookies=False).get("/", headers=headers)
        return response.status_code, await response.get_data(as_text=True), response.headers.getlist("Set-Cookie")


class InDjango:
    """The same for a view of Django."""

    user_key = auth.SESSION_KEY

    def __init__(self, address):
        pass

    def send(self, *changes, headers=None):
        def view(request):
            for change in changes:
                change(request.session)
                request.session.get("theme")
            return django_app.HttpResponse(repr(dict(request.session.items())))

        return _of_django(django_app.get(DjangoClient(), view, headers=headers))


class InAsyncDjango(InDjango):
    """The same for an async view of Django."""

    def send(self, *changes, headers=None):
        async def view(request):
            for change in changes:
                change(request.session)
                await request.session.aget("theme")
            return django_app.HttpResponse(repr(dict(await request.session.aitems())))

        return _of_django(django_app.run(django_app.aget(AsyncDjangoClient(), view, headers=headers)))


def _of_django(response):
    return response.status_code, response.content.decode(), [each.OutputString() for each in response.cookies.values()]


needs_async_django = pytest.mark.skipif(
    django_app.django.VERSION < (5, 1), reason="Django 5.1 has made sessions awaitable"
)
INTEGRATIONS = [InFlask, InWsgi, InStarlette, InQuart, InDjango, pytest.param(InAsyncDjango, marks=needs_async_django)]
