"""The session of a request for programs with an event loop, against a real service."""

from __future__ import annotations

import asyncio

import pytest
from event_loop import in_event_loop
from recording_transport import AsyncRecordingTransport

from cloakroom import AsyncClient, AsyncSession, SessionNotOpen, SessionRefused
from cloakroom.codec import JsonCodec
from cloakroom.cookie import CookieAction
from cloakroom.session import RequestInfo


class Browser:
    """A browser with one cookie."""

    def __init__(self, service, app="shop"):
        self.transport = AsyncRecordingTransport(service.address)
        self.client = AsyncClient(self.transport, app=app)
        self.cookie_header = ""

    def session(self, **settings) -> AsyncSession:
        """Returns the session of a new request."""
        info = RequestInfo(self.client.app, self.client.known_policy, JsonCodec(), self.cookie_header, **settings)
        return AsyncSession(self.client, info)

    async def finish(self, session: AsyncSession):
        """Ends a request, and takes its cookie."""
        decision = await session.finish()
        if decision.action in (CookieAction.SET, CookieAction.REFRESH):
            self.cookie_header = f"session={decision.token}"
        if decision.action is CookieAction.DELETE:
            self.cookie_header = ""
        return decision

    async def write(self, **entries) -> None:
        session = self.session()
        session.update(entries)
        await self.finish(session)
        self.transport.take_calls()


@pytest.fixture
def browser(service):
    return Browser(service)


@in_event_loop
async def test_a_session_persists_across_requests(browser):
    await browser.write(a=1, cart=[1])

    session = browser.session()
    await session.open()
    session["cart"].append(2)
    assert (session["a"], session.new) == (1, False)
    await browser.finish(session)

    session = browser.session()
    await session.open()
    assert dict(session) == {"a": 1, "cart": [1, 2]}


@in_event_loop
async def test_a_session_that_is_not_open_cannot_be_read_and_says_what_to_do(browser):
    await browser.write(a=1)
    session = browser.session()
    for read in (lambda: session["a"], lambda: "a" in session, lambda: len(session), lambda: session.pop("a")):
        with pytest.raises(SessionNotOpen, match=r"await session\.open\(\)"):
            read()
    session["b"] = 2
    assert session["b"] == 2
    assert browser.transport.take_calls() == []


@in_event_loop
async def test_a_write_without_a_read_is_one_call(browser):
    await browser.write(a=1)
    session = browser.session()
    session["b"] = 2
    session.increment("n")
    await browser.finish(session)
    assert browser.transport.take_calls() == ["SaveSession"]

    session = browser.session()
    await session.open()
    assert dict(session) == {"a": 1, "b": 2, "n": 1}


@pytest.mark.parametrize("cookie_header", ["", "theme=dark", "xsession=v1.a; session2=b"])
@in_event_loop
async def test_a_request_without_a_session_cookie_reads_an_empty_session_without_a_call(browser, cookie_header):
    browser.cookie_header = cookie_header
    await browser.client.policy()
    browser.transport.take_calls()

    session = browser.session()
    await session.open()

    assert (dict(session), session.new, session.subject, session.id) == ({}, True, None, "")
    decision = await session.finish()
    assert (decision.action, decision.headers) == (CookieAction.KEEP, (("Vary", "Cookie"),))
    assert browser.transport.take_calls() == []

    session["a"] = 1
    await session.save()
    assert browser.transport.take_calls() == ["SaveSession"]
    assert session.id


@in_event_loop
async def test_a_cookie_of_a_migration_source_opens_the_session(service):
    browser = Browser(service, "moving")
    browser.cookie_header = "older=abc; theme=dark"
    await browser.session().open()
    assert browser.transport.take_calls() == ["GetAppPolicy"]

    browser.cookie_header = "theme=dark; old=abc"
    await browser.session().open()
    assert browser.transport.take_calls() == ["OpenSession"]


@in_event_loop
async def test_an_app_without_a_key_has_null_sessions(service):
    session = Browser(service, "keyless").session()
    await session.open()
    assert dict(session) == {}
    with pytest.raises(SessionRefused) as refused:
        session["a"] = 1
    assert refused.value.reason == "NO_KEY"


@in_event_loop
async def test_a_login_replaces_the_token_and_a_logout_ends_the_session(browser):
    await browser.write(a=1)
    before = browser.cookie_header

    session = browser.session()
    session.subject = "ada"
    await browser.finish(session)
    assert browser.cookie_header != before

    session = browser.session()
    await session.open()
    assert session.subject == "ada"
    await session.destroy()
    assert (await browser.finish(session)).action is CookieAction.DELETE


@in_event_loop
async def test_a_save_after_the_end_of_the_session_writes_nothing_and_a_login_begins_anew(browser):
    await browser.write(a=1)
    ended, other = browser.session(), browser.session()
    await ended.open()
    await other.destroy()

    ended["b"] = 2
    decision = await ended.finish()
    assert (ended.gone, decision.action) == ("DESTROYED", CookieAction.KEEP)

    await ended.open()
    ended["user"] = ended.subject = "ada"
    assert (await ended.finish()).action is CookieAction.SET


@in_event_loop
async def test_tasks_that_share_a_session_send_each_change_once(browser):
    await browser.write(n=0)
    session = browser.session()
    await asyncio.gather(session.open(), session.open())
    assert browser.transport.take_calls() == ["OpenSession"]

    session.increment("n")
    await asyncio.gather(session.save(), session.save())

    assert browser.transport.take_calls() == ["SaveSession"]
    assert session["n"] == 1


@in_event_loop
async def test_a_save_that_was_cancelled_is_repeated_with_its_request_id(browser):
    await browser.write(n=0)
    session = browser.session()
    await session.open()
    session.increment("n")
    saving = asyncio.ensure_future(session.save())
    while "SaveSession" not in browser.transport.calls:
        await asyncio.sleep(0)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving

    await session.save()

    saves = [each.request_id for each in browser.transport.requests if hasattr(each, "request_id")]
    assert len(saves) == 2
    assert len(set(saves)) == 1
    assert session["n"] == 1
