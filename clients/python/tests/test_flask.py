"""What Flask's documentation says of sessions, and what Cloakroom adds to it, through the real service."""

from __future__ import annotations

import datetime
import decimal
import logging
import math
import uuid
import warnings

import flask
import pytest
from counting import Counting
from flask import Flask, flash, get_flashed_messages, session
from flask.sessions import NullSession
from markupsafe import Markup

from cloakroom import SessionGone, SessionRefused
from cloakroom.flask import CloakroomSessionInterface, session_gone


@pytest.fixture
def transport(service):
    return Counting(service.address)


@pytest.fixture
def app(transport):
    return make_app(transport)


def make_app(service, name="shop", **settings):
    app = Flask(__name__)
    app.testing = True
    app.session_interface = CloakroomSessionInterface(service, app=name, **settings)
    return app


def visit(app, client, work):
    """One request, in which `work` is done with the session; answers the response, and what `work` answered in it."""
    answers = []
    app.view_functions["visit"] = lambda: (answers.append(work()), "ok")[1]
    if "visit" not in {rule.endpoint for rule in app.url_map.iter_rules()}:
        app.add_url_rule("/", "visit")
    response = client.get("/")
    response.answer = answers[-1] if answers else None
    return response


def has(app, client):
    return visit(app, client, lambda: dict(session)).answer


def put(app, client, **entries):
    return visit(app, client, lambda: session.update(entries))


def entries(transport):
    """What the last save sent: the names that it set, and those that it removed."""
    changes = transport.requests[-1].changes
    return sorted(changes.set), sorted(changes.unset)


VALUES = [
    None,
    True,
    0,
    -1,
    2**70,
    1e16,
    1e-05,
    -0.0,
    "",
    "é \u2028 \U0001f600 </script>",
    [1, [2, {"a": None}]],
    {"a": {"b": [1]}},
    (1, "x", (2,)),
    [(1, 2), (3,)],
    b"\xff\x00\xfe",
    Markup("<b>bold</b>"),
    uuid.UUID("12345678123456781234567812345678"),
    datetime.datetime(2023, 11, 14, 20, 13, 20, tzinfo=datetime.timezone.utc),
    {" t": [1]},
    {" f": "NaN"},
    {" t__": 1},
    {" z": 1},
    {" t": 1, "b": 2},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_with_its_type(app, value):
    client = app.test_client()
    put(app, client, value=value)
    answer = has(app, client)["value"]
    assert (answer, type(answer)) == (value, type(value))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_lacks_comes_back(app, value):
    client = app.test_client()
    put(app, client, value=[value])
    assert repr(has(app, client)["value"]) == repr([value])


def test_lossy_values_are_lossy_as_in_flask(app):
    client = app.test_client()
    put(app, client, price=decimal.Decimal("1.10"), day=datetime.date(2023, 1, 2), keys={1: "one"})
    assert has(app, client) == {"price": "1.10", "day": "Mon, 02 Jan 2023 00:00:00 GMT", "keys": {"1": "one"}}


def test_a_plain_value_is_plain_json_for_others(app, transport):
    client = app.test_client()
    put(app, client, cart=[1, "a"], name="ada", tuple=(1,))
    values = {name: value.json for name, value in transport.requests[-1].changes.set.items()}
    assert values == {"cart": '[1,"a"]', "name": '"ada"', "tuple": '{" t":[1]}'}


def test_a_value_that_nothing_can_write_is_an_error_and_not_saved(app):
    client = app.test_client()
    with pytest.raises(TypeError, match="not JSON serializable"):
        put(app, client, a=1, b={1, 2})
    assert has(app, client) == {}


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
    put(app, client, at=Point([1, 2]))
    assert type(has(app, client)["at"]) is Point


def test_only_what_changed_travels(app, transport):
    client = app.test_client()
    put(app, client, a=1, b=[1], c=3)

    def work():
        session["a"] = 2
        session.pop("c")
        return session["b"]

    visit(app, client, work)
    assert entries(transport) == (["a"], ["c"])


def test_a_nested_change_is_noticed(app, transport):
    client = app.test_client()
    put(app, client, cart={"items": []}, other=[1])
    visit(app, client, lambda: (session["cart"]["items"].append(7), session["other"]))
    assert entries(transport) == (["cart"], [])
    assert has(app, client)["cart"] == {"items": [7]}


def test_a_nested_change_that_is_taken_back_is_none(app, transport):
    client = app.test_client()
    put(app, client, cart=[1])
    transport.taken()
    visit(app, client, lambda: (session["cart"].append(2), session["cart"].pop()))
    assert transport.taken() == ["open"]


def test_two_requests_at_once_lose_nothing(app):
    client, other = app.test_client(), app.test_client()
    put(app, client, a=1)
    other.set_cookie("session", client.get_cookie("session").value)

    def work():
        session["a"]
        visit_other()
        session["mine"] = 1

    def visit_other():
        with other.session_transaction() as theirs:
            theirs["theirs"] = 2

    visit(app, client, work)
    assert has(app, client) == {"a": 1, "mine": 1, "theirs": 2}


def test_a_mapping_behaves_as_a_dict(app):
    client = app.test_client()
    put(app, client, b=2, a=1)

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

    assert visit(app, client, work).answer == ["b", "a"]
    assert has(app, client) == {"a": 7, "b": 2}


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
def test_what_marks_a_session_as_modified(app, work):
    client = app.test_client()
    put(app, client, a=1)
    assert visit(app, client, lambda: (work(), session.modified)).answer[1]


def test_a_session_whose_modified_was_taken_back_is_not_saved(app, transport):
    client = app.test_client()
    put(app, client, a=1)
    transport.taken()

    def work():
        session["a"] = 2
        session.modified = False

    visit(app, client, work)
    assert transport.taken() == []
    assert has(app, client) == {"a": 1}


def test_what_was_written_is_read_without_a_call(app, transport):
    client = app.test_client()
    put(app, client, a=1)
    transport.taken()

    def work():
        session["a"] = 2
        seen = session["a"], "a" in session, session.pop("a"), session.pop("a", None)
        session.clear()
        return seen, dict(session), len(session), bool(session)

    answer = visit(app, client, work).answer
    assert answer == ((2, True, 2, None), {}, 0, False)
    assert transport.taken() == ["save"]


def test_a_deletion_knows_what_is_there(app, transport):
    client = app.test_client()
    put(app, client, a=1, b=2)
    transport.taken()

    def work():
        del session["a"]
        with pytest.raises(KeyError):
            del session["a"]

    visit(app, client, work)
    assert transport.taken() == ["open", "save"]
    assert has(app, client) == {"b": 2}


def test_a_session_belongs_to_its_request(app):
    import pickle

    with app.test_request_context(), pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(session._get_current_object())


def test_flashed_messages_are_shown_once(app):
    client = app.test_client()
    visit(app, client, lambda: (flash("saved", "info"), flash(Markup("<b>really</b>"))))

    def read():
        return get_flashed_messages(with_categories=True)

    assert visit(app, client, read).answer == [("info", "saved"), ("message", Markup("<b>really</b>"))]
    assert visit(app, client, read).answer == []


def test_a_permanent_session_has_an_expiry(app):
    client = app.test_client()
    response = visit(app, client, lambda: setattr(session, "permanent", True))
    assert "Expires=" in response.headers["Set-Cookie"]
    assert visit(app, client, lambda: (session.permanent, dict(session))).answer == (True, {"_permanent": True})


def test_the_applications_lifetime_travels_with_the_save(app, service):
    app.permanent_session_lifetime = datetime.timedelta(hours=2)
    client = app.test_client()
    identity = visit(app, client, lambda: (session.update(a=1), session.id)).answer[1]
    [shown] = service.sessions("show", "--app", "shop", identity)
    # Pythons before 3.11 do not know the Z of RFC 3339.
    lives = [datetime.datetime.fromisoformat(shown[end][:-1]) for end in ("access_time", "expire_time")]
    assert lives[1] - lives[0] == datetime.timedelta(hours=2)


def test_a_longer_lifetime_than_the_services_is_warned_of_once(service):
    app = make_app(service.address, "brief")
    client = app.test_client()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        put(app, client, a=1)
        has(app, client)
    assert ["PERMANENT_SESSION_LIFETIME" in str(warning.message) for warning in caught].count(True) == 1


def test_session_transactions_work(app):
    client = app.test_client()
    with client.session_transaction() as opened:
        opened["a"] = 1
    assert has(app, client) == {"a": 1}
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

    assert "Set-Cookie" not in visit(app, app.test_client(), work).headers


def test_two_live_cookies_are_a_null_session(app):
    cookies = []
    for _ in range(2):
        client = app.test_client()
        put(app, client, a=1)
        cookies.append("session=" + client.get_cookie("session").value)
    client = app.test_client(use_cookies=False)

    def work():
        assert dict(session) == {}
        with pytest.raises(SessionRefused, match="two"):
            session["a"] = 2

    app.view_functions["visit"] = lambda: (work(), "ok")[1]
    response = client.get("/", headers={"Cookie": "; ".join(cookies)})
    assert (response.status_code, response.headers.get("Set-Cookie")) == (200, None)


def test_a_forged_cookie_is_an_empty_session(app):
    client = app.test_client()
    client.set_cookie("session", "v1.nonsense")
    response = visit(app, client, lambda: dict(session))
    assert (response.answer, response.headers.get("Set-Cookie")) == ({}, None)


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
    app.add_url_rule("/deep/", "visit", lambda: str(session.setdefault("a", flask.request.headers["Tenant"])))
    client = app.test_client()
    response = client.get("/deep/", headers={"Tenant": "one"})
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("tenant_one=v1.")
    assert cookie.endswith("; Expires=Tue, 01 Jan 2030 00:00:00 GMT; Path=/deep; SameSite=Strict")
    assert client.get("/deep/", headers={"Tenant": "two"}).text == "two"
    assert client.get("/deep/", headers={"Tenant": "one"}).text == "one"


def test_a_subclass_that_sets_no_cookie_sets_none(service):
    class Silent(CloakroomSessionInterface):
        def should_set_cookie(self, app, session):
            return False

    app = Flask(__name__)
    app.session_interface = Silent(service.address, app="shop")
    assert "Set-Cookie" not in put(app, app.test_client(), a=1).headers


def test_an_untouched_permanent_session_can_be_refreshed_as_in_flask(service):
    transport = Counting(service.address)
    app = make_app(transport, refresh_untouched=True)
    client = app.test_client()
    visit(app, client, lambda: session.update(a=1, _permanent=True))
    transport.taken()
    response = visit(app, client, lambda: None)
    assert "Expires=" in response.headers["Set-Cookie"]
    assert response.headers["Vary"] == "Cookie"
    assert transport.taken() == ["open"]
    visit(app, app.test_client(), lambda: None)
    assert transport.taken() == []


def test_a_login_replaces_the_token_and_keeps_the_id(app):
    client = app.test_client()
    before = visit(app, client, lambda: (session.update(cart=[1]), session.id)).answer[1]
    old = client.get_cookie("session").value

    def login():
        session.subject = "ada"
        return session.subject

    assert visit(app, client, login).answer == "ada"
    assert client.get_cookie("session").value != old
    assert visit(app, client, lambda: (session.id, session.subject, session["cart"])).answer == (before, "ada", [1])
    stale = app.test_client()
    stale.set_cookie("session", old)
    assert has(app, stale) == {}


def test_a_rotation_alone_replaces_the_token(app):
    client = app.test_client()
    put(app, client, a=1)
    old = client.get_cookie("session").value
    visit(app, client, lambda: session.rotate())
    assert client.get_cookie("session").value != old
    assert has(app, client) == {"a": 1}


def test_a_destroyed_session_is_gone_everywhere_and_its_cookie_too(app):
    client, other = app.test_client(), app.test_client()
    put(app, client, a=1)
    other.set_cookie("session", client.get_cookie("session").value)
    response = visit(app, client, lambda: (session.destroy(), dict(session)))
    assert response.answer == (None, {})
    assert response.headers["Set-Cookie"].startswith("session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0;")
    assert has(app, other) == {}


def test_what_is_written_after_a_destruction_begins_another_session(app):
    client = app.test_client()
    first = visit(app, client, lambda: (session.update(a=1), session.id)).answer[1]
    visit(app, client, lambda: (session.destroy(), flash("You have logged out.")))
    assert visit(app, client, lambda: get_flashed_messages()).answer == ["You have logged out."]
    visit(app, client, lambda: session.update(b=1))
    assert visit(app, client, lambda: session.id).answer != first


def test_a_counter_loses_no_count(app):
    client = app.test_client()
    visit(app, client, lambda: session.increment("visits"))
    visit(app, client, lambda: session.increment("visits", 4))
    assert visit(app, client, lambda: (session.increment("visits"), session["visits"])).answer == (None, 6)
    assert has(app, client) == {"visits": 6}


def test_a_recent_authentication_is_known(service):
    app = make_app(service.address, max_authenticate_age=datetime.timedelta(minutes=5))
    client = app.test_client()
    put(app, client, a=1)
    assert not visit(app, client, lambda: session.recently_authenticated).answer
    visit(app, client, lambda: setattr(session, "subject", "ada"))
    assert visit(app, client, lambda: session.recently_authenticated).answer
    visit(app, client, lambda: session.authenticated())
    assert visit(app, client, lambda: session.authenticate_time).answer is not None


def test_a_refusal_says_what_to_change(app):
    client = app.test_client()
    with pytest.raises(SessionRefused, match="bytes") as refused:
        put(app, client, a="x" * 70000)
    assert refused.value.reason == "SESSION_TOO_LARGE"


def logout_meanwhile(app, client):
    """A request that reads its session, and writes it when another one has ended it."""
    other = app.test_client()
    other.set_cookie("session", client.get_cookie("session").value)

    def work():
        session["a"]
        with app.test_request_context(
            environ_overrides={"HTTP_COOKIE": f"session={other.get_cookie('session').value}"}
        ):
            session.destroy()
        session["b"] = 2

    return visit(app, client, work)


def test_a_save_after_a_logout_is_told_and_changes_nothing(app, caplog):
    client = app.test_client()
    put(app, client, a=1)
    told = []

    def listener(sender, session, reason):
        told.append((sender, reason))

    with session_gone.connected_to(listener), caplog.at_level(logging.WARNING):
        response = logout_meanwhile(app, client)
    assert (response.status_code, response.headers.get("Set-Cookie")) == (200, None)
    assert told == [(app, "DESTROYED")]
    assert "DESTROYED" in caplog.text
    assert has(app, client) == {}


def test_an_application_can_fail_a_request_whose_session_is_gone(service):
    class Strict(CloakroomSessionInterface):
        def on_gone(self, app, session, reason, response):
            raise SessionGone(reason)

    app = Flask(__name__)
    app.session_interface = Strict(service.address, app="shop")
    client = app.test_client()
    put(app, client, a=1)
    assert logout_meanwhile(app, client).status_code == 500


@pytest.mark.parametrize("name", ["shop", "login"])
def test_a_login_with_a_superseded_cookie_begins_anew(service, name):
    app = make_app(service.address, name)
    client = app.test_client()

    def login():
        session.get("a")
        session["_user_id"] = "ada"
        if name == "shop":
            session.subject = "ada"

    put(app, client, a=1)
    stale = client.get_cookie("session").value
    visit(app, client, login)
    # The answer never came, so that the browser still has the old cookie.
    client.set_cookie("session", stale)
    assert has(app, client) == {}
    visit(app, client, login)
    assert has(app, client) == {"_user_id": "ada"}


def test_what_a_view_wrote_before_it_failed_is_saved(app):
    app.testing = False
    client = app.test_client()
    assert visit(app, client, lambda: (session.update(a=1), 1 / 0)).status_code == 500
    assert has(app, client) == {"a": 1}


def test_a_session_that_was_never_opened_is_tolerated_at_the_save(app):
    with app.test_request_context():
        app.session_interface.save_session(app, None, app.response_class())


def test_a_streamed_body_can_save_for_itself(app):
    client = app.test_client()
    put(app, client, a=1)

    def stream():
        def body():
            session["b"] = 2
            session.save()
            yield "done"

        return app.response_class(flask.stream_with_context(body()))

    app.view_functions["visit"] = stream
    assert client.get("/").text == "done"
    assert has(app, client) == {"a": 1, "b": 2}
