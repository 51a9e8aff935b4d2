"""A request that writes before its first read: what the read finds out about the session does not lose the write."""

from __future__ import annotations

import django_app
import pytest
from django.contrib import auth
from django.test import Client as DjangoClient
from django.test import override_settings
from integrations import INTEGRATIONS, InAsyncDjango, InDjango, InFlask, InStarlette, InWsgi, needs_async_django
from recording_transport import AsyncRecordingTransport, RecordingTransport, fail_at_deadline

from cloakroom import SessionRefused


@pytest.fixture
def application(request, service):
    with override_settings(CLOAKROOM={"SERVICE": service.address, "APP": "django"}):
        yield request.param(service.address)


def fill(session):
    session["cart"] = [1]


def cookie(set_cookie):
    return set_cookie.partition(";")[0]


def two_cookies(application):
    """Returns the cookies of two live sessions."""
    return [cookie(application.send(fill)[2][0]) for _ in range(2)]


def increment(session):
    session.increment("visits")


def change_user_key(application):
    return lambda session: session.update({application.user_key: "bob"})


def change_subject(application):
    return lambda session: setattr(session, "subject", "bob")


def clear(application):
    return lambda session: (session.clear(), session.update({"theme": "dark"}))


@pytest.mark.parametrize("change", [fill, increment])
@pytest.mark.parametrize("application", INTEGRATIONS, indirect=True)
def test_a_read_after_a_write_beside_the_cookies_of_two_live_sessions_leaves_the_400(application, change):
    both = two_cookies(application)

    status, _, set_cookies = application.send(change, headers={"Cookie": "; ".join(both)})

    assert (status, set_cookies) == (400, [])
    assert [application.send(headers={"Cookie": each})[1] for each in both] == ["{'cart': [1]}"] * 2


@pytest.mark.parametrize(
    ("application", "way"),
    [
        *((integration, way) for integration in INTEGRATIONS[:4] for way in (change_user_key, change_subject, clear)),
        *((integration, way) for integration in [InDjango] for way in (change_user_key, clear)),
        *(pytest.param(InAsyncDjango, way, marks=needs_async_django) for way in (change_user_key, clear)),
    ],
    indirect=["application"],
)
def test_reads_and_writes_after_a_login_or_a_clear_beside_two_live_sessions_leave_it_as_it_is(application, way):
    both = two_cookies(application)

    status, _, set_cookies = application.send(way(application), increment, headers={"Cookie": "; ".join(both)})

    assert (status, len(set_cookies)) == (200, 1)
    assert "'visits': 1" in application.send(headers={"Cookie": cookie(set_cookies[0])})[1]
    assert [application.send(headers={"Cookie": each})[1] for each in both] == ["{}"] * 2


@pytest.mark.parametrize("application", [InDjango], indirect=True)
def test_a_login_of_django_beside_two_live_sessions_keeps_what_the_request_has_written(application):
    header = "; ".join(two_cookies(application))

    with django_app.user() as anna:
        _, text, _ = application.send(fill, lambda session: session.cycle_key(), headers={"Cookie": header})
        login = django_app.get(
            DjangoClient(),
            lambda request: (fill(request.session), auth.login(request, anna)),
            headers={"Cookie": header},
        )

    assert (text, login.status_code) == ("{'cart': [1]}", 200)
    saved = application.send(headers={"Cookie": login.cookies["sessionid"].OutputString().partition(";")[0]})
    assert "'cart': [1]" in saved[1]


@pytest.mark.parametrize("integration", [InWsgi, InStarlette])
def test_a_write_in_an_app_without_a_key_is_refused_although_a_read_follows(service, integration):
    with pytest.raises(SessionRefused, match="key"):
        integration(service.address, "keyless").send(fill)


@pytest.mark.parametrize(
    ("integration", "transport"), [(InFlask, RecordingTransport), (InStarlette, AsyncRecordingTransport)]
)
def test_a_write_before_a_read_that_finds_no_service_is_a_503(service, integration, transport):
    transport = transport(service.address)
    application = integration(transport, unavailable="null")
    _, _, [set_cookie] = application.send(fill)
    headers = {"Cookie": cookie(set_cookie)}
    transport.take_calls()

    fail_at_deadline(transport, "OpenSession")

    assert application.send(headers=headers)[:2] == (200, "{}")
    assert application.send(fill, headers=headers)[0] == 503
    assert transport.take_calls() == ["OpenSession"] * 2
