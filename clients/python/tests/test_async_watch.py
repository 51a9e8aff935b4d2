"""Watches sessions at a real service, in an event loop."""

from __future__ import annotations

import asyncio
import signal

import pytest
from event_loop import in_event_loop, until
from lossy_proxy import LossyProxy
from service import TIMEOUT
from test_async_session import Browser

from cloakroom import NotInCookieKind, SessionUnavailable
from cloakroom.connect import async_transport


async def stored_session(service, address=""):
    """Returns a browser and its open session. The session's calls go to the address."""
    browser = Browser(service)
    browser.client.transport = async_transport.AsyncConnectTransport(address or service.address)
    session = browser.session()
    session["a"] = 1
    await browser.finish(session)
    return browser, session


async def destroy(browser):
    await browser.session().destroy()


@in_event_loop
async def test_a_watch_reports_that_its_session_has_ended(service):
    browser, session = await stored_session(service)
    async with session.watch() as watch:
        assert watch.expire_time is not None
        assert await watch.wait(timeout=0) is None
        await destroy(browser)
        assert await watch.wait(TIMEOUT) == "DESTROYED"
        assert (watch.end_reason, watch.expire_time, await watch.wait()) == ("DESTROYED", None, "DESTROYED")


@in_event_loop
async def test_a_login_ends_the_watch_of_the_token_before(service):
    browser, session = await stored_session(service)
    async with session.watch() as watch:
        other = browser.session()
        other.subject = "ada"
        await other.save()
        assert await watch.wait() == "SUPERSEDED"


@in_event_loop
async def test_a_watch_without_a_session_has_ended_and_one_of_kind_cookie_is_refused(service):
    anonymous, signed = Browser(service), Browser(service, "signed")
    for browser in (anonymous, signed):
        await browser.client.policy()
    assert await anonymous.session().watch().wait() == "UNKNOWN"
    with pytest.raises(NotInCookieKind):
        signed.session().watch()


@in_event_loop
async def test_a_watch_can_be_closed_by_another_task(service):
    _, session = await stored_session(service)
    watch = session.watch()
    waiting = asyncio.ensure_future(watch.wait())
    await until("the watch has begun", lambda: watch.expire_time is not None)
    watch.close()
    assert await waiting is None


@in_event_loop
async def test_a_watch_goes_on_after_its_connection_was_lost(service):
    proxy = LossyProxy(service.port)
    browser, session = await stored_session(service, proxy.address)
    async with session.watch() as watch:
        accepted = proxy.accepted
        waiting = asyncio.ensure_future(watch.wait())
        proxy.close_connections()
        await until("the watch has begun again", lambda: proxy.accepted > accepted)
        await destroy(browser)
        assert await waiting == "DESTROYED"
    proxy.close()


@in_event_loop
async def test_an_outage_says_nothing_about_the_session(own_service):
    browser, session = await stored_session(own_service)
    browser.client.deadline = 0.3
    async with session.watch() as watch:
        own_service.stop(signal.SIGKILL)
        with pytest.raises(SessionUnavailable):
            await watch.wait()
        assert watch.end_reason is None
        own_service.launch()
        browser.client.deadline = TIMEOUT
        assert await watch.wait(timeout=0.1) is None
        await destroy(browser)
        assert await watch.wait() == "DESTROYED"


@in_event_loop
async def test_a_watch_leaves_a_connection_that_is_silent_for_long(service, monkeypatch):
    monkeypatch.setattr("cloakroom.async_watch.LONGEST_STREAM", 0.2)
    proxy = LossyProxy(service.port)
    browser, session = await stored_session(service, proxy.address)
    async with session.watch() as watch:
        proxy.forget_connections()
        await destroy(browser)
        assert await watch.wait(TIMEOUT) == "DESTROYED"
    proxy.close()


@in_event_loop
async def test_there_are_only_so_many_watches(service, monkeypatch):
    monkeypatch.setattr(async_transport, "MAX_STREAMS", 2)
    browser, session = await stored_session(service)
    async with session.watch(), session.watch():
        with pytest.raises(SessionUnavailable, match="2 streams are open already"):
            await session.watch().begin()
    async with session.watch(), session.watch():
        pass


def test_a_watch_ends_with_its_loop(service):
    proxy = LossyProxy(service.port)

    async def leave_open():
        _, session = await stored_session(service, proxy.address)
        await session.watch().begin()

    asyncio.run(leave_open())
    asyncio.run(until("all connections have ended", lambda: not proxy.open_count()))
    proxy.close()


@in_event_loop
async def test_a_cancelled_watch_leaves_no_connection(service):
    proxy = LossyProxy(service.port)
    browser, session = await stored_session(service, proxy.address)
    await browser.client.transport.close()

    async def watch():
        async with session.watch() as watch:
            await watch.wait()

    task = asyncio.ensure_future(watch())
    await until("the watch has begun", lambda: proxy.requests == 3)
    task.cancel()
    await asyncio.wait({task})
    await until("all connections have ended", lambda: not proxy.open_count())
    proxy.close()
