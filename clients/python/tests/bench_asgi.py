"""Measures what a session costs inside a FastAPI request, beside starsessions on Redis. Run by `make bench-python`.

The cost of a session is the request's less that of the same request in an application without sessions. The
applications are called as an ASGI server calls them, without a server, by one browser after the other and by 50 at a
time. All variants take turns in one run; a ratio is the median of the rounds, with the quartiles that it lies between.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from redis.asyncio import Redis
from service import APPS, Service, free_port, is_listening, program, wait_until
from starlette.middleware.sessions import SessionMiddleware
from starsessions import SessionMiddleware as StarsessionsMiddleware
from starsessions import load_session
from starsessions.stores.redis import RedisStore

from cloakroom.starlette import CloakroomMiddleware

ROUNDS = int(os.environ.get("BENCH_PYTHON_ROUNDS", "30"))
#: Of all browsers together, in one round.
REQUESTS = 100
BROWSERS = [1, 50]
NONE, BASELINE = "no sessions", "starsessions on Redis"
PATHS = ["/read", "/write", "/untouched"]
#: The highest ratios that are wanted: of CPU and of wall time.
GOALS = {
    ("TCP", "/read"): (0.30, 0.45),
    ("Unix socket", "/read"): (0.25, 0.35),
    ("TCP", "/write"): (0.5, 0.65),
    ("Unix socket", "/write"): (0.5, 0.65),
    ("Unix socket, lazy", "/untouched"): (0.07, None),
}


async def do_nothing(request: Request) -> None:
    """Opens the session where that happens by itself."""


async def open_session(request: Request) -> None:
    await request.session.open()


class Application:
    """A FastAPI application, called as an ASGI server calls it, by browsers with a session each."""

    def __init__(self, middleware=None, open_session=do_nothing, **settings) -> None:
        self._app = app = FastAPI()
        if middleware is not None:
            app.add_middleware(middleware, **settings)

        @app.get("/fill")
        async def fill(request: Request):
            await open_session(request)
            request.session.update(user="ada", cart=list(range(50)), text="x" * 500)
            return PlainTextResponse("ok")

        @app.get("/untouched")
        async def untouched(request: Request):
            return PlainTextResponse("ok")

        @app.get("/read")
        async def read(request: Request):
            await open_session(request)
            return PlainTextResponse("ada" if middleware is None else request.session["user"])

        @app.get("/write")
        async def write(request: Request):
            await open_session(request)
            if middleware is not None:
                request.session["count"] = request.session.get("count", 0) + 1
            return PlainTextResponse("ok")

        self._has_session = middleware is not None
        self._cookies: list[bytes] = []

    async def begin(self) -> None:
        """Gives each browser its session."""
        if self._has_session:
            self._cookies = [(await self.get("/fill", b""))[b"set-cookie"] for _ in range(max(BROWSERS))]
            self._cookies = [cookie.partition(b";")[0] for cookie in self._cookies]
        else:
            self._cookies = [b""] * max(BROWSERS)

    async def get(self, path: str, cookie: bytes) -> dict[bytes, bytes]:
        """Makes a request, and returns the headers of its response."""
        answered = []

        async def receive():
            return {"type": "http.request", "body": b""}

        async def send(message):
            answered.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"host", b"localhost"),
                (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
                (b"cookie", cookie),
            ],
            "client": ("192.0.2.1", 50000),
            "server": ("localhost", 80),
        }
        await self._app(scope, receive, send)
        assert answered[0]["status"] == 200, answered
        return {name.lower(): value for name, value in answered[0]["headers"]}

    async def measure(self, path: str, browsers: int) -> tuple[float, float]:
        """Returns the mean CPU time and wall time of a request in one round, in microseconds."""

        async def browse(cookie: bytes) -> None:
            for _ in range(REQUESTS // browsers):
                await self.get(path, cookie)

        began, used = time.perf_counter(), time.process_time()
        if browsers == 1:
            await browse(self._cookies[0])
        else:
            await asyncio.gather(*map(browse, self._cookies[:browsers]))
        cpu, wall = time.process_time() - used, time.perf_counter() - began
        return cpu / REQUESTS * 1e6, wall / REQUESTS * 1e6


async def measure(applications: dict[str, Application]) -> None:
    names = list(applications)
    kinds = [(path, browsers) for browsers in BROWSERS for path in PATHS]
    times: dict[tuple[str, str, int], list[tuple[float, float]]] = {
        (name, *kind): [] for name in names for kind in kinds
    }
    for application in applications.values():
        await application.begin()
    for turn in range(ROUNDS):
        # Every second round runs backwards, so that no variant profits from its place in the order.
        for name in names if turn % 2 else reversed(names):
            for path, browsers in kinds:
                times[(name, path, browsers)].append(await applications[name].measure(path, browsers))
    print("\nwhat a session costs in a request of FastAPI, in microseconds of CPU and of wall time")
    print(f"(in brackets: relative to {BASELINE}, median and quartiles of {ROUNDS} rounds)\n")
    reached = []
    for path, browsers in kinds:
        print(f"{path[1:] + f', {browsers} at a time':44}{'CPU':>28}{'wall':>28}")
        for name in names[1:]:
            cells = []
            for kind, kind_name in enumerate(("CPU", "wall")):
                own = part(times, (name, path, browsers), kind)
                baseline = part(times, (BASELINE, path, browsers), kind)
                if path == "/untouched":
                    # starsessions does nothing then, so the read is what it is compared with.
                    baseline = part(times, (BASELINE, "/read", browsers), kind)
                quartiles = statistics.quantiles([a / b for a, b in zip(own, baseline)], n=4)
                cells.append(
                    f"{statistics.median(own):9.1f} ({quartiles[1]:.2f}, {quartiles[0]:.2f}-{quartiles[2]:.2f})"
                )
                store, _, connection = name.removeprefix("Cloakroom, ").partition(", ")
                goal = GOALS.get((connection, path), (None, None))[kind]
                if goal is not None:
                    is_reached = "reached    " if quartiles[1] <= goal else "NOT reached"
                    reached.append(
                        f"{is_reached}  {path[1:]} by {connection} on {store}, {browsers} at a time, {kind_name}: "
                        f"{quartiles[1]:.2f} (at most {goal})"
                    )
            print(f"  {name:42}" + "".join(f"{cell:>28}" for cell in cells))
    print("\nGoals\n\n" + "\n".join(reached))


def part(times, key: tuple[str, str, int], kind: int) -> list[float]:
    """Returns what the session cost in each round."""
    return [own[kind] - none[kind] for own, none in zip(times[key], times[(NONE, *key[1:])])]


def main() -> None:
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
    store = RedisStore(connection=Redis(port=port))
    applications = {
        NONE: Application(),
        "Starlette's signed cookie": Application(SessionMiddleware, secret_key="secret-key"),
        BASELINE: Application(StarsessionsMiddleware, load_session, store=store, cookie_https_only=False),
    }
    services = []
    try:
        for store, settings in stores.items():
            (folder / store).mkdir()
            service = Service.start(folder / store, APPS, settings)
            services.append(service)
            for connection, address in {"TCP": service.address, "Unix socket": f"unix:{service.socket}"}.items():
                name = f"Cloakroom, {store}, {connection}"
                applications[name] = Application(CloakroomMiddleware, service=address, app="shop")
            applications[f"{name}, lazy"] = Application(
                CloakroomMiddleware, open_session, service=address, app="shop", lazy=True
            )
        asyncio.run(measure(applications))
    finally:
        for service in services:
            service.stop()


if __name__ == "__main__":
    main()
