"""The middleware, with a plain WSGI application."""

from __future__ import annotations

import pytest
from recording_transport import RecordingTransport
from werkzeug.test import Client

from cloakroom.wsgi import SESSION, CloakroomMiddleware


@pytest.fixture
def transport(service):
    return RecordingTransport(service.address)


@pytest.fixture
def client(transport):
    return Client(CloakroomMiddleware(application, transport, app="shop"))


def application(environ, start_response):
    session, path = environ[SESSION], environ["PATH_INFO"]
    body = b"untouched"
    if path == "/read":
        body = repr(dict(session)).encode()
    if path == "/write":
        session["cart"] = [*session.get("cart", []), 1]
    if path == "/login":
        session.subject = "ada"
    if path == "/logout":
        session.destroy()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def test_a_session_persists_across_requests(client):
    assert client.get("/write").headers["Vary"] == "Cookie"
    client.get("/write")
    assert client.get("/read").text == "{'cart': [1, 1]}"


def test_each_request_makes_only_the_calls_it_needs(client, transport):
    client.get("/write")
    transport.take_calls()
    for path, calls in {
        "/untouched": [],
        "/read": ["OpenSession"],
        "/write": ["OpenSession", "SaveSession"],
        "/login": ["SaveSession"],
        "/logout": ["DestroySession"],
    }.items():
        client.get(path)
        assert (path, transport.take_calls()) == (path, calls)


def test_a_login_replaces_the_cookie_and_a_logout_deletes_it(client):
    client.get("/write")
    before = client.get_cookie("session").value
    client.get("/login")
    assert client.get_cookie("session").value != before
    client.get("/logout")
    assert client.get_cookie("session") is None
    assert client.get("/read").text == "{}"
