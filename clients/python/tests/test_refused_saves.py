"""A save that the service has refused: the next save sends its changes again, with what was changed since."""

from __future__ import annotations

import django_app
import pytest
from browser import Browser
from django.test import Client as DjangoClient
from django.test import override_settings
from flask import Flask
from flask import session as flask_session
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from cloakroom import AsyncConnectTransport, SessionRefused, SessionUnavailable, flask, starlette
from cloakroom.transport import CallFailed

LARGE = "x" * 100_000


@pytest.fixture
def browser(service):
    """A browser whose user has a cart, an old entry and a counter of 1."""
    browser = Browser(service.address)
    browser.write(subject="alice", cart=[1], old=True, visits=1)
    return browser


def is_too_large():
    return pytest.raises(SessionRefused, match="bytes")


def have_changes_refused(session, subject=None):
    """Has a save of changes of each kind refused, because one entry is too large."""
    session["cart"].append(2)
    session["own"] = "kept"
    del session["old"]
    if subject is not None:
        session.subject = subject
    session.increment("visits", 2)
    session["large"] = LARGE
    with is_too_large():
        session.save()


def test_the_next_save_has_the_rest_of_the_changes_each_once(browser):
    session = browser.session()
    have_changes_refused(session)
    del session["large"]
    session.increment("visits", 4)
    changed = {"cart": [1, 2], "own": "kept", "visits": 7}
    assert dict(session) == changed

    browser.finish(session)

    assert dict(session) == changed
    assert dict(browser.session()) == changed


def test_the_end_of_the_request_does_not_send_the_same_changes_again_and_a_save_of_the_application_does(browser):
    session = browser.session()
    have_changes_refused(session)
    browser.transport.take_calls()

    browser.finish(session)
    assert browser.transport.take_calls() == []

    with is_too_large():
        session.save()
    assert browser.transport.take_calls() == ["SaveSession"]


def test_the_end_of_the_request_sends_a_change_inside_of_a_value(browser):
    session = browser.session()
    have_changes_refused(session)
    session["large"] = "small"
    session["cart"].append(3)

    browser.finish(session)

    assert browser.session()["cart"] == [1, 2, 3]


def test_the_next_login_has_the_changes_of_the_refused_one(browser):
    session, before = browser.session(), browser.cookie_header
    have_changes_refused(session, subject="bob")
    del session["large"]

    browser.finish(session)

    assert browser.cookie_header != before
    assert (browser.session().subject, dict(browser.session())) == ("bob", {"own": "kept", "visits": 2})


def test_a_refused_login_of_another_user_can_be_taken_back(browser):
    session = browser.session()
    have_changes_refused(session, subject="bob")
    session.subject = "alice"
    del session["large"]
    changed = {"cart": [1, 2], "own": "kept", "visits": 3}
    assert dict(session) == changed

    browser.finish(session)

    assert dict(browser.session()) == changed


def test_a_refused_save_for_a_new_session_in_the_place_of_an_ended_one_is_not_sent_again(browser):
    session = browser.session()
    assert session["cart"] == [1]
    browser.session().destroy()
    session.clear()
    session["large"] = LARGE
    with is_too_large():
        session.save()
    browser.transport.take_calls()

    browser.finish(session)
    assert browser.transport.take_calls() == []

    session["large"] = "small"
    browser.finish(session)
    assert dict(browser.session()) == {"large": "small"}


def test_a_clear_before_the_refusal_forgets_the_refused_changes(browser):
    session = browser.session()
    session.subject = "bob"
    session["own"] = "lost"
    browser.transport.fail_next("SaveSession", CallFailed("DEADLINE_EXCEEDED", "", "no answer"))
    with pytest.raises(SessionUnavailable):
        session.save()
    session.clear()
    session["theme"] = "dark"
    browser.transport.fail_next("SaveSession", CallFailed("FAILED_PRECONDITION", "ANY", "refused"))
    with pytest.raises(SessionRefused):
        session.save()

    browser.finish(session)

    assert (browser.session().subject, dict(browser.session())) == (None, {"theme": "dark"})


def test_the_same_changes_of_another_session_are_sent_at_the_end_of_the_request(browser):
    session = browser.session()
    session["own"] = "kept"
    browser.transport.fail_next("SaveSession", CallFailed("FAILED_PRECONDITION", "ANY", "refused"))
    with pytest.raises(SessionRefused):
        session.save()

    session.destroy()
    session["own"] = "kept"
    browser.finish(session)

    assert dict(browser.session()) == {"own": "kept"}


def test_starlette_saves_the_rest_of_the_changes_at_the_end_of_the_request(service):
    async def fill(request):
        request.session["cart"] = [1]
        return JSONResponse({})

    async def act(request):
        request.session["cart"].append(2)
        request.session["large"] = LARGE
        with is_too_large():
            await request.session.save()
        del request.session["large"]
        return JSONResponse({})

    async def read(request):
        return JSONResponse(dict(request.session))

    app = Starlette(routes=[Route("/fill", fill), Route("/act", act), Route("/read", read)])
    transport = AsyncConnectTransport(service.address)
    with TestClient(starlette.CloakroomMiddleware(app, transport, app="shop")) as client:
        client.get("/fill")
        client.get("/act")

        assert client.get("/read").json() == {"cart": [1, 2]}


def test_django_saves_the_rest_of_the_changes_at_the_end_of_the_request(service):
    client, found = DjangoClient(), {}

    def act(request):
        request.session["cart"].append(2)
        request.session["large"] = LARGE
        for save in (request.session.save, request.session.save, request.session.create):
            with is_too_large():
                save()
        del request.session["large"]

    with override_settings(CLOAKROOM={"SERVICE": service.address, "APP": "shop"}):
        django_app.get(client, lambda request: request.session.update({"cart": [1]}))
        django_app.get(client, act)
        django_app.get(client, lambda request: found.update(request.session.items()))

    assert found == {"cart": [1, 2]}


def test_an_error_page_is_sent_after_a_refused_save_that_nobody_has_caught(service):
    app = Flask(__name__)
    app.session_interface = flask.CloakroomSessionInterface(service.address, app="shop")
    app.register_error_handler(SessionRefused, lambda error: ("too large", 400))
    app.add_url_rule("/act", "act", lambda: str(flask_session.update(large=LARGE) or flask_session.save()))

    failed = app.test_client().get("/act")

    assert (failed.status_code, failed.text) == (400, "too large")


def test_the_same_changes_are_sent_at_the_end_of_the_request_if_they_were_written_again(browser):
    session = browser.session()
    have_changes_refused(session)
    session["large"] = LARGE
    browser.transport.take_calls()

    with is_too_large():
        browser.finish(session)

    assert browser.transport.take_calls() == ["SaveSession"]


def test_a_refusal_after_an_outage_ends_the_outage(browser):
    session = browser.session()
    session["large"] = LARGE

    def fail(method, request, timeout):
        browser.transport.instead["SaveSession"] = fail
        raise CallFailed("UNAVAILABLE", "", "no answer")

    browser.transport.instead["SaveSession"] = fail
    with pytest.raises(SessionUnavailable):
        session.save()
    del browser.transport.instead["SaveSession"]

    with is_too_large():
        session.save()

    assert session.unavailable is None


@pytest.mark.parametrize("value", ["text", 1.5, True, [1], None])
@pytest.mark.parametrize(
    "read", [lambda session: None, lambda session: session["old"], dict], ids=["nothing", "the entry", "all entries"]
)
def test_an_increment_of_an_entry_that_is_no_counter_is_refused_whatever_was_read_before(browser, value, read):
    browser.write(old=value)
    session = browser.session()
    read(session)
    session.increment("old", 2)
    assert session["old"] == value

    for _ in range(2):
        with pytest.raises(SessionRefused) as refused:
            session.save()
        assert refused.value.reason == "NOT_A_COUNTER"

    assert session["old"] == value
    del session["old"]
    session.increment("visits")
    browser.finish(session)
    assert dict(browser.session()) == {"cart": [1], "visits": 2}
