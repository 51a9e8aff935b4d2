"""System checks: they look for settings that would fail at the first request."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core import checks
from django.utils.module_loading import import_string

from . import conf
from .middleware import SessionMiddleware
from .store import SessionStore


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Returns what is wrong. Makes no call to the service."""
    try:
        engine = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    except ImportError as error:
        return [checks.Error(f"SESSION_ENGINE cannot be imported: {error}", id="cloakroom.E001")]
    if not issubclass(engine, SessionStore):
        return [
            checks.Warning(
                f"'cloakroom.django' is in INSTALLED_APPS, but SESSION_ENGINE is {settings.SESSION_ENGINE!r}.",
                hint="Set SESSION_ENGINE = 'cloakroom.django'.",
                id="cloakroom.W001",
            )
        ]
    problems: list[checks.CheckMessage] = [
        checks.Error(problem, id="cloakroom.E002") for problem in conf.find_problems()
    ]
    return problems + _check_middleware()


def _check_middleware() -> list[checks.CheckMessage]:
    classes = [import_string(name) for name in settings.MIDDLEWARE]
    found = [each for each in classes if isinstance(each, type) and issubclass(each, DjangoSessionMiddleware)]
    if all(issubclass(each, SessionMiddleware) for each in found):
        return []
    return [
        checks.Error(
            "MIDDLEWARE has Django's SessionMiddleware, which would send the session_key as the cookie. With Cloakroom "
            "the two differ, so nobody could log in.",
            hint="Write 'cloakroom.django.SessionMiddleware' in its place.",
            id="cloakroom.E003",
        )
    ]
