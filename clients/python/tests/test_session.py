"""The session of a request, without a framework, against a real service."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from browser import Browser
from recording_transport import fail_at_deadline

from cloakroom import Client, SessionUnavailable
from cloakroom.cookie import CookieAction
from cloakroom.transport import CallFailed


@pytest.fixture
def browser(service):
    return Browser(service.address)


def test_a_login_by_the_subject_alone_begins_a_new_session_if_the_old_one_has_ended(browser):
    browser.write(a=1)
    session = browser.session()
    assert session["a"] == 1
    browser.session().destroy()

    session.subject = "ada"
    browser.finish(session)

    assert (session.gone, browser.session().subject) == (None, "ada")


@pytest.mark.parametrize(
    ("meanwhile", "reason"), [(["login"], "SUPERSEDED"), (["logout"], "DESTROYED"), (["logout", "login"], "DESTROYED")]
)
def test_a_slow_write_without_a_read_leaves_the_cookie_of_a_login_meanwhile(browser, meanwhile, reason):
    browser.write(a=1)
    slow = browser.session()
    # Longer than a call is on its way.
    time.sleep(0.2)
    for action in meanwhile:
        session = browser.session()
        if action == "login":
            session.subject = "ada"
        else:
            session.destroy()
        browser.finish(session)

    slow["b"] = 2
    decision = slow.finish()

    assert (slow.gone, decision.action) == (reason, CookieAction.KEEP)
    after = browser.session()
    assert (after.subject, after.get("b")) == ("ada" if "login" in meanwhile else None, None)


def test_what_a_request_saves_that_opens_after_a_logout_leaves_the_cookie_of_the_next_login(browser):
    browser.write(a=1)
    slow = browser.session()
    # Longer than a call is on its way.
    time.sleep(0.2)
    logout = browser.session()
    logout.destroy()
    browser.finish(logout)
    login = browser.session()
    login.subject = "ada"
    browser.finish(login)

    read = slow.get("a")
    slow["b"] = 2
    decision = slow.finish()

    assert (read, slow.gone, decision.action) == (None, None, CookieAction.KEEP)
    assert (browser.session().subject, browser.session().get("b")) == ("ada", None)


def test_a_write_begins_another_session_if_the_one_before_has_ended_before_its_request(browser):
    browser.write(a=1)
    old = browser.cookie_header
    browser.session().destroy()
    browser.cookie_header = old

    session = browser.session()
    session["b"] = 2
    browser.finish(session)

    assert (session.gone, dict(browser.session())) == (None, {"b": 2})


@pytest.mark.parametrize("later", [{}, {"theme": "dark"}])
def test_a_cleared_session_has_nothing_of_its_user_before_and_after_the_save(browser, later):
    browser.write(subject="ada", a=1, _permanent=True)
    session = browser.session(max_authenticate_age=timedelta(hours=1))
    user = (session.subject, session.permanent, session.authenticate_time is None, session.recently_authenticated)
    assert user == ("ada", True, False, True)

    session.clear()
    session.update(later)

    for _ in range(2):
        user = (session.subject, session.permanent, session.authenticate_time, session.recently_authenticated)
        assert user == (None, False, None, False)
        browser.finish(session)


@pytest.mark.parametrize("subject", ["bob", None])
def test_the_authentication_of_a_user_is_not_seen_once_another_one_or_nobody_is_named(browser, subject):
    browser.write(subject="ada")
    session = browser.session()
    before = session.authenticate_time

    session.subject = subject
    assert session.authenticate_time is None

    session.subject = "ada"
    assert session.authenticate_time == before


def test_the_id_of_a_user_may_be_an_integer(browser):
    browser.write(cart=[1])
    session = browser.session()
    session.subject = 5
    assert session.subject == "5"
    browser.finish(session)
    assert browser.session().subject == "5"


@pytest.mark.parametrize("user", [True, 5.0, b"5", object()])
def test_an_id_of_another_type_is_refused_and_changes_nothing(browser, user):
    session = browser.session()
    with pytest.raises(TypeError, match=r"str\(user.id\)"):
        session.subject = user
    assert (session.modified, session.has_unsaved_changes()) == (False, False)


def test_an_authentication_does_not_stay_recent_while_the_session_is_open(browser):
    browser.write(subject="ada")
    session = browser.session(max_authenticate_age=timedelta(seconds=60))
    assert session.recently_authenticated

    session._info_time -= 59
    assert session.recently_authenticated
    session._info_time -= 1.1
    assert not session.recently_authenticated

    session.authenticated()
    session.save()
    assert session.recently_authenticated


def test_an_authentication_that_was_not_recent_at_the_open_is_not(browser):
    browser.write(subject="ada")
    time.sleep(0.01)
    session = browser.session(max_authenticate_age=timedelta(milliseconds=5))
    assert not session.recently_authenticated


@pytest.fixture
def outage(browser):
    """A session that reads as empty, because the service did not answer when it was to be opened."""
    browser.write(a=1)
    session = browser.session(null_when_unavailable=True)
    fail_at_deadline(browser.transport, "OpenSession")
    assert session.get("a") is None
    with pytest.raises(SessionUnavailable):
        session["b"] = 2
    return session


def test_an_open_after_an_outage_has_the_session_read_and_written_again(browser, outage, monkeypatch):
    browser.transport.instead.clear()
    outage.open()
    assert outage.get("a") is None

    outage._open_retry_time = 0.0
    # Not without an open: what is written may come from a read that found nothing.
    assert outage.get("a") is None
    with pytest.raises(SessionUnavailable):
        outage["b"] = 2
    outage.open()

    assert (outage["a"], outage.unavailable) == (1, None)
    outage["b"] = 2
    browser.finish(outage)
    assert dict(browser.session()) == {"a": 1, "b": 2}


def test_an_open_during_an_outage_leaves_the_session_empty(outage):
    outage._open_retry_time = 0.0
    outage.open()
    assert (outage.get("a"), type(outage.unavailable)) == (None, SessionUnavailable)


def test_a_destroy_after_an_outage_ends_the_session(browser, outage):
    browser.transport.instead.clear()

    outage.destroy()
    outage["b"] = 2
    browser.finish(outage)

    assert dict(browser.session()) == {"b": 2}


def test_a_save_that_ends_an_outage_has_the_session_read_and_written_again(browser):
    browser.write(a=1)
    session = browser.session(null_when_unavailable=True)
    session["b"] = 2
    fail_at_deadline(browser.transport, "OpenSession")
    assert session.get("a") is None
    browser.transport.instead.clear()

    session.save()
    session["c"] = session["a"]
    session.save()

    assert dict(browser.session()) == {"a": 1, "b": 2, "c": 1}


def test_a_watch_after_an_outage_begins(service):
    browser = Browser(service.address)
    browser.client = Client(service.address, app="shop", deadline=5)
    browser.write(a=1)
    session = browser.session(null_when_unavailable=True)
    session._handle_unavailable_open(SessionUnavailable("", "", ""))

    with session.watch() as watch:
        assert watch.wait(timeout=0.01) is None


def test_a_save_after_one_of_unknown_result_also_saves_what_has_changed_since(browser):
    browser.write(a=1)
    session = browser.session()
    session["first"] = 1
    browser.transport.fail_next("SaveSession", CallFailed("DEADLINE_EXCEEDED", "", "no answer"))
    with pytest.raises(SessionUnavailable):
        session.save()

    session["second"] = 2
    session.save()

    assert not session.has_unsaved_changes()
    assert dict(browser.session()) == {"a": 1, "first": 1, "second": 2}
