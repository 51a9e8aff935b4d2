"""Starts and stops the processes that the kit needs, each by its own id."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import time
from typing import Any, Callable

#: Seconds for whatever takes but a moment on a machine that is not busy.
TIMEOUT = 30.0


class Process:
    """A process that listens on a port. What it prints goes to a file."""

    def __init__(
        self,
        name: str,
        command: list[str],
        port: int,
        log: pathlib.Path,
        environment: dict[str, str] | None = None,
        folder: pathlib.Path | None = None,
    ) -> None:
        self.name, self.port = name, port
        self._command, self._log, self._folder = command, log, folder
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, unless it runs, and waits until it listens."""
        if self.is_running():
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._folder,
            )
        wait_until(f"{self.name} listens", lambda: not self.is_running() or is_listening(self.port))
        if not self.is_running():
            raise RuntimeError(f"{self.name} ended at once:\n{self.log()}")

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        """Ends it, if it runs."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal_number)
        try:
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def suspend(self) -> None:
        """Stops it where it is. Returns when all of its threads have stopped."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        threads = pathlib.Path(f"/proc/{self._process.pid}/task")
        wait_until(
            f"{self.name} has stopped",
            lambda: all(") T " in (thread / "stat").read_text() for thread in threads.iterdir()),
        )

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """Returns the end of what it has printed."""
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""


def wait_until(description: str, condition: Callable[[], Any], timeout: float = TIMEOUT) -> None:
    """Asks until a condition is true. For what reports no event, such as a port that opens."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout:.0f} s: {description}")
        time.sleep(0.01)


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


def is_listening(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
