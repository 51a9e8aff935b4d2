"""The session of a request, without a framework, against a real service."""

from __future__ import annotations

from datetime import timedelta

import pytest
from browser import Browser

from cloakroom import SessionUnavailable
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
