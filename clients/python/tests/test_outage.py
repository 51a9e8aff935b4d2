"""Behaviour while the service is down, slow, or its responses are lost."""

from __future__ import annotations

import concurrent.futures
import gzip
import signal
import threading
import time

import pytest
from flask import Flask, get_flashed_messages, session
from lossy_proxy import LossyProxy
from recording_transport import BODY_HEADERS, RecordingTransport, fail_at_deadline
from service import TIMEOUT

from cloakroom import SessionUnavailable
from cloakroom.flask import CloakroomSessionInterface
from cloakroom.grpc_transport import GrpcTransport
from cloakroom.transport import CallFailed


@pytest.fixture
def proxy(service):
    proxy = LossyProxy(service.port)
    yield proxy
    proxy.close()


def make_app(transport, **settings):
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(transport, app="shop", **settings)
    app.add_url_rule("/untouched", "untouched", lambda: "untouched")
    app.add_url_rule("/read", "read", lambda: repr(session.get("a")))
    app.add_url_rule("/write", "write", lambda: str(session.update(a=1)))
    app.add_url_rule("/count", "count", lambda: str((session.increment("n"), session["n"])[1]))
    app.add_url_rule("/both", "both", lambda: str((session.get("a"), session.increment("n"))))
    app.add_url_rule("/write-then-read", "write_then_read", lambda: str((session.update(a=2), session.get("b"))))
    app.add_url_rule("/error", "error", lambda: session["a"] and 1 / 0)
    return app


def becomes_true(condition, timeout=10.0):
    """Whether `condition` returns true within the timeout."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
    return True


def request_error(app, client, path):
    """Returns the error that the code of a request gets."""
    app.config.update(PROPAGATE_EXCEPTIONS=True, TRAP_HTTP_EXCEPTIONS=True)
    with pytest.raises(SessionUnavailable) as failed:
        client.get(path)
    app.config.update(PROPAGATE_EXCEPTIONS=False, TRAP_HTTP_EXCEPTIONS=False)
    return failed.value


def test_an_outage_is_answered_by_503_and_logs_no_user_out(own_service, caplog):
    app = make_app(own_service.address, deadline=2)
    client = app.test_client()
    client.get("/write")
    own_service.stop(signal.SIGKILL)
    error = request_error(app, client, "/read")
    assert error.code == "UNAVAILABLE"
    assert "Connection refused" in str(error)
    for path in ("/read", "/write", "/both", "/write-then-read"):
        caplog.clear()
        began = time.monotonic()
        response = client.get(path)
        assert time.monotonic() - began < 3.9, f"{path} waited for the service twice"
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5"), path
        assert "Set-Cookie" not in response.headers
        assert [record.name for record in caplog.records] == ["cloakroom"], path
        assert "Connection refused" in caplog.text
    assert client.get("/untouched").text == "untouched"
    own_service.launch()
    assert client.get("/read").text == "1"


@pytest.mark.parametrize("unavailable", ["raise", "null"])
def test_a_page_that_does_not_use_its_session_stays_although_the_session_cannot_be_refreshed(
    service, caplog, unavailable
):
    transport = RecordingTransport(service.address)
    app = make_app(transport, refresh_untouched=True, unavailable=unavailable)
    app.add_url_rule("/fail", "fail", lambda: ("the page of an error", 500))
    client = app.test_client()
    client.get("/write")
    fail_at_deadline(transport, "OpenSession")
    for path, status, text in (("/untouched", 200, "untouched"), ("/fail", 500, "the page of an error")):
        caplog.clear()
        transport.take_calls()
        response = client.get(path)
        assert (response.status_code, response.text, response.headers.get("Set-Cookie")) == (status, text, None)
        assert transport.take_calls() == ["OpenSession"]
        assert "the session service does not answer" in caplog.text


def test_an_application_answers_an_outage_as_it_likes(own_service):
    class Interface(CloakroomSessionInterface):
        def on_unavailable(self, app, session, error, response):
            response.status_code = 503
            response.headers["Retry-After"] = "60"

    app = make_app(own_service.address, deadline=0.5)
    app.session_interface = Interface(own_service.address, app="shop", deadline=0.5)
    app.register_error_handler(SessionUnavailable, lambda error: ("no sessions now", 200))
    client = app.test_client()
    client.get("/write")
    own_service.stop(signal.SIGKILL)
    for path, text in {"/read": "no sessions now", "/write": "None"}.items():
        response = client.get(path)
        assert (response.status_code, response.headers["Retry-After"], response.text) == (503, "60", text)


def test_the_503_has_no_header_that_describes_the_body_it_replaces(service):
    transport = RecordingTransport(service.address)
    app = make_app(transport)

    @app.after_request
    def compress(response):
        response.set_data(gzip.compress(response.get_data()))
        response.headers.update(BODY_HEADERS)
        response.headers["Access-Control-Allow-Origin"] = "https://example.com"
        return response

    fail_at_deadline(transport, "SaveSession")
    response = app.test_client().get("/write")
    assert (response.status_code, b"unable to service" in response.data) == (503, True)
    assert [name for name in BODY_HEADERS if name in response.headers] == ["Cache-Control"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Access-Control-Allow-Origin"] == "https://example.com"


def test_a_page_that_an_application_makes_of_an_outage_stays_if_nothing_is_lost_by_it(own_service):
    app = make_app(own_service.address, deadline=0.5)
    app.register_error_handler(SessionUnavailable, lambda error: ("no sessions now", 200))
    client = app.test_client()
    client.get("/write")
    own_service.stop(signal.SIGKILL)
    assert client.get("/read").text == "no sessions now"
    assert client.get("/write-then-read").status_code == 503


@pytest.mark.parametrize("handled", [SessionUnavailable, 503])
def test_a_page_for_an_outage_that_reads_the_session_is_the_plain_503_after_one_wait(service, handled):
    transport = RecordingTransport(service.address)
    app = make_app(transport)
    app.register_error_handler(handled, lambda error: f"sorry, {session.get('a')} {get_flashed_messages()}")
    client = app.test_client()
    client.get("/write")
    transport.take_calls()
    fail_at_deadline(transport, "OpenSession")
    response = client.get("/read")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert response.headers["Vary"] == "Cookie"
    assert transport.take_calls() == ["OpenSession"]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_no_request_fails_while_the_service_restarts_under_load(own_service, signal_number):
    app = make_app(own_service.address, deadline=TIMEOUT)
    is_over = threading.Event()

    def count():
        client, texts = app.test_client(), []
        while not is_over.is_set():
            texts.append(client.get("/count").text)
        return texts

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = [pool.submit(count) for _ in range(4)]
        try:
            for _ in range(3):
                before = own_service.count_calls("SaveSession")
                assert becomes_true(lambda before=before: own_service.count_calls("SaveSession") > before, TIMEOUT)
                own_service.stop(signal_number)
                own_service.launch()
        finally:
            # The pool waits for its threads.
            is_over.set()
        for result in results:
            texts = result.result()
            assert texts == [str(number) for number in range(1, len(texts) + 1)]


def test_a_gap_of_one_and_a_half_seconds_fails_no_request(service, proxy):
    app = make_app(proxy.address)
    clients = [app.test_client() for _ in range(4)]
    assert {client.get("/write").status_code for client in clients} == {200}
    proxy.close()
    timer = threading.Timer(1.5, lambda: gap.append(LossyProxy(service.port, proxy.port)))
    gap: list[LossyProxy] = []
    timer.start()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda client: client.get("/read").text, clients)) == {"1"}
    timer.join()
    gap[0].close()


@pytest.mark.parametrize("code", ["UNAVAILABLE", "CANCELLED", "INTERNAL"])
def test_a_call_whose_connection_breaks_is_repeated(service, code):
    transport = RecordingTransport(service.address)
    client = make_app(transport).test_client()
    client.get("/count")

    def break_connection(method, request, timeout):
        raise CallFailed(code, "", "the connection broke")

    transport.instead["OpenSession"] = break_connection
    assert client.get("/count").text == "2"
    assert transport.instead == {}


def test_a_service_that_does_not_answer_costs_one_deadline(own_service):
    app = make_app(own_service.address, deadline=0.5)
    client = app.test_client()
    client.get("/write")
    own_service.suspend()
    began = time.monotonic()
    error = request_error(app, client, "/read")
    took = time.monotonic() - began
    own_service.resume()
    assert error.code == "DEADLINE_EXCEEDED"
    assert 0.4 < took < 10


def test_with_unavailable_null_a_read_finds_an_empty_session_and_a_write_raises(own_service):
    app = make_app(own_service.address, deadline=0.5, unavailable="null")
    client = app.test_client()
    client.get("/write")
    own_service.stop(signal.SIGKILL)
    response = client.get("/read")
    assert (response.text, response.headers.get("Set-Cookie")) == ("None", None)
    assert request_error(app, client, "/both").code == "UNAVAILABLE"
    assert client.get("/write").status_code == 503
    own_service.launch()
    assert becomes_true(lambda: client.get("/read").text == "1")


def test_an_application_can_start_before_the_service(own_service):
    own_service.stop()
    app = make_app(own_service.address)
    client = app.test_client()
    assert client.get("/untouched").text == "untouched"
    own_service.launch()
    assert becomes_true(lambda: client.get("/write").status_code == 200)
    assert client.get("/read").text == "1"


def test_a_read_is_retried_after_a_lost_response(proxy):
    transport = RecordingTransport(proxy.address)
    client = make_app(transport, deadline=TIMEOUT).test_client()
    client.get("/write")
    transport.take_calls()
    proxy.responses_to_drop = 1
    assert client.get("/read").text == "1"
    assert (transport.take_calls(), proxy.dropped) == (["OpenSession", "OpenSession"], 1)


def test_a_save_is_applied_once_after_a_lost_response(proxy):
    transport = RecordingTransport(proxy.address)
    app = make_app(transport, deadline=TIMEOUT)
    client = app.test_client()
    client.get("/both")
    for _ in range(3):
        transport.take_calls()
        with app.test_request_context(headers={"Cookie": f"session={client.get_cookie('session').value}"}):
            session.get("a")
            session.increment("n")
            proxy.responses_to_drop = 1
            app.session_interface.save_session(app, session._get_current_object(), app.response_class())
        saves = [request.request_id for request in transport.requests if hasattr(request, "request_id")]
        assert transport.take_calls() == ["OpenSession", "SaveSession", "SaveSession"]
        assert saves[0] == saves[1]
    with client.session_transaction() as opened:
        assert opened["n"] == 4


def test_an_explicit_save_after_one_of_unknown_outcome_is_applied_once(proxy):
    transport = RecordingTransport(proxy.address)
    app = make_app(transport, deadline=TIMEOUT)

    def save_without_answer(method, request, timeout):
        proxy.responses_to_drop = 1
        with pytest.raises(CallFailed):
            transport.transport.call(method, request, timeout)
        raise CallFailed("DEADLINE_EXCEEDED", "", "no response within the deadline")

    @app.get("/twice")
    def save_twice():
        session.increment("n")
        transport.instead["SaveSession"] = save_without_answer
        with pytest.raises(SessionUnavailable):
            session.save()
        session["apologies"] = 1
        session.save()
        return "saved"

    client = app.test_client()
    client.get("/both")
    transport.take_calls()
    assert client.get("/twice").text == "saved"
    assert proxy.dropped == 1
    requests = [request.request_id for request in transport.requests if type(request).__name__ == "SaveSessionRequest"]
    first, second = dict.fromkeys(requests)
    assert requests == [first, first, second]
    with client.session_transaction() as opened:
        assert (opened["n"], opened["apologies"]) == (2, 1)


def test_no_request_fails_when_all_connections_lose_their_packets(proxy):
    app = make_app(proxy.address)
    clients = [app.test_client() for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        assert set(pool.map(lambda client: client.get("/write").status_code, clients)) == {200}
        proxy.forget_connections()
        assert set(pool.map(lambda client: client.get("/read").text, clients)) == {"1"}
        assert set(pool.map(lambda client: client.get("/read").text, clients)) == {"1"}


def test_a_ping_finds_a_connection_that_loses_its_packets(proxy):
    transport = GrpcTransport(proxy.address, keepalive_time=0.3, keepalive_timeout=0.3)
    client = make_app(transport, deadline=TIMEOUT).test_client()
    client.get("/write")
    proxy.forget_connections()
    began = time.monotonic()
    assert client.get("/read").text == "1"
    assert time.monotonic() - began < TIMEOUT / 2


def test_a_new_session_is_created_once_even_if_responses_are_lost(proxy, service):
    app = make_app(proxy.address, deadline=TIMEOUT)

    before = len(service.sessions("list", "--app", "shop"))
    with app.test_request_context():
        session.get("a")
        session["a"] = 1
        proxy.responses_to_drop = 2
        response = app.response_class()
        app.session_interface.save_session(app, session._get_current_object(), response)
    assert proxy.dropped == 2
    assert response.headers["Set-Cookie"].startswith("session=v1.")
    assert len(service.sessions("list", "--app", "shop")) == before + 1


def test_a_refused_save_is_not_repeated_with_the_error_page(service):
    transport = RecordingTransport(service.address)
    app = make_app(transport)

    @app.get("/too-large")
    def fill():
        session["text"] = "x" * 100_000
        return "filled"

    @app.errorhandler(500)
    def apology(error):
        session["apologies"] = 1
        return "sorry", 500

    client = app.test_client()
    client.get("/write")
    transport.take_calls()
    response = client.get("/too-large")
    assert (response.status_code, response.text) == (500, "sorry")
    assert transport.take_calls() == ["SaveSession", "SaveSession"]
    with client.session_transaction() as opened:
        assert dict(opened) == {"a": 1, "apologies": 1}
