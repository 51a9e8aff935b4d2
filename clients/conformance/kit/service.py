"""The service that an application uses: one replica with a store of its own, or two with one Redis."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
from typing import Any

from .messages import Contract
from .process import TIMEOUT, Process, free_port

ROOT = pathlib.Path(__file__).resolve().parents[3]
#: The apps that are configured, and their settings besides the keys. In `by-entry`, an entry is the subject, Django's.
#: In `by-path`, it is inside of an entry, Passport's. `shop` is that of `examples/flask`.
APPS = {
    "default": "",
    "kit": "",
    "by-entry": 'subject_key = "_auth_user_id"\n',
    "by-path": 'subject_key = "passport.user"\n',
    "shop": 'subject_key = "user"\n',
}


def program() -> str:
    """Returns the program that CLOAKROOM_BIN names, or else the one that was built last."""
    named = os.environ.get("CLOAKROOM_BIN")
    if named:
        return str(pathlib.Path(named).resolve())
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [file for file in (target / each / "cloakroom" for each in ("debug", "release", "dist")) if file.exists()]
    if not built:
        raise RuntimeError("there is no service to test against: run `cargo build`, or set CLOAKROOM_BIN")
    return str(max(built, key=lambda file: file.stat().st_mtime))


class Services:
    """The replicas of the service. Several applications may use them, one after the other."""

    def __init__(self, kind: str, folder: pathlib.Path) -> None:
        self.contract = Contract(ROOT / "proto/cloakroom/v1/session_service.proto")
        self.replicas: list[Service] = []
        # Ends what has started if something does not start.
        with contextlib.ExitStack() as stack:
            self._start(kind, folder, stack)
            self._stack = stack.pop_all()

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()

    def _start(self, kind: str, folder: pathlib.Path, stack: contextlib.ExitStack) -> None:
        store, names = EMBEDDED, ["first"]
        if kind == "replicas":
            redis = start_redis(folder)
            stack.callback(redis.stop)
            store, names = redis_store(redis), ["first", "second"]
        keys = [] if kind == "keyless" else [generate_key()]
        for name in names:
            (folder / name).mkdir()
            service = Service(folder / name, store, keys)
            stack.callback(service.stop)
            service.start()
            self.replicas.append(service)


class Service:
    """One replica. Its sessions survive a restart."""

    def __init__(self, folder: pathlib.Path, store: str, keys: list[str]) -> None:
        self.keys = keys
        self.port, self.admin_port = free_port(), free_port()
        self._store = store.replace("{folder}", str(folder))
        self._config = folder / "cloakroom.toml"
        self.process = Process(
            "the service", [program(), "serve", "--config", str(self._config)], self.port, folder / "service.log"
        )

    def start(self) -> None:
        keys = json.dumps(self.keys)
        apps = "".join(f"[apps.{name}]\nkeys = {keys}\n{settings}" for name, settings in APPS.items())
        self._config.write_text(
            f'[server]\nlisten = "127.0.0.1:{self.port}"\nmax_connections_per_peer = 4096\n'
            f'[admin]\nlisten = "127.0.0.1:{self.admin_port}"\n{self._store}\n{apps}'
        )
        self.process.start()

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.stop(signal.SIGKILL)

    def sessions(self, app: str, *arguments: str) -> list[dict[str, object]]:
        """Runs `cloakroom sessions` and returns what it prints."""
        address = ["--address", f"127.0.0.1:{self.admin_port}", "--app", app, "--json"]
        done = subprocess.run(
            [program(), "sessions", *address, *arguments], check=True, capture_output=True, text=True, timeout=TIMEOUT
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


def generate_key() -> str:
    done = subprocess.run([program(), "keygen"], check=True, capture_output=True, text=True, timeout=TIMEOUT)
    return done.stdout.split()[-1]


def start_redis(folder: pathlib.Path) -> Process:
    """Starts an empty Redis."""
    found = shutil.which("redis-server")
    if not found:
        raise RuntimeError("redis-server is missing")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    redis = Process("Redis", [found, *options], port, folder / "redis.log")
    redis.start()
    return redis


EMBEDDED = '[store]\nkind = "embedded"\n[store.embedded]\npath = "{folder}/data"'


def redis_store(redis: Process) -> str:
    return f'[store]\nkind = "redis"\n[store.redis]\nurl = "redis://127.0.0.1:{redis.port}/0"'
