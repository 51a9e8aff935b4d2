"""Flask's session interface: what Flask documents, and what Cloakroom adds, against a real service."""

from __future__ import annotations

import collections.abc
import copy
import datetime
import decimal
import json
import logging
import math
import warnings

import flask
import pytest
from flask import Flask, flash, get_flashed_messages, session
from flask.sessions import NullSession, SecureCookieSessionInterface
from flask_app import VALUES, make_app, request, session_entries, set_entries
from markupsafe import Markup
from recording_transport import RecordingTransport
from werkzeug.middleware.proxy_fix import ProxyFix

from cloakroom import SessionGone, SessionRefused
from cloakroom.flask import CloakroomSessionInterface, session_gone
from cloakroom.messages import session_service_pb2 as pb


@pytest.fixture
def transport(service):
    return RecordingTransport(service.address)


@pytest.fixture
def app(transport):
    return make_app(transport)


def saved_names(transport):
    """Returns the names of the entries that the last save set, and of those that it removed."""
    changes = transport.requests[-1].changes
    return sorted(changes.set), sorted(changes.unset)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_with_its_type(app, value):
    client = app.test_client()
    set_entries(app, client, value=value)
    result = session_entries(app, client)["value"]
    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_cannot_express_comes_back(app, value):
    client = app.test_client()
    set_entries(app, client, value=[value])
    assert repr(session_entries(app, client)["value"]) == repr([value])


def test_values_that_flask_converts_are_converted_the_same_way(app):
    client = app.test_client()
    set_entries(app, client, price=decimal.Decimal("1.10"), day=datetime.date(2023, 1, 2), keys={1: "one"})
    expected = {"price": "1.10", "day": "Mon, 02 Jan 2023 00:00:00 GMT", "keys": {"1": "one"}}
    assert session_entries(app, client) == expected


def test_a_value_without_tags_is_stored_as_plain_json(app, transport):
    client = app.test_client()
    set_entries(app, client, cart=[1, "a"], name="ada", tuple=(1,))
    values = {name: value.json for name, value in transport.requests[-1].changes.set.items()}
    assert values == {"cart": '[1,"a"]', "name": '"ada"', "tuple": '{" t":[1]}'}


def test_a_value_that_cannot_be_serialized_raises_and_nothing_is_saved(app):
    client = app.test_client()
    with pytest.raises(TypeError, match="not JSON serializable"):
        set_entries(app, client, a=1, b={1, 2})
    assert session_entries(app, client) == {}


def test_a_tag_of_the_application_is_used(app):
    class Point(tuple):
        pass

    class TagPoint(flask.json.tag.JSONTag):
        key = " p"

        def check(self, value):
            return isinstance(value, Point)

        def to_json(self, value):
            return list(value)

        def to_python(self, value):
            return Point(value)

    app.session_interface.serializer.register(TagPoint, index=0)
    client = app.test_client()
    set_entries(app, client, at=Point([1, 2]))
    assert type(session_entries(app, client)["at"]) is Point


def test_a_save_sends_only_the_changed_entries(app, transport):
    client = app.test_client()
    set_entries(app, client, a=1, b=[1], c=3)

    def work():
        session["a"] = 2
        session.pop("c")
        return session["b"]

    request(app, client, work)
    assert saved_names(transport) == (["a"], ["c"])


def test_a_change_inside_a_value_is_saved(app, transport):
    client = app.test_client()
    set_entries(app, client, cart={"items": []}, other=[1])
    request(app, client, lambda: (session["cart"]["items"].append(7), session["other"]))
    assert saved_names(transport) == (["cart"], [])
    assert session_entries(app, client)["cart"] == {"items": [7]}


def test_a_reverted_change_inside_a_value_is_not_saved(app, transport):
    client = app.test_client()
    set_entries(app, client, cart=[1])
    transport.take_calls()
    request(app, client, lambda: (session["cart"].append(2), session["cart"].pop()))
    assert transport.take_calls() == ["OpenSession"]


def test_concurrent_requests_that_write_different_entries_lose_nothing(app):
    client, other = app.test_client(), app.test_client()
    set_entries(app, client, a=1)
    other.set_cookie("session", client.get_cookie("session").value)

    def work():
        session["a"]
        write_from_other()
        session["mine"] = 1

    def write_from_other():
        with other.session_transaction() as theirs:
            theirs["theirs"] = 2

    request(app, client, work)
    assert session_entries(app, client) == {"a": 1, "mine": 1, "theirs": 2}


def test_a_session_behaves_as_a_dict(app):
    client = app.test_client()
    set_entries(app, client, b=2, a=1)

    def work():
        assert list(session) == ["a", "b"]
        assert len(session) == 2
        assert "a" in session
        assert "z" not in session
        assert session == {"a": 1, "b": 2}
        assert session.copy() == {"a": 1, "b": 2}
        assert type(session.copy()) is dict
        assert session.get("z", 5) == 5
        with pytest.raises(KeyError):
            session["z"]
        with pytest.raises(KeyError):
            del session["z"]
        with pytest.raises(KeyError):
            session.pop("z")
        assert session.pop("z", None) is None
        assert session.setdefault("a", 9) == 1
        assert not session.modified
        assert session.setdefault("c", 3) == 3
        assert session.modified
        assert session.popitem() == ("c", 3)
        assert session | {"d": 4} == {"a": 1, "b": 2, "d": 4}
        del session["a"]
        assert "a" not in session
        session.update(a=7)
        return list(session)

    assert request(app, client, work).result == ["b", "a"]
    assert session_entries(app, client) == {"a": 7, "b": 2}


@pytest.mark.parametrize(
    "work",
    [
        lambda: session.update({}),
        lambda: session.clear(),
        lambda: session.update(a=1),
        lambda: session.__setitem__("a", 1),
        lambda: setattr(session, "permanent", False),
        lambda: setattr(session, "modified", True),
        lambda: session.increment("n"),
    ],
)
def test_every_write_sets_modified(app, work):
    client = app.test_client()
    set_entries(app, client, a=1)
    assert request(app, client, lambda: (work(), session.modified)).result[1]


def test_a_session_with_modified_set_to_false_is_not_saved(app, transport):
    client = app.test_client()
    set_entries(app, client, a=1)
    transport.take_calls()

    def work():
        session["a"] = 2
        session.modified = False

    request(app, client, work)
    assert transport.take_calls() == []
    assert session_entries(app, client) == {"a": 1}


def test_a_written_key_is_read_without_a_call(app, transport):
    client = app.test_client()
    set_entries(app, client, a=1)
    transport.take_calls()

    def work():
        session["a"] = 2
        seen = session["a"], "a" in session, session.pop("a"), session.pop("a", None)
        session.clear()
        return seen, dict(session), len(session), bool(session)

    result = request(app, client, work).result
    assert result == ((2, True, 2, None), {}, 0, False)
    assert transport.take_calls() == ["SaveSession"]


def test_a_deletion_opens_the_session_and_raises_for_a_missing_key(app, transport):
    client = app.test_client()
    set_entries(app, client, a=1, b=2)
    transport.take_calls()

    def work():
        del session["a"]
        with pytest.raises(KeyError):
            del session["a"]

    request(app, client, work)
    assert transport.take_calls() == ["OpenSession", "SaveSession"]
    assert session_entries(app, client) == {"b": 2}


def test_a_session_cannot_be_pickled(app):
    import pickle

    with app.test_request_context(), pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(session._get_current_object())


@pytest.mark.parametrize("copy", [copy.copy, copy.deepcopy, lambda value: value.copy(), dict])
def test_a_copy_of_a_session_is_a_dict(app, copy):
    with app.test_request_context():
        session["cart"] = [1]
        copied = copy(session)
        copied["more"] = 2
        assert (type(copied), copied) == (dict, {"cart": [1], "more": 2})
        assert session == {"cart": [1]}
        assert json.dumps(copy(session)) == '{"cart": [1]}'


def test_a_deep_copy_shares_no_value_with_the_session(app):
    with app.test_request_context():
        session["cart"] = [1]
        copy.deepcopy(session)["cart"].append(2)
        copy.copy(session)["cart"].append(3)
        assert session["cart"] == [1, 3]


def test_a_session_is_a_mapping_and_no_dict(app):
    with app.test_request_context():
        session["a"] = 1
        assert isinstance(session, collections.abc.MutableMapping)
        assert not isinstance(session, dict)
        with pytest.raises(TypeError, match="not JSON serializable"):
            json.dumps(session)


def test_flashed_messages_are_shown_once(app):
    client = app.test_client()
    request(app, client, lambda: (flash("saved", "info"), flash(Markup("<b>really</b>"))))

    def read():
        return get_flashed_messages(with_categories=True)

    assert request(app, client, read).result == [("info", "saved"), ("message", Markup("<b>really</b>"))]
    assert request(app, client, read).result == []


def test_a_permanent_session_has_an_expiry(app):
    client = app.test_client()
    response = request(app, client, lambda: (setattr(session, "permanent", True), session.update(a=1)))
    assert "Expires=" in response.headers["Set-Cookie"]
    kept = request(app, client, lambda: (session.permanent, dict(session))).result
    assert kept == (True, {"_permanent": True, "a": 1})


def test_permanent_alone_stores_no_session(app, service):
    app.before_request(lambda: setattr(session, "permanent", True))
    before = service.sessions("stats", "--app", "shop")[0]["created"]
    for path in ["/", "/missing"] * 5:
        response = app.test_client().get(path)
        assert "Set-Cookie" not in response.headers
    assert service.sessions("stats", "--app", "shop")[0]["created"] == before


def test_a_save_sends_the_applications_lifetime(app, service):
    app.permanent_session_lifetime = datetime.timedelta(hours=2)
    client = app.test_client()
    session_id = request(app, client, lambda: (session.update(a=1), session.id)).result[1]
    [shown] = service.sessions("show", "--app", "shop", session_id)
    # Python before 3.11 cannot parse the Z of RFC 3339.
    times = [datetime.datetime.fromisoformat(shown[name][:-1]) for name in ("access_time", "expire_time")]
    assert times[1] - times[0] == datetime.timedelta(hours=2)


def test_a_lifetime_over_the_services_idle_timeout_warns_once(service):
    app = make_app(service.address, "brief")
    client = app.test_client()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        set_entries(app, client, a=1)
        session_entries(app, client)
    assert ["PERMANENT_SESSION_LIFETIME" in str(warning.message) for warning in caught].count(True) == 1


@pytest.mark.parametrize(
    "lifetime", [datetime.timedelta(0), datetime.timedelta(days=-1), datetime.timedelta(milliseconds=1)]
)
@pytest.mark.parametrize("permanent", [True, False])
def test_a_lifetime_under_a_second_warns_and_sessions_live_for_a_second(app, lifetime, permanent):
    app.permanent_session_lifetime = lifetime
    client = app.test_client()
    with pytest.warns(UserWarning, match="PERMANENT_SESSION_LIFETIME"):
        response = request(app, client, lambda: session.update(a=1, _permanent=permanent))
    assert response.status_code == 200
    assert app.session_interface.client.transport.requests[-1].changes.idle_timeout.ToTimedelta().total_seconds() == 1


HOSTILE_HEADERS = {
    "a lone surrogate": "a=\ud800; b=\udcff",
    "letters beyond Latin-1": "a=\u20ac\U0001f600",
    "letters beyond ASCII": "é" * 500,
    "control characters": "a=\0\x01\x1b[2J\x7f",
    "separators only": ";=;,==;;",
    "a very long text": "x" * 3_000_000,
    "many cookies": "; ".join(["session=v1.a.b.c"] * 200_000),
}


@pytest.mark.parametrize("variable", ["HTTP_COOKIE", "HTTP_USER_AGENT", "REMOTE_ADDR", "HTTP_X_FORWARDED_FOR"])
@pytest.mark.parametrize("text", HOSTILE_HEADERS.values(), ids=HOSTILE_HEADERS)
@pytest.mark.parametrize("name", ["shop", "signed"])
def test_no_header_makes_a_request_fail(service, name, variable, text):
    app = make_app(service.address, name)
    app.wsgi_app = ProxyFix(app.wsgi_app)
    app.add_url_rule("/use", "use", lambda: repr((session.get("a"), session.update(a=1), session["a"])))
    client = app.test_client(use_cookies=False)
    response = client.get("/use", environ_overrides={variable: text})
    assert (response.status_code, response.text) == (200, "(None, None, 1)")
    assert "session=" in response.headers["Set-Cookie"]


def test_a_cookie_before_the_limit_of_the_header_opens_its_session(app):
    app.add_url_rule("/a", "a", lambda: repr(session.get("a")))
    client = app.test_client()
    set_entries(app, client, a=1)
    header = f"session={client.get_cookie('session').value}; " + "x=y; " * 1_000_000
    response = app.test_client(use_cookies=False).get("/a", environ_overrides={"HTTP_COOKIE": header})
    assert response.text == "1"


@pytest.mark.parametrize("joined", ["theme=dark,{}", "{},theme=dark"])
@pytest.mark.parametrize("is_stock", [True, False], ids=["Flask", "Cloakroom"])
def test_cookie_lines_joined_by_a_comma_hide_the_session_as_in_flask(app, is_stock, joined):
    if is_stock:
        app.secret_key, app.session_interface = "secret-key", SecureCookieSessionInterface()
    app.add_url_rule("/a", "a", lambda: repr(session.get("a")))
    client = app.test_client()
    set_entries(app, client, a=1)
    cookie = f"session={client.get_cookie('session').value}"
    headers = [cookie, joined.format(cookie)]
    other = app.test_client(use_cookies=False)
    texts = [other.get("/a", environ_overrides={"HTTP_COOKIE": header}).text for header in headers]
    assert texts == ["1", "None"]


def test_session_transactions_work(app):
    client = app.test_client()
    with client.session_transaction() as opened:
        opened["a"] = 1
    assert session_entries(app, client) == {"a": 1}
    with client.session_transaction() as opened:
        assert opened["a"] == 1
        del opened["a"]
    assert client.get_cookie("session") is None


def test_an_app_without_a_key_has_null_sessions(service):
    app = make_app(service.address, "keyless")

    def work():
        assert isinstance(session._get_current_object(), NullSession)
        assert not session.get("a")
        with pytest.raises(RuntimeError, match=r"The session is unavailable because no secret key was set\.  Set the"):
            session["a"] = 1

    assert "Set-Cookie" not in request(app, app.test_client(), work).headers


def test_a_reason_that_only_a_newer_service_knows_is_a_number(app, transport):
    client = app.test_client()
    set_entries(app, client, a=1)
    gone = pb.SaveSessionResponse(outcome=pb.OUTCOME_GONE)
    gone.MergeFromString(b"\x10\x63")
    transport.instead["SaveSession"] = lambda method, request, timeout: gone
    reasons = []
    app.session_interface.on_gone = lambda app, session, reason, response: reasons.append(reason)
    set_entries(app, client, a=2)
    assert reasons == ["99"]


def two_cookies(app):
    """Returns a Cookie header with the cookies of two live sessions."""
    cookies = []
    for _ in range(2):
        client = app.test_client()
        set_entries(app, client, a=1)
        cookies.append("session=" + client.get_cookie("session").value)
    return "; ".join(cookies)


def test_cookies_of_two_live_sessions_give_a_null_session(app):
    cookies, client = two_cookies(app), app.test_client(use_cookies=False)

    def work():
        assert dict(session) == {}
        with pytest.raises(SessionRefused, match="two"):
            session["a"] = 2

    app.view_functions["view"] = lambda: (work(), "ok")[1]
    response = client.get("/", headers={"Cookie": cookies})
    assert (response.status_code, response.headers.get("Set-Cookie")) == (200, None)


@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("name", ["write", "increment", "permanent", "pop"])
def test_a_write_with_the_cookies_of_two_live_sessions_is_a_400(app, name, is_read):
    app.testing = False
    writes = {
        "write": lambda: session.update(a=2),
        "increment": lambda: session.increment("a"),
        "permanent": lambda: setattr(session, "permanent", True),
        "pop": lambda: session.pop("a", None),
    }
    app.view_functions["view"] = lambda: (is_read and dict(session), writes[name](), "ok")[-1]
    response = app.test_client(use_cookies=False).get("/", headers={"Cookie": two_cookies(app)})
    assert (response.status_code, response.headers.get("Set-Cookie")) == (400, None)
    assert b"two live sessions" in response.data


@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("name", ["clear", "clear and write", "subject", "subject key", "destroy"])
def test_the_cookies_of_two_live_sessions_have_a_way_out(service, name, is_read):
    app = make_app(service.address, "login")
    ways = {
        "clear": lambda: session.clear(),
        "clear and write": lambda: (session.clear(), session.update(a=2)),
        "subject": lambda: (setattr(session, "subject", "anna"), session.update(a=2)),
        "subject key": lambda: session.update(_user_id="anna", _fresh=True),
        "destroy": lambda: session.destroy(),
    }
    cookies = two_cookies(app)
    app.view_functions["view"] = lambda: (is_read and dict(session), ways[name](), "ok")[-1]
    response = app.test_client(use_cookies=False).get("/", headers={"Cookie": cookies})
    assert (response.status_code, len(response.headers.getlist("Set-Cookie"))) == (200, 1)
    header = cookies + "; " + response.headers["Set-Cookie"].partition(";")[0]
    results = []
    app.view_functions["view"] = lambda: (results.append(dict(session)), session.update(b=1), "ok")[-1]
    assert app.test_client(use_cookies=False).get("/", headers={"Cookie": header}).status_code == 200
    assert "a" not in results[0] or results[0]["a"] == 2


def test_a_forged_cookie_gives_an_empty_session(app):
    client = app.test_client()
    client.set_cookie("session", "v1.nonsense")
    response = request(app, client, lambda: dict(session))
    assert (response.result, response.headers.get("Set-Cookie")) == ({}, None)


def test_overridden_cookie_settings_are_honoured(transport):
    class Named(CloakroomSessionInterface):
        def get_cookie_name(self, app):
            return "tenant_" + flask.request.headers.get("Tenant", "none")

        def get_cookie_path(self, app):
            return "/deep"

        def get_cookie_samesite(self, app):
            return "Strict"

        def get_cookie_httponly(self, app):
            return False

        def get_expiration_time(self, app, session):
            return datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)

    app = Flask(__name__)
    app.session_interface = Named(transport, app="shop")
    app.add_url_rule("/deep/", "deep", lambda: str(session.setdefault("a", flask.request.headers["Tenant"])))
    client = app.test_client()
    response = client.get("/deep/", headers={"Tenant": "one"})
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("tenant_one=v1.")
    assert cookie.endswith("; Expires=Tue, 01 Jan 2030 00:00:00 GMT; Path=/deep; SameSite=Strict")
    assert client.get("/deep/", headers={"Tenant": "two"}).text == "two"
    assert client.get("/deep/", headers={"Tenant": "one"}).text == "one"


def test_should_set_cookie_can_be_overridden(service):
    class Cookieless(CloakroomSessionInterface):
        def should_set_cookie(self, app, session):
            return False

    app = Flask(__name__)
    app.session_interface = Cookieless(service.address, app="shop")
    assert "Set-Cookie" not in set_entries(app, app.test_client(), a=1).headers


def test_an_untouched_permanent_session_can_be_refreshed_as_in_flask(service):
    transport = RecordingTransport(service.address)
    app = make_app(transport, refresh_untouched=True)
    client = app.test_client()
    request(app, client, lambda: session.update(a=1, _permanent=True))
    transport.take_calls()
    response = request(app, client, lambda: None)
    assert "Expires=" in response.headers["Set-Cookie"]
    assert response.headers["Vary"] == "Cookie"
    assert transport.take_calls() == ["OpenSession"]
    request(app, app.test_client(), lambda: None)
    assert transport.take_calls() == []


def test_a_login_replaces_the_token_and_keeps_the_id(app):
    client = app.test_client()
    before = request(app, client, lambda: (session.update(cart=[1]), session.id)).result[1]
    old = client.get_cookie("session").value

    def login():
        session.subject = "ada"
        return session.subject

    assert request(app, client, login).result == "ada"
    assert client.get_cookie("session").value != old
    assert request(app, client, lambda: (session.id, session.subject, session["cart"])).result == (before, "ada", [1])
    stale = app.test_client()
    stale.set_cookie("session", old)
    assert session_entries(app, stale) == {}


@pytest.mark.parametrize("name", ["shop", "login"])
def test_what_one_user_left_is_not_seen_after_the_login_of_another(service, name):
    app = make_app(service.address, name)
    client = app.test_client()

    def log_in(user):
        if name == "login":
            session["_user_id"] = user
        else:
            session.subject = user

    def change():
        assert session["cart"] == [1]
        log_in("bob")
        session["own"] = True
        session.save()
        return "cart" in session, sorted(session), session.permanent

    def begin():
        log_in("alice")
        session["cart"] = [1]

    request(app, client, begin)

    entries = ["_user_id", "own"] if name == "login" else ["own"]
    assert request(app, client, change).result == (False, entries, False)
    assert sorted(session_entries(app, client)) == entries


def test_what_one_user_left_is_not_seen_once_another_is_named(service):
    app = make_app(service.address)
    client = app.test_client()
    request(app, client, lambda: (setattr(session, "subject", "alice"), session.update(cart=[1])))

    def change():
        session["cart"].append(2)
        session["before"] = 1
        session.subject = "bob"
        return session.get("cart"), list(session)

    assert request(app, client, change).result == (None, ["before"])
    assert session_entries(app, client) == {"before": 1}


def test_what_one_user_left_is_not_seen_by_the_login_of_another_who_has_not_looked_at_it(service):
    app = make_app(service.address)
    client = app.test_client()
    request(app, client, lambda: (setattr(session, "subject", "alice"), session.update(cart=[1])))

    def change():
        session.subject = "bob"
        session["own"] = True
        return session.get("cart"), list(session)

    assert request(app, client, change).result == (None, ["own"])


def test_what_a_user_left_is_seen_again_if_the_login_of_another_is_taken_back(service):
    app = make_app(service.address)
    client = app.test_client()
    request(app, client, lambda: (setattr(session, "subject", "alice"), session.update(cart=[1])))

    def change():
        assert session["cart"] == [1]
        session.subject = "bob"
        session.subject = "alice"
        session.setdefault("cart", [])

    request(app, client, change)
    assert session_entries(app, client) == {"cart": [1]}


def test_what_an_ended_session_had_is_not_seen_after_the_login_that_begins_another_one(service):
    app = make_app(service.address)
    client = app.test_client()
    request(app, client, lambda: session.update(cart=[1]))
    cookie = client.get_cookie("session").value

    def change():
        assert session["cart"] == [1]
        with app.test_request_context(headers={"Cookie": f"session={cookie}"}) as ctx:
            ended = app.session_interface.open_session(app, ctx.request)
            ended.destroy()
        session.subject = "ada"
        session["own"] = True
        session.increment("visits", 2)
        session.save()
        return sorted(session), session["visits"]

    assert request(app, client, change).result == (["own", "visits"], 2)


def test_a_rotation_alone_replaces_the_token(app):
    client = app.test_client()
    set_entries(app, client, a=1)
    old = client.get_cookie("session").value
    request(app, client, lambda: session.rotate())
    assert client.get_cookie("session").value != old
    assert session_entries(app, client) == {"a": 1}


def test_a_destroyed_session_has_ended_for_every_browser_and_its_cookie_is_deleted(app):
    client, other = app.test_client(), app.test_client()
    set_entries(app, client, a=1)
    other.set_cookie("session", client.get_cookie("session").value)
    response = request(app, client, lambda: (session.destroy(), dict(session)))
    assert response.result == (None, {})
    assert response.headers["Set-Cookie"].startswith("session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0;")
    assert session_entries(app, other) == {}


def test_a_write_after_destroy_starts_another_session(app):
    client = app.test_client()
    first = request(app, client, lambda: (session.update(a=1), session.id)).result[1]
    request(app, client, lambda: (session.destroy(), flash("You have logged out.")))
    assert request(app, client, lambda: get_flashed_messages()).result == ["You have logged out."]
    request(app, client, lambda: session.update(b=1))
    assert request(app, client, lambda: session.id).result != first


def test_a_counter_loses_no_count(app):
    client = app.test_client()
    request(app, client, lambda: session.increment("visits"))
    request(app, client, lambda: session.increment("visits", 4))
    assert request(app, client, lambda: (session.increment("visits"), session["visits"])).result == (None, 6)
    assert session_entries(app, client) == {"visits": 6}


def test_recently_authenticated_is_true_after_a_login(service):
    app = make_app(service.address, max_authenticate_age=datetime.timedelta(minutes=5))
    client = app.test_client()
    set_entries(app, client, a=1)
    assert not request(app, client, lambda: session.recently_authenticated).result
    request(app, client, lambda: setattr(session, "subject", "ada"))
    assert request(app, client, lambda: session.recently_authenticated).result
    request(app, client, lambda: session.authenticated())
    assert request(app, client, lambda: session.authenticate_time).result is not None


def test_a_rejected_save_raises_with_the_services_reason(app):
    client = app.test_client()
    with pytest.raises(SessionRefused, match="bytes") as refused:
        set_entries(app, client, a="x" * 70000)
    assert refused.value.reason == "SESSION_TOO_LARGE"


def write_after_concurrent_logout(app, client, then=lambda: None):
    """Sends a request that reads its session, and writes it after another request has ended it."""
    other = app.test_client()
    other.set_cookie("session", client.get_cookie("session").value)

    def work():
        session["a"]
        with app.test_request_context(
            environ_overrides={"HTTP_COOKIE": f"session={other.get_cookie('session').value}"}
        ):
            session.destroy()
        session["b"] = 2
        then()

    return request(app, client, work)


def test_a_save_after_a_logout_writes_nothing_and_sends_a_signal(app, caplog):
    client = app.test_client()
    set_entries(app, client, a=1)
    signals = []

    def listener(sender, session, reason):
        signals.append((sender, reason))

    with session_gone.connected_to(listener), caplog.at_level(logging.WARNING):
        response = write_after_concurrent_logout(app, client)
    assert (response.status_code, response.headers.get("Set-Cookie")) == (200, None)
    assert signals == [(app, "DESTROYED")]
    assert "DESTROYED" in caplog.text
    assert session_entries(app, client) == {}


@pytest.mark.parametrize(("reads_gone", "reasons"), [(False, ["DESTROYED"]), (True, [])])
def test_an_end_that_a_save_of_the_view_has_met_is_reported_once_unless_the_view_has_read_it(app, reads_gone, reasons):
    client = app.test_client()
    set_entries(app, client, a=1)
    reported = []

    def save():
        assert session.gone is None
        session.save()
        assert not reads_gone or session.gone == "DESTROYED"
        session["c"] = 3

    def listener(sender, session, reason):
        reported.append(reason)

    with session_gone.connected_to(listener):
        write_after_concurrent_logout(app, client, save)

    assert reported == reasons


def test_an_application_can_fail_a_request_whose_session_is_gone(service):
    class Strict(CloakroomSessionInterface):
        def on_gone(self, app, session, reason, response):
            raise SessionGone(reason)

    app = Flask(__name__)
    app.session_interface = Strict(service.address, app="shop")
    client = app.test_client()
    set_entries(app, client, a=1)
    assert write_after_concurrent_logout(app, client).status_code == 500


@pytest.mark.parametrize("name", ["shop", "login"])
def test_a_login_with_a_superseded_cookie_starts_a_new_session(service, name):
    app = make_app(service.address, name)
    client = app.test_client()

    def login():
        session.get("a")
        session["_user_id"] = "ada"
        if name == "shop":
            session.subject = "ada"

    set_entries(app, client, a=1)
    stale = client.get_cookie("session").value
    request(app, client, login)
    # The browser still has the old cookie, as after a lost response.
    client.set_cookie("session", stale)
    assert session_entries(app, client) == {}
    request(app, client, login)
    assert session_entries(app, client) == {"_user_id": "ada"}


def test_changes_of_a_view_that_fails_later_are_saved(app):
    app.testing = False
    client = app.test_client()
    assert request(app, client, lambda: (session.update(a=1), 1 / 0)).status_code == 500
    assert session_entries(app, client) == {"a": 1}


def test_save_session_accepts_none(app):
    with app.test_request_context():
        app.session_interface.save_session(app, None, app.response_class())


def test_a_streamed_body_can_save_the_session(app):
    client = app.test_client()
    set_entries(app, client, a=1)

    def stream():
        def body():
            session["b"] = 2
            session.save()
            yield "done"

        return app.response_class(flask.stream_with_context(body()))

    app.view_functions["view"] = stream
    assert client.get("/").text == "done"
    assert session_entries(app, client) == {"a": 1, "b": 2}
