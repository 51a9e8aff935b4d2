"""The log of the calls that the application made: what the cases look at."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable


@dataclass
class Call:
    """One attempt of one call, as the relay saw it."""

    #: Such as `OpenSession`.
    method: str
    #: The replica that the relay stands in front of.
    replica: int
    #: `connect` or `grpc`.
    protocol: str
    #: Seconds that the client gives the service, or None.
    timeout: float | None
    #: `begun`, `held`, `forwarded`, `answered`, `failed` (answered with an error) or `lost`.
    state: str = "begun"
    #: The fields of the messages.
    request: dict[str, Any] = field(default_factory=dict)
    response: dict[str, Any] = field(default_factory=dict)
    #: The request as it was sent.
    body: bytes = b""
    begin_time: float = field(default_factory=time.monotonic)

    def describe(self) -> str:
        return f"{self.method} ({self.state})"


class CallLog:
    """All calls of one application, in the order in which they began. Safe to use from several threads."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._changed = threading.Condition()

    def add(self, call: Call) -> Call:
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()
        return call

    def set_state(self, call: Call, state: str) -> None:
        with self._changed:
            call.state = state
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._calls)

    def since(self, mark: int) -> list[Call]:
        """Returns the calls after so many."""
        with self._changed:
            return self._calls[mark:]

    def wait_for(self, description: str, condition: Callable[[list[Call]], Any], mark: int, timeout: float) -> None:
        """Waits until a condition of the calls after a mark is true."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._calls[mark:]), timeout):
                raise AssertionError(f"not within {timeout} s: {description}")
