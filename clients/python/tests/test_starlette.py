"""The middleware for ASGI, with Starlette and FastAPI, against a real service."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
import time
import weakref

import anyio
import pytest
import trustme
from blockbuster import blockbuster_ctx
from event_loop import in_event_loop, until
from fastapi import FastAPI, Request
from recording_transport import AsyncRecordingTransport, fail_at_deadline
from service import APPS, TIMEOUT, Service
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from cloakroom import Credentials, SessionNotOpen, SessionRefused, SessionUnavailable, session
from cloakroom.async_watch import AsyncSessionWatch
from cloakroom.starlette import CloakroomMiddleware
from cloakroom.transport import CallFailed


@pytest.fixture
def transport(service):
    return AsyncRecordingTransport(service.address)


async def use(request):
    """Uses the session in the way that the path names."""
    session, path = request.session, request.url.path
    if path == "/write":
        session["a"] = session.get("a", 0) + 1
    if path == "/blind":
        session["b"] = 1
    if path == "/login":
        session.subject = "ada"
    if path == "/logout":
        await session.destroy()
    if path == "/clear":
        session.clear()
    if path == "/error":
        session["a"] = 100
        raise ZeroDivisionError
    if path == "/large":
        session["large"] = "x" * 100_000
    return JSONResponse(dict(session) if path != "/blind" else None)


async def look_away(request):
    return PlainTextResponse("untouched")


PATHS = ["/read", "/write", "/blind", "/login", "/logout", "/clear", "/error", "/large"]


def make_client(service, *routes, middleware=CloakroomMiddleware, outer=(), inner=(), **settings) -> TestClient:
    """Returns a browser of an application. `service` is an address or a transport."""
    settings.setdefault("app", "shop")
    app = Starlette(
        routes=[*routes, Route("/untouched", look_away), *(Route(path, use) for path in PATHS)],
        middleware=[*outer, Middleware(middleware, service, **settings), *inner],
    )
    return TestClient(app, raise_server_exceptions=False)


def test_a_session_persists_across_requests_and_ends(transport):
    client = make_client(transport)
    assert client.get("/write").json() == {"a": 1}
    assert client.get("/write").json() == {"a": 2}
    before = client.cookies["session"]
    client.get("/login")
    assert client.cookies["session"] != before
    assert client.get("/logout").json() == {}
    assert "session" not in client.cookies
    assert client.get("/read").json() == {}


def test_each_request_makes_only_the_calls_it_needs(transport):
    client = make_client(transport)
    client.get("/write")
    transport.take_calls()
    for path, calls in {
        "/untouched": ["OpenSession"],
        "/read": ["OpenSession"],
        "/write": ["OpenSession", "SaveSession"],
        "/blind": ["OpenSession", "SaveSession"],
        "/login": ["OpenSession", "SaveSession"],
        "/error": ["OpenSession"],
        "/logout": ["OpenSession", "DestroySession"],
    }.items():
        client.get(path)
        assert (path, transport.take_calls()) == (path, calls)


def test_a_request_without_the_session_cookie_makes_no_call_to_read(transport):
    client = make_client(transport)
    client.get("/untouched")
    assert transport.take_calls() == ["GetAppPolicy"]
    client.cookies["theme"] = "dark"
    for path in ["/read", "/untouched"]:
        response = client.get(path)
        assert "set-cookie" not in response.headers
        assert response.headers.get("vary") == ("Cookie" if path == "/read" else None)
    assert transport.take_calls() == []
    client.get("/write")
    assert transport.take_calls() == ["SaveSession"]


def test_a_lazy_session_is_opened_by_the_application(transport):
    async def open_and_read(request):
        await request.session.open()
        return JSONResponse(dict(request.session))

    async def read_too_early(request):
        return JSONResponse(dict(request.session))

    routes = [Route("/open", open_and_read), Route("/early", read_too_early)]
    client = make_client(transport, *routes, lazy=True)
    client.get("/blind")
    transport.take_calls()
    for path, calls in {
        "/untouched": [],
        "/open": ["OpenSession"],
        "/blind": ["SaveSession"],
    }.items():
        client.get(path)
        assert (path, transport.take_calls()) == (path, calls)
    with pytest.raises(SessionNotOpen, match=r"await session\.open\(\)"):
        TestClient(client.app, cookies=client.cookies).get("/early")


def test_each_response_has_one_list_of_headers(transport):
    client = make_client(transport)
    for path in ["/write", "/login", "/write", "/clear", "/write", "/logout"]:
        headers = client.get(path).headers
        assert headers.get_list("vary") == ["Cookie"]
        assert len(headers.get_list("set-cookie")) <= 1


def test_headers_of_the_application_stay(transport):
    async def view(request):
        request.session["a"] = 1
        response = PlainTextResponse("", headers={"Vary": "Accept"})
        response.set_cookie("theme", "dark")
        return response

    headers = make_client(transport, Route("/own", view)).get("/own").headers
    assert headers.get_list("vary") == ["Accept", "Cookie"]
    assert [cookie.partition("=")[0] for cookie in headers.get_list("set-cookie")] == ["theme", "session"]


def test_the_cookie_has_the_attributes_of_the_services_configuration(service):
    client = TestClient(make_client(service.address, app="brief").app, base_url="https://testserver")
    set_cookie = client.get("/write").headers["set-cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=Lax" in set_cookie


def test_an_exception_of_the_application_saves_nothing(transport):
    client = make_client(transport)
    client.get("/write")
    response = client.get("/error")
    assert (response.status_code, response.headers.get("set-cookie")) == (500, None)
    assert client.get("/read").json() == {"a": 1}


def test_a_refused_save_is_a_500_that_names_the_reason(transport):
    client = make_client(transport)
    assert client.get("/large").status_code == 500
    with pytest.raises(SessionRefused) as refused:
        TestClient(client.app).get("/large")
    assert refused.value.reason == "SESSION_TOO_LARGE"


def test_a_streamed_body_is_saved_before_its_head_and_may_save_later(transport):
    async def stream(request):
        request.session["a"] = 1

        async def body():
            assert "SaveSession" in transport.calls
            yield "first "
            request.session["a"] = 2
            await request.session.save()
            yield "last"

        return StreamingResponse(body())

    client = make_client(transport, Route("/stream", stream))
    response = client.get("/stream")
    assert response.text == "first last"
    assert "session=" in response.headers["set-cookie"]
    assert client.get("/read").json() == {"a": 2}


def test_a_background_task_may_save(transport):
    async def view(request):
        request.session["a"] = 1

        async def work():
            request.session["done"] = True
            await request.session.save()

        return PlainTextResponse("", background=BackgroundTask(work))

    client = make_client(transport, Route("/work", view))
    client.get("/work")
    assert client.get("/read").json() == {"a": 1, "done": True}


def test_fastapi_uses_the_session_in_asynchronous_and_in_threaded_endpoints(service):
    app = FastAPI()
    app.add_middleware(CloakroomMiddleware, service=service.address, app="shop")

    @app.get("/async")
    async def count(request: Request) -> int:
        request.session["n"] = request.session.get("n", 0) + 1
        return request.session["n"]

    @app.get("/thread")
    def count_in_thread(request: Request) -> int:
        assert threading.current_thread() is not threading.main_thread()
        request.session["n"] = request.session.get("n", 0) + 1
        return request.session["n"]

    client = TestClient(app)
    assert [client.get(path).json() for path in ["/async", "/thread", "/async"]] == [1, 2, 3]


@pytest.mark.parametrize("lazy", [True, False])
def test_a_mounted_application_with_a_middleware_of_its_own_has_the_same_session(transport, lazy):
    async def write(request):
        request.session["a"] = 1
        request.session.permanent = True
        return JSONResponse(None)

    async def log_in(request):
        request.session.subject = "ada"
        return JSONResponse(None)

    async def read(request):
        return JSONResponse([request.session.subject, request.session.get("a")])

    routes = [Route("/write", write), Route("/login", log_in), Route("/read", read)]
    middleware = [Middleware(CloakroomMiddleware, transport, app="shop")]
    client = make_client(transport, Mount("/sub", Starlette(routes=routes, middleware=middleware)), lazy=lazy)
    client.get("/sub/write")
    transport.take_calls()

    login = client.get("/sub/login")

    assert len(login.headers.get_list("set-cookie")) == 1
    assert transport.take_calls() == ["OpenSession", "SaveSession"]
    assert client.get("/sub/read").json() == ["ada", 1]


def test_a_mounted_application_may_have_sessions_of_another_app(service):
    async def write(request):
        request.session["b"] = 1
        return JSONResponse(None)

    middleware = [Middleware(CloakroomMiddleware, service.address, app="login")]
    client = make_client(
        service.address, Mount("/sub", Starlette(routes=[Route("/write", write)], middleware=middleware))
    )
    client.get("/sub/write")

    assert client.get("/read").json() == {}


def test_an_inner_middleware_finds_the_session(transport):
    class Count(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            request.session["count"] = request.session.get("count", 0) + 1
            response = await call_next(request)
            response.headers["count"] = str(request.session["count"])
            return response

    client = make_client(transport, inner=[Middleware(Count)])
    client.get("/write")
    response = client.get("/write")
    assert (response.headers["count"], response.json()) == ("2", {"count": 2, "a": 2})


def two_cookies(app):
    cookies = []
    for _ in range(2):
        client = TestClient(app)
        client.get("/write")
        cookies.append(f"session={client.cookies['session']}")
    return cookies


@pytest.mark.parametrize("lazy", [False, True])
def test_a_write_with_the_cookies_of_two_live_sessions_is_a_400_and_a_login_ends_both(transport, lazy):
    async def log_in(request):
        request.session.subject = "ada"
        return PlainTextResponse("in")

    client = make_client(transport, Route("/in", log_in), lazy=lazy)
    headers = [("cookie", cookie) for cookie in two_cookies(make_client(transport).app)]
    assert client.get("/blind", headers=headers).status_code == 400
    assert client.get("/in", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "header", ["a=\xff\xfe; b=\x80", "=;;=;", "x" * 2_000_000, "; ".join(["session=v1.a.b.c"] * 50_000)]
)
def test_no_cookie_header_makes_a_request_fail(transport, header):
    client = make_client(transport)
    response = client.get("/write", headers={"cookie": header.encode("latin-1"), "user-agent": b"\xff\xfe"})
    assert (response.status_code, response.json()) == (200, {"a": 1})


def test_an_outage_is_a_503_with_retry_after_and_one_log_line(own_service, caplog):
    client = make_client(own_service.address, deadline=1.0)
    client.get("/write")
    own_service.stop(signal.SIGKILL)
    for path in ["/read", "/write"]:
        caplog.clear()
        response = client.get(path)
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert "set-cookie" not in response.headers
        assert [record.levelno for record in caplog.records if record.name == "cloakroom"] == [logging.WARNING]
    assert client.get("/untouched").text == "untouched"
    own_service.launch()
    assert client.get("/write").json() == {"a": 2}


def test_an_outage_at_the_save_replaces_the_response_and_ends_the_application(own_service):
    worked = []

    async def view(request):
        own_service.stop(signal.SIGKILL)
        request.session["a"] = 1
        return PlainTextResponse("done", background=BackgroundTask(worked.append, 1))

    client = make_client(own_service.address, Route("/stop", view), deadline=1.0)
    response = client.get("/stop")
    assert (response.status_code, worked) == (503, [])
    assert "done" not in response.text


class PassOn(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


@pytest.mark.parametrize(
    "other", [Middleware(PassOn), Middleware(GZipMiddleware, minimum_size=1)], ids=["base", "gzip"]
)
@pytest.mark.parametrize("place", ["outer", "inner"])
def test_an_outage_at_the_save_is_a_503_beside_other_middleware(transport, caplog, other, place):
    client = make_client(transport, **{place: [other]})
    assert client.get("/write").json() == {"a": 1}
    fail_at_deadline(transport, "SaveSession")
    for _ in range(2):
        caplog.clear()
        response = client.get("/write")
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert response.text == "The service is not available. Try again soon."
        assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == ["cloakroom"]
    transport.instead.clear()
    assert client.get("/write").json() == {"a": 2}


@pytest.mark.parametrize("path", ["/stop", "/read"])
def test_on_unavailable_may_be_overridden(own_service, path):
    class Own(CloakroomMiddleware):
        async def on_unavailable(self, scope, error):
            return PlainTextResponse("a moment, please", 503, headers={"Retry-After": "7"})

    async def view(request):
        request.session["a"] = 1
        own_service.stop(signal.SIGKILL)
        return PlainTextResponse("done")

    client = make_client(own_service.address, Route("/stop", view), middleware=Own, deadline=1.0)
    client.get("/write")
    if path == "/read":
        own_service.stop(signal.SIGKILL)
    response = client.get(path)
    assert (response.status_code, response.text, response.headers["retry-after"]) == (503, "a moment, please", "7")


def test_an_application_may_handle_an_outage_itself(own_service):
    async def view(request):
        try:
            return JSONResponse(dict(request.session))
        except SessionUnavailable:
            return PlainTextResponse("anonymous")

    client = make_client(own_service.address, Route("/view", view), deadline=1.0)
    client.get("/write")
    own_service.stop(signal.SIGKILL)
    assert client.get("/view").text == "anonymous"


def in_tasks(*readers):
    """Returns a route that reads its session in tasks of one group, as `asyncio.TaskGroup` and anyio have."""

    async def view(request):
        async with anyio.create_task_group() as tasks:
            for read in readers:
                tasks.start_soon(read, request)
        return PlainTextResponse("done")

    return Route("/tasks", view)


async def read_in_task(request):
    request.session.get("a")


async def read_in_group(request):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_in_task, request)


async def fail_in_task(request):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("readers", "status"),
    [
        ([read_in_task], 503),
        ([read_in_task, read_in_task], 503),
        ([read_in_group], 503),
        ([read_in_task, fail_in_task], 500),
    ],
)
def test_an_outage_that_a_group_of_tasks_meets_is_a_503(transport, readers, status):
    client = make_client(transport, in_tasks(*readers), deadline=0.2)
    client.get("/write")
    fail_at_deadline(transport, "OpenSession")

    response = client.get("/tasks")

    assert (response.status_code, response.headers.get("retry-after")) == (status, "5" if status == 503 else None)


def test_with_unavailable_null_a_read_finds_an_empty_session_and_a_write_is_a_503(own_service):
    client = make_client(own_service.address, deadline=1.0, unavailable="null")
    client.get("/write")
    own_service.stop(signal.SIGKILL)
    response = client.get("/read")
    assert (response.json(), response.headers.get("set-cookie")) == ({}, None)
    assert client.get("/blind").status_code == 503
    with pytest.raises(ValueError, match="unavailable"):
        CloakroomMiddleware(client.app, unavailable="ignore")


def gone_routes(transport):
    async def view(request):
        request.session["a"] = 1
        other = TestClient(make_client(transport.transport.address).app, cookies=request.cookies)
        await asyncio.to_thread(other.get, "/logout")
        if "save" in request.query_params:
            await request.session.save()
        if "look" in request.query_params:
            assert request.session.gone == "DESTROYED"
        return PlainTextResponse("done")

    return Route("/gone", view)


def test_a_session_that_has_ended_is_not_saved_and_is_logged(transport, caplog):
    client = make_client(transport, gone_routes(transport))
    client.get("/write")
    response = client.get("/gone")
    assert (response.text, response.headers.get("set-cookie")) == ("done", None)
    assert "its session has ended: DESTROYED" in caplog.text
    assert client.get("/read").json() == {}


@pytest.mark.parametrize(("query", "status"), [("", 409), ("?save", 409), ("?save&look", 200)])
def test_on_gone_may_answer_unless_the_application_has_read_the_reason(transport, query, status):
    class Own(CloakroomMiddleware):
        async def on_gone(self, scope, session, reason):
            return PlainTextResponse(f"log in again: {reason}", 409)

    client = make_client(transport, gone_routes(transport), middleware=Own)
    client.get("/write")
    response = client.get(f"/gone{query}")
    text = "done" if status == 200 else "log in again: DESTROYED"
    assert (response.status_code, response.text) == (status, text)


def websocket_route(**entries):
    async def endpoint(websocket):
        if entries:
            websocket.session.update(entries)
        await websocket.accept()
        await websocket.send_json(dict(websocket.session))
        websocket.session["later"] = await websocket.receive_text()
        await websocket.session.save()
        await websocket.close()

    return WebSocketRoute("/socket", endpoint)


def test_a_websocket_reads_and_saves_its_session(transport):
    client = make_client(transport, websocket_route())
    client.get("/write")
    transport.take_calls()
    with client.websocket_connect("/socket") as socket:
        assert socket.receive_json() == {"a": 1}
        assert transport.take_calls() == ["OpenSession"]
        socket.send_text("x")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()
    assert client.get("/read").json() == {"a": 1, "later": "x"}


def test_a_websocket_sets_the_cookie_when_it_is_accepted(transport):
    client = make_client(transport, websocket_route(begun=True))
    with client.websocket_connect("/socket") as socket:
        cookies = [value for name, value in socket.extra_headers if name == b"set-cookie"]
        assert len(cookies) == 1
        assert socket.receive_json() == {"begun": True}
        socket.send_text("x")
    client.cookies["session"] = cookies[0].decode().partition("=")[2].partition(";")[0]
    assert client.get("/read").json()["begun"] is True


def test_a_websocket_is_refused_during_an_outage(own_service):
    client = make_client(own_service.address, websocket_route(), deadline=1.0)
    client.get("/write")
    own_service.stop(signal.SIGKILL)
    with pytest.raises(Exception) as refused, client.websocket_connect("/socket"):
        pass
    assert "503" in repr(refused.value) or getattr(refused.value, "status_code", None) == 503


async def recover(websocket):
    """Reads and writes before and after the end of an outage."""
    await websocket.accept()
    await websocket.send_json(websocket.session.get("a"))
    await websocket.receive_text()
    await websocket.session.open()
    websocket.session["later"] = 1
    await websocket.session.save()
    await websocket.send_json(websocket.session.get("a"))
    await websocket.close()


def test_with_unavailable_null_a_websocket_has_its_session_once_the_service_answers_again(transport, monkeypatch):
    monkeypatch.setattr(session, "OPEN_RETRY_DELAY", 0.0)
    client = make_client(transport, WebSocketRoute("/socket", recover), deadline=0.2, unavailable="null")
    client.get("/write")
    fail_at_deadline(transport, "OpenSession")
    with client.websocket_connect("/socket") as socket:
        assert socket.receive_json() is None

        transport.instead.clear()
        socket.send_text("it is over")

        assert socket.receive_json() == 1
    assert client.get("/read").json() == {"a": 1, "later": 1}


@pytest.mark.parametrize(
    "settings", [{}, {"unavailable": "null"}, {"lazy": True}, {"unavailable": "null", "lazy": True}]
)
def test_a_websocket_that_would_be_watched_is_refused_during_an_outage(transport, settings):
    client = make_client(transport, watched_route([]), deadline=0.2, close_websockets=True, **settings)
    client.get("/write" if "lazy" not in settings else "/blind")
    fail_at_deadline(transport, "OpenSession")

    with pytest.raises(Exception) as refused, client.websocket_connect("/socket"):
        pass

    assert (refused.value.status_code, refused.value.headers["retry-after"]) == (503, "5")


@in_event_loop
async def test_a_server_without_responses_to_websockets_closes_them_during_an_outage(own_service):
    own_service.stop(signal.SIGKILL)
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "websocket", "path": "/socket", "headers": [(b"cookie", b"session=v1.a.b.c")], "query_string": b""}
    app = make_client(own_service.address, websocket_route(), deadline=1.0).app
    await app(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert sent[0]["code"] == 1013


@in_event_loop
async def test_the_head_of_a_response_waits_for_the_save(own_service):
    transport, sent = AsyncRecordingTransport(own_service.address), []

    async def application(scope, receive, send):
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"done"})

    async def send(message):
        sent.append(message["type"])

    middleware = CloakroomMiddleware(application, transport, app="shop", deadline=TIMEOUT)
    await middleware.client.policy()
    own_service.suspend()
    request = asyncio.ensure_future(middleware({"type": "http", "headers": []}, None, send))
    await until("the save is under way", lambda: "SaveSession" in transport.calls)
    assert sent == []
    own_service.resume()
    await request
    assert sent == ["http.response.start", "http.response.body"]


@in_event_loop
async def test_nothing_blocks_the_event_loop(tmp_path):
    async def application(scope, receive, send):
        session = scope["session"]
        session["n"] = session.get("n", 0) + 1
        await send({"type": "http.response.start", "status": 200})

    async def request(cookie):
        async def send(message):
            cookies.extend(value for name, value in message["headers"] if name == b"set-cookie")

        await middleware({"type": "http", "headers": [(b"cookie", cookie)]}, None, send)

    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    files = {name: str(tmp_path / name) for name in ("ca.pem", "key.pem", "chain.pem")}
    authority.cert_pem.write_to_path(files["ca.pem"])
    certificate.private_key_pem.write_to_path(files["key.pem"])
    certificate.cert_chain_pems[0].write_to_path(files["chain.pem"])
    tls = f'[server.tls]\ncertificate_file = "{files["chain.pem"]}"\nkey_file = "{files["key.pem"]}"\n'
    credentials = Credentials(ca_file=files["ca.pem"])
    cookies = []
    # blockbuster raises an error where a coroutine makes a call of the system that may block.
    with Service.start(tmp_path, APPS + tls) as service, blockbuster_ctx("cloakroom"):
        address = f"https://localhost:{service.port}"
        middleware = CloakroomMiddleware(application, address, app="shop", credentials=credentials)
        await request(b"")
        cookie = cookies[0].partition(b";")[0]
        await asyncio.gather(*(request(cookie) for _ in range(20)))


@in_event_loop
async def test_a_request_leaves_nothing_to_the_garbage_collector(service):
    sessions = []

    async def application(scope, receive, send):
        sessions.append(weakref.ref(scope["session"]))
        scope["session"]["n"] = scope["session"].get("n", 0) + 1
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        pass

    middleware = CloakroomMiddleware(application, service.address, app="shop")
    for cookie in [b"", b"session=v1.a.b.c"]:
        gc.collect()
        gc.disable()
        try:
            await middleware({"type": "http", "headers": [(b"cookie", cookie)]}, None, send)
            assert sessions.pop()() is None
        finally:
            gc.enable()


@in_event_loop
async def test_the_first_requests_of_a_worker_may_log_in_at_the_same_time(service):
    statuses = []

    async def application(scope, receive, send):
        scope["session"].subject = "ada"
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        statuses.append(message["status"])

    middleware = CloakroomMiddleware(application, service.address, app="shop", lazy=True)
    await asyncio.gather(*(middleware({"type": "http", "headers": []}, None, send) for _ in range(4)))

    assert statuses == [200] * 4


@in_event_loop
async def test_a_message_that_the_application_sends_to_several_browsers_gets_no_cookie_of_one(service):
    head, sent = {"type": "http.response.start", "status": 200, "headers": []}, []

    async def application(scope, receive, send):
        scope["session"].subject = "ada"
        await send(head)

    async def send(message):
        sent.append(message)

    middleware = CloakroomMiddleware(application, service.address, app="shop")
    await middleware({"type": "http", "headers": []}, None, send)

    assert b"set-cookie" in dict(sent[0]["headers"])
    assert head["headers"] == []


@in_event_loop
async def test_a_response_of_the_middleware_that_is_sent_to_several_browsers_gets_no_cookie_of_one(service):
    head, sent = {"type": "http.response.start", "status": 503, "headers": []}, []

    class Own(CloakroomMiddleware):
        async def on_unavailable(self, scope, error):
            return lambda scope, receive, send: send(head)

    async def application(scope, receive, send):
        scope["session"].subject = "ada"
        await scope["session"].save()
        raise SessionUnavailable("no answer")

    async def send(message):
        sent.append(message)

    await Own(application, service.address, app="shop")({"type": "http", "headers": []}, None, send)

    assert b"set-cookie" in dict(sent[0]["headers"])
    assert head["headers"] == []


def test_other_scopes_pass(service):
    events = []

    async def application(scope, receive, send):
        events.append(scope["type"])
        assert "session" not in scope

    middleware = CloakroomMiddleware(application, service.address)
    asyncio.run(middleware({"type": "lifespan"}, None, None))
    assert events == ["lifespan"]


def watched_route(events):
    async def endpoint(websocket):
        await websocket.accept()
        try:
            while True:
                text = await websocket.receive_text()
                if text == "rotate":
                    websocket.session.rotate()
                    await websocket.session.save()
                await websocket.send_text(f"{text} {websocket.session.get('a')}")
        except WebSocketDisconnect as disconnect:
            events.append(disconnect.code)
            if disconnect.code == 4401:
                with pytest.raises(WebSocketDisconnect):
                    await websocket.send_text("too late")

    return WebSocketRoute("/socket", endpoint)


@pytest.mark.parametrize("path", ["/logout", "/login"])
@pytest.mark.parametrize("lazy", [True, False])
def test_a_websocket_is_closed_when_its_session_ends(transport, path, lazy):
    events = []
    client = make_client(transport, watched_route(events), close_websockets=True)
    client.get("/write")
    watching = make_client(transport, watched_route(events), close_websockets=True, lazy=lazy)
    watching.cookies = client.cookies
    with watching.websocket_connect("/socket") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello 1"
        client.get(path)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert (closed.value.code, closed.value.reason) == (4401, "the session has ended")
    assert events == [4401]


def test_a_websocket_that_replaces_the_token_itself_stays_open(transport):
    client = make_client(transport, watched_route([]), close_websockets=True)
    client.get("/write")
    with client.websocket_connect("/socket") as socket:
        socket.send_text("rotate")
        assert socket.receive_text() == "rotate 1"
        deadline = time.monotonic() + TIMEOUT
        while transport.calls.count("WatchSession") < 2:
            assert time.monotonic() < deadline
        socket.send_text("hello")
        assert socket.receive_text() == "hello 1"


def test_a_websocket_stays_open_if_its_watch_ends_before_the_answer_to_its_own_save(transport, monkeypatch):
    class Watch(AsyncSessionWatch):
        async def wait(self):
            try:
                return await super().wait()
            finally:
                # The websocket looks at the end before that.
                asyncio.get_running_loop().call_soon(has_ended.set)

    async def answer_late(method, request, timeout):
        response = await transport.transport.call(method, request, timeout)
        await asyncio.wait_for(has_ended.wait(), TIMEOUT)
        return response

    has_ended = asyncio.Event()
    monkeypatch.setattr("cloakroom.async_session.AsyncSessionWatch", Watch)
    client = make_client(transport, watched_route([]), close_websockets=True)
    client.get("/write")
    transport.instead["SaveSession"] = answer_late
    with client.websocket_connect("/socket") as socket:
        socket.send_text("rotate")
        assert socket.receive_text() == "rotate 1"
        socket.send_text("hello")
        assert socket.receive_text() == "hello 1"


def test_a_websocket_without_a_stored_session_is_not_watched(transport):
    client = make_client(transport, watched_route([]), close_websockets=True)
    for cookie in [None, "v1.a.b.c"]:
        if cookie:
            client.cookies["session"] = cookie
        with client.websocket_connect("/socket") as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "hello None"
    assert "WatchSession" not in transport.calls


def test_a_websocket_that_cannot_be_watched_is_refused(transport, monkeypatch):
    monkeypatch.setattr("cloakroom.connect.async_transport.MAX_STREAMS", 0)
    client = make_client(transport, watched_route([]), close_websockets=True)
    client.get("/write")
    with pytest.raises(Exception) as refused, client.websocket_connect("/socket"):
        pass
    assert refused.value.status_code == 503


class StreamsOnce(AsyncRecordingTransport):
    """Has the service refuse each watch but the first, as after the removal of the key that has signed the token."""

    async def stream(self, method, request, timeout):
        if "WatchSession" in self.calls:
            raise CallFailed("INVALID_ARGUMENT", "TOKEN_INVALID", "the token does not verify")
        return await super().stream(method, request, timeout)


def test_a_websocket_is_closed_when_its_watch_is_refused(service, monkeypatch, caplog):
    monkeypatch.setattr("cloakroom.async_watch.LONGEST_STREAM", 0.1)
    events = []
    client = make_client(StreamsOnce(service.address), watched_route(events), close_websockets=True)
    client.get("/write")
    with client.websocket_connect("/socket") as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    assert (closed.value.code, events) == (4401, [4401])
    assert [record.levelname for record in caplog.records if record.name == "cloakroom"] == ["WARNING"]
    assert "the token does not verify" in caplog.text


def test_a_request_chooses_the_attributes_of_its_cookie(service):
    def attributes(scope):
        return {"secure": True, "path": "/shop"} if (b"x-tenant", b"shop") in scope["headers"] else None

    client = make_client(service.address, cookie_attributes=attributes)
    plain = client.get("/write").headers["set-cookie"]
    tenant = client.get("/write", headers={"x-tenant": "shop", "cookie": ""}).headers["set-cookie"]
    deletion = client.get("/logout", headers={"x-tenant": "shop"}).headers["set-cookie"]

    assert plain.endswith("; HttpOnly; Path=/")
    assert tenant.endswith("; Secure; HttpOnly; Path=/shop")
    assert deletion.endswith("; Max-Age=0; Secure; HttpOnly; Path=/shop")


def test_an_attribute_that_no_request_can_choose_is_an_error(service):
    client = make_client(service.address, cookie_attributes=lambda scope: {"httponly": False})
    assert client.get("/write").status_code == 500
