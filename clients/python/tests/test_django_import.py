"""Users of a Django application stay logged in when it moves to Cloakroom, and a logout ends their old cookie."""

from __future__ import annotations

import datetime
import io

import django_app
import pytest
from django.conf import settings
from django.contrib import auth
from django.core.management import call_command
from django.test import Client, override_settings
from django_app import cookie, get, log_in
from service import Service

APPS = """
[apps.django]
keys = ["{key}"]
subject_key = "_auth_user_id"
[apps.django.cookie]
name = "sessionid"
[apps.django.migrate]
until = "UNTIL"
[apps.django.migrate.django_cookie]
keys = ["SECRET"]
lifetime = "14d"
[apps.django.migrate.django_session]
url = "REDIS"
keys = ["SECRET"]
"""


def browser(value: str) -> Client:
    client = Client()
    client.cookies["sessionid"] = value
    return client


@pytest.mark.parametrize("engine", ["db", "cached_db", "file", "signed_cookies"])
def test_users_stay_logged_in_until_they_log_out(engine, redis, tmp_path):
    middleware = ["django.contrib.sessions.middleware.SessionMiddleware", *settings.MIDDLEWARE[1:]]
    until = (datetime.date.today() + datetime.timedelta(days=30)).isoformat()
    apps = APPS.replace("REDIS", redis).replace("SECRET", settings.SECRET_KEY).replace("UNTIL", until)
    with django_app.user(), django_app.session_folder(tmp_path):
        with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}", MIDDLEWARE=middleware):
            client = Client()
            log_in(client)
            get(client, lambda request: request.session.update({"cart": [1, "é"]}))
        old = cookie(client)
        if engine != "signed_cookies":
            arguments = ["--url", redis, "--engine", f"django.contrib.sessions.backends.{engine}"]
            call_command("cloakroom_copy_sessions", *arguments, stdout=io.StringIO())
        service = Service.start(tmp_path, apps=apps)
        with service, override_settings(CLOAKROOM={"SERVICE": service.address, "APP": "django"}):
            client = browser(old)
            assert get(client, lambda request: request.user.get_username()).result == "anna"
            assert get(client, lambda request: request.session["cart"]).result == [1, "é"]
            assert cookie(client) != old
            get(client, auth.logout)
            assert get(browser(old), lambda request: request.user.get_username()).result == ""
