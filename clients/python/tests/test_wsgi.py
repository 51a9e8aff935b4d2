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
    # Fetches the app's policy, which no other one needs.
    client.get("/login")
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


@pytest.mark.parametrize(("reads_gone", "warnings"), [(False, 1), (True, 0)])
def test_an_end_that_a_save_meets_is_logged_unless_the_application_has_read_it(transport, caplog, reads_gone, warnings):
    def write_late(environ, start_response):
        session = environ[SESSION]
        assert session["cart"] == [1]
        other = Client(CloakroomMiddleware(application, transport, app="shop"), use_cookies=False)
        other.get("/logout", headers={"Cookie": environ["HTTP_COOKIE"]})
        session["order"] = "paid"
        if reads_gone:
            session.save()
            assert session.gone == "DESTROYED"
        start_response("200 OK", [])
        return []

    client = Client(CloakroomMiddleware(application, transport, app="shop"))
    client.get("/write")
    cookie = f"session={client.get_cookie('session').value}"

    late = Client(CloakroomMiddleware(write_late, transport, app="shop"), use_cookies=False)
    late.get("/", headers={"Cookie": cookie})

    assert [record.message for record in caplog.records] == [
        "a request's changes were not saved, for its session has ended: DESTROYED"
    ] * warnings


def test_a_login_replaces_the_cookie_and_a_logout_deletes_it(client):
    client.get("/write")
    before = client.get_cookie("session").value
    client.get("/login")
    assert client.get_cookie("session").value != before
    client.get("/logout")
    assert client.get_cookie("session") is None
    assert client.get("/read").text == "{}"


def unhandled_application(environ, start_response):
    body = repr(dict(environ[SESSION])).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def writing_application(environ, start_response):
    environ[SESSION]["a"] = 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"written"]


def late_writing_application(environ, start_response):
    environ[SESSION]["a"] = 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"written"


@pytest.mark.parametrize("application", [unhandled_application, writing_application, late_writing_application])
def test_an_outage_is_answered_by_503(application, caplog):
    client = Client(CloakroomMiddleware(application, "127.0.0.1:1", app="shop", deadline=0.2))
    response = client.get("/")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert len(caplog.records) == 1


def test_a_write_with_the_cookies_of_two_live_sessions_is_answered_by_400(service):
    middleware = CloakroomMiddleware(writing_application, service.address, app="shop")
    cookies = [Client(middleware).get("/").headers["Set-Cookie"].partition(";")[0] for _ in range(2)]
    response = Client(middleware, use_cookies=False).get("/", headers={"Cookie": "; ".join(cookies)})
    assert response.status_code == 400
    assert "Set-Cookie" not in response.headers
