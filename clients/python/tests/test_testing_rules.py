"""Rules of the service that random calls rarely meet, at the service and in memory."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from service import Service

from cloakroom import ConnectTransport, methods
from cloakroom.messages import session_service_pb2 as pb
from cloakroom.testing import App, MemoryTransport
from cloakroom.transport import CallFailed

APPS = '[apps.shop]\nkeys = ["{key}"]\nmax_sessions_per_subject = 2\n[apps.plain]\nkeys = ["{key}"]\n'


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with Service.start(tmp_path_factory.mktemp("rules"), APPS) as service:
        yield service.address


@pytest.fixture(params=["the service", "in memory"])
def transport(request, address):
    if request.param == "in memory":
        return MemoryTransport(App("shop", max_sessions_per_subject=2), App("plain"))
    return ConnectTransport(address)


def save(transport, app="plain", token=None, header="", **fields):
    """Saves, in a later millisecond than the call before."""
    began = int(time.time() * 1000)
    while int(time.time() * 1000) == began:
        time.sleep(0.0002)
    credential = {"token": token} if token else {"cookie_header": header}
    changes = pb.Changes(set={"a": pb.Value(json="1")}, **fields.pop("changes", {}))
    return transport.call(methods.SAVE, pb.SaveSessionRequest(app=app, changes=changes, **credential, **fields), 5)


def open_session(transport, header, app="plain"):
    return transport.call(methods.OPEN, pb.OpenSessionRequest(app=app, cookie_header=header), 5)


def rotate(transport, token, cause=pb.ROTATION_CAUSE_RENEWAL):
    return transport.call(methods.ROTATE, pb.RotateSessionRequest(app="plain", token=token, cause=cause), 5)


def destroy(transport, token):
    return transport.call(methods.DESTROY, pb.DestroySessionRequest(app="plain", token=token), 5)


def sets_cookie(headers):
    return any(header.name == "Set-Cookie" for header in headers)


def new_token(transport):
    return save(transport).session.token


def test_the_session_that_authenticated_longest_ago_is_evicted(transport):
    tokens = [save(transport, "shop", changes={"subject": "ada"}).session.token for _ in range(2)]
    # The older session authenticates again, so the other one is evicted.
    again = save(transport, "shop", tokens[0], changes={"authenticated": True}).session.token
    save(transport, "shop", changes={"subject": "ada"})
    assert not open_session(transport, f"session={again}", "shop").session.new
    evicted = save(transport, "shop", tokens[1])
    assert (evicted.outcome, evicted.end_reason) == (pb.OUTCOME_GONE, pb.END_REASON_EVICTED)


def test_a_token_that_was_current_at_a_rotation_by_an_older_one_ends_the_session(transport):
    old = new_token(transport)
    between = rotate(transport, old).session.token
    newest = save(transport, token=old, rotate=True).session.token
    assert len({old, between, newest}) == 3
    assert open_session(transport, f"session={between}").session.new
    assert destroy(transport, between).outcome == pb.OUTCOME_DELETED
    assert open_session(transport, f"session={newest}").session.new


def test_an_older_token_ends_nothing(transport):
    old = new_token(transport)
    newest = old
    for _ in range(3):
        newest = save(transport, token=newest, rotate=True).session.token
    gone = destroy(transport, old)
    assert (gone.outcome, gone.end_reason, list(gone.headers)) == (pb.OUTCOME_GONE, pb.END_REASON_SUPERSEDED, [])
    assert not open_session(transport, f"session={newest}").session.new


def test_a_renewal_of_a_recovery_session_may_not_replace_the_cookie_of_a_login(transport):
    old = new_token(transport)
    save(transport, token=old, rotate=True)
    recovery = open_session(transport, f"session={old}").session.token
    save(transport, token=recovery)
    renewed = rotate(transport, open_session(transport, f"session={old}").session.token)
    assert (renewed.outcome, renewed.session.token, list(renewed.headers)) == (pb.OUTCOME_UNCHANGED, "", [])


def test_a_login_in_a_recovery_session_leads_the_old_cookie_to_the_next_one(transport):
    old = new_token(transport)
    save(transport, token=old, rotate=True)
    ids = []
    for _ in range(3):
        opened = open_session(transport, f"session={old}")
        ids.append(opened.session.id)
        assert (opened.session.new, sets_cookie(opened.read_headers)) == (True, False)
        login = save(transport, token=opened.session.token, changes={"subject": "ada"})
        assert (login.outcome, sets_cookie(login.headers)) == (pb.OUTCOME_CREATED, True)
    assert len(set(ids)) == 3


def test_two_requests_renew_to_the_same_token(transport):
    old = new_token(transport)
    first, second = rotate(transport, old).session.token, rotate(transport, old).session.token
    assert first == second
    assert open_session(transport, f"session={old}").cookie_outdated


def test_two_live_sessions_are_both_ended_by_a_login(transport):
    header = "; ".join(f"session={new_token(transport)}" for _ in range(2))
    assert open_session(transport, header).session.null_session.reason == "COOKIES_AMBIGUOUS"
    with pytest.raises(CallFailed, match="two live sessions"):
        save(transport, header=header)
    assert save(transport, header=header, changes={"subject": "ada"}).outcome == pb.OUTCOME_CREATED
    assert open_session(transport, header).session.new


def test_only_eight_cookies_of_the_name_are_read(transport):
    token = new_token(transport)
    for count, is_new in ((7, False), (8, True)):
        header = "session=x; " * count + f"session={token}"
        assert open_session(transport, header).session.new is is_new


def test_entries_of_one_user_are_not_those_of_the_next(transport):
    token = save(transport, changes={"subject": "ada", "increment": {"n": 1}}).session.token
    token = save(transport, token=token, changes={"subject": "bob"}).session.token
    assert list(open_session(transport, f"session={token}").session.entries) == ["a"]


def test_a_save_by_cookie_header_is_gone_if_its_session_has_ended_since_its_request_began(transport):
    header = f"session={new_token(transport)}"
    login = save(transport, header=header, changes={"subject": "ada"})
    minute = timedelta(minutes=1)

    overtaken = save(transport, header=header, request_age=minute)
    unmodified = pb.SaveSessionRequest(app="plain", cookie_header=header, request_age=minute)
    overtaken_too = transport.call(methods.SAVE, unmodified, 5)
    later, without_age = save(transport, header=header, request_age=timedelta()), save(transport, header=header)
    of_login = save(transport, header=f"session={login.session.token}", request_age=minute)

    gone = pb.OUTCOME_GONE, pb.END_REASON_SUPERSEDED, []
    assert [(each.outcome, each.end_reason, list(each.headers)) for each in (overtaken, overtaken_too)] == [gone, gone]
    assert [each.outcome for each in (later, without_age)] == [pb.OUTCOME_CREATED, pb.OUTCOME_UPDATED]
    assert of_login.outcome == pb.OUTCOME_UPDATED


@pytest.mark.parametrize("seconds", [-1, 315_576_000_001])
def test_an_age_that_no_request_can_have_is_refused(transport, seconds):
    request = pb.SaveSessionRequest(app="plain", cookie_header="")
    request.request_age.seconds = seconds
    with pytest.raises(CallFailed) as failed:
        transport.call(methods.SAVE, request, 5)
    assert failed.value.reason == "REQUEST_AGE_INVALID"
