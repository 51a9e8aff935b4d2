"""`cloakroom_copy_sessions` copies Django's sessions from the database to where the service reads them."""

from __future__ import annotations

import datetime
import io

import django_app  # noqa: F401 - configures Django
import pytest
import redis as redis_client
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command


@pytest.fixture
def stored(redis):
    with redis_client.Redis.from_url(redis) as client:
        yield client


@pytest.fixture(autouse=True)
def no_rows():
    Session.objects.all().delete()


def copy(redis, *arguments):
    output = io.StringIO()
    call_command("cloakroom_copy_sessions", "--url", redis, *arguments, stdout=output)
    return output.getvalue()


def make_session(seconds=3600):
    session = SessionStore()
    session["a"] = 1
    session.set_expiry(datetime.timedelta(seconds=seconds))
    session.save()
    return session.session_key


def test_each_live_session_is_copied_as_it_is_with_its_time_to_live(redis, stored):
    keys = [make_session() for _ in range(3)]
    make_session(seconds=-10)
    assert copy(redis).startswith("3 sessions copied, 0 deleted")
    assert sorted(stored.keys()) == sorted(f"django_session:{key}".encode() for key in keys)
    for key in keys:
        assert stored.get(f"django_session:{key}").decode() == Session.objects.get(session_key=key).session_data
        assert 3_500_000 < stored.pttl(f"django_session:{key}") <= 3_600_000


def test_a_second_run_deletes_what_has_ended_and_touches_no_other_keys(redis, stored):
    stays, ends = make_session(), make_session()
    stored.set("django_session", 1)
    stored.set("other", 1)
    copy(redis)
    SessionStore(ends).flush()
    assert copy(redis).startswith("1 sessions copied, 1 deleted")
    assert sorted(stored.keys()) == sorted([b"django_session", b"other", f"django_session:{stays}".encode()])


def test_a_prefix_is_taken_as_it_is(redis, stored):
    stored.set("xyz", 1)
    key = make_session()
    copy(redis, "--key-prefix", "x*[a]")
    assert sorted(stored.keys()) == sorted([b"xyz", f"x*[a]{key}".encode()])


@pytest.mark.parametrize(
    "arguments",
    [("--key-prefix", ""), ("--engine", "django.contrib.sessions.backends.cache")],
)
def test_what_cannot_be_copied_is_refused(redis, arguments):
    with pytest.raises(CommandError):
        copy(redis, *arguments)
