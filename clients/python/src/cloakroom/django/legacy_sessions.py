"""The sessions that Django's own engines have stored, for the command that copies them.

Knows nothing of where they are copied to. A text is what the engine has stored: payload, time and signature.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.core import signing
from django.utils import timezone


class CannotList(Exception):
    """The sessions of an engine cannot be listed. The text says what to do instead."""


class LegacySession(NamedTuple):
    """A session that lives."""

    key: str
    text: str
    #: Seconds since 1970.
    expire_time: float


class LegacySessions(Protocol):
    """The sessions of one engine."""

    #: Of the signatures.
    salt: str

    def all(self) -> Iterator[LegacySession]:
        """Returns the sessions that live."""
        ...

    def living(self, keys: set[str]) -> set[str]:
        """Returns those of the keys whose sessions live."""
        ...


def sessions_of(engine: str) -> LegacySessions:
    """Returns the sessions of an engine, such as `django.contrib.sessions.backends.db`. Raises `CannotList`."""
    store = import_module(engine).SessionStore
    if hasattr(store, "get_model_class"):
        return DatabaseSessions(store())
    bases = {base.__module__ for base in store.__mro__}
    if f"{_BACKENDS}.file" in bases:
        return FileSessions(store())
    advice = [_ADVICE[name] for name in _ADVICE if f"{_BACKENDS}.{name}" in bases]
    raise CannotList(f"the sessions of {engine} cannot be listed: {advice[0] if advice else _OTHER_ADVICE}")


class DatabaseSessions:
    """The rows of a table, as the engines db and cached_db store them."""

    def __init__(self, store: Any) -> None:
        self.salt = store.key_salt
        self._rows = store.model.objects

    def all(self) -> Iterator[LegacySession]:
        rows = self._living().values_list("session_key", "session_data", "expire_date")
        for key, text, expire_date in rows.iterator(chunk_size=_ROWS):
            yield LegacySession(key, text, expire_date.timestamp())

    def living(self, keys: set[str]) -> set[str]:
        return set(self._living().filter(session_key__in=keys).values_list("session_key", flat=True))

    def _living(self) -> Any:
        return self._rows.filter(expire_date__gt=timezone.now())


class FileSessions:
    """The files of a folder, as the engine file stores them. The folder may have other files, also hostile ones."""

    def __init__(self, store: Any) -> None:
        self.salt = store.key_salt
        self._store = store

    def all(self) -> Iterator[LegacySession]:
        prefix = self._store.file_prefix
        with os.scandir(self._store.storage_path) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            if name.startswith(prefix) and (session := self._read(name[len(prefix) :])):
                yield session

    def living(self, keys: set[str]) -> set[str]:
        return {key for key in keys if self._read(key)}

    def _read(self, key: str) -> LegacySession | None:
        """Returns the session of a key. None: there is no file that is one, or the session has expired."""
        if not _KEY.fullmatch(key):
            return None
        try:
            # Another program that may write into the folder could have put a link or a pipe there.
            descriptor = os.open(os.path.join(self._store.storage_path, self._store.file_prefix + key), _OPEN_FLAGS)
            with open(descriptor, encoding="ascii") as file:
                text, modified = file.read(_MAX_TEXT + 1), os.fstat(descriptor).st_mtime
            # As JSON: a pickle is never read.
            values = signing.loads(text, salt=self.salt)
            expire_time = self._expire_time(values, modified)
        except (OSError, ValueError, TypeError, AttributeError, signing.BadSignature):
            return None
        return LegacySession(key, text, expire_time) if expire_time > timezone.now().timestamp() else None

    def _expire_time(self, values: dict[str, Any], modified: float) -> float:
        zone = datetime.timezone.utc if settings.USE_TZ else None
        expire_date: datetime.datetime = self._store.get_expiry_date(
            modification=datetime.datetime.fromtimestamp(modified, zone), expiry=values.get("_session_expiry")
        )
        return expire_date.timestamp()


_BACKENDS = "django.contrib.sessions.backends"
#: What to do about an engine that cannot be listed.
_ADVICE = {
    "cache": (
        "no cache of Django has a list of its keys. If it is django-redis with its JSONSerializer, the service reads "
        "the cache itself, by the migration source django_session without keys. Otherwise copy by the keys that the "
        "cache's server lists, as docs/from-django.md shows"
    ),
    "signed_cookies": "the browsers have them. The service reads their cookies by the migration source django_cookie",
}
_OTHER_ADVICE = "it is not derived from db, cached_db or file. docs/from-django.md says what a copy is"
#: Django makes no others, and the service reads no others.
_KEY = re.compile(r"[a-z0-9]{32}")
#: A pipe is not waited for, and a link is not followed.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
#: Bytes. The service reads no larger ones.
_MAX_TEXT = 1024 * 1024
#: That are read from the database at once.
_ROWS = 500
