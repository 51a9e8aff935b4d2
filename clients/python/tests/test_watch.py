"""Watches sessions at a real service."""

from __future__ import annotations

import threading

import pytest
from flask import session
from flask_app import make_app, request, set_entries
from lossy_proxy import LossyProxy
from service import TIMEOUT, Service, free_port, wait_until

from cloakroom import NotInCookieKind, SessionRefused, SessionUnavailable
from cloakroom.grpc_transport import GrpcTransport


def watch(app, client):
    """Returns a watch of a browser's session."""
    return request(app, client, lambda: session.watch()).result


def watch_response(app, client, **headers):
    """Returns the response of a view that begins a watch."""
    app.add_url_rule("/watch", "watch", lambda: str(session.watch()))
    return client.get("/watch", environ_overrides={f"HTTP_{name.upper()}": value for name, value in headers.items()})


def open_session(app):
    """Returns a browser with a stored session."""
    client = app.test_client()
    set_entries(app, client, a=1)
    return client


def test_a_watch_reports_that_its_session_has_ended(service):
    app = make_app(service.address)
    client = open_session(app)
    with watch(app, client) as watched:
        assert watched.expire_time is not None
        assert watched.wait(timeout=0) is None
        request(app, client, lambda: session.destroy())
        assert watched.wait(TIMEOUT) == "DESTROYED"
        assert (watched.end_reason, watched.expire_time, watched.wait()) == ("DESTROYED", None, "DESTROYED")


def test_a_login_ends_the_watch_of_the_token_before(service):
    app = make_app(service.address)
    client = open_session(app)
    with watch(app, client) as watched:
        request(app, client, lambda: setattr(session, "subject", "ada"))
        assert watched.wait(TIMEOUT) == "SUPERSEDED"


def test_a_watch_of_an_opened_session_is_of_its_token(service):
    app = make_app(service.address)
    client = open_session(app)
    with request(app, client, lambda: (session["a"], session.watch())[1]).result as watched:
        assert watched.end_reason is None


def test_a_watch_without_a_session_has_ended(service):
    app = make_app(service.address)
    with watch(app, app.test_client()) as watched:
        assert (watched.wait(), watched.expire_time) == ("UNKNOWN", None)


def test_a_watch_can_be_closed_by_another_thread(service):
    app = make_app(service.address)
    watched = watch(app, open_session(app))
    results = []
    waiting = threading.Thread(target=lambda: results.append(watched.wait()))
    waiting.start()
    watched.close()
    waiting.join(TIMEOUT)
    assert (results, waiting.is_alive()) == ([None], False)
    watched.close()


def test_a_watch_goes_on_after_its_connection_was_lost(service):
    proxy = LossyProxy(service.port)
    app = make_app(proxy.address)
    client = open_session(app)
    with watch(app, client) as watched:
        accepted = proxy.accepted
        proxy.close_connections()
        results = []
        waiting = threading.Thread(target=lambda: results.append(watched.wait(TIMEOUT)))
        waiting.start()
        wait_until("the watch has begun again", lambda: proxy.accepted > accepted)
        request(app, client, lambda: session.destroy())
        waiting.join(TIMEOUT)
    proxy.close()
    assert results == ["DESTROYED"]


def test_a_watch_leaves_a_connection_that_is_silent_for_long(service, monkeypatch):
    monkeypatch.setattr("cloakroom.watch.LONGEST_STREAM", 0.2)
    proxy = LossyProxy(service.port)
    app = make_app(proxy.address)
    client = open_session(app)
    with watch(app, client) as watched:
        proxy.forget_connections()
        request(app, client, lambda: session.destroy())
        assert watched.wait(TIMEOUT) == "DESTROYED"
    proxy.close()


def test_an_outage_says_nothing_about_the_session(tmp_path):
    with Service.start(tmp_path, store=f'[store.embedded]\npath = "{tmp_path}/data"') as service:
        app = make_app(service.address, deadline=0.5)
        with watch(app, open_session(app)) as watched:
            service.stop()
            with pytest.raises(SessionUnavailable):
                watched.wait(TIMEOUT)
            service.launch()
            assert watched.wait(timeout=0) is None
            assert watched.end_reason is None


def test_a_service_that_does_not_answer_costs_one_deadline(tmp_path):
    with Service.start(tmp_path) as service:
        app = make_app(service.address, deadline=0.3)
        client = open_session(app)
        service.suspend()
        headers = {"Cookie": f"session={client.get_cookie('session').value}"}
        with app.test_request_context(headers=headers), pytest.raises(SessionUnavailable):
            session.watch()
        service.resume()


def test_an_outage_at_the_begin_of_a_watch_is_a_503():
    app = make_app(f"127.0.0.1:{free_port()}", deadline=0.2)
    app.testing = False
    response = watch_response(app, app.test_client(use_cookies=False))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


def test_a_watch_with_the_cookies_of_two_live_sessions_is_a_400(service):
    app = make_app(service.address)
    app.testing = False
    cookies = ["session=" + open_session(make_app(service.address)).get_cookie("session").value for _ in range(2)]
    response = watch_response(app, app.test_client(use_cookies=False), cookie="; ".join(cookies))
    assert response.status_code == 400


def test_cookies_of_two_live_sessions_cannot_be_watched(service):
    app = make_app(service.address)
    cookies = ["session=" + open_session(app).get_cookie("session").value for _ in range(2)]
    with (
        app.test_request_context(headers={"Cookie": "; ".join(cookies)}),
        pytest.raises(SessionRefused, match="two live sessions"),
    ):
        session.watch()


def test_sessions_in_cookies_cannot_be_watched(service):
    app = make_app(service.address, "signed")
    with pytest.raises(NotInCookieKind):
        watch(app, app.test_client())


def test_a_transport_without_streams_says_so(service):
    app = make_app(GrpcTransport(service.address))
    with pytest.raises(TypeError, match="GrpcTransport does not support streams"):
        watch(app, app.test_client())
