"""Faults that the relay causes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Fault:
    """What happens to the next calls of a method.

    - `drop answer`: the service gets the request, and its answer is lost with the connection.
    - `drop request`: the connection ends when the request has arrived at the relay.
    - `hold`: the request waits in the relay until it is released.
    - `hold answer`: the answer does.
    - `answer`: the relay answers with an error, and the service gets no request. The code `bad gateway` is the page of
      a proxy.
    - `cut answer`: the connection ends within the answer.
    """

    do: str
    #: The method, or `any`.
    call: str = "any"
    #: How many calls.
    times: int = 1
    #: Of an error: its code as Connect writes it, and the service's reason.
    code: str = "unavailable"
    reason: str = "STORE_UNAVAILABLE"
    #: Whether it happens until the end of the case.
    is_endless: bool = False
    released: threading.Event = field(default_factory=threading.Event)


KINDS = ("drop answer", "drop request", "hold", "hold answer", "answer", "cut answer")


class Faults:
    """The faults that are still to happen. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._all: list[Fault] = []

    def add(self, fault: Fault) -> None:
        if fault.do not in KINDS:
            raise ValueError(f"no fault is called {fault.do!r}")
        with self._lock:
            self._waiting.append(fault)
            self._all.append(fault)

    def take(self, method: str) -> Fault | None:
        """Returns the fault for a call of a method."""
        with self._lock:
            for fault in self._waiting:
                if fault.call in ("any", method):
                    fault.times -= 0 if fault.is_endless else 1
                    if fault.times == 0:
                        self._waiting.remove(fault)
                    return fault
        return None

    def release(self) -> None:
        """Lets all calls go on that are held."""
        with self._lock:
            for fault in self._all:
                fault.released.set()

    def clear(self) -> int:
        """Forgets all faults, and returns how many have not happened."""
        self.release()
        with self._lock:
            count = sum(fault.times for fault in self._waiting if not fault.is_endless)
            self._waiting, self._all = [], []
        return count
