"""A session that passes to another user by the entry that the app's `subject_key` names.

The service removes in that save what the first user left, so the request must not see it, nor send it again.
"""

from __future__ import annotations

import ast
from datetime import timedelta

import pytest
from browser import Browser
from django.test import override_settings
from integrations import INTEGRATIONS

from cloakroom import SessionRefused


@pytest.fixture
def application(request, service):
    with override_settings(CLOAKROOM={"SERVICE": service.address, "APP": "django"}):
        yield request.param(service.address)


@pytest.fixture
def browser(service):
    return Browser(service.address, "login")


def cookie_of(answer):
    return {"Cookie": answer[2][0].partition(";")[0]}


def log_in(user, application):
    return lambda session: session.update({application.user_key: user})


def order(session):
    session["cart"] = ["pills"]


def add_to_cart(session):
    session["cart"] = [*session.get("cart", []), "tea"]


def open_first(session):
    """A read follows each change, and opens the session."""


def look(session):
    assert session["cart"] == ["pills"]


@pytest.mark.parametrize("looks", [[], [open_first, look]])
@pytest.mark.parametrize("application", INTEGRATIONS, indirect=True)
def test_what_one_user_left_is_neither_seen_nor_sent_after_the_login_of_another(application, looks):
    cookie = cookie_of(application.send(log_in("1", application), order))

    login = application.send(*looks, log_in("2", application), add_to_cart, headers=cookie)

    after = application.send(headers=cookie_of(login))
    for _, text, _ in (login, after):
        assert ast.literal_eval(text) == {application.user_key: "2", "cart": ["tea"]}


@pytest.mark.parametrize("application", INTEGRATIONS, indirect=True)
def test_what_a_user_left_is_seen_after_another_login_of_the_same_user(application):
    cookie = cookie_of(application.send(log_in(1, application), order))

    login = application.send(log_in("1", application), add_to_cart, headers=cookie)

    assert "['pills', 'tea']" in login[1]


def test_what_a_user_left_is_seen_again_if_the_entry_names_that_user_again(browser):
    browser.write(_user_id="ada", cart=[1])
    session = browser.session()
    session.open()

    session["_user_id"] = "bob"
    assert "cart" not in session
    session["_user_id"] = "ada"

    assert session["cart"] == [1]


def test_a_login_by_an_entry_is_refused_and_taken_back_with_what_the_first_user_left(browser):
    browser.write(_user_id="ada", cart=[1])
    session = browser.session()
    session.open()
    session["_user_id"] = "bob"
    session["large"] = "x" * 100_000
    with pytest.raises(SessionRefused):
        session.save()
    assert "cart" not in session

    session["_user_id"] = "ada"

    assert session["cart"] == [1]


@pytest.mark.parametrize("user", ["bob", 7, None, ""])
def test_the_properties_of_a_session_are_those_that_the_entry_gives_it(browser, user):
    browser.write(_user_id="ada", _permanent=True)
    session = browser.session(max_authenticate_age=timedelta(hours=1))
    assert (session.subject, session.recently_authenticated) == ("ada", True)

    session["_user_id"] = user

    assert session.subject == (None if user in (None, "") else str(user))
    assert (session.authenticate_time, session.recently_authenticated) == (None, False)
    # A logout removes no entries.
    assert session.permanent is (user in (None, ""))


def test_a_removed_entry_removes_the_subject(browser):
    browser.write(_user_id="ada", cart=[1])
    session = browser.session()

    del session["_user_id"]

    assert (session.subject, session["cart"]) == (None, [1])


def rename(session):
    session["passport"]["user"] = "bob"


def replace(session):
    session["passport"] = {"user": "bob"}


def replace_and_fill(session):
    session["passport"] = passport = {}
    passport["user"] = "bob"


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("change", [rename, replace, replace_and_fill])
def test_the_subject_may_be_a_part_of_an_entry(service, change, looks):
    browser = Browser(service.address, "passport")
    browser.write(passport={"user": "ada"}, cart=[1])
    session = browser.session()
    if looks:
        assert session["cart"] == [1]

    change(session)
    session["cart"] = [*session.get("cart", []), 2]
    browser.finish(session)

    assert dict(browser.session()) == {"passport": {"user": "bob"}, "cart": [2]}
    assert browser.session().subject == "bob"


def test_a_change_inside_of_the_entry_that_leaves_the_user_alone_is_no_login(service):
    browser = Browser(service.address, "passport")
    browser.write(passport={"user": "ada"}, cart=[1])
    session = browser.session()

    session["passport"]["name"] = "Ada"
    session["cart"].append(2)
    browser.finish(session)

    assert dict(browser.session()) == {"passport": {"user": "ada", "name": "Ada"}, "cart": [1, 2]}
