"""Starts the service, and says where it listens."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
PATIENCE = 60


def binary() -> str:
    """The service that CLOAKROOM_BIN names, or else the one that was built last."""
    named = os.environ.get("CLOAKROOM_BIN")
    if named:
        return named
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for path in (target / "debug/cloakroom", target / "release/cloakroom") if path.exists()]
    if not built:
        raise RuntimeError("no service to test against: run `cargo build`, or set CLOAKROOM_BIN")
    return str(max(built, key=lambda path: path.stat().st_mtime))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(fact: str, question, patience: float = PATIENCE):
    """Asks again until the answer is true, and returns it."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {patience} s: {fact}")


def listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


APPS = """
[apps.shop]
keys = ["{key}"]
[apps.shop.cookie]
samesite = ""
[apps.keyless]
[apps.brief]
keys = ["{key}"]
idle_timeout = "1h"
[apps.login]
keys = ["{key}"]
subject_key = "_user_id"
[apps.login.cookie]
samesite = ""
"""


class Service:
    """A running service with a few apps, which ends with its `with` block."""

    def __init__(self, folder: pathlib.Path, apps: str, store: str) -> None:
        self.port, self.admin_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.socket = str(folder / "cloakroom.sock")
        self.config = folder / "cloakroom.toml"
        self._log = (folder / "service.log").open("ab")  # noqa: SIM115 - closed by __exit__
        key = subprocess.run([binary(), "keygen"], check=True, capture_output=True, text=True).stdout.split()[-1]
        self.config.write_text(
            f'[server]\nlisten = "{self.address}"\nunix_socket = "{self.socket}"\nmax_connections_per_peer = 4096\n'
            f'[admin]\nlisten = "127.0.0.1:{self.admin_port}"\n{store}\n' + apps.replace("{key}", key)
        )
        self.process = None

    @classmethod
    def start(cls, folder: pathlib.Path, apps: str = APPS, store: str = '[store]\nkind = "memory"') -> Service:
        service = cls(folder, apps, store)
        service.resume()
        return service

    def resume(self) -> None:
        """Starts it, again if it was stopped."""
        command = [binary(), "serve", "--config", str(self.config)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self._log)
        until("the service listens", lambda: self.process.poll() is not None or listens(self.port))
        assert self.process.poll() is None, pathlib.Path(self._log.name).read_text()

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """Stops every thread; a busy machine takes a moment for that."""
        self.process.send_signal(signal.SIGSTOP)
        threads = pathlib.Path(f"/proc/{self.process.pid}/task")
        until(
            "every thread has stopped", lambda: all(") T " in (each / "stat").read_text() for each in threads.iterdir())
        )

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def sessions(self, *arguments: str) -> list:
        """What `cloakroom sessions` prints."""
        command = [binary(), "sessions", "--address", f"127.0.0.1:{self.admin_port}", "--json", *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._log.close()


def command(name: str) -> str:
    """A program that a test needs; never does one go missing quietly."""
    found = shutil.which(name)
    if not found:
        raise RuntimeError(f"{name} is missing")
    return found
