"""Measures what a session costs inside a Django request, beside Django's own backends. Run by `make bench-python`."""

from __future__ import annotations

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
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER.name}/db.sqlite3"}},
    CACHES={},
)
django.setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402 - needs the settings
from django.core.management import call_command  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.urls import path  # noqa: E402

NONE, BASELINE = "no sessions", "cache on Redis"


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
        (folder / "service").mkdir()
        store = f'[store]\nkind = "redis"\n[store.redis]\nurl = "redis://127.0.0.1:{port}/1"'
        with Service.start(folder / "service", APPS, store) as service:
            run(service, port)
    finally:
        server.terminate()
        server.wait()


def run(service: Service, port: int) -> None:
    call_command("migrate", verbosity=0)
    django_middleware = ["django.contrib.sessions.middleware.SessionMiddleware"]
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"redis://127.0.0.1:{port}/0"}
    applications = {
        NONE: Application(MIDDLEWARE=[]),
        BASELINE: Application(
            MIDDLEWARE=django_middleware,
            SESSION_ENGINE="django.contrib.sessions.backends.cache",
            CACHES={"default": cache},
        ),
        "db on SQLite": Application(MIDDLEWARE=django_middleware, SESSION_ENGINE="django.contrib.sessions.backends.db"),
    }
    for connection, address in {"TCP": service.address, "Unix socket": f"unix:{service.socket}"}.items():
        applications[f"Cloakroom, Redis, {connection}"] = Application(
            MIDDLEWARE=["cloakroom.django.SessionMiddleware"],
            SESSION_ENGINE="cloakroom.django",
            CLOAKROOM={"SERVICE": address, "APP": "django"},
        )
    bench.measure(applications, BASELINE)


if __name__ == "__main__":
    main()
