"""Writes tests/it/django/vectors.json: sessions as the real Django signs and stores them, and what it reads of them.

Needs Django and django-redis, in an environment of their own. Django 4.2, 5.2 and 6.0 write the same sessions.

    python3 -m venv target/django/venv
    target/django/venv/bin/pip install Django==5.2.19 django-redis==7.0.0
    target/django/venv/bin/python tests/django/vectors.py

The names of what Django itself does not write, but with a signature that is right, begin with `signed_`.
"""

import base64
import datetime
import json
import pickle
import platform
import sys
import zlib
from pathlib import Path
from unittest import mock

import django
import django_redis
from django.conf import settings

SECRET_KEY = "django-insecure-what-Django-signs-with"
FALLBACK = "what Django signed with until last year"
COOKIE_SALT = "django.contrib.sessions.backends.signed_cookies"
SECONDS = 1_700_000_000
COOKIE_AGE = 1_209_600

settings.configure(
    SECRET_KEY=SECRET_KEY,
    SECRET_KEY_FALLBACKS=[FALLBACK],
    SESSION_COOKIE_AGE=COOKIE_AGE,
    SESSION_ENGINE="django.contrib.sessions.backends.db",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import get_user_model, login  # noqa: E402
from django.contrib.auth.hashers import make_password  # noqa: E402
from django.contrib.sessions.backends.base import SessionBase  # noqa: E402
from django.contrib.sessions.backends.cache import KEY_PREFIX  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore as DbStore  # noqa: E402
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.core import signing  # noqa: E402
from django.core.cache.backends.base import default_key_func  # noqa: E402
from django.core.cache.backends.redis import RedisSerializer  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.test import override_settings  # noqa: E402
from django_redis.compressors.zlib import ZlibCompressor  # noqa: E402
from django_redis.serializers.json import JSONSerializer as RedisJsonSerializer  # noqa: E402

call_command("migrate", verbosity=0)


class PickleSerializer:
    """What django.contrib.sessions.serializers had until Django 5.0."""

    def dumps(self, obj):
        return pickle.dumps(obj, pickle.HIGHEST_PROTOCOL)

    def loads(self, data):
        raise AssertionError("nothing here reads a pickle")


class RawSerializer:
    """Signs bytes as they are."""

    def dumps(self, obj):
        return obj

    loads = dumps


def at(seconds):
    """Sets the clock of Django's signer."""
    return mock.patch.object(signing.time, "time", lambda: seconds)


def texts(values):
    """The JSON text of each value, as Django's serializer writes it within a session."""
    named = {str(name).encode(errors="replace").decode(): value for name, value in values.items()}
    return {name: json.dumps(value, separators=(",", ":")) for name, value in named.items()}


def load(store):
    """What Django reads: the values, or None if it begins a new session instead."""
    reset = []
    with mock.patch.object(CookieStore, "create", lambda self: reset.append(True)):
        values = store.load()
    return None if reset or not isinstance(values, dict) else texts(values)


# Cookies.
cookies = []


def cookie_vector(name, cookie, *, now=SECONDS + 60, issued=SECONDS):
    with at(now):
        loaded = load(CookieStore(cookie))
    if name == "signed_2_mib":
        loaded = {}
    cookies.append({"name": name, "cookie": cookie, "issued": issued, "now": now, "loaded": loaded})


def saved_cookie(fill, seconds=SECONDS):
    store = CookieStore()
    now = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    with at(seconds), mock.patch("django.utils.timezone.now", lambda: now):
        fill(store)
        store.save()
    return store.session_key


def signed_cookie(payload, *, key=SECRET_KEY, salt=COOKIE_SALT, seconds=SECONDS, **options):
    with at(seconds):
        return signing.TimestampSigner(key=key, salt=salt, **options).sign(payload)


def signed_bytes(data, compress=False, **options):
    dot = "." if compress else ""
    return signed_cookie(dot + signing.b64_encode(zlib.compress(data) if compress else data).decode(), **options)


user = get_user_model()(username="anna", password=make_password("a password", salt="the same every time"))
user.save()


def logged_in(store):
    request = HttpRequest()
    request.session = store
    login(request, user)


DATE = datetime.datetime(2026, 11, 26, 12, 30, 15, 123456)
VALUES = {
    "plain": {"a": 1},
    "in_the_order_of_insertion": {"z": 1, "a": {"y": 2, "b": 3}},
    "unicode": {"Zoë": "☃ 😀", "control": "\x00\x1f\x7f\x80\n\r\t\b\f\"\\/<>&'\u2028"},
    "scalars": {
        "n": None,
        "t": True,
        "f": False,
        "i": -7,
        "big": 2**70,
        "one": 1.0,
        "nz": -0.0,
        "e16": 1e16,
        "em5": 1e-05,
        "max": sys.float_info.max,
    },
    "nested": {"cart": [{"id": 1, "options": {"a": []}}, [], {}, ""]},
    "tuple": {"t": (1, ("x",))},
    "keys_that_are_no_text": {1: "one", None: "none", "d": {2: 3, True: 4}},
    "lone_surrogate": {"s": "\ud800x"},
    "empty": {},
    "empty_name": {"": 1},
    "name_of_300_bytes": {"n" * 300: 1},
    "compressed": {"text": "abc" * 500},
    "braces_in_text": {"a": '{"x": [1, 2]}', "b": "]}"},
}
for name, values in VALUES.items():
    cookie_vector(name, saved_cookie(lambda store, values=values: store.update(values)))
cookie_vector("login", saved_cookie(logged_in))
EXPIRIES = {
    "expiry_in_seconds": 300,
    "expiry_with_the_browser": 0,
    "expiry_longer_than_the_cookie_age": 2 * COOKIE_AGE,
    "expiry_in_the_past": -10,
    "expiry_at_a_time": DATE.replace(tzinfo=datetime.UTC),
    "expiry_at_a_time_elsewhere": DATE.replace(tzinfo=datetime.timezone(-datetime.timedelta(hours=5, minutes=30))),
    "expiry_at_a_time_without_zone": DATE,
    "expiry_after_a_timedelta": datetime.timedelta(days=1),
}


def with_expiry(expiry):
    return lambda store: (store.update({"a": 1}), store.set_expiry(expiry))


for name, expiry in EXPIRIES.items():
    cookie_vector(name, saved_cookie(with_expiry(expiry)))
cookie_vector("expiry_in_seconds_is_over", saved_cookie(with_expiry(300)), now=SECONDS + 301)

good = saved_cookie(lambda store: store.update({"a": 1}))
payload, seconds, signature = good.split(":")
cookie_vector("at_the_end_of_its_age", good, now=SECONDS + COOKIE_AGE)
cookie_vector("too_old", good, now=SECONDS + COOKIE_AGE + 1)
cookie_vector("too_old_by_a_quarter_second", good, now=SECONDS + COOKIE_AGE + 0.25)
cookie_vector("a_minute_from_the_future", good, now=SECONDS - 60)
cookie_vector("an_hour_from_the_future", good, now=SECONDS - 3600)
with override_settings(SECRET_KEY=FALLBACK):
    cookie_vector("of_a_fallback_key", saved_cookie(lambda store: store.update({"a": 1})))
with override_settings(SECRET_KEY="of another application"):
    foreign = saved_cookie(lambda store: store.update({"a": 1}))
cookie_vector("of_a_foreign_key", foreign)
cookie_vector("of_another_salt", signed_bytes(b'{"a":1}', salt="django.contrib.sessions.SessionStore"))
cookie_vector("of_sha1", signed_bytes(b'{"a":1}', algorithm="sha1"))
cookie_vector("another_payload", f"{signing.b64_encode(b'{%s}' % b'').decode()}:{seconds}:{signature}")
cookie_vector("another_time", f"{payload}:{signing.b62_encode(SECONDS + 1)}:{signature}")
cookie_vector("another_signature", f"{payload}:{seconds}:{'A' * 43}")
cookie_vector("cut_signature", good[:-1])
cookie_vector("padded_signature", good + "=")
cookie_vector("another_spelling_of_the_signature", good[:-1] + chr(ord(good[-1]) + 1))
cookie_vector("without_signature", f"{payload}:{seconds}")
cookie_vector("without_time", payload)
cookie_vector("only_separators", "::")
cookie_vector("signed_without_time", signing.Signer(salt=COOKIE_SALT).sign(payload))


def signed_with_time(text):
    return signing.Signer(salt=COOKIE_SALT).sign(f"{payload}:{text}")


cookie_vector("signed_time_with_zeros", signed_with_time("0" + seconds))
cookie_vector("signed_time_that_is_no_number", signed_with_time("1r!qAA"))
cookie_vector("signed_time_of_no_digits", signed_with_time(""))
cookie_vector("signed_time_below_zero", signed_with_time("-1"), issued=None)
cookie_vector("signed_time_of_100_digits", signed_with_time("z" * 100), issued=None)
cookie_vector("signed_payload_that_is_no_base64", signed_cookie("!!!"))
cookie_vector("signed_payload_that_is_no_zlib", signed_cookie("." + payload))
cookie_vector("signed_zlib_cut_short", signed_cookie("." + signing.b64_encode(zlib.compress(b'{"a":1}')[:-4]).decode()))
cookie_vector(
    "signed_zlib_and_more", signed_cookie("." + signing.b64_encode(zlib.compress(b'{"a":1}') + b"x").decode())
)
cookie_vector("signed_short_zlib", signed_bytes(b'{"a":1}', compress=True))
cookie_vector("signed_empty_payload", signed_cookie(""))
for name, data in {
    "no_json": b"{",
    "list": b'["a"]',
    "pairs": b'[["a",1]]',
    "null": b"null",
    "number": b"1",
    "text": b'"a"',
    "json_and_more": b'{"a":1} x',
    "white_space": b' {"a" : [1, 2] , "b":{ "c":1 } }\n',
    "name_twice": b'{"a":1,"b":2,"a":[3]}',
    "name_with_a_lone_surrogate": b'{"\\ud800":1}',
    "latin_1": '{"a":"é"}'.encode("latin-1"),
    "utf_8": '{"a":"é"}'.encode(),
    "nan": b'{"a":NaN}',
    "infinity": b'{"a":[Infinity,-Infinity]}',
    "expiry_of_another_type": b'{"a":1,"_session_expiry":[1]}',
    "expiry_that_is_no_time": b'{"a":1,"_session_expiry":"tomorrow"}',
    "expiry_with_a_fraction": b'{"a":1,"_session_expiry":90.5}',
    "expiry_beyond_any_time": b'{"a":1,"_session_expiry":1e300}',
    "bytes": b"\xff\xfe",
    "float_beyond_64_bits": b'{"a":1e999}',
    "integer_of_5000_digits": b'{"a":' + b"1" * 5000 + b"}",
}.items():
    cookie_vector("signed_" + name, signed_bytes(data))
cookie_vector("signed_pickle", signed_bytes(PickleSerializer().dumps({"a": 1})))
cookie_vector("signed_compressed_pickle", signed_bytes(PickleSerializer().dumps({"a": "x" * 200}), compress=True))
cookie_vector("signed_2_mib", signed_bytes(b'{"a":"' + b" " * 2**21 + b'"}', compress=True))

# Records: what the source reads from Redis.
records = []


def record_vector(name, value, loaded, *, signed):
    value = value.encode() if isinstance(value, str) else value
    records.append({"name": name, "value": base64.b64encode(value).decode(), "signed": signed, "loaded": loaded})


def row(fill):
    store = DbStore()
    with at(SECONDS):
        fill(store)
        store.save()
    return Session.objects.get(session_key=store.session_key).session_data


def row_vector(name, text):
    values = DbStore().decode(text)
    # Django reads what it cannot read as an empty session.
    record_vector(name, text, texts(values) if isinstance(values, dict) and values else None, signed=True)


for name, values in VALUES.items():
    if values:
        row_vector(name, row(lambda store, values=values: store.update(values)))
row_vector("login", row(logged_in))
row_vector("expiry_in_seconds", row(with_expiry(300)))
row_text = row(lambda store: store.update({"a": 1}))
row_vector("another_payload", "x" + row_text)
row_vector("without_signature", row_text.rsplit(":", 1)[0])
row_vector("no_text", b"\xff\xfe:1:2".decode("latin-1"))
row_vector("plain_json", '{"a":1}')
row_vector("a_cookie", good)
with override_settings(SECRET_KEY=FALLBACK):
    row_vector("of_a_fallback_key", row(lambda store: store.update({"a": 1})))
with override_settings(SECRET_KEY="of another application"):
    foreign = row(lambda store: store.update({"a": 1}))
row_vector("of_a_foreign_key", foreign)
# Django 3.0 and older: the base64 of a SHA-1 and the JSON.
row_vector("of_django_3_0", base64.b64encode(b"0" * 40 + b':{"a":1}').decode())


def signed_row(data, serializer):
    with at(SECONDS):
        return signing.dumps(data, salt=DbStore().key_salt, serializer=serializer, compress=True)


row_vector("signed_pickle", signed_row({"a": 1}, PickleSerializer))
row_vector("signed_list", signed_row(b'["a"]', RawSerializer))

for name, values in VALUES.items():
    if values:
        value = RedisJsonSerializer({}).dumps(values)
        record_vector(name, value, texts(RedisJsonSerializer({}).loads(value)), signed=False)
for name, value in {
    "pickle_of_django": RedisSerializer().dumps({"a": 1}),
    "pickle_of_protocol_0": pickle.dumps({"a": 1}, 0),
    "pickle_of_protocol_2": pickle.dumps({"a": 1}, 2),
    "zlib_of_django_redis": ZlibCompressor({}).compress(b'{"a": "' + b"x" * 100 + b'"}'),
    "integer": b"1",
    "list": b'["a"]',
    "null": b"null",
    "a_row": row_text.encode(),
    "nan": b'{"a": NaN}',
    "bytes": b"\xff\xfe",
}.items():
    record_vector(name, value, None, signed=False)


class CustomBase(SessionBase):
    """The salt of a row has the name of its class."""


key = "0123456789abcdefghijklmnopqrstuv"
meta = {
    "python": platform.python_version(),
    "django": django.__version__,
    "django_redis": ".".join(map(str, django_redis.VERSION)),
    "zlib": zlib.ZLIB_RUNTIME_VERSION,
    "secret_keys": [SECRET_KEY, FALLBACK],
    "cookie_age": COOKIE_AGE,
    "cookie_salt": COOKIE_SALT,
    "row_salt": DbStore().key_salt,
    "row_salt_of_CustomBase": CustomBase().key_salt,
    "cache_key": default_key_func(KEY_PREFIX + key, "", 1).replace(key, "<session_key>"),
}
out = Path(__file__).parent.parent / "it/django/vectors.json"
out.parent.mkdir(exist_ok=True)
out.write_text(json.dumps({"meta": meta, "cookies": cookies, "records": records}, indent=1) + "\n")
print(f"{len(cookies)} cookies and {len(records)} records in {out}")
