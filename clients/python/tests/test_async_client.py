"""The client for event loops: its connections, deadlines and retries, against a real service."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import gc
import os
import signal
import socket
import time
import warnings

import pytest
import uvloop
from event_loop import in_event_loop, until
from lossy_proxy import LossyProxy
from recording_transport import AsyncRecordingTransport, fail_at_deadline
from service import TIMEOUT, wait_until

from cloakroom import AsyncClient, AsyncConnectTransport, SessionRefused, SessionUnavailable, methods
from cloakroom.connect.pool import MAX_CONNECTIONS
from cloakroom.messages import session_service_pb2 as pb


@pytest.fixture
def proxy(service):
    proxy = LossyProxy(service.port)
    yield proxy
    proxy.close()


async def write(client: AsyncClient, value: str = "1", request_id: str = ""):
    """Creates a session with one entry."""
    changes = pb.Changes(set={"a": pb.Value(json=value)})
    request_id = request_id or os.urandom(16).hex()
    return await client.save(
        pb.SaveSessionRequest(app=client.app, cookie_header="", changes=changes, request_id=request_id)
    )


async def read(client: AsyncClient, token: str) -> str:
    """Returns the entry of a session."""
    opened = await client.open(pb.OpenSessionRequest(app=client.app, token=token))
    return opened.session.entries["a"].json


async def round_trip(address: str) -> None:
    """Fails if a session cannot be written and read."""
    client = AsyncClient(address, app="shop")
    assert await read(client, (await write(client)).session.token) == "1"


@in_event_loop
async def test_a_session_is_written_and_read_over_tcp_and_over_a_unix_socket(service):
    await round_trip(service.address)
    await round_trip(f"unix:{service.socket}")
    await round_trip(f"localhost:{service.port}")


@in_event_loop
async def test_a_system_without_unix_sockets_connects_by_tcp(service, monkeypatch):
    """Such as Windows."""
    monkeypatch.delattr(socket, "AF_UNIX")
    client = AsyncClient(AsyncConnectTransport(service.address), app="shop")
    assert (await client.open(pb.OpenSessionRequest(app="shop"))).session.new
    await client.transport.close()


@in_event_loop
async def test_a_large_value_is_written_and_read(service):
    client = AsyncClient(service.address, app="shop")
    value = '"' + "x" * 60_000 + '"'
    assert await read(client, (await write(client, value)).session.token) == value


@in_event_loop
async def test_calls_after_each_other_share_one_connection(proxy):
    client = AsyncClient(proxy.address, app="shop")
    for _ in range(5):
        await read(client, (await write(client)).session.token)
    assert proxy.accepted == 1


@in_event_loop
async def test_more_calls_than_connections_wait_for_their_turn(proxy):
    client = AsyncClient(proxy.address, app="shop", deadline=TIMEOUT)
    saved = await asyncio.gather(*(write(client, str(number)) for number in range(5 * MAX_CONNECTIONS)))
    values = await asyncio.gather(*(read(client, each.session.token) for each in saved))
    assert values == [str(number) for number in range(len(saved))]
    # On a slow machine some connect too late, and are closed.
    await until("only so many stay open", lambda: proxy.open_count() <= MAX_CONNECTIONS)


def test_clients_of_one_address_share_their_transport_and_each_loop_has_its_connections(proxy):
    clients = [AsyncClient(proxy.address, app="shop") for _ in range(3)]
    assert len({id(client.transport) for client in clients}) == 1

    async def use_all():
        for client in clients:
            await write(client)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for result in [pool.submit(asyncio.run, use_all()) for _ in range(2)]:
            result.result()
    assert proxy.accepted == 2


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_connections_end_with_their_loop(proxy, new_loop):
    client = AsyncClient(proxy.address, app="shop")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            loop = new_loop()
            saved = loop.run_until_complete(write(client))
            assert loop.run_until_complete(read(client, saved.session.token)) == "1"
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
        gc.collect()

    wait_until("both connections have ended", lambda: not proxy.open_count())


def test_a_loop_that_was_closed_by_hand_leaves_no_connection(proxy):
    client = AsyncClient(proxy.address, app="shop")
    loop = asyncio.new_event_loop()
    loop.run_until_complete(write(client))
    loop.close()

    asyncio.run(write(client))

    wait_until("both connections have ended", lambda: not proxy.open_count())


#: Runs none of Python's hooks, as uWSGI's fork.
FORK_IN_C = ctypes.PyDLL(None).fork


@pytest.mark.parametrize(("fork", "uses_same_loop"), [(os.fork, False), (FORK_IN_C, False), (FORK_IN_C, True)])
def test_a_forked_child_uses_no_connection_of_its_parent(proxy, fork, uses_same_loop):
    client = AsyncClient(proxy.address, app="shop")
    loop = asyncio.new_event_loop()
    token = loop.run_until_complete(write(client)).session.token

    child = fork()
    if child == 0:
        status = 1
        try:
            run = loop.run_until_complete if uses_same_loop else asyncio.run
            status = 0 if run(read(client, token)) == "1" else 1
        finally:
            os._exit(status)
    # The selector of the loop is shared by both processes.
    _, status = os.waitpid(child, 0)
    values = [loop.run_until_complete(read(client, token)) for _ in range(5)]

    assert (status, values) == (0, ["1"] * 5)
    assert proxy.accepted == 2
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@in_event_loop
async def test_the_response_of_a_cancelled_call_reaches_no_other_call(own_service):
    client = AsyncClient(own_service.address, app="shop", deadline=TIMEOUT)
    tokens = [(await write(client, str(number))).session.token for number in range(2)]
    for _ in range(5):
        own_service.suspend()
        cancelled = asyncio.ensure_future(read(client, tokens[0]))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        own_service.resume()
        assert await read(client, tokens[1]) == "1"


@in_event_loop
async def test_a_service_that_does_not_answer_costs_one_deadline_and_blocks_no_other_task(own_service):
    client = AsyncClient(own_service.address, app="shop", deadline=2)
    token = (await write(client)).session.token
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.ensure_future(tick())
    own_service.suspend()
    began = time.monotonic()
    with pytest.raises(SessionUnavailable) as failed:
        await read(client, token)
    took = time.monotonic() - began
    own_service.resume()
    ticking.cancel()

    assert failed.value.code == "DEADLINE_EXCEEDED"
    assert 0.4 < took < 10
    assert ticks >= 10


@in_event_loop
async def test_a_call_on_a_silent_connection_goes_out_again_on_a_new_one(proxy):
    client = AsyncClient(proxy.address, app="shop", deadline=1.0)
    token = (await write(client)).session.token
    proxy.forget_connections()
    assert await read(client, token) == "1"
    assert proxy.accepted == 2


@in_event_loop
async def test_a_call_whose_repeat_has_no_time_left_says_why_it_was_repeated(silent_address):
    with pytest.raises(SessionUnavailable, match="no answer.*; the attempt before: ") as failed:
        await AsyncClient(silent_address, app="shop", deadline=2.0).policy()
    assert failed.value.code == "DEADLINE_EXCEEDED"


@in_event_loop
async def test_a_save_is_applied_once_after_a_lost_response(proxy):
    transport = AsyncRecordingTransport(proxy.address)
    client = AsyncClient(transport, app="shop", deadline=TIMEOUT)
    token = (await write(client)).session.token
    proxy.responses_to_drop = 2

    saved = await client.save(
        pb.SaveSessionRequest(app="shop", token=token, changes=pb.Changes(increment={"n": 1}), request_id="1" * 16)
    )

    assert saved.counters["n"] == 1
    assert transport.take_calls().count("SaveSession") == 4


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
@in_event_loop
async def test_no_call_fails_while_the_service_restarts(own_service, signal_number):
    client = AsyncClient(own_service.address, app="shop", deadline=TIMEOUT)
    token = (await write(client)).session.token
    is_over, reads = False, 0

    async def read_on():
        nonlocal reads
        while not is_over:
            assert await read(client, token) == "1"
            reads += 1

    tasks = [asyncio.ensure_future(read_on()) for _ in range(8)]
    for _ in range(3):
        before = reads
        await until("calls succeed", lambda before=before: reads > before + 8)
        await asyncio.to_thread(own_service.stop, signal_number)
        await asyncio.to_thread(own_service.launch)
    is_over = True
    await asyncio.gather(*tasks)


@in_event_loop
async def test_an_outage_is_unavailable_and_a_refusal_is_refused(own_service):
    client = AsyncClient(own_service.address, app="shop", deadline=0.3)
    with pytest.raises(SessionRefused) as refused:
        await client.open(pb.OpenSessionRequest(app="unknown"))
    assert refused.value.reason == "APP_UNKNOWN"
    own_service.stop(signal.SIGKILL)
    with pytest.raises(SessionUnavailable):
        await write(client)


@in_event_loop
async def test_a_replica_that_does_not_answer_is_left_out(tmp_path, service, own_service):
    client = AsyncClient(f"{own_service.address},{service.address}", app="keyless", deadline=TIMEOUT)
    own_service.stop()
    for _ in range(10):
        assert (await client.open(pb.OpenSessionRequest(app="keyless"))).session.HasField("null_session")


@in_event_loop
async def test_a_name_that_does_not_exist_is_unavailable(service):
    client = AsyncClient("cloakroom.invalid:50051", deadline=0.5)
    with pytest.raises(SessionUnavailable, match=r"cannot look up 'cloakroom\.invalid'"):
        await client.policy()


@in_event_loop
async def test_the_first_calls_of_a_loop_may_be_made_together(proxy):
    transport = AsyncConnectTransport(proxy.address)
    request = pb.OpenSessionRequest(app="shop")

    await asyncio.gather(*[transport.call(methods.OPEN, request, TIMEOUT) for _ in range(3)])
    gc.collect()
    # What ends the connections of a loop has run by then.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for _ in range(3):
        await transport.call(methods.OPEN, request, TIMEOUT)

    assert proxy.accepted == 3


@in_event_loop
async def test_a_closed_transport_connects_again(proxy):
    transport = AsyncConnectTransport(proxy.address)
    client = AsyncClient(transport, app="shop")
    await write(client)
    await transport.close()
    await write(client)
    assert proxy.accepted == 2


@in_event_loop
async def test_a_policy_that_could_not_be_fetched_is_not_fetched_again_at_once(service):
    transport = AsyncRecordingTransport(service.address)
    client = AsyncClient(transport, app="shop")
    fail_at_deadline(transport, "GetAppPolicy")

    with pytest.raises(SessionUnavailable):
        await client.policy_if_due()
    assert [await client.policy_if_due() for _ in range(2)] == [None] * 2
    assert transport.take_calls() == ["GetAppPolicy"]
