"""A Django project for the tests, and requests to it. Importing it configures Django for the process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http.cookies import SimpleCookie

import django
from asgiref.sync import async_to_sync
from django.conf import settings

settings.configure(
    SECRET_KEY="for the tests, not for the sessions",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="django_app",
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "cloakroom.django",
    ],
    MIDDLEWARE=[
        "cloakroom.django.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ],
            },
        }
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SESSION_ENGINE="cloakroom.django",
    CLOAKROOM={"APP": "django"},
)
django.setup()

from django.contrib import admin  # noqa: E402 - needs the settings
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends import file  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test import AsyncClient, Client, override_settings  # noqa: E402
from django.urls import path  # noqa: E402

call_command("migrate", verbosity=0)

_views = {}


def view(request):
    return _views["view"](request)


async def async_view(request):
    return await _views["async_view"](request)


urlpatterns = [path("", view), path("async", async_view), path("admin/", admin.site.urls)]


def set_view(view) -> None:
    """Makes a function the view of `/`."""
    _views["view"] = lambda request: view(request) or HttpResponse("ok")


def set_async_view(view) -> None:
    """Makes a function the view of `/async`."""
    _views["async_view"] = view


def get(client: Client, view, **request):
    """Sends one request, whose view is the function `view`. The response has the view's result in `result`."""
    results = []

    def run(request):
        result = view(request)
        results.append(result)
        return result if isinstance(result, HttpResponse) else HttpResponse("ok")

    _views["view"] = run
    response = client.get("/", **request)
    response.result = results[-1] if results else None
    return response


async def aget(client: AsyncClient, view, **request):
    """The same for an asynchronous view."""
    results = []

    async def run(request):
        result = await view(request)
        results.append(result)
        return result if isinstance(result, HttpResponse) else HttpResponse("ok")

    _views["async_view"] = run
    response = await client.get("/async", **request)
    response.result = results[-1] if results else None
    return response


def run(coroutine):
    """Runs a coroutine. What it gives to a thread for the database comes back to this one."""

    async def awaited():
        return await coroutine

    return async_to_sync(awaited)()


def cookie(client) -> str:
    """Returns the value of the client's session cookie."""
    return client.cookies["sessionid"].value


def copy_of(client: Client) -> Client:
    """Returns another client with the same cookies, such as another tab."""
    other = Client()
    other.cookies = SimpleCookie(client.cookies.output(header="", sep=";"))
    return other


@contextlib.contextmanager
def user(name: str = "anna", **fields) -> Iterator[User]:
    """A user with the password `secret`."""
    created = User.objects.create_superuser(name, password="secret", **fields)
    try:
        yield created
    finally:
        created.delete()


@contextlib.contextmanager
def session_folder(folder) -> Iterator[None]:
    """Has Django's engine `file` use a folder, which its class remembers."""
    with override_settings(SESSION_FILE_PATH=str(folder)):
        file.SessionStore._storage_path = str(folder)
        yield
    del file.SessionStore._storage_path


def log_in(client: Client, name: str = "anna"):
    """Logs in by Django's own form."""
    return client.post("/admin/login/?next=/admin/", {"username": name, "password": "secret"})
