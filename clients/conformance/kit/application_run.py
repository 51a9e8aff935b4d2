"""Runs cases against one application."""

from __future__ import annotations

import http.client
import pathlib
import secrets
import subprocess
import threading
from typing import Any

from . import browser
from .application import Application, Manifest
from .browser import Response
from .calls import CallLog
from .case_run import CaseRun
from .cases import Case, Step
from .faults import Faults
from .process import TIMEOUT
from .relay import ProxyTrap, Relay
from .service import Services


class ApplicationRun:
    """A running application with the services that it uses, its relays and its log of calls.

    Args:
        wait_limit: Seconds for which a case waits for what the client does by itself.
    """

    def __init__(
        self, manifest: Manifest, services: Services, folder: pathlib.Path, *, wait_limit: float = TIMEOUT
    ) -> None:
        self.wait_limit = wait_limit
        self.manifest, self.services = manifest, services
        self.log, self.faults = CallLog(), Faults()
        self.relays = [
            Relay(number, replica.port, services.contract, self.log, self.faults)
            for number, replica in enumerate(services.replicas)
        ]
        self.trap = ProxyTrap()
        addresses = [relay.address for relay in self.relays]
        self.application = Application(manifest, addresses, self.trap.url, folder)
        #: The request that each request_id was seen with.
        self.request_ids: dict[str, Any] = {}

    def __enter__(self) -> ApplicationRun:
        try:
            self.application.start()
            # A client may ask for the app's policy once.
            response = self.send([["get", "a"]], [])
            if response.status != 200:
                log = self.application.process.log()
                raise RuntimeError(f"the application answers {response.status} to its first request:\n{log}")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self.application.stop()
        for relay in self.relays:
            relay.close()
        self.trap.close()

    def send(self, operations: list[Any], cookie_lines: list[str], has_head: threading.Event | None = None) -> Response:
        timeout = 2 * self.manifest.deadline + TIMEOUT
        return browser.send(self.application.port, operations, cookie_lines, timeout, has_head or threading.Event())

    def run(self, case: Case) -> str | None:
        """Runs a case. Returns what is wrong, or None."""
        run = CaseRun(self)
        wrong = self._run_steps(run, _with_own_subjects(case.steps))
        try:
            run.close()
        except AssertionError as error:
            return wrong or str(error)
        return wrong

    def _run_steps(self, run: CaseRun, steps: list[Step]) -> str | None:
        for number, step in enumerate(steps, 1):
            try:
                run.do(step)
            except (
                AssertionError,
                OSError,
                http.client.HTTPException,
                ValueError,
                subprocess.SubprocessError,
            ) as error:
                return f"step {number}: {str(error)[:_LONGEST_MESSAGE] or type(error).__name__}"
        left = self.faults.clear()
        return f"{left} faults have not happened, for there were fewer calls" if left else run.check_rules()


def _with_own_subjects(steps: Any) -> Any:
    """Returns the steps with subjects that no other run has: every text that begins with `@`."""
    suffix = secrets.token_hex(4)

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(each) for name, each in value.items()}
        if isinstance(value, list):
            return [fill(each) for each in value]
        return f"{value[1:]}-{suffix}" if isinstance(value, str) and value.startswith("@") else value

    return fill(steps)


_LONGEST_MESSAGE = 400
