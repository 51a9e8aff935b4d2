"""What happens when the service is away, slow, or loses its answers."""

from __future__ import annotations

import signal
import time

import pytest
from counting import Counting
from flask import Flask, session
from proxy import Proxy
from service import PATIENCE, Service

from cloakroom import SessionUnavailable
from cloakroom.flask import CloakroomSessionInterface


@pytest.fixture
def own(tmp_path):
    """A service that a test may stop."""
    with Service.start(tmp_path, store=f'[store.embedded]\npath = "{tmp_path}/data"') as service:
        yield service


@pytest.fixture
def proxy(service):
    proxy = Proxy(service.port)
    yield proxy
    proxy.close()


def make_app(transport, **settings):
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(transport, app="shop", **settings)
    app.add_url_rule("/untouched", "untouched", lambda: "untouched")
    app.add_url_rule("/read", "read", lambda: repr(session.get("a")))
    app.add_url_rule("/write", "write", lambda: str(session.update(a=1)))
    app.add_url_rule("/both", "both", lambda: str((session.get("a"), session.increment("n"))))
    app.add_url_rule("/error", "error", lambda: session["a"] and 1 / 0)
    return app


def eventually(so, within=10.0):
    """Whether it comes to be so in time."""
    end = time.monotonic() + within
    while not so():
        if time.monotonic() > end:
            return False
    return True


def failure(app, client, path):
    """The error that a request met."""
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(SessionUnavailable) as failed:
        client.get(path)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return failed.value


def test_an_outage_is_a_clear_error_and_logs_nobody_out(own):
    app = make_app(own.address)
    client = app.test_client()
    client.get("/write")
    own.stop(signal.SIGKILL)
    assert failure(app, client, "/read").code == "UNAVAILABLE"
    response = client.get("/read")
    assert (response.status_code, response.headers.get("Set-Cookie")) == (500, None)
    assert client.get("/write").status_code == 500
    assert client.get("/untouched").text == "untouched"
    own.resume()
    # gRPC waits up to a second before it connects again.
    assert eventually(lambda: client.get("/read").text == "1")


def test_a_silent_service_costs_one_deadline(own):
    app = make_app(own.address, deadline=0.5)
    client = app.test_client()
    client.get("/write")
    own.freeze()
    began = time.monotonic()
    error = failure(app, client, "/read")
    took = time.monotonic() - began
    own.thaw()
    assert error.code == "DEADLINE_EXCEEDED"
    assert 0.4 < took < 10


def test_an_application_can_live_without_its_sessions(own):
    app = make_app(own.address, unavailable="null")
    client = app.test_client()
    client.get("/write")
    own.stop(signal.SIGKILL)
    response = client.get("/read")
    assert (response.text, response.headers.get("Set-Cookie")) == ("None", None)
    assert failure(app, client, "/both").code == "UNAVAILABLE"
    assert client.get("/write").status_code == 500
    own.resume()
    assert eventually(lambda: client.get("/read").text == "1")


def test_an_application_that_starts_before_the_service_finds_it(own):
    own.stop()
    app = make_app(own.address)
    client = app.test_client()
    assert client.get("/untouched").text == "untouched"
    own.resume()
    assert eventually(lambda: client.get("/write").status_code == 200)
    assert client.get("/read").text == "1"


def test_a_lost_answer_to_a_read_is_asked_for_again(proxy):
    transport = Counting(proxy.address)
    client = make_app(transport, deadline=PATIENCE).test_client()
    client.get("/write")
    transport.taken()
    proxy.loses = 1
    assert client.get("/read").text == "1"
    assert (transport.taken(), proxy.lost) == (["open", "open"], 1)


def test_a_lost_answer_to_a_save_counts_once(proxy):
    transport = Counting(proxy.address)
    app = make_app(transport, deadline=PATIENCE)
    client = app.test_client()
    client.get("/both")
    for _ in range(3):
        transport.taken()
        with app.test_request_context(headers={"Cookie": f"session={client.get_cookie('session').value}"}):
            session.get("a")
            session.increment("n")
            proxy.loses = 1
            app.session_interface.save_session(app, session._get_current_object(), app.response_class())
        saves = [request.request_id for request in transport.requests if hasattr(request, "request_id")]
        assert transport.taken() == ["open", "save", "save"]
        assert saves[0] == saves[1]
    with client.session_transaction() as opened:
        assert opened["n"] == 4


def test_flasks_second_save_after_a_failed_one_counts_once(proxy):
    """Flask saves again when the first save raised, with what the error's page has written meanwhile."""
    transport = Counting(proxy.address)
    app = make_app(transport, deadline=PATIENCE)

    @app.errorhandler(500)
    def apology(error):
        session["apologies"] = session.get("apologies", 0) + 1
        return "sorry", 500

    client = app.test_client()
    client.get("/both")
    transport.taken()
    proxy.loses = 4
    original = transport.real.open
    transport.real.open = lambda request, timeout: _sparing(proxy, original, request, timeout)
    response = client.get("/both")
    transport.real.open = original
    assert (response.status_code, proxy.lost) == (500, 4)
    requests = [request.request_id for request in transport.requests if type(request).__name__ == "SaveSessionRequest"]
    # Whether a lost answer takes the connection with it, and so one more attempt, is chance.
    first, second = dict.fromkeys(requests)
    assert requests.count(first) >= 5
    assert requests == [first] * requests.count(first) + [second]
    with client.session_transaction() as opened:
        assert (opened["n"], opened["apologies"]) == (2, 1)


def _sparing(proxy, call, request, timeout):
    """Makes a call whose answer is not lost."""
    kept, proxy.loses = proxy.loses, 0
    try:
        return call(request, timeout)
    finally:
        proxy.loses = kept


def test_a_new_session_is_created_once_however_often_the_answer_is_lost(proxy, service):
    app = make_app(proxy.address, deadline=PATIENCE)

    before = len(service.sessions("list", "--app", "shop"))
    with app.test_request_context():
        session.get("a")
        session["a"] = 1
        proxy.loses = 2
        response = app.response_class()
        app.session_interface.save_session(app, session._get_current_object(), response)
    assert proxy.lost == 2
    assert response.headers["Set-Cookie"].startswith("session=v1.")
    assert len(service.sessions("list", "--app", "shop")) == before + 1
