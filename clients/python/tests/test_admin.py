"""AdminClient against a real service."""

from __future__ import annotations

import datetime
import threading

import pytest
from flask import session
from flask_app import make_app, request, set_entries
from lossy_proxy import LossyProxy
from service import TIMEOUT, Service, free_port

from cloakroom import NotInCookieKind, SessionRefused, SessionUnavailable
from cloakroom.admin import AdminClient
from cloakroom.grpc_transport import GrpcTransport
from cloakroom.testing import MemoryTransport


@pytest.fixture(params=["the service", "in memory"])
def pair(request, tmp_path):
    """An application and its AdminClient, at a service of the test's own and in memory."""
    if request.param == "in memory":
        transport = MemoryTransport()
        yield make_app(transport), AdminClient(transport, app="shop")
        return
    with Service.start(tmp_path) as own_service:
        yield make_app(own_service.address), AdminClient(f"127.0.0.1:{own_service.admin_port}", app="shop")


@pytest.fixture
def app(pair):
    return pair[0]


@pytest.fixture
def admin(pair):
    return pair[1]


def log_in(app, user="ada", **entries):
    """Returns a browser whose user has logged in, and the id of its session."""
    client = app.test_client()

    def work():
        session.subject = user
        session.update(entries or {"user": user})
        session.save()
        return session.id

    return client, request(app, client, work).result


def test_a_users_sessions_are_listed_with_the_one_used_last_first(app, admin):
    began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    ids = [log_in(app, a=number)[1] for number in range(3)]
    log_in(app, "bob")
    found = admin.list_subject("ada")
    assert sorted(device.id for device in found) == sorted(ids)
    times = [device.access_time for device in found]
    assert times == sorted(times, reverse=True)
    device = found[0]
    assert (device.subject, device.permanent, device.entry_count, device.entries) == ("ada", None, 1, {})
    assert (device.end_reason, device.end_time) == (None, None)
    assert began < device.create_time <= device.access_time < device.expire_time
    assert device.authenticate_time >= device.create_time
    assert (device.user_agent.split("/")[0], device.remote_address) == ("Werkzeug", "127.0.0.1")


def test_entries_are_listed_if_asked_for(app, admin):
    client, session_id = log_in(app, text="é", number=1)
    [device] = admin.list_subject("ada", with_entries=True)
    assert device.entries == {"text": '"\\u00e9"', "number": "1"}
    assert admin.get_session(session_id, with_entries=True).entries == device.entries
    assert admin.get_session(session_id).entries == {}


def test_all_sessions_come_in_pages(app, admin):
    ids = {log_in(app, f"user {number}")[1] for number in range(7)}
    assert {device.id for device in admin.list_all(page_size=3)} == ids
    page = admin.list_page(page_size=3)
    assert len(page.sessions) == 3
    assert page.next_page_token
    with pytest.raises(SessionRefused) as failed:
        admin.list_page("not a token")
    assert failed.value.reason == "PAGE_TOKEN_INVALID"


def test_a_session_is_shown_for_a_while_after_its_end(app, admin):
    client, session_id = log_in(app)
    request(app, client, lambda: session.destroy())
    ended = admin.get_session(session_id)
    assert (ended.end_reason, ended.subject, ended.entries) == ("DESTROYED", None, {})
    assert ended.end_time is not None
    assert admin.get_session("0" * 32) is None
    with pytest.raises(SessionRefused, match="32 lower-case hexadecimal digits"):
        admin.get_session("x")


def test_a_revoked_session_opens_no_more(app, admin):
    client, session_id = log_in(app, a=1)
    assert admin.revoke_session(session_id)
    assert not admin.revoke_session(session_id)
    assert request(app, client, lambda: dict(session)).result == {}


def test_a_user_ends_only_sessions_of_their_own(app, admin):
    _, own = log_in(app)
    _, other = log_in(app, "bob")
    anonymous = app.test_client()
    nobodys = request(app, anonymous, lambda: (session.update(a=1), session.id)).result[1]
    assert not admin.revoke_session(other, subject="ada")
    assert not admin.revoke_session(nobodys, subject="ada")
    for unknown in ("0" * 32, "", "x", "\0'\n" * 100, own.upper(), "\ud800"):
        assert not admin.revoke_session(unknown, subject="ada")
    assert admin.get_session(other).end_reason is admin.get_session(nobodys).end_reason is None
    assert admin.revoke_session(own, subject="ada")
    with pytest.raises(ValueError, match="the subject is empty"):
        admin.revoke_session(nobodys, subject="")


def test_an_empty_subject_lists_and_ends_nothing(app, admin):
    log_in(app)
    with pytest.raises(ValueError, match="the subject is empty"):
        admin.list_subject("")
    with pytest.raises(ValueError, match="the subject is empty"):
        admin.revoke_subject("")
    assert len(list(admin.list_all())) == 1


def test_all_sessions_of_a_user_end_except_one(app, admin):
    ids = [log_in(app)[1] for _ in range(3)]
    _, other = log_in(app, "bob")
    assert admin.revoke_subject("ada", except_id=ids[1]) == 2
    assert [device.id for device in admin.list_subject("ada")] == [ids[1]]
    assert admin.revoke_subject("ada") == 1
    assert admin.revoke_subject("ada") == 0
    assert admin.get_session(other).end_reason is None


def test_all_sessions_of_an_app_end(app, admin):
    ids = [log_in(app, user)[1] for user in ("ada", "bob")]
    admin.revoke_app()
    assert list(admin.list_all()) == []
    assert {admin.get_session(session_id).end_reason for session_id in ids} == {"REVOKED"}
    _, later = log_in(app)
    assert [device.id for device in admin.list_all()] == [later]


def test_stats_count_what_has_happened(app, admin):
    client, session_id = log_in(app)
    request(app, client, lambda: dict(session))
    admin.revoke_session(session_id)
    stats = admin.stats()
    assert (stats.opened, stats.created, stats.ended, stats.migrations) == (1, 1, {"REVOKED": 1}, [])
    assert stats.start_time.tzinfo is datetime.timezone.utc


def test_events_come_in_batches_that_can_be_resumed(app, admin):
    with admin.watch_events() as events:
        first = events.next(TIMEOUT)
        assert first.events == []
        client, session_id = log_in(app)
        request(app, client, lambda: session.destroy())
        admin.revoke_app()
        seen, cursors = [], [first.cursor]
        while len(seen) < 3:
            batch = events.next(TIMEOUT)
            seen += [(event.kind, event.id, event.end_reason) for event in batch.events]
            cursors.append(batch.cursor)
        assert events.cursor == cursors[-1]
    expected = [("CREATED", session_id, None), ("ENDED", session_id, "DESTROYED"), ("APP_REVOKED", "", None)]
    assert seen == expected
    with admin.watch_events(first.cursor) as events:
        again = []
        for batch in events:
            again += [(event.kind, event.id, event.end_reason) for event in batch.events]
            if len(again) == 3:
                break
    assert again == expected


def test_without_an_event_in_time_there_is_none(admin):
    with admin.watch_events() as events:
        assert events.next(TIMEOUT).events == []
        assert events.next(timeout=0.01) is None
        assert events.next(timeout=0.01) is None


def test_a_foreign_cursor_is_refused(admin):
    with pytest.raises(SessionRefused) as failed:
        admin.watch_events("x").next(TIMEOUT)
    assert failed.value.reason == "EVENTS_MISSED"


def test_events_can_be_closed_by_another_thread(admin):
    events = admin.watch_events()
    events.next(TIMEOUT)
    results = []
    waiting = threading.Thread(target=lambda: results.append(events.next()))
    waiting.start()
    events.close()
    waiting.join(TIMEOUT)
    assert (results, waiting.is_alive()) == ([None], False)
    assert events.next() is None


def test_events_resume_after_their_connection_was_lost(service):
    proxy = LossyProxy(service.admin_port)
    app, admin = make_app(service.address), AdminClient(proxy.address, app="shop")
    with admin.watch_events() as events:
        events.next(TIMEOUT)
        proxy.close_connections()
        _, session_id = log_in(app)
        with pytest.raises(SessionUnavailable):
            events.next(TIMEOUT)
        seen = []
        while session_id not in seen:
            seen += [event.id for event in events.next(TIMEOUT).events]
    proxy.close()


def test_a_cookie_is_explained(service):
    app, admin = make_app(service.address), AdminClient(f"127.0.0.1:{service.admin_port}", app="shop")
    client = app.test_client()
    set_entries(app, client, a=1)
    token = client.get_cookie("session").value
    [live] = admin.explain(cookie_header=f"a=b; session={token}")
    assert (live.state, live.end_reason, live.session.entry_count) == ("LIVE", None, 1)
    request(app, client, lambda: session.destroy())
    [ended] = admin.explain(token=token)
    assert (ended.state, ended.end_reason, ended.id) == ("ENDED", "DESTROYED", live.id)
    [rejected] = admin.explain(cookie_header="session=v1.a.b.c")
    assert (rejected.state, rejected.rejection, rejected.session) == ("REJECTED", "MALFORMED", None)
    assert admin.explain(cookie_header="other=1") == []


def test_errors_are_those_of_the_client(service):
    admin_address = f"127.0.0.1:{service.admin_port}"
    with pytest.raises(NotInCookieKind):
        AdminClient(admin_address, app="signed").list_subject("ada")
    with pytest.raises(SessionRefused, match="no app of that name"):
        AdminClient(admin_address, app="nothing").stats()
    with pytest.raises(SessionRefused, match="AdminService has the address of `listen` in"):
        AdminClient(service.address, app="shop").stats()
    with pytest.raises(SessionUnavailable):
        AdminClient(f"127.0.0.1:{free_port()}", deadline=0.2).stats()


def test_it_works_by_grpc_too(service):
    admin = AdminClient(GrpcTransport(f"127.0.0.1:{service.admin_port}"), app="shop")
    _, session_id = log_in(make_app(service.address), "grace")
    assert [device.id for device in admin.list_subject("grace")] == [session_id]
