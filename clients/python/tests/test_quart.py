"""Quart's session interface, against a real service."""

from __future__ import annotations

import asyncio
import signal

import pytest
from event_loop import in_event_loop, until
from flask_app import VALUES
from quart import Quart, flash, get_flashed_messages, session, websocket
from recording_transport import BODY_HEADERS, AsyncRecordingTransport, fail_at_deadline

from cloakroom.quart import CloakroomSessionInterface, SessionUnavailable, session_gone


@pytest.fixture
def transport(service):
    return AsyncRecordingTransport(service.address)


def make_app(service, name="shop", interface=CloakroomSessionInterface, **settings):
    """Returns an application. `service` is an address or a transport."""
    app = Quart(__name__)
    app.session_interface = interface(service, app=name, **settings)

    @app.get("/untouched")
    async def untouched():
        return "untouched"

    @app.get("/read")
    async def read():
        return dict(session)

    @app.get("/write")
    async def write():
        session["a"] = session.get("a", 0) + 1
        return dict(session)

    @app.get("/blind")
    async def blind():
        session["b"] = 1
        return {}

    @app.get("/login")
    async def log_in():
        session.subject = "ada"
        return {}

    @app.get("/logout")
    async def log_out():
        await session.destroy()
        return {}

    return app


def cookie(client):
    """Returns the value of the session cookie, or None."""
    return next((each.value for each in client.cookie_jar if each.name == "session"), None)


@in_event_loop
async def test_a_session_persists_across_requests_and_ends(transport):
    client = make_app(transport).test_client()
    assert await (await client.get("/write")).get_json() == {"a": 1}
    assert await (await client.get("/write")).get_json() == {"a": 2}
    before = cookie(client)
    await client.get("/login")
    assert cookie(client) != before
    await client.get("/logout")
    assert cookie(client) is None


@in_event_loop
async def test_each_request_makes_only_the_calls_it_needs(transport):
    client = make_app(transport).test_client()
    await client.get("/untouched")
    assert transport.take_calls() == ["GetAppPolicy"]
    assert (await client.get("/read")).headers.getlist("Vary") == ["Cookie"]
    assert transport.take_calls() == []
    await client.get("/write")
    assert transport.take_calls() == ["SaveSession"]
    for path, calls in {
        "/untouched": ["OpenSession"],
        "/read": ["OpenSession"],
        "/write": ["OpenSession", "SaveSession"],
        "/login": ["OpenSession", "SaveSession"],
        "/logout": ["OpenSession", "DestroySession"],
    }.items():
        await client.get(path)
        assert (path, transport.take_calls()) == (path, calls)


@in_event_loop
async def test_values_come_back_with_their_types(service):
    app = make_app(service.address)
    client = app.test_client()
    for value in VALUES:
        async with client.session_transaction() as opened:
            opened["value"] = value
        async with client.session_transaction() as opened:
            assert (opened["value"], type(opened["value"])) == (value, type(value))


@in_event_loop
async def test_flashed_messages_are_shown_once(service):
    app = make_app(service.address)

    @app.get("/flash")
    async def show():
        await flash("saved")
        return ""

    app.add_url_rule("/messages", view_func=get_messages)
    client = app.test_client()
    await client.get("/flash")
    assert await (await client.get("/messages")).get_json() == ["saved"]
    assert await (await client.get("/messages")).get_json() == []


async def get_messages():
    return get_flashed_messages()


@in_event_loop
async def test_the_cookie_has_the_attributes_of_the_applications_configuration(service):
    app = make_app(service.address)
    app.config.update(SESSION_COOKIE_NAME="sid", SESSION_COOKIE_SAMESITE="Strict", SESSION_COOKIE_PATH="/shop")

    @app.get("/shop/permanent")
    async def permanent():
        session.permanent = True
        session["a"] = 1
        return ""

    set_cookie = (await app.test_client().get("/shop/permanent")).headers["Set-Cookie"]
    assert set_cookie.startswith("sid=v1.")
    assert "; Path=/shop" in set_cookie
    assert "SameSite=Strict" in set_cookie
    assert "Expires=" in set_cookie


@in_event_loop
async def test_an_app_without_a_key_has_null_sessions_and_one_of_kind_cookie_has_signed_cookies(service, caplog):
    assert (await make_app(service.address, "keyless").test_client().get("/blind")).status_code == 500
    client = make_app(service.address, "signed").test_client()
    await client.get("/write")
    assert await (await client.get("/write")).get_json() == {"a": 2}
    assert (await make_app(service.address, "signed").test_client().get("/login")).status_code == 500
    assert "NotInCookieKind" in caplog.text


@in_event_loop
async def test_cookies_of_two_live_sessions_are_a_400_for_a_write(service):
    app = make_app(service.address)
    clients = [app.test_client() for _ in range(2)]
    for client in clients:
        await client.get("/write")
    header = "; ".join(f"session={cookie(client)}" for client in clients)
    for path, status in {"/write": 400, "/read": 200, "/login": 200}.items():
        response = await app.test_client(use_cookies=False).get(path, headers={"Cookie": header})
        assert (path, response.status_code) == (path, status)


@in_event_loop
async def test_a_refused_save_is_a_500(service, caplog):
    app = make_app(service.address)

    @app.get("/large")
    async def large():
        session["large"] = "x" * 100_000
        return ""

    assert (await app.test_client().get("/large")).status_code == 500
    assert "SessionRefused: names and values of the session would have" in caplog.text


@in_event_loop
async def test_an_outage_is_a_503_with_retry_after_and_one_log_line(own_service, caplog):
    client = make_app(own_service.address, deadline=1.0).test_client()
    await client.get("/write")
    own_service.stop(signal.SIGKILL)
    for path in ["/read", "/write", "/blind", "/login"]:
        caplog.clear()
        response = await client.get(path)
        assert (path, response.status_code, response.headers["Retry-After"]) == (path, 503, "5")
        assert "Set-Cookie" not in response.headers
        assert [record.name for record in caplog.records if record.name != "asyncio"] == ["cloakroom"]
    assert await (await client.get("/untouched")).get_data(as_text=True) == "untouched"
    own_service.launch()
    assert await (await client.get("/write")).get_json() == {"a": 2}


@in_event_loop
async def test_the_503_has_no_header_that_describes_the_body_it_replaces(transport):
    app = make_app(transport)

    @app.after_request
    async def describe(response):
        response.headers.update(BODY_HEADERS)
        return response

    fail_at_deadline(transport, "SaveSession")
    response = await app.test_client().get("/blind")
    assert response.status_code == 503
    assert [name for name in BODY_HEADERS if name in response.headers] == ["Cache-Control"]
    assert response.headers["Cache-Control"] == "no-store"


@in_event_loop
async def test_an_application_may_handle_an_outage_itself(own_service):
    app = make_app(own_service.address, deadline=1.0)

    @app.errorhandler(SessionUnavailable)
    async def handle(error):
        return "a moment, please", 503

    client = app.test_client()
    await client.get("/write")
    own_service.stop(signal.SIGKILL)
    response = await client.get("/read")
    assert (response.status_code, await response.get_data(as_text=True)) == (503, "a moment, please")


@in_event_loop
async def test_a_page_for_an_outage_that_reads_the_session_is_the_plain_503_after_one_wait(transport):
    app = make_app(transport)

    @app.errorhandler(SessionUnavailable)
    async def apology(error):
        return f"sorry, {session.get('a')} {get_flashed_messages()}"

    client = app.test_client()
    await client.get("/write")
    transport.take_calls()
    fail_at_deadline(transport, "OpenSession")
    response = await client.get("/read")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert transport.take_calls() == ["OpenSession"]


@in_event_loop
async def test_on_unavailable_may_be_a_coroutine(own_service):
    class Own(CloakroomSessionInterface):
        async def on_unavailable(self, app, session, error, response):
            await asyncio.sleep(0)
            response.status_code = 504

    app = make_app(own_service.address, interface=Own, deadline=1.0)
    await app.session_interface.client.policy()
    own_service.stop(signal.SIGKILL)
    assert (await app.test_client().get("/blind")).status_code == 504


@in_event_loop
async def test_with_unavailable_null_a_read_finds_an_empty_session(own_service):
    client = make_app(own_service.address, deadline=1.0, unavailable="null").test_client()
    await client.get("/write")
    own_service.stop(signal.SIGKILL)
    assert await (await client.get("/read")).get_json() == {}
    assert (await client.get("/blind")).status_code == 503


@pytest.mark.parametrize("saves", [False, True])
@in_event_loop
async def test_a_session_that_has_ended_is_not_saved_and_a_signal_is_sent(service, caplog, saves):
    app = make_app(service.address)
    client, other = app.test_client(), app.test_client()
    await client.get("/write")
    other.set_cookie("localhost", "session", cookie(client))

    @app.get("/gone")
    async def gone():
        session["a"] = 2
        await other.get("/logout")
        if saves:
            await session.save()
        return "done"

    reasons = []

    def receive(sender, session, reason):
        reasons.append((sender, reason))

    with session_gone.connected_to(receive):
        response = await client.get("/gone")
    assert (response.status_code, "Set-Cookie" in response.headers) == (200, False)
    assert reasons == [(app, "DESTROYED")]
    assert "its session has ended: DESTROYED" in caplog.text


@in_event_loop
async def test_a_view_watches_its_session_and_an_outage_is_a_503(own_service):
    app = make_app(own_service.address, deadline=0.5)
    client = app.test_client()

    @app.get("/watch")
    async def watch():
        session["a"] = 1
        await session.save()
        async with session.watch() as watched:
            return str(await watched.wait(timeout=0.1))

    @app.get("/late")
    async def watch_late():
        own_service.stop(signal.SIGKILL)
        async with session.watch():
            return ""

    assert await (await client.get("/watch")).get_data(as_text=True) == "None"
    assert (await client.get("/late")).status_code == 503


async def changed_entries(client):
    while (entries := await (await client.get("/read")).get_json()) == {"a": 1}:
        await asyncio.sleep(0.01)
    return entries


@in_event_loop
async def test_a_websocket_reads_its_session_and_saves_it_at_its_end(transport, caplog):
    app = make_app(transport)

    @app.websocket("/socket")
    async def socket():
        await websocket.send_json(dict(session))
        session["later"] = await websocket.receive()

    client = app.test_client()
    await client.get("/write")
    transport.take_calls()
    async with client.websocket("/socket", headers={"Cookie": f"session={cookie(client)}"}) as connected:
        assert await connected.receive_json() == {"a": 1}
        await connected.send("x")
        await until("the session is saved", lambda: transport.calls == ["OpenSession", "SaveSession"])
        # The call has begun. A client that left before it is done could end it.
        assert await asyncio.wait_for(changed_entries(client), 60) == {"a": 1, "later": "x"}
    assert "cannot get the new cookie" not in caplog.text


async def close_websocket(app, cookie_header, text):
    """Sends a text to a websocket and closes it, as a browser that leaves the page."""
    messages = asyncio.Queue()
    for message in ({"type": "websocket.connect"}, {"type": "websocket.receive", "text": text, "bytes": None}):
        messages.put_nowait(message)

    async def send(message):
        if message["type"] == "websocket.send":
            messages.put_nowait({"type": "websocket.disconnect", "code": 1001})

    headers = [(b"cookie", cookie_header.encode())]
    scope = {"type": "websocket", "path": "/socket", "scheme": "ws", "query_string": b"", "headers": headers}
    await asyncio.wait_for(app({**scope, "asgi": {"spec_version": "2.3"}}, messages.get, send), 60)


def make_app_with_endless_websocket(transport):
    app = make_app(transport)

    @app.websocket("/socket")
    async def socket():
        await websocket.accept()
        while True:
            session["last"] = await websocket.receive()
            await websocket.send("received")

    return app


@in_event_loop
async def test_a_websocket_that_its_browser_closes_saves_its_session(transport):
    # One that has its own sessions saves none of the other.
    CloakroomSessionInterface(transport, app="shop")
    app = make_app_with_endless_websocket(transport)
    client = app.test_client()
    await client.get("/write")
    transport.take_calls()

    await close_websocket(app, f"session={cookie(client)}", "hello")

    assert transport.take_calls() == ["OpenSession", "SaveSession"]
    assert await (await client.get("/read")).get_json() == {"a": 1, "last": "hello"}


@in_event_loop
async def test_a_websocket_that_its_browser_closes_logs_that_its_session_cannot_be_saved(transport, caplog):
    app = make_app_with_endless_websocket(transport)
    client = app.test_client()
    await client.get("/write")

    await close_websocket(app, f"session={cookie(client)}", "x" * 100_000)

    assert "were not saved" in caplog.text
