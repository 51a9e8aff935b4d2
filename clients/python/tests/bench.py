"""Measures what a session costs inside a Flask request, beside Flask-Session on Redis. Run by `make bench-python`.

The cost of a session is the request's less that of the same request in an application without sessions. All variants
take turns in one run; a ratio is the median of the rounds, with the quartiles that it lies between.
"""

from __future__ import annotations

import io
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from flask import Flask, session
from flask.sessions import SessionInterface
from flask_session import Session
from redis import Redis
from service import APPS, Service, free_port, is_listening, program, wait_until

from cloakroom.flask import CloakroomSessionInterface
from cloakroom.grpc_transport import GrpcTransport

ROUNDS = int(os.environ.get("BENCH_PYTHON_ROUNDS", "30"))
REQUESTS = 50
NONE, BASELINE = "no sessions", "Flask-Session on Redis"
PATHS = ["/read", "/write", "/untouched"]
#: The highest ratios that are wanted: of CPU and of wall time.
GOALS = {
    ("TCP", "/read"): (0.30, 0.45),
    ("Unix socket", "/read"): (0.25, 0.35),
    ("TCP", "/write"): (0.5, 0.65),
    ("Unix socket", "/write"): (0.5, 0.65),
    ("TCP", "/untouched"): (0.07, None),
    ("Unix socket", "/untouched"): (0.07, None),
}


#: The CPU time and wall time of a request in each round, by the name of the application and the path.
Times = "dict[tuple[str, str], list[tuple[float, float]]]"


class NoSessions(SessionInterface):
    """Makes no sessions."""

    def open_session(self, app, request):
        return self.make_null_session(app)


class Application:
    """A Flask application, called as a WSGI server calls it, by a browser with one session."""

    def __init__(self, interface=None, redis=None) -> None:
        self._app = app = Flask(__name__)
        app.secret_key = "secret-key"
        has_session = not isinstance(interface, NoSessions)
        if interface is not None:
            app.session_interface = interface
        if redis is not None:
            app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis, SESSION_PERMANENT=False)
            Session(app)
        app.add_url_rule("/fill", "fill", lambda: str(session.update(user="ada", cart=list(range(50)), text="x" * 500)))
        app.add_url_rule("/untouched", "untouched", lambda: "ok")
        app.add_url_rule("/read", "read", (lambda: str(session["user"])) if has_session else lambda: "ada")
        count = (lambda: str(session.update(count=session.get("count", 0) + 1))) if has_session else lambda: "None"
        app.add_url_rule("/write", "write", count)
        self._cookie = ""
        if has_session:
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
        b"".join(self._app(environ, lambda status, headers, _=None: answered.extend([status, dict(headers)])))
        assert answered[0] == "200 OK", answered
        return answered[1]

    def measure(self, path: str) -> tuple[float, float]:
        """Returns the mean CPU time and wall time of a request in one round, in microseconds."""
        began, used = time.perf_counter(), time.process_time()
        for _ in range(REQUESTS):
            self.get(path)
        cpu, wall = time.process_time() - used, time.perf_counter() - began
        return cpu / REQUESTS * 1e6, wall / REQUESTS * 1e6


def measure(applications: dict[str, Application]) -> Times:
    """Measures all applications by turns. The first is the one without sessions."""
    names = list(applications)
    times: Times = {(name, path): [] for name in names for path in PATHS}
    for turn in range(ROUNDS):
        # Every second round runs backwards, so that no variant profits from its place in the order.
        for name in names if turn % 2 else reversed(names):
            for path in PATHS:
                times[name, path].append(applications[name].measure(path))
    return times


def report(times: Times, baseline: str) -> None:
    """Prints what sessions cost, also relative to one of the applications."""
    print("\nwhat a session costs in a request, in microseconds of CPU and of wall time")
    print(f"(in brackets: relative to {baseline}, median and quartiles of {ROUNDS} rounds)\n")
    reached = []
    for path in PATHS:
        print(f"{path[1:]:44}{'CPU':>28}{'wall':>28}")
        for name in (name for name, of_path in times if of_path == path and name != NONE):
            cells, ratios = [], []
            for kind in range(2):
                own = part(times, name, path, kind)
                quartiles = statistics.quantiles([a / b for a, b in zip(own, part(times, baseline, path, kind))], n=4)
                ratios.append(quartiles[1])
                cells.append(
                    f"{statistics.median(own):9.1f} ({quartiles[1]:.2f}, {quartiles[0]:.2f}-{quartiles[2]:.2f})"
                )
            print(f"  {name:42}" + "".join(f"{cell:>28}" for cell in cells))
            if baseline != BASELINE:
                continue
            store, _, connection = name.removeprefix("Cloakroom, ").partition(", ")
            for ratio, goal, kind in zip(ratios, GOALS.get((connection, path), (None, None)), ("CPU", "wall")):
                if goal is not None:
                    is_reached = "reached    " if ratio <= goal else "NOT reached"
                    reached.append(
                        f"{is_reached}  {path[1:]} by {connection} on {store}, {kind}: {ratio:.2f} (at most {goal})"
                    )
    if reached:
        print("\nGoals\n\n" + "\n".join(reached))


def part(times: Times, name: str, path: str, kind: int) -> list[float]:
    """Returns what the session cost in each round."""
    return [own[kind] - none[kind] for own, none in zip(times[name, path], times[NONE, path])]


def measure_import() -> None:
    """Measures the import on top of Flask's, each in processes of its own."""

    # With compiled modules, as an application has from its second start on.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

    def milliseconds(module: str) -> float:
        text = f"import flask, time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        command = [sys.executable, "-c", text]
        done = [subprocess.run(command, env=environment, capture_output=True, check=True) for _ in range(16)]
        return statistics.median(float(each.stdout) for each in done[1:]) * 1000

    for module, goal in (("cloakroom.flask", "15 ms wanted at most"), ("flask_session", "")):
        print(f"import {module} on top of Flask: {milliseconds(module):.1f} ms {goal}")


def main() -> None:
    measure_import()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen([program("redis-server"), *options], stdout=subprocess.DEVNULL)
        try:
            wait_until("redis listens", lambda: is_listening(port))
            run(pathlib.Path(folder), port)
        finally:
            server.terminate()
            server.wait()


def run(folder: pathlib.Path, port: int) -> None:
    stores = {
        "memory": '[store]\nkind = "memory"',
        "Redis": f'[store]\nkind = "redis"\n[store.redis]\nurl = "redis://127.0.0.1:{port}/1"',
    }
    applications = {
        NONE: Application(NoSessions()),
        "Flask's signed cookie": Application(),
        BASELINE: Application(redis=Redis(port=port)),
    }
    services = []
    try:
        for store, settings in stores.items():
            (folder / store).mkdir()
            service = Service.start(folder / store, APPS, settings)
            services.append(service)
            transports = {"TCP": service.address, "Unix socket": f"unix:{service.socket}"}
            if store == "memory":
                transports["TCP by gRPC"] = GrpcTransport(service.address)
            for connection, transport in transports.items():
                interface = CloakroomSessionInterface(transport, app="shop")
                applications[f"Cloakroom, {store}, {connection}"] = Application(interface)
        report(measure(applications), BASELINE)
    finally:
        for service in services:
            service.stop()


if __name__ == "__main__":
    main()
