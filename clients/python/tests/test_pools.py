"""More calls than connections: they wait in turn, and an exhausted pool says nothing about the service."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest
from event_loop import in_event_loop
from service import TIMEOUT

from cloakroom import AsyncClient, Client, SessionUnavailable
from cloakroom.clock import now
from cloakroom.connect import async_pool, pool
from cloakroom.connect.timeouts import Timeouts
from cloakroom.messages import session_service_pb2 as pb


class IdleConnection:
    """A connection without a peer."""

    def __init__(self):
        self.last_use = now()
        self.is_open = True

    def is_silent(self):
        return self.is_open

    def close(self):
        self.is_open = False

    leave = close


@pytest.fixture(autouse=True)
def one_connection(monkeypatch):
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(async_pool, "MAX_CONNECTIONS", 1)


def make_pool():
    return pool.Pool(lambda end: IdleConnection())


async def connect(end):
    return IdleConnection()


def make_async_pool(connecting=connect):
    return async_pool.AsyncPool(connecting, Timeouts(asyncio.get_running_loop()))


def take(of_pool, timeout=TIMEOUT):
    """As a call does."""
    time = now()
    return of_pool.take_idle(time) or of_pool.take(time + timeout)


async def async_take(of_pool, timeout=TIMEOUT):
    time = now()
    return of_pool.take_idle(time) or await of_pool.take(time + timeout)


def waiting(of_pool, number):
    """Waits until so many threads wait for a connection."""
    end = time.monotonic() + TIMEOUT
    while len(of_pool._waiters) != number:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_thread_that_makes_one_call_after_the_other_lets_others_have_their_turn():
    of_pool, is_over = make_pool(), threading.Event()

    def make_calls():
        while not is_over.is_set():
            connection = take(of_pool)
            time.sleep(0.001)
            of_pool.put(connection)

    loops = [threading.Thread(target=make_calls) for _ in range(2)]
    for each in loops:
        each.start()
    try:
        for _ in range(20):
            of_pool.put(take(of_pool, timeout=2))
    finally:
        is_over.set()
        for each in loops:
            each.join()


def test_threads_get_connections_in_the_order_of_their_calls():
    of_pool, order = make_pool(), []
    connection = take(of_pool)

    def make_call(number):
        taken = take(of_pool)
        order.append((number, taken))
        of_pool.put(taken)

    threads = [threading.Thread(target=make_call, args=(number,)) for number in range(5)]
    for number, each in enumerate(threads):
        each.start()
        waiting(of_pool, number + 1)
    of_pool.put(connection)
    for each in threads:
        each.join()

    assert order == [(number, connection) for number in range(5)]


@pytest.mark.parametrize("end_it", [lambda of_pool, taken: of_pool.drop(taken), lambda of_pool, taken: of_pool.close()])
def test_a_waiting_thread_connects_once_a_connection_has_ended(end_it):
    of_pool, taken = make_pool(), []
    connection = take(of_pool)
    thread = threading.Thread(target=lambda: taken.append(take(of_pool)))
    thread.start()
    waiting(of_pool, 1)

    end_it(of_pool, connection)

    thread.join(TIMEOUT)
    assert taken and taken[0] is not connection
    of_pool.put(taken[0])
    assert take(of_pool) is taken[0]


def test_a_thread_that_gives_up_leaves_its_turn_to_the_next():
    of_pool, taken = make_pool(), []
    connection = take(of_pool)
    with pytest.raises(pool.Exhausted):
        take(of_pool, timeout=0.05)
    thread = threading.Thread(target=lambda: taken.append(take(of_pool)))
    thread.start()
    waiting(of_pool, 1)

    of_pool.put(connection)

    thread.join(TIMEOUT)
    assert taken == [connection]


def test_a_connection_that_ended_meanwhile_is_handed_to_nobody():
    of_pool, taken = make_pool(), []
    connection = take(of_pool)
    thread = threading.Thread(target=lambda: taken.append(take(of_pool)))
    thread.start()
    waiting(of_pool, 1)

    connection.last_use -= 1
    connection.is_open = False
    of_pool.put(connection)

    thread.join(TIMEOUT)
    assert taken[0].is_open
    of_pool.put(taken[0])
    assert take(of_pool) is taken[0]


def test_a_connection_that_is_made_while_the_pool_is_closed_ends_with_its_call():
    made = []

    def connect_slowly(end):
        of_pool.close()
        made.append(IdleConnection())
        return made[-1]

    of_pool = pool.Pool(connect_slowly)

    of_pool.put(take(of_pool))

    assert not made[0].is_open
    assert take(of_pool) is made[1]


def test_a_connection_that_is_given_back_while_the_pool_is_closed_ends():
    is_dropping, threads = threading.Event(), []

    class ClosingPool(pool.Pool):
        """A pool to which another thread gives its connection back in the middle of `close`."""

        is_closing = False

        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if self.is_closing and not threads:
                threads.append(threading.Thread(target=self.give_back))
                threads[0].start()
                assert is_dropping.wait(TIMEOUT)

        def give_back(self):
            self.put(connection)
            is_dropping.set()

        def drop(self, connection):
            # It waits for the lock.
            is_dropping.set()
            super().drop(connection)

    of_pool = ClosingPool(lambda end: IdleConnection())
    connection = take(of_pool)
    ClosingPool.is_closing = True

    of_pool.close()

    threads[0].join(TIMEOUT)
    assert not connection.is_open


def test_a_connection_that_is_handed_to_a_call_that_gives_up_ends_if_the_pool_was_closed(monkeypatch):
    of_pool = make_pool()
    connection = take(of_pool)

    def give_up(waiter, end):
        """Ends, as a greenlet may, when the call has been handed a connection."""
        of_pool.put(connection)
        of_pool.close()
        raise SystemExit

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(pool._Waiter, "wait", give_up)
        take(of_pool)

    assert not connection.is_open
    assert take(of_pool) is not connection


ENDED_GREENLETS = """
from gevent import monkey; monkey.patch_all()
import random

import gevent

from cloakroom.clock import now
from cloakroom.connect import pool

class Connection:
    last_use = 0.0

    def is_silent(self):
        gevent.sleep(0)
        return True

    def close(self):
        pass

def connect(end):
    gevent.sleep(0)
    return Connection()

def make_call():
    connection = of_pool.take(now() + 20)
    try:
        gevent.sleep(0)
    except BaseException:
        of_pool.drop(connection)
        raise
    of_pool.put(connection)

pool.MAX_CONNECTIONS = 2
of_pool, choices = pool.Pool(connect), random.Random(1)
for _ in range(300):
    greenlets = [gevent.spawn(make_call) for _ in range(10)]
    for _ in range(choices.randrange(6)):
        gevent.sleep(0)
    gevent.killall(greenlets[::2], block=False)
    gevent.joinall(greenlets, raise_error=True)
print(of_pool._connecting, len(of_pool._connections) - len(of_pool._idle), len(of_pool._waiters))
"""


def test_greenlets_that_end_while_they_wait_take_no_connection_from_others():
    done = subprocess.run([sys.executable, "-c", ENDED_GREENLETS], capture_output=True, text=True, timeout=60)

    assert (done.stdout.split(), done.stderr) == (["0", "0", "0"], "")


@in_event_loop
async def test_a_connection_that_a_loop_makes_while_its_pool_is_closed_ends_with_its_call():
    made = []

    async def connect_slowly(end):
        of_pool.close()
        made.append(IdleConnection())
        return made[-1]

    of_pool = make_async_pool(connect_slowly)

    of_pool.put(await async_take(of_pool))

    assert not made[0].is_open
    assert await async_take(of_pool) is made[1]


@in_event_loop
async def test_a_task_that_makes_one_call_after_the_other_lets_others_have_their_turn():
    of_pool, is_over = make_async_pool(), False

    async def make_calls():
        while not is_over:
            connection = await async_take(of_pool)
            await asyncio.sleep(0)
            of_pool.put(connection)

    loops = [asyncio.ensure_future(make_calls()) for _ in range(2)]
    await asyncio.sleep(0)
    try:
        for _ in range(20):
            of_pool.put(await async_take(of_pool, timeout=1))
    finally:
        is_over = True
        await asyncio.gather(*loops)


@in_event_loop
async def test_tasks_get_connections_in_the_order_of_their_calls_also_if_some_give_up():
    of_pool, order = make_async_pool(), []
    connection = await async_take(of_pool)

    async def make_call(number, timeout=TIMEOUT):
        taken = await async_take(of_pool, timeout)
        order.append((number, taken))
        of_pool.put(taken)

    tasks = [asyncio.ensure_future(make_call(number, 0.05 if number == 1 else TIMEOUT)) for number in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    with pytest.raises(pool.Exhausted):
        await tasks[1]
    of_pool.put(connection)
    # It was handed the connection, and does not go on.
    tasks[2].cancel()
    await asyncio.gather(*tasks[3:])

    assert order == [(3, connection), (4, connection)]
    assert await async_take(of_pool) is connection


@in_event_loop
async def test_a_waiting_task_connects_once_a_connection_has_ended():
    for end_it in ("drop", "lose", "close"):
        of_pool = make_async_pool()
        connection = await async_take(of_pool)
        task = asyncio.ensure_future(async_take(of_pool))
        await asyncio.sleep(0)

        if end_it == "drop":
            of_pool.drop(connection)
        if end_it == "lose":
            connection.is_open = False
            of_pool.put(connection)
        if end_it == "close":
            of_pool.close()
            of_pool.put(connection)

        taken = await asyncio.wait_for(task, TIMEOUT)
        assert taken is not connection
        of_pool.put(taken)
        assert await async_take(of_pool) is taken


@in_event_loop
async def test_a_task_that_cannot_connect_leaves_its_turn_to_the_next():
    attempts = []

    async def fail_first(end):
        attempts.append(end)
        if len(attempts) == 1:
            await asyncio.sleep(0.01)
            raise ConnectionRefusedError
        return IdleConnection()

    of_pool = make_async_pool(fail_first)
    failing, waiting = [asyncio.ensure_future(async_take(of_pool)) for _ in range(2)]

    with pytest.raises(ConnectionRefusedError):
        await failing
    assert await asyncio.wait_for(waiting, TIMEOUT)


def test_an_exhausted_pool_is_no_replica_that_does_not_answer(service):
    client = Client(service.address, app="shop", deadline=0.2)
    client.policy()
    replica = client.transport._replicas.all[0]
    taken = replica.peer.pool.take_idle(now())

    with pytest.raises(SessionUnavailable, match="no connection to .* is free: 1 calls are under way") as raised:
        client.open(pb.OpenSessionRequest(app="shop"))

    assert (raised.value.code, replica.avoid_until) == ("RESOURCE_EXHAUSTED", 0.0)
    replica.peer.pool.put(taken)
    assert client.open(pb.OpenSessionRequest(app="shop"))


@in_event_loop
async def test_an_exhausted_pool_of_a_loop_is_no_replica_that_does_not_answer(service, monkeypatch):
    client = AsyncClient(service.address, app="shop", deadline=0.2)
    await client.policy()
    replica = client.transport._of_loop()._replicas.all[0]
    taken = replica.peer.pool.take_idle(now())

    for most in (4096, 0):
        monkeypatch.setattr(async_pool, "MAX_WAITING", most)
        with pytest.raises(SessionUnavailable, match="no connection to .* is free") as raised:
            await client.open(pb.OpenSessionRequest(app="shop"))
        assert (raised.value.code, replica.avoid_until) == ("RESOURCE_EXHAUSTED", 0.0)

    replica.peer.pool.put(taken)
    assert await client.open(pb.OpenSessionRequest(app="shop"))
