"""`cloakroom_copy_sessions` copies Django's sessions from the database or files to where the service reads them."""

from __future__ import annotations

import datetime
import io
import os
import pathlib
import pickle
import time

import django_app
import pytest
import redis as redis_client
from django.conf import settings
from django.contrib.sessions.backends import file
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core import signing
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


FILES = ("--engine", "django.contrib.sessions.backends.file")


@pytest.fixture
def session_files(tmp_path):
    with django_app.session_folder(tmp_path):
        yield tmp_path


def make_file(expiry=None):
    session = file.SessionStore()
    session["a"] = 1
    session.set_expiry(expiry)
    session.save()
    return session.session_key


def path_of(key):
    return pathlib.Path(settings.SESSION_FILE_PATH, settings.SESSION_COOKIE_NAME + key)


def make_older(key, seconds):
    at = time.time() - seconds
    os.utime(path_of(key), (at, at))


def test_the_file_of_each_live_session_is_copied_as_it_is_with_its_time_to_live(redis, stored, session_files):
    default, brief, dated = make_file(), make_file(3600), make_file(datetime.timedelta(hours=2))
    make_older(default, 1000)
    make_older(make_file(3600), 4000)
    make_older(make_file(), settings.SESSION_COOKIE_AGE + 10)
    make_file(datetime.timedelta(seconds=-10))
    assert copy(redis, *FILES).startswith("3 sessions copied, 0 deleted")
    assert sorted(stored.keys()) == sorted(f"django_session:{key}".encode() for key in (default, brief, dated))
    for key, seconds in ((default, settings.SESSION_COOKIE_AGE - 1000), (brief, 3600), (dated, 7200)):
        assert stored.get(f"django_session:{key}").decode() == path_of(key).read_text()
        assert seconds - 100 < stored.pttl(f"django_session:{key}") / 1000 <= seconds


def test_a_second_run_deletes_what_has_no_living_file_any_more(redis, stored, session_files):
    stays, ends, expires = make_file(), make_file(), make_file(3600)
    stored.set("django_session:../" + settings.SESSION_COOKIE_NAME + stays, 1)
    assert copy(redis, *FILES).startswith("3 sessions copied, 1 deleted")
    file.SessionStore(ends).flush()
    make_older(expires, 4000)
    assert copy(redis, *FILES).startswith("1 sessions copied, 2 deleted")
    assert stored.keys() == [f"django_session:{stays}".encode()]


class Pickle:
    dumps, loads = staticmethod(pickle.dumps), staticmethod(pickle.loads)


class Fails:
    """A pickle of it fails the process that reads it."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_file_that_is_no_session_of_the_application_is_not_copied(redis, stored, session_files):
    key, target = make_file(), make_file()
    text = path_of(target).read_text()
    path_of(target).unlink()
    salt = file.SessionStore().key_salt
    contents = {
        "a" * 32: text[:-1],
        "b" * 32: "",
        "c" * 32: signing.dumps(["no dict"], salt=salt),
        "d" * 32: signing.dumps(Fails(), salt=salt, serializer=Pickle),
        "e" * 32: signing.dumps({"a": 1}, salt=salt, key="another key"),
        "f" * 32 + "_out_x": text,
        "G" * 32: text,
    }
    for name, content in contents.items():
        path_of(name).write_text(content)
    path_of("h" * 32).symlink_to(path_of(key))
    path_of("i" * 32).mkdir()
    os.mkfifo(path_of("j" * 32))
    path_of("k" * 32).write_bytes(b"\xff")
    (session_files / key).write_text(text)
    assert copy(redis, *FILES).startswith("1 sessions copied, 0 deleted")
    assert stored.keys() == [f"django_session:{key}".encode()]


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("--key-prefix", ""), "--key-prefix must not be empty"),
        (("--engine", "django.contrib.sessions.backends.cache"), "by the migration source django_session without keys"),
        (("--engine", "django.contrib.sessions.backends.signed_cookies"), "by the migration source django_cookie"),
        (("--engine", "cloakroom.django"), "it is not derived from db, cached_db or file"),
    ],
)
def test_what_cannot_be_copied_is_refused_with_what_to_do_instead(redis, arguments, advice):
    with pytest.raises(CommandError, match=advice):
        copy(redis, *arguments)
