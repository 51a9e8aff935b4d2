"""An app of kind `cookie`: the same client, and Flask's own cookie, which real Flask opens and signs too."""

from __future__ import annotations

import math

import pytest
from flask import Flask, session
from markupsafe import Markup
from service import Service
from test_flask import VALUES, has, put, visit

from cloakroom import NotInCookieKind
from cloakroom.flask import CloakroomSessionInterface

APPS = '[apps.signed]\nkind = "cookie"\nkeys = ["secret-key"]\n[apps.signed.cookie]\nsamesite = ""\n'


@pytest.fixture(scope="module")
def signing(tmp_path_factory):
    with Service.start(tmp_path_factory.mktemp("signing"), APPS) as service:
        yield service


def make_app(signing=None):
    app = Flask(__name__)
    app.secret_key = "secret-key"
    app.testing = True
    if signing is not None:
        app.session_interface = CloakroomSessionInterface(signing.address, app="signed")
    return app


def moved(client, app):
    """A browser of one application that goes to another one."""
    other = app.test_client()
    other.set_cookie("session", client.get_cookie("session").value)
    return other


@pytest.mark.parametrize("value", [*VALUES, math.inf], ids=repr)
def test_flask_and_the_service_read_each_others_cookies(signing, value):
    flasks, ours = make_app(), make_app(signing)
    for writer, reader in ((ours, flasks), (flasks, ours)):
        client = writer.test_client()
        put(writer, client, value=value, more=[value, Markup("<b>")])
        assert has(reader, moved(client, reader)) == {"value": value, "more": [value, Markup("<b>")]}


def test_a_session_lives_from_request_to_request(signing):
    app = make_app(signing)
    client = app.test_client()
    put(app, client, a=1)
    put(app, client, b=2)
    assert has(app, client) == {"a": 1, "b": 2}
    visit(app, client, lambda: session.clear())
    assert client.get_cookie("session") is None


def test_a_permanent_session_is_signed_again_when_it_is_read(signing):
    app = make_app(signing)
    client = app.test_client()
    visit(app, client, lambda: session.update(a=1, _permanent=True))
    assert "Expires=" in visit(app, client, lambda: dict(session)).headers["Set-Cookie"]
    assert has(app, client) == {"a": 1, "_permanent": True}


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
def test_what_needs_a_store_is_a_clear_error(signing, use):
    app = make_app(signing)
    with pytest.raises(NotInCookieKind, match="in the cookie itself"):
        visit(app, app.test_client(), use)
