"""System checks find mistakes in the settings of a Django project, and so does its first request."""

from __future__ import annotations

import dataclasses

import django_app
import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings

from cloakroom.django import SessionStore, conf


class Pickles:
    """A serializer that is no JSON."""


def problems():
    return [
        f"{each.id} {each.msg}" for each in checks.run_checks(tags=["security"]) if each.id.startswith("cloakroom.")
    ]


def test_the_settings_of_the_tests_are_right():
    assert problems() == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"CLOAKROOM": None}, "must be a dict"),
        ({"CLOAKROOM": {"ADDRESS": "x"}}, "unknown key 'ADDRESS'"),
        ({"CLOAKROOM": {"SERVICE": ""}}, "address is empty"),
        ({"CLOAKROOM": {"SERVICE": "http://a/b"}}, "no address of the service"),
        ({"CLOAKROOM": {"ADMIN_SERVICE": "a:b"}}, "the port is a number"),
        ({"CLOAKROOM": {"APP": 1}}, "CLOAKROOM['APP'] must be str"),
        ({"CLOAKROOM": {"DEADLINE": "2"}}, "CLOAKROOM['DEADLINE'] must be int or float"),
        ({"CLOAKROOM": {"DEADLINE": True}}, "CLOAKROOM['DEADLINE'] must be int or float"),
        ({"CLOAKROOM": {"DEADLINE": 0}}, "must be above 0"),
        ({"CLOAKROOM": {"RETRY_AFTER": -1}}, "must be above 0"),
        ({"CLOAKROOM": {"CERTIFICATE_FILE": "a.pem"}}, "belong together"),
        ({"CLOAKROOM": {"CA_FILE": "ca.pem"}}, "need TLS"),
        ({"SESSION_SERIALIZER": f"{__name__}.Pickles"}, "JSON only, and never pickle"),
    ],
)
def test_a_mistake_is_an_error_of_the_checks_and_of_the_first_request(settings, text):
    with override_settings(**settings):
        assert [each for each in problems() if text in each and each.startswith("cloakroom.E002")]
        with pytest.raises(ImproperlyConfigured, match=text.replace("[", r"\[")):
            django_app.get(Client(), lambda request: request.session.get("a"))


def test_the_keys_that_are_checked_are_those_that_there_are():
    assert list(conf._TYPES) == [field.name.upper() for field in dataclasses.fields(conf.Settings)]


@override_settings(MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"])
def test_djangos_own_middleware_is_refused():
    assert [each for each in problems() if each.startswith("cloakroom.E003")]
    with pytest.raises(ImproperlyConfigured, match=r"cloakroom\.django\.SessionMiddleware"):
        django_app.get(Client(), lambda request: request.session.get("a"))


@override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cache")
def test_another_session_engine_is_warned_of_and_refused_by_the_middleware():
    assert [each for each in problems() if each.startswith("cloakroom.W001")]
    with pytest.raises(ImproperlyConfigured, match="SESSION_ENGINE"):
        django_app.get(Client(), lambda request: None)


def warnings_of_first_request(service, caplog, **settings):
    with override_settings(**settings):
        django_app.get(Client(), lambda request: request.session.update({"a": 1}))
        django_app.get(Client(), lambda request: request.session.update({"a": 1}))
    return [record.message for record in caplog.records]


def test_settings_that_do_not_fit_the_services_are_warned_of_once(service, caplog):
    brief = {"SERVICE": service.address, "APP": "brief"}
    lifetime, subject = warnings_of_first_request(service, caplog, CLOAKROOM=brief)
    assert "SESSION_COOKIE_AGE is 14 days, 0:00:00, but the service ends sessions of the app 'brief'" in lifetime
    assert "subject_key = '_auth_user_id'" in subject


def test_settings_that_fit_are_not_warned_of(service, caplog):
    assert warnings_of_first_request(service, caplog, CLOAKROOM={"SERVICE": service.address, "APP": "django"}) == []


def test_an_app_that_keeps_its_sessions_in_cookies_is_refused(service):
    signed = override_settings(CLOAKROOM={"SERVICE": service.address, "APP": "signed"})
    with signed, pytest.raises(ImproperlyConfigured, match="kind `cookie`"):
        django_app.get(Client(), lambda request: request.session.get("a"))


def test_a_session_key_needs_the_address_of_admin_service(service):
    with override_settings(CLOAKROOM={"SERVICE": service.address, "APP": "django"}):
        assert not SessionStore().exists("neither a key nor a cookie")
        for use in (SessionStore().exists, SessionStore().delete):
            with pytest.raises(ImproperlyConfigured, match="ADMIN_SERVICE"):
                use("0" * 40)
