"""Measures what a session costs inside a Flask request. Run by `make bench-python`.

All variants take turns in one run; the figures are medians.
"""

from __future__ import annotations

import pathlib
import statistics
import subprocess
import tempfile
import time

from flask import Flask, session
from flask_session import Session
from redis import Redis
from service import APPS, Service, free_port, is_listening, program, wait_until

from cloakroom.flask import CloakroomSessionInterface

ROUNDS, REQUESTS = 15, 60
BASELINE = "Flask-Session on Redis"


def make_app(interface=None, redis=None):
    app = Flask(__name__)
    app.secret_key = "secret-key"
    if interface is not None:
        app.session_interface = interface
    if redis is not None:
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis, SESSION_PERMANENT=False)
        Session(app)
    app.add_url_rule("/fill", "fill", lambda: str(session.update(user="ada", cart=list(range(50)), text="x" * 500)))
    app.add_url_rule("/untouched", "untouched", lambda: "ok")
    app.add_url_rule("/read", "read", lambda: str(session["user"]))
    app.add_url_rule("/write", "write", lambda: str(session.update(count=session.get("count", 0) + 1)))
    return app


def measure_round(client, path):
    """Returns the mean time of a request in one round, in microseconds."""
    began = time.perf_counter()
    for _ in range(REQUESTS):
        assert client.get(path).status_code == 200
    return (time.perf_counter() - began) / REQUESTS * 1e6


def measure(clients):
    for client in clients.values():
        client.get("/fill")
    paths = ["/untouched", "/read", "/write"]
    times = {(name, path): [] for name in clients for path in paths}
    for _ in range(ROUNDS):
        for name, client in clients.items():
            for path in paths:
                times[name, path].append(measure_round(client, path))
    print(f"\nmicroseconds per request of Flask's test client (in brackets: relative to {BASELINE})")
    print(f"{'':34}" + "".join(f"{path[1:]:>20}" for path in paths))
    for name in clients:
        cells = []
        for path in paths:
            median = statistics.median(times[name, path])
            cells.append(f"{median:>11.0f} ({median / statistics.median(times[BASELINE, path]):.2f})")
        print(f"{name:34}" + "".join(f"{cell:>20}" for cell in cells))


def main():
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


def run(folder, port):
    stores = {
        "memory": '[store]\nkind = "memory"',
        "Redis": f'[store]\nkind = "redis"\n[store.redis]\nurl = "redis://127.0.0.1:{port}/1"',
    }
    clients = {
        "Flask's signed cookie": make_app().test_client(),
        BASELINE: make_app(redis=Redis(port=port)).test_client(),
    }
    services = []
    try:
        for store, settings in stores.items():
            (folder / store).mkdir()
            service = Service.start(folder / store, APPS, settings)
            services.append(service)
            for connection, address in {"TCP": service.address, "Unix socket": f"unix:{service.socket}"}.items():
                interface = CloakroomSessionInterface(address, app="shop")
                clients[f"Cloakroom, {store}, {connection}"] = make_app(interface).test_client()
        measure(clients)
    finally:
        for service in services:
            service.stop()


if __name__ == "__main__":
    main()
