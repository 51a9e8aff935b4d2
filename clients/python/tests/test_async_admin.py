"""AsyncAdminClient against a real service and in memory."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from event_loop import in_event_loop
from lossy_proxy import LossyProxy
from service import TIMEOUT

from cloakroom import AsyncClient, SessionRefused, SessionUnavailable
from cloakroom.admin import AdminClient, AsyncAdminClient
from cloakroom.messages import session_service_pb2 as pb
from cloakroom.testing import AsyncMemoryTransport


@pytest.fixture(params=["the service", "in memory"])
def pair(request, service):
    """A client of the sessions of an app, and an AsyncAdminClient."""
    if request.param == "in memory":
        transport = AsyncMemoryTransport()
        return AsyncClient(transport, app="shop"), AsyncAdminClient(transport, app="shop")
    admin = AsyncAdminClient(f"127.0.0.1:{service.admin_port}", app="shop")
    return AsyncClient(service.address, app="shop"), admin


async def log_in(client, user):
    """Returns a new session of a user."""
    request = pb.SaveSessionRequest(app="shop", cookie_header="", changes=pb.Changes(subject=user))
    return (await client.save(request)).session


@in_event_loop
async def test_sessions_are_listed_and_ended(pair):
    client, admin = pair
    first, second, third = [(await log_in(client, "eve")).id for _ in range(3)]

    assert sorted(device.id for device in await admin.list_subject("eve")) == sorted([first, second, third])
    assert {first, second, third} <= {device.id async for device in admin.list_all(page_size=2)}
    assert (await admin.get_session(first)).subject == "eve"
    assert await admin.get_session("0" * 32) is None
    assert not await admin.revoke_session(first, subject="mallory")
    for no_id in ["no id", "\ud800"]:
        assert not await admin.revoke_session(no_id, subject="eve")
    assert await admin.revoke_session(first, subject="eve")
    assert not await admin.revoke_session(first)
    assert await admin.revoke_subject("eve", except_id=second) == 1
    assert [device.id for device in await admin.list_subject("eve")] == [second]
    assert (await admin.stats()).ended["REVOKED"] >= 2
    with pytest.raises(ValueError, match="subject is empty"):
        await admin.revoke_subject("")


@in_event_loop
async def test_a_cookie_is_explained(service):
    admin = AsyncAdminClient(f"127.0.0.1:{service.admin_port}", app="shop")
    session = await log_in(AsyncClient(service.address, app="shop"), "eve")
    (found,) = await admin.explain(cookie_header=f"session={session.token}")
    assert (found.state, found.id) == ("LIVE", session.id)


@in_event_loop
async def test_events_are_followed_until_they_are_closed(pair):
    client, admin = pair
    async with admin.watch_events() as events:
        first = await events.next(TIMEOUT)
        assert first.events == []
        assert await events.next(timeout=0.01) is None
        session = await log_in(client, "eve")
        seen = []
        async for batch in events:
            seen += [(event.kind, event.id) for event in batch.events if event.id == session.id]
            if seen:
                break
        waiting = asyncio.create_task(events.next())
        await asyncio.sleep(0)
        events.close()
        assert await waiting is None
    assert seen == [("CREATED", session.id)]

    async with admin.watch_events(first.cursor) as events:
        again = await events.next(TIMEOUT)
    assert session.id in [event.id for event in again.events]
    with pytest.raises(SessionRefused) as failed:
        await admin.watch_events("x").next(TIMEOUT)
    assert failed.value.reason == "EVENTS_MISSED"


@in_event_loop
async def test_events_resume_after_their_connection_was_lost(service):
    proxy = LossyProxy(service.admin_port)
    client, admin = AsyncClient(service.address, app="shop"), AsyncAdminClient(proxy.address, app="shop")
    async with admin.watch_events() as events:
        await events.next(TIMEOUT)
        proxy.close_connections()
        session = await log_in(client, "eve")
        with pytest.raises(SessionUnavailable):
            await events.next(TIMEOUT)
        seen = []
        while session.id not in seen:
            seen += [event.id for event in (await events.next(TIMEOUT)).events]
    proxy.close()


@in_event_loop
async def test_revoking_the_app_ends_what_there_was(pair):
    client, admin = pair
    session = await log_in(client, "eve")
    await admin.revoke_app()
    assert (await client.open(pb.OpenSessionRequest(app="shop", token=session.token))).session.new


def test_both_clients_have_the_same_methods():
    def methods(client):
        return {
            name: list(inspect.signature(method).parameters.values())
            for name, method in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("__")
        }

    assert methods(AdminClient) == methods(AsyncAdminClient)
