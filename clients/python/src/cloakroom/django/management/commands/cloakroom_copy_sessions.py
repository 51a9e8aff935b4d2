"""Copies Django's sessions from the database or from files to Redis, where the service imports them from.

The service reads them by the migration source `django_session`: a key for each session, which is the prefix and the
session_key, with the engine's text as it is, and the time until the session expires.
"""

from __future__ import annotations

import itertools
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ...legacy_sessions import CannotList, LegacySessions, sessions_of


class Command(BaseCommand):
    help = (
        "Copies the sessions of the database or of files to Redis, for the service's migration source django_session. "
        "What Redis has under the prefix and the engine has no more is deleted, so it can be run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", required=True, help="the Redis, such as redis://127.0.0.1:6379/0")
        parser.add_argument("--key-prefix", default="django_session:", help="how each key begins; default: %(default)s")
        parser.add_argument(
            "--engine",
            default="django.contrib.sessions.backends.db",
            help="the engine that the application used before: db, cached_db, file or one derived from them; "
            "default: %(default)s",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        if not options["key_prefix"]:
            raise CommandError("--key-prefix must not be empty, for other keys would be deleted")
        try:
            sessions = sessions_of(options["engine"])
        except CannotList as error:
            raise CommandError(str(error)) from error
        target = _connect(options["url"])
        copied = _copy(sessions, target, options["key_prefix"])
        deleted = _delete_others(sessions, target, options["key_prefix"])
        self.stdout.write(f"{copied} sessions copied, {deleted} deleted that the engine has no more")
        if sessions.salt != "django.contrib.sessions.SessionStore":
            self.stdout.write(f'the migration source needs: salt = "{sessions.salt}"')


def _connect(url: str) -> Any:
    try:
        import redis
    except ImportError as error:
        raise CommandError("this command needs the package redis: pip install redis") from error
    return redis.Redis.from_url(url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)


def _copy(sessions: LegacySessions, target: Any, prefix: str) -> int:
    copied = 0
    for batch in _batches(sessions.all()):
        now = timezone.now().timestamp()
        pipeline = target.pipeline(transaction=False)
        for session in batch:
            milliseconds = int((session.expire_time - now) * 1000)
            if milliseconds > 0:
                pipeline.set(prefix + session.key, session.text, px=milliseconds)
                copied += 1
        pipeline.execute()
    return copied


def _delete_others(sessions: LegacySessions, target: Any, prefix: str) -> int:
    """Deletes the copies of sessions that have ended since: a logout has to hold."""
    deleted = 0
    pattern = "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in prefix) + "*"
    for batch in _batches(target.scan_iter(match=pattern, count=_BATCH)):
        keys = {name.decode()[len(prefix) :] for name in batch}
        ended = keys - sessions.living(keys)
        if ended:
            deleted += target.unlink(*(prefix + key for key in ended))
    return deleted


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(itertools.islice(rest, _BATCH)):
        yield batch


#: Sessions that are read and written at once.
_BATCH = 500
#: Seconds that one operation of Redis may take.
_TIMEOUT = 10.0
