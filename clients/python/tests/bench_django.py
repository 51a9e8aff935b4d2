"""Measures what a session costs inside a Django request, beside Django's own backends. Run by `make bench-python`.

The method is that of `bench.py`. There is one table beside the cache on Redis, and one beside the database.
"""

from __future__ import annotations

import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile

import bench
import django
from django.conf import settings
from service import APPS, Service, free_port, is_listening, program, wait_until

FOLDER = tempfile.TemporaryDirectory()
settings.configure(
    SECRET_KEY="for the benchmark",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions"],
    # The connection stays open, which costs the database backend less than Django's default.
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{FOLDER.name}/db.sqlite3",
            "CONN_MAX_AGE": None,
        }
    },
    CACHES={},
)
django.setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402 - needs the settings
from django.core.management import call_command  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.urls import path  # noqa: E402

CACHE, DATABASE = "cache on Redis", "db on SQLite"


def fill(request):
    request.session.update({"user": "ada", "cart": list(range(50)), "text": "x" * 500})
    return HttpResponse("ok")


def read(request):
    return HttpResponse(request.session["user"] if hasattr(request, "session") else "ada")


def write(request):
    if hasattr(request, "session"):
        request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse("ok")


def untouched(request):
    return HttpResponse("ok")


urlpatterns = [path(view.__name__, view) for view in (fill, read, write, untouched)]


class Application:
    """A Django application, called as a WSGI server calls it, by a browser with one session."""

    def __init__(self, **changes) -> None:
        self._changes = changes
        self._cookie = ""
        with override_settings(**changes):
            self._handler = WSGIHandler()
            if "SESSION_ENGINE" in changes:
                self._cookie = self.get("/fill")["Set-Cookie"].partition(";")[0]
                self.get("/write")

    def get(self, path: str) -> dict[str, str]:
        """Makes a request, and returns the headers of its response."""
        answered = []
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SCRIPT_NAME": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_COOKIE": self._cookie,
            "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "REMOTE_ADDR": "192.0.2.1",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
        }
        response = self._handler(environ, lambda status, headers, _=None: answered.extend([status, dict(headers)]))
        b"".join(response)
        response.close()
        assert answered[0] == "200 OK", answered
        return answered[1]

    def measure(self, path: str) -> tuple[float, float]:
        """Returns the mean CPU time and wall time of a request in one round, in microseconds."""
        with override_settings(**self._changes):
            # The settings have changed, so the first request reads them again.
            self.get("/read")
            return bench.Application.measure(self, path)


def main() -> None:
    folder = pathlib.Path(FOLDER.name)
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", FOLDER.name]
    server = subprocess.Popen([program("redis-server"), *options], stdout=subprocess.DEVNULL)
    try:
        wait_until("redis listens", lambda: is_listening(port))
        run(folder, port)
    finally:
        server.terminate()
        server.wait()


def run(folder: pathlib.Path, port: int) -> None:
    call_command("migrate", verbosity=0)
    stores = {
        "memory": '[store]\nkind = "memory"',
        "Redis": f'[store]\nkind = "redis"\n[store.redis]\nurl = "redis://127.0.0.1:{port}/1"',
    }
    with contextlib.ExitStack() as services:
        applications = own_backends(port)
        for store, settings_of_store in stores.items():
            (folder / store).mkdir()
            service = services.enter_context(Service.start(folder / store, APPS, settings_of_store))
            for connection, address in {"TCP": service.address, "Unix socket": f"unix:{service.socket}"}.items():
                applications[f"Cloakroom, {store}, {connection}"] = Application(
                    MIDDLEWARE=["cloakroom.django.SessionMiddleware"],
                    SESSION_ENGINE="cloakroom.django",
                    CLOAKROOM={"SERVICE": address, "APP": "django"},
                )
        times = bench.measure(applications)
    bench.report(times, CACHE)
    bench.report(times, DATABASE)


def own_backends(port: int) -> dict[str, Application]:
    """Returns an application without sessions, and one for each of Django's own backends that are compared."""
    middleware = ["django.contrib.sessions.middleware.SessionMiddleware"]
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"redis://127.0.0.1:{port}/0"}
    backends = "django.contrib.sessions.backends"
    return {
        bench.NONE: Application(MIDDLEWARE=[]),
        CACHE: Application(MIDDLEWARE=middleware, SESSION_ENGINE=f"{backends}.cache", CACHES={"default": cache}),
        DATABASE: Application(MIDDLEWARE=middleware, SESSION_ENGINE=f"{backends}.db"),
    }


if __name__ == "__main__":
    main()
