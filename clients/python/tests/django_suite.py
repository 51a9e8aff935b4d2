"""Runs Django's own tests of session stores with sessions in Cloakroom.

They are in the service at the address CLOAKROOM_ADDRESS, or in this process if that is empty.
Its arguments are those of `python -m unittest`. Django's tests have to be on the path.
"""

from __future__ import annotations

import os
import sys
import unittest

import django
from django.conf import settings

from cloakroom.testing import App, MemoryTransport

SERVICE = os.environ["CLOAKROOM_ADDRESS"] or MemoryTransport(App("django", subject_key="_auth_user_id"))

settings.configure(
    SECRET_KEY="for the tests",
    USE_TZ=False,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "sessions_tests"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SESSION_ENGINE="cloakroom.django",
    CLOAKROOM={"SERVICE": SERVICE, "APP": "django", "DEADLINE": 60},
)
django.setup()

from django.test import SimpleTestCase, override_settings  # noqa: E402 - needs the settings
from sessions_tests import tests  # noqa: E402

from cloakroom.django import SessionStore  # noqa: E402


class StoreTests(tests.SessionTestsMixin, SimpleTestCase):
    backend = SessionStore


@override_settings(USE_TZ=True)
class StoreWithTimeZoneTests(StoreTests):
    pass


if __name__ == "__main__":
    unittest.main(argv=["django_suite", *(sys.argv[1:] or ["StoreTests", "StoreWithTimeZoneTests"])])
