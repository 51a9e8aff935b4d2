"""How many calls each kind of request makes, counted against a real service."""

from __future__ import annotations

import contextlib

import pytest
from event_loop import in_event_loop
from flask import Flask, session
from recording_transport import AsyncRecordingTransport, RecordingTransport, fail_at_deadline

from cloakroom import AsyncClient, AsyncSession, SessionUnavailable
from cloakroom import session as sessions
from cloakroom.codec import JsonCodec
from cloakroom.flask import CloakroomSessionInterface
from cloakroom.session import RequestInfo


@pytest.fixture
def transport(service):
    return RecordingTransport(service.address)


@pytest.fixture
def app(transport):
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(transport, app="shop")

    @app.route("/untouched")
    def untouched():
        return "untouched"

    @app.route("/read")
    def read():
        return repr(session.get("a"))

    @app.route("/write")
    def write():
        session["a"] = 1
        return "written"

    @app.route("/both")
    def both():
        session["b"] = session.get("b", 0) + 1
        session.get("a")
        return "both"

    @app.route("/login")
    def login():
        session.get("a")
        session["user"] = "ada"
        session.subject = "ada"
        session.rotate()
        return "logged in"

    @app.route("/logout")
    def logout():
        session.destroy()
        return "logged out"

    return app


@pytest.fixture
def client(app, transport):
    return stored_client(app, transport)


def stored_client(app, transport):
    """Returns a browser with a stored session."""
    client = app.test_client()
    client.get("/write")
    transport.take_calls()
    return client


def test_the_policy_is_fetched_once(app, transport):
    client = app.test_client()
    for _ in range(3):
        client.get("/untouched")
    assert transport.take_calls() == ["GetAppPolicy"]


def test_an_untouched_session_makes_no_call(client, transport):
    assert client.get("/untouched").text == "untouched"
    assert transport.take_calls() == []


def test_a_read_is_one_call(client, transport):
    assert client.get("/read").text == "1"
    assert transport.take_calls() == ["OpenSession"]


def test_a_read_and_a_write_are_two_calls(client, transport):
    client.get("/both")
    assert transport.take_calls() == ["OpenSession", "SaveSession"]


def test_a_write_without_a_read_is_one_call(client, transport):
    client.get("/write")
    assert transport.take_calls() == ["SaveSession"]


def test_a_login_with_its_rotation_is_two_calls(client, transport):
    before = client.get_cookie("session").value
    client.get("/login")
    assert transport.take_calls() == ["OpenSession", "SaveSession"]
    assert client.get_cookie("session").value != before


def test_a_logout_without_a_read_is_one_call(client, transport):
    client.get("/logout")
    assert transport.take_calls() == ["DestroySession"]
    assert client.get_cookie("session") is None


READS = {
    "get": lambda: session.get("a"),
    "in": lambda: "a" in session,
    "length": lambda: len(session),
    "copy": lambda: dict(session),
    "del": lambda: session.pop("a"),
    "id": lambda: session.id,
    "subject": lambda: session.subject,
    "open": lambda: session.open(),
}


def read_everything():
    """Returns how many reads of the session have failed."""
    failed = 0
    for read in READS.values():
        try:
            read()
        except SessionUnavailable:
            failed += 1
    return failed


def test_reads_after_one_that_the_service_did_not_answer_make_no_call(app, transport):
    app.add_url_rule("/everything", "everything", lambda: str(read_everything()))
    client = stored_client(app, transport)
    fail_at_deadline(transport, "OpenSession")
    assert client.get("/everything").text == str(len(READS))
    assert transport.take_calls() == ["OpenSession"]


def test_reads_after_a_save_that_the_service_did_not_answer_make_no_call(app, transport):
    @app.route("/save")
    def save():
        session["b"] = 1
        with contextlib.suppress(SessionUnavailable):
            session.save()
        return str(read_everything())

    client = stored_client(app, transport)
    fail_at_deadline(transport, "SaveSession")
    client.get("/save")
    assert transport.take_calls() == ["SaveSession"]


def test_an_explicit_save_calls_the_service_also_after_a_read_that_failed(app, transport):
    @app.route("/save")
    def save():
        with contextlib.suppress(SessionUnavailable):
            session.get("a")
        session["b"] = 1
        session.save()
        return "saved"

    client = stored_client(app, transport)
    fail_at_deadline(transport, "OpenSession")
    assert client.get("/save").text == "saved"
    assert transport.take_calls() == ["OpenSession", "SaveSession"]


def test_a_session_that_is_used_for_long_is_read_again_some_time_after_an_outage(app, client, transport, monkeypatch):
    """As that of a websocket."""
    time = [1000.0]
    monkeypatch.setattr(sessions, "now", lambda: time[0])
    fail_at_deadline(transport, "OpenSession")
    with app.test_request_context(headers={"Cookie": f"session={client.get_cookie('session').value}"}):
        with pytest.raises(SessionUnavailable):
            session["a"]
        transport.instead.clear()
        time[0] += sessions.OPEN_RETRY_DELAY - 0.01
        with pytest.raises(SessionUnavailable):
            session["a"]
        time[0] += 0.01
        assert session["a"] == 1
        assert session.unavailable is None
    assert transport.take_calls() == ["OpenSession", "OpenSession"]


@in_event_loop
async def test_an_asynchronous_session_is_not_opened_a_second_time_at_once(service, client):
    transport = AsyncRecordingTransport(service.address)
    api = AsyncClient(transport, app="shop")
    await api.policy()
    cookie_header = f"session={client.get_cookie('session').value}"
    opened = AsyncSession(api, RequestInfo("shop", api.known_policy, JsonCodec(), cookie_header))
    transport.take_calls()
    fail_at_deadline(transport, "OpenSession")
    for _ in range(3):
        with pytest.raises(SessionUnavailable):
            await opened.open()
    assert transport.take_calls() == ["OpenSession"]
