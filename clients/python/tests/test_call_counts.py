"""How many calls each kind of request makes, counted against a real service."""

from __future__ import annotations

import pytest
from flask import Flask, session
from recording_transport import RecordingTransport

from cloakroom.flask import CloakroomSessionInterface


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
