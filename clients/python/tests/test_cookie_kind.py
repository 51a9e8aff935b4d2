"""An app of kind `cookie`: its cookies are Flask's own signed cookies, which Flask reads and writes as well."""

from __future__ import annotations

import math

import pytest
from flask import Flask, session
from flask_app import VALUES, request, session_entries, set_entries
from markupsafe import Markup
from service import Service

from cloakroom import NotInCookieKind
from cloakroom.flask import CloakroomSessionInterface

APPS = '[apps.signed]\nkind = "cookie"\nkeys = ["secret-key"]\n[apps.signed.cookie]\nsamesite = ""\n'


@pytest.fixture(scope="module")
def cookie_service(tmp_path_factory):
    with Service.start(tmp_path_factory.mktemp("cookie_kind"), APPS) as service:
        yield service


def make_app(service=None):
    app = Flask(__name__)
    app.secret_key = "secret-key"
    app.testing = True
    if service is not None:
        app.session_interface = CloakroomSessionInterface(service.address, app="signed")
    return app


def copy_browser(client, app):
    """Returns a browser for another application, with the same session cookie."""
    other = app.test_client()
    other.set_cookie("session", client.get_cookie("session").value)
    return other


@pytest.mark.parametrize("value", [*VALUES, math.inf], ids=repr)
def test_flask_and_the_service_read_each_others_cookies(cookie_service, value):
    flask_app, cloakroom_app = make_app(), make_app(cookie_service)
    for writer, reader in ((cloakroom_app, flask_app), (flask_app, cloakroom_app)):
        client = writer.test_client()
        set_entries(writer, client, value=value, more=[value, Markup("<b>")])
        assert session_entries(reader, copy_browser(client, reader)) == {"value": value, "more": [value, Markup("<b>")]}


def test_a_session_persists_across_requests(cookie_service):
    app = make_app(cookie_service)
    client = app.test_client()
    set_entries(app, client, a=1)
    set_entries(app, client, b=2)
    assert session_entries(app, client) == {"a": 1, "b": 2}
    request(app, client, lambda: session.clear())
    assert client.get_cookie("session") is None


def test_a_permanent_session_is_signed_again_when_it_is_read(cookie_service):
    app = make_app(cookie_service)
    client = app.test_client()
    request(app, client, lambda: session.update(a=1, _permanent=True))
    assert "Expires=" in request(app, client, lambda: dict(session)).headers["Set-Cookie"]
    assert session_entries(app, client) == {"a": 1, "_permanent": True}


@pytest.mark.parametrize(
    "use",
    [
        lambda: session.rotate(),
        lambda: session.id,
        lambda: session.subject,
        lambda: setattr(session, "subject", "ada"),
        lambda: session.authenticated(),
    ],
)
def test_an_operation_that_needs_a_store_raises(cookie_service, use):
    app = make_app(cookie_service)
    with pytest.raises(NotInCookieKind, match="in the cookie itself"):
        request(app, app.test_client(), use)
