"""Starts a service for the tests."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
#: Seconds.
TIMEOUT = 60


def binary() -> str:
    """Returns the program named by CLOAKROOM_BIN, or else the one that was built last."""
    named = os.environ.get("CLOAKROOM_BIN")
    if named:
        return named
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    programs = [target / profile / "cloakroom" for profile in ("debug", "release", "dist")]
    built = [path for path in programs if path.exists()]
    if not built:
        raise RuntimeError("no service to test against: run `cargo build`, or set CLOAKROOM_BIN")
    return str(max(built, key=lambda path: path.stat().st_mtime))


#: Holds the ports that `free_port` has given to this process: a listener each, on an address that nothing else uses. It
#: has another number, so that programs can listen on the port at all addresses.
_CLAIMS: list[socket.socket] = []


def free_port() -> int:
    """Returns a port of 127.0.0.1 that no other test gets until this process ends, whether it listens there or not yet.

    It is below those that the system gives to outgoing connections, which could take it meanwhile.
    """
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as listener, contextlib.suppress(OSError):
            _CLAIMS.append(socket.create_server(("127.255.255.254", port + 32_768)))
            listener.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def listening(accept):
    """Yields the port of a listener that calls `accept` with each connection, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept_all():
            with contextlib.suppress(OSError):
                while True:
                    accept(listener.accept()[0])

        threading.Thread(target=accept_all, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def wait_until(description: str, condition, timeout: float = TIMEOUT):
    """Calls `condition` until its result is true, and returns that. Fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout} s: {description}")


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), port)):
        return True
    return False


def generate_key() -> str:
    return subprocess.run([binary(), "keygen"], check=True, capture_output=True, text=True).stdout.split()[-1]


APPS = """
[apps.shop]
keys = ["{key}"]
[apps.shop.cookie]
samesite = ""
[apps.signed]
kind = "cookie"
keys = ["{key}"]
[apps.keyless]
[apps.brief]
keys = ["{key}"]
idle_timeout = "1h"
[apps.login]
keys = ["{key}"]
subject_key = "_user_id"
[apps.login.cookie]
samesite = ""
[apps.passport]
keys = ["{key}"]
subject_key = "passport.user"
[apps.moving]
keys = ["{key}"]
[apps.moving.migrate]
until = "2030-01-01"
[apps.moving.migrate.flask_cookie]
keys = ["the application's secret key"]
cookie_name = "old"
[apps.django]
keys = ["{key}"]
subject_key = "_auth_user_id"
"""


class Service:
    """A running service with a few apps. Leaving its `with` block stops it."""

    def __init__(self, folder: pathlib.Path, apps: str, store: str, host: str, port: int) -> None:
        self.host, self.port, self.admin_port = host, port or free_port(), free_port()
        self.address = f"{host}:{self.port}"
        self.socket = str(folder / "cloakroom.sock")
        self.config = folder / "cloakroom.toml"
        self._log = (folder / "service.log").open("ab")  # noqa: SIM115 - closed by __exit__
        self.config.write_text(
            f'[server]\nlisten = "{self.address}"\nunix_socket = "{self.socket}"\nmax_connections_per_peer = 4096\n'
            f'[admin]\nlisten = "127.0.0.1:{self.admin_port}"\n{store}\n' + apps.replace("{key}", generate_key())
        )
        self.process = None

    @classmethod
    def start(
        cls,
        folder: pathlib.Path,
        apps: str = APPS,
        store: str = '[store]\nkind = "memory"',
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> Service:
        service = cls(folder, apps, store, host, port)
        service.launch()
        return service

    def launch(self) -> None:
        """Starts the process, also after `stop`."""
        arguments = [binary(), "serve", "--config", str(self.config)]
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=self._log)
        wait_until("the service listens", lambda: self.process.poll() is not None or self._is_listening())
        assert self.process.poll() is None, pathlib.Path(self._log.name).read_text()

    def _is_listening(self) -> bool:
        return is_listening(self.port, self.host) and is_listening(self.admin_port)

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        self.process.send_signal(signal_number)
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def suspend(self) -> None:
        """Suspends the process, and waits until every thread has stopped: that takes a moment on a busy machine."""
        self.process.send_signal(signal.SIGSTOP)
        threads = pathlib.Path(f"/proc/{self.process.pid}/task")
        wait_until(
            "every thread has stopped", lambda: all(") T " in (each / "stat").read_text() for each in threads.iterdir())
        )

    def resume(self) -> None:
        """Resumes the process after `suspend`."""
        self.process.send_signal(signal.SIGCONT)

    def count_calls(self, rpc: str) -> int:
        """Returns how many calls of an RPC of SessionService have ended well."""
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=TIMEOUT).read().decode()
        sample = re.compile(rf'cloakroom_calls_total{{rpc="cloakroom.v1.SessionService/{rpc}",.*code="OK"}} (\d+)')
        return sum(int(found[1]) for found in map(sample.match, metrics.splitlines()) if found)

    def sessions(self, *arguments: str) -> list:
        """Runs `cloakroom sessions` and returns what it prints."""
        admin = ["--address", f"127.0.0.1:{self.admin_port}", "--json"]
        done = subprocess.run([binary(), "sessions", *admin, *arguments], check=True, capture_output=True, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._log.close()


def program(name: str) -> str:
    """Returns the path of a program that a test needs. Fails if it is missing, so that no test is skipped silently."""
    found = shutil.which(name)
    if not found:
        raise RuntimeError(f"{name} is missing")
    return found
