"""Chooses the replica of each call, and finds the addresses of names. Makes no calls.

`Replicas` is the same for threads and for an event loop: what differs is how a name is looked up.
"""

from __future__ import annotations

import itertools
import os
import ssl
import threading
from collections.abc import Sequence
from typing import Any, Callable, Generic, TypeVar

from ..clock import now
from ..randomness import RANDOM
from ..transport import CallFailed, Untrusted
from .address import Address, Endpoint, endpoint, endpoints, parse

#: What the calls to one endpoint need.
Peer = TypeVar("Peer")


class Replica(Generic[Peer]):
    """One endpoint, and whether it answers."""

    def __init__(self, endpoint: Endpoint, peer: Peer) -> None:
        self.endpoint = endpoint
        self.peer = peer
        #: Until then, calls go to other replicas if there are any.
        self.avoid_until = 0.0
        #: Whether its certificate was not trusted when it was connected to last.
        self.is_untrusted = False
        self._avoid_time = _FIRST_AVOID_TIME

    def answered(self) -> None:
        if self.avoid_until:
            self.avoid_until, self._avoid_time = 0.0, _FIRST_AVOID_TIME
            self.is_untrusted = False

    def did_not_answer(self) -> None:
        """Prefers other replicas for a while."""
        time = now()
        # Calls that fail at the same time count as one.
        if time >= self.avoid_until:
            self.avoid_until = time + self._avoid_time * RANDOM.uniform(0.75, 1.0)
            self._avoid_time = min(2 * self._avoid_time, _LAST_AVOID_TIME)


class Replicas(Generic[Peer]):
    """All endpoints that an application's addresses stand for.

    Args:
        text: The addresses, separated by commas.
        make_peer: Returns what the calls to an endpoint need.
    """

    def __init__(self, text: str, make_peer: Callable[[Endpoint], Peer]) -> None:
        self.addresses = parse(text)
        self.names = [Name(address) for address in self.addresses if address.is_name()]
        #: Empty as long as all addresses are names that were not looked up yet.
        self.all: list[Replica[Peer]] = []
        self._make_peer = make_peer
        #: By method. Each takes turns by itself: otherwise a program that opens and saves by turns would send every
        #: open to one of two replicas, and every save to the other.
        self._turns: dict[tuple[int, str], itertools.count[int]] = {}
        self._locks: dict[int, threading.Lock] = {}
        self._update({name.address: [] for name in self.names})

    def next(self, method: str, tried: Sequence[Replica[Peer]] = ()) -> Replica[Peer]:
        """Returns the replica for a call, which is one that answers if there is one. One is always left untried."""
        if len(self.all) == 1:
            return self.all[0]
        untried = [replica for replica in self.all if replica not in tried]
        time = now()
        usable = [replica for replica in untried if replica.avoid_until <= time] or untried
        # By process, so that forked children do not all begin with the same replica.
        turn = self._turns.setdefault((os.getpid(), method), itertools.count(RANDOM.randrange(1024)))
        return usable[next(turn) % len(usable)]

    def attempt_end(self, start: float, end: float, *, is_new_connection: bool) -> float:
        """Returns until when one attempt waits. Where there is another way, half of the time is left for it."""
        has_other_way = not is_new_connection or len(self.all) > 1
        return (start + end) / 2 if has_other_way else end

    def not_connected(self, replica: Replica[Peer], error: OSError) -> CallFailed:
        """Notes that a replica cannot be reached, and returns the failure of a call that has no other one."""
        replica.is_untrusted = isinstance(error, ssl.SSLCertVerificationError)
        self.did_not_answer(replica)
        message = f"cannot connect to {replica.endpoint}: {error}"
        if not replica.is_untrusted:
            return CallFailed("UNAVAILABLE", "", message)
        name = replica.endpoint.tls_name
        message += f"; set ca_file to the authority of the service's certificate, which has to name {name}"
        # Another replica may have a certificate that is trusted.
        is_lasting = all(each.is_untrusted for each in self.all)
        return Untrusted(message) if is_lasting else CallFailed("UNAVAILABLE", "", message)

    def not_answered(self, replica: Replica[Peer], error: Exception, *, is_deadline: bool) -> CallFailed:
        """Notes that a replica did not answer a call, and returns the call's failure."""
        self.did_not_answer(replica)
        if is_deadline:
            return CallFailed("DEADLINE_EXCEEDED", "", "no answer within the deadline")
        return CallFailed("UNAVAILABLE", "", f"no answer from {replica.endpoint}: {error}")

    def did_not_answer(self, replica: Replica[Peer]) -> None:
        """Prefers other replicas for a while, and has names looked up soon: their addresses may have changed."""
        replica.did_not_answer()
        for name in self.names:
            name.has_failed = True

    def found(self, name: Name, results: list[tuple[Any, ...]]) -> None:
        """Sets the addresses of a name. Replicas that still exist keep their connections."""
        found = endpoints(name.address, results)
        # By process: a forked child may have inherited one that a thread of its parent holds.
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            self._update({**{each.address: each.endpoints for each in self.names}, name.address: found})
            # Last, for a call that sees them does not wait for the replicas.
            name.endpoints, name.has_failed = found, False

    def _update(self, found: dict[Address, list[Endpoint]]) -> None:
        wanted: dict[Endpoint, None] = {}
        for address in self.addresses:
            wanted.update(dict.fromkeys(found[address] if address in found else [endpoint(address)]))
        known = {replica.endpoint: replica for replica in self.all}
        # In one step, for other threads read it.
        self.all = [known.get(each) or Replica(each, self._make_peer(each)) for each in wanted]


def exhausted(replica: Replica[Any], error: OSError) -> CallFailed:
    """Returns the failure of a call that got no connection of a replica's pool: the replica may well answer."""
    return CallFailed("RESOURCE_EXHAUSTED", "", f"no connection to {replica.endpoint} is free: {error}")


def cannot_look_up(failures: Sequence[tuple[Name, BaseException | None]]) -> CallFailed:
    """Returns the failure of a call for which no name has an address. Without an error, there was no answer in time."""
    texts = [f"cannot look up {name.address.host!r}: {error or 'no answer in time'}" for name, error in failures]
    failed = CallFailed("UNAVAILABLE", "", "; ".join(texts))
    failed.__cause__ = next((error for _, error in failures if error is not None), None)
    return failed


class Name:
    """A name among the addresses."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.endpoints: list[Endpoint] = []
        #: Of the last look-up.
        self.attempt_time = 0.0
        self.has_failed = False

    def is_due(self) -> bool:
        """Whether to look the name up again: now and then, and sooner if a call or the look-up has failed."""
        is_soon = self.has_failed or not self.endpoints
        return now() - self.attempt_time >= (_LOOKUP_AFTER_FAILURE if is_soon else _LOOKUP_INTERVAL)


#: Seconds for which a replica is avoided after it has not answered. The time doubles until it answers.
_FIRST_AVOID_TIME = 1.0
_LAST_AVOID_TIME = 30.0
#: Seconds between two look-ups of a name.
_LOOKUP_INTERVAL = 30.0
_LOOKUP_AFTER_FAILURE = 1.0
