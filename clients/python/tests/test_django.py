"""Django's sessions in Cloakroom, by requests to a Django project against a real service."""

from __future__ import annotations

import copy
import datetime
import logging
import pickle
import threading

import django_app
import pytest
from django.contrib import auth, messages
from django.contrib.sessions.backends.base import UpdateError
from django.core.management import call_command
from django.test import Client, override_settings
from django.test.utils import setup_test_environment, teardown_test_environment
from django.utils import timezone
from django_app import cookie, copy_of, get, log_in
from recording_transport import RecordingTransport
from service import Service, generate_key

from cloakroom.django import SessionStore


@pytest.fixture
def transport(service):
    return RecordingTransport(service.address)


@pytest.fixture(autouse=True)
def settings(service, transport):
    admin_service = f"127.0.0.1:{service.admin_port}"
    with override_settings(CLOAKROOM={"SERVICE": transport, "APP": "django", "ADMIN_SERVICE": admin_service}):
        yield


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def anna():
    with django_app.user() as user:
        yield user


def set_entry(key, value):
    return lambda request: request.session.__setitem__(key, value)


def read(key):
    return lambda request: request.session.get(key)


# Entries.


def test_values_are_those_of_djangos_json(client):
    values = [None, True, 0, 2**70, 1.5, "é \u2028 \U0001f600", [1, [2, {"b": 1, "a": None}]], {"z": 1, "a": 2}]
    get(client, set_entry("values", values))
    found = get(client, read("values")).result
    assert found == values
    assert list(found[-1]) == ["z", "a"]


def test_a_value_that_is_no_json_fails_as_in_django(client):
    with pytest.raises(TypeError, match="datetime"):
        get(client, set_entry("at", datetime.datetime.now()))


def test_a_change_inside_a_value_is_saved(client):
    get(client, set_entry("cart", {"items": [1]}))
    get(client, lambda request: request.session["cart"]["items"].append(2))
    assert get(client, read("cart")).result == {"items": [1, 2]}


def entries_after_two_tabs(client):
    """Sends two requests at once that write different keys. Returns what is in the session after that."""
    get(client, set_entry("begun", 1))
    tabs = {name: copy_of(client) for name in ("first", "second")}
    both_have_read = threading.Barrier(len(tabs), timeout=60)

    def write(request):
        assert request.session["begun"] == 1
        both_have_read.wait()
        request.session[request.GET["name"]] = 1

    django_app.set_view(write)
    threads = [threading.Thread(target=tab.get, args=(f"/?name={name}",)) for name, tab in tabs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(get(client, lambda request: list(request.session.keys())).result)


def test_two_tabs_lose_nothing(client):
    assert entries_after_two_tabs(client) == ["begun", "first", "second"]


@override_settings(
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
)
def test_two_tabs_lose_one_entry_with_djangos_own_backend():
    assert len(entries_after_two_tabs(Client())) == 2


def test_counters_add_up(client):
    get(client, set_entry("begun", 1))
    for _ in range(3):
        get(client, lambda request: request.session.increment("visits"))
    assert get(client, read("visits")).result == 3


def test_test_cookies_work(client):
    get(client, lambda request: request.session.set_test_cookie())
    assert get(client, lambda request: request.session.test_cookie_worked()).result is True
    get(client, lambda request: request.session.delete_test_cookie())
    assert get(client, lambda request: request.session.test_cookie_worked()).result is False


def test_messages_in_the_session_are_shown_once(client):
    get(client, lambda request: messages.info(request, "saved"))

    def show(request):
        return [str(each) for each in messages.get_messages(request)]

    assert get(client, show).result == ["saved"]
    assert get(client, show).result == []


def test_changes_of_a_failed_request_are_not_saved(client):
    def fail(request):
        request.session["a"] = 1
        return django_app.HttpResponse(status=500)

    response = get(client, fail)
    assert "Set-Cookie" not in response.headers
    assert client.cookies == {}


def test_two_sessions_in_one_header_are_refused_by_400_until_a_login(client, anna):
    get(client, set_entry("a", 1))
    other = Client()
    get(other, set_entry("a", 2))
    both = f"sessionid={cookie(client)}; sessionid={cookie(other)}"
    ambiguous = Client(headers={"cookie": both})
    assert get(ambiguous, read("a")).result is None
    assert get(ambiguous, set_entry("b", 1)).status_code == 400
    log_in(ambiguous)
    assert get(Client(headers={"cookie": f"sessionid={cookie(ambiguous)}"}), name_of_user).result == "anna"
    for ended in (client, other):
        assert get(ended, read("a")).result is None


# Calls.


def test_a_request_without_a_cookie_makes_no_call(client, transport):
    get(client, set_entry("warm", 1))
    transport.take_calls()
    anonymous = Client()
    assert get(anonymous, name_of_user).result == ""
    assert get(anonymous, lambda request: request.session.session_key).result is None
    get(anonymous, lambda request: request.session.flush())
    assert transport.take_calls() == []


def test_each_request_makes_as_few_calls_as_it_can(client, transport):
    get(client, set_entry("a", 1))
    assert [name for name in transport.take_calls() if name != "GetAppPolicy"] == ["OpenSession", "SaveSession"]
    get(client, lambda request: None)
    assert transport.take_calls() == []
    get(client, read("a"))
    assert transport.take_calls() == ["OpenSession"]
    get(client, lambda request: request.session.setdefault("b", 1))
    assert transport.take_calls() == ["OpenSession", "SaveSession"]


def test_a_login_is_one_save(client, transport, anna):
    get(client, set_entry("a", 1))
    transport.take_calls()
    get(client, lambda request: auth.login(request, anna))
    assert transport.take_calls() == ["OpenSession", "SaveSession"]


# Login and logout.


def name_of_user(request):
    return request.user.get_username()


def test_a_login_keeps_the_entries_replaces_the_cookie_and_sets_the_subject(client, anna, service):
    get(client, set_entry("cart", [1]))
    before = cookie(client)
    log_in(client)
    assert cookie(client) != before
    assert get(client, name_of_user).result == "anna"
    assert get(client, read("cart")).result == [1]
    assert get(Client(headers={"cookie": f"sessionid={before}"}), name_of_user).result == ""
    assert [each["subject"] for each in service.sessions("list", "--app", "django", "--subject", str(anna.pk))] == [
        str(anna.pk)
    ]


def test_a_logout_ends_the_session_at_once_and_deletes_the_cookie(client, anna):
    log_in(client)
    copy = copy_of(client)
    get(client, auth.logout)
    assert cookie(client) == ""
    assert get(copy, name_of_user).result == ""


def test_a_flush_begins_a_new_session_for_what_is_written_after_it(client):
    get(client, set_entry("a", 1))
    old = copy_of(client)

    def begin_anew(request):
        request.session.flush()
        request.session["b"] = 2

    get(client, begin_anew)
    assert get(client, lambda request: dict(request.session.items())).result == {"b": 2}
    assert get(old, lambda request: dict(request.session.items())).result == {}


def test_a_save_after_a_logout_is_400_and_writes_nothing(client, anna):
    log_in(client)
    other = copy_of(client)

    def slow(request):
        request.session["late"] = request.session.get("late", 0) + 1
        get_logout = SessionStore(cookie(other))
        get_logout.flush()

    response = get(client, slow)
    assert response.status_code == 400
    assert "Set-Cookie" not in response.headers
    assert get(other, name_of_user).result == ""


def test_another_user_gets_nothing_of_the_first(client, anna):
    log_in(client)
    get(client, set_entry("secret", 1))
    with django_app.user("bert") as bert:
        get(client, lambda request: auth.login(request, bert))
        assert get(client, name_of_user).result == "bert"
        assert get(client, read("secret")).result is None


def test_a_password_change_logs_out_all_other_sessions(client, anna):
    log_in(client)
    other = Client()
    log_in(other)
    before = cookie(client)

    def change(request):
        request.user.set_password("other")
        request.user.save()
        auth.update_session_auth_hash(request, request.user)

    get(client, change)
    assert cookie(client) != before
    assert get(client, name_of_user).result == "anna"
    assert get(other, name_of_user).result == ""


def test_the_admin_works(client, anna):
    assert log_in(client).status_code == 302
    assert client.get("/admin/").status_code == 200
    page = client.post("/admin/auth/group/add/", {"name": "editors"}, follow=True)
    assert "was added successfully" in page.content.decode()
    client.post("/admin/logout/")
    assert client.get("/admin/").status_code == 302


@override_settings(CSRF_USE_SESSIONS=True)
def test_csrf_tokens_may_be_in_the_session(anna):
    client = Client(enforce_csrf_checks=True)
    page = client.get("/admin/login/").content.decode()
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    form = {"username": "anna", "password": "secret"}
    assert client.post("/admin/login/", form).status_code == 403
    assert client.post("/admin/login/", {**form, "csrfmiddlewaretoken": token, "next": "/admin/"}).status_code == 302
    assert get(client, name_of_user).result == "anna"


# The session_key.


def test_the_session_key_opens_nothing_and_is_not_in_the_cookie(client, anna, service):
    log_in(client)
    key = str(get(client, lambda request: request.session.session_key).result)
    assert len(key) == 40
    assert key not in cookie(client)
    assert get(Client(headers={"cookie": f"sessionid={key}"}), name_of_user).result == ""
    assert key[:32] in [each["id"] for each in service.sessions("list", "--app", "django")]


def test_the_session_key_changes_at_a_login_and_the_id_does_not(client, anna):
    get(client, set_entry("a", 1))
    before = get(client, lambda request: (request.session.session_key, request.session.id)).result
    log_in(client)
    after = get(client, lambda request: (request.session.session_key, request.session.id)).result
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_the_session_key_stays_when_the_service_gets_another_signing_key(client, tmp_path):
    apps = '[apps.django]\nkeys = ["{key}"]\nsubject_key = "_auth_user_id"\n'
    store = f'[store]\nkind = "embedded"\n[store.embedded]\npath = "{tmp_path / "data"}"'
    own_service = Service.start(tmp_path, apps=apps, store=store)
    with own_service, override_settings(CLOAKROOM={"SERVICE": own_service.address, "APP": "django"}):
        get(client, set_entry("a", 1))
        before = get(client, lambda request: request.session.session_key).result, cookie(client)
        own_service.stop()
        config = own_service.config.read_text()
        own_service.config.write_text(config.replace('keys = ["', f'keys = ["{generate_key()}", "'))
        own_service.launch()
        assert get(client, lambda request: request.session.session_key).result == before[0]
        assert cookie(client) != before[1]


def test_a_new_session_has_no_session_key_until_it_is_created(client):
    def create(request):
        before = request.session.session_key
        request.session.create()
        return before, request.session.session_key

    before, after = get(client, create).result
    assert before is None
    assert get(client, lambda request: request.session.session_key).result == after


def test_the_value_of_a_cookie_opens_a_session_outside_of_a_request(client):
    get(client, set_entry("a", 1))
    store = SessionStore(cookie(client))
    assert store["a"] == 1
    store["b"] = 2
    store.save()
    assert get(client, read("b")).result == 2


def test_an_administrator_ends_a_session_by_the_text_of_its_key(client, anna):
    log_in(client)
    key = str(get(client, lambda request: request.session.session_key).result)
    assert SessionStore().exists(key)
    SessionStore().delete(key)
    assert not SessionStore().exists(key)
    assert get(client, name_of_user).result == ""


def test_a_look_whether_a_session_exists_is_no_use_of_it(client, transport):
    get(client, set_entry("a", 1))
    transport.take_calls()
    assert SessionStore().exists(cookie(client))
    (look,) = transport.requests
    assert look.no_touch
    transport.take_calls()
    assert SessionStore(cookie(client))["a"] == 1
    assert [use.no_touch for use in transport.requests] == [False]


def test_the_text_of_a_session_key_in_the_place_of_a_cookie_is_refused(client):
    get(client, set_entry("a", 1))
    key = str(get(client, lambda request: request.session.session_key).result)
    for use in (lambda store: store["a"], SessionStore.save, SessionStore.flush, SessionStore.delete):
        with pytest.raises(RuntimeError, match="opens no session"):
            use(SessionStore(key))


def test_nothing_that_is_logged_has_the_cookie(client, anna, caplog):
    caplog.set_level(logging.DEBUG)
    log_in(client)

    def log_everything(request):
        session = request.session
        logging.info("%s %r %s %r", session.session_key, session.session_key, session, session)
        logging.info("%s %r %s", session._session, session._session._request_info, session.id)

    get(client, log_everything)
    get(client, lambda request: SessionStore(cookie(client)).flush() or request.session.update({"a": 1}))
    assert caplog.records
    assert cookie(client) not in caplog.text


def test_saving_a_session_that_has_ended_raises(client):
    get(client, set_entry("a", 1))
    late, other = SessionStore(cookie(client)), SessionStore(cookie(client))
    assert late["a"] == 1
    other.flush()
    late["a"] = 2
    with pytest.raises(UpdateError):
        late.save()


def test_a_view_that_has_met_the_end_of_its_session_may_begin_a_new_one(client):
    get(client, set_entry("a", 1))

    def recover(request):
        assert request.session["a"] == 1
        SessionStore(cookie(client)).flush()
        request.session["a"] = 2
        with pytest.raises(UpdateError):
            request.session.save()
        request.session.flush()
        request.session["message"] = "you were logged out"

    assert get(client, recover).status_code == 200
    assert get(client, lambda request: dict(request.session.items())).result == {"message": "you were logged out"}


def test_clearsessions_has_nothing_to_do():
    call_command("clearsessions")


# Lifetimes and cookies.


def expiry_of(client, service):
    """Returns how long the client's session lives from now on, in seconds."""
    session_id = get(client, lambda request: request.session.id).result
    session = next(each for each in service.sessions("list", "--app", "django") if each["id"] == session_id)
    expire_time = datetime.datetime.fromisoformat(session["expire_time"].replace("Z", "+00:00"))
    return (expire_time - timezone.now()).total_seconds()


@pytest.mark.parametrize(
    ("expiry", "seconds"),
    [
        (None, 14 * 86400),
        (0, 14 * 86400),
        (3600, 3600),
        (datetime.timedelta(hours=2), 7200),
        (lambda: timezone.now() + datetime.timedelta(hours=3), 10800),
    ],
)
def test_set_expiry_sets_the_lifetime(client, service, expiry, seconds):
    def view(request):
        request.session["a"] = 1
        request.session.set_expiry(expiry() if callable(expiry) else expiry)

    response = get(client, view)
    assert seconds - 120 < expiry_of(client, service) < seconds + 120
    max_age = response.cookies["sessionid"]["max-age"]
    if expiry == 0:
        assert max_age == ""
    else:
        assert seconds - 120 < max_age <= seconds
    assert get(client, lambda request: request.session.get_expire_at_browser_close()).result is (expiry == 0)


def test_set_expiry_none_gives_the_default_lifetime_back(client, service):
    get(client, lambda request: request.session.set_expiry(60))
    get(client, lambda request: request.session.set_expiry(None))
    assert expiry_of(client, service) > 13 * 86400
    get(client, lambda request: request.session.set_expiry(datetime.timedelta(seconds=60)))
    get(client, lambda request: request.session.set_expiry(None))
    assert expiry_of(client, service) > 13 * 86400


@pytest.mark.parametrize("expiry", [-10, datetime.timedelta(seconds=-10)])
def test_a_lifetime_that_is_over_ends_the_session(client, expiry):
    get(client, set_entry("a", 1))
    copy = copy_of(client)
    get(client, lambda request: request.session.set_expiry(expiry))
    assert cookie(client) == ""
    assert get(copy, read("a")).result is None


@override_settings(SESSION_COOKIE_AGE=600)
def test_session_cookie_age_is_the_lifetime(client, service):
    assert get(client, set_entry("a", 1)).cookies["sessionid"]["max-age"] == 600
    assert 500 < expiry_of(client, service) < 660


@override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=True)
def test_a_session_until_the_browser_closes_sets_its_cookie_once(client):
    morsel = get(client, set_entry("a", 1)).cookies["sessionid"]
    assert (morsel["max-age"], morsel["expires"]) == ("", "")
    assert "sessionid" not in get(client, set_entry("a", 2)).cookies


def test_a_change_sends_the_cookie_again_and_a_read_does_not(client):
    get(client, set_entry("a", 1))
    before = cookie(client)
    assert get(client, set_entry("a", 2)).cookies["sessionid"].value == before
    assert "sessionid" not in get(client, read("a")).cookies


@override_settings(SESSION_SAVE_EVERY_REQUEST=True)
def test_session_save_every_request_sends_the_cookie_again_by_one_call(client, transport):
    get(client, set_entry("a", 1))
    transport.take_calls()
    assert get(client, lambda request: None).cookies["sessionid"]["max-age"] == 14 * 86400
    assert transport.take_calls() == ["OpenSession"]
    assert "sessionid" not in get(Client(), lambda request: None).cookies


def set_user(user, **entries):
    """Returns a view in which a user logs in without a flush of what the last one left, as `login` does."""

    def view(request):
        request.session["_auth_user_id"] = user
        request.session.update(entries)
        return request.session.get_expiry_age()

    return view


@override_settings(SESSION_SAVE_EVERY_REQUEST=True)
@pytest.mark.parametrize("expiry", [None, 60 * 86400, 0])
def test_the_lifetime_of_one_user_is_not_that_of_the_next(client, service, expiry):
    def begin(request):
        request.session["_auth_user_id"] = "11"
        request.session.set_expiry(expiry)

    get(client, begin)

    login = get(client, set_user("12"))

    assert (login.result, login.cookies["sessionid"]["max-age"]) == (14 * 86400, 14 * 86400)
    assert 13 * 86400 < expiry_of(client, service) <= 14 * 86400
    assert get(client, read("a")).cookies["sessionid"]["max-age"] == 14 * 86400


@override_settings(SESSION_SAVE_EVERY_REQUEST=True)
@pytest.mark.parametrize("expiry", [None, 60 * 86400, 0])
def test_the_lifetime_of_a_session_that_has_ended_is_not_that_of_the_one_that_a_login_begins(client, service, expiry):
    get(client, lambda request: (request.session.update({"a": 1}), request.session.set_expiry(expiry)))
    copy = copy_of(client)

    def log_in(request):
        assert request.session["a"] == 1
        get(copy, lambda other: other.session.flush())
        return set_user("12")(request)

    assert get(client, log_in).cookies["sessionid"]["max-age"] == 14 * 86400

    assert 13 * 86400 < expiry_of(client, service) <= 14 * 86400
    assert get(client, read("a")).cookies["sessionid"]["max-age"] == 14 * 86400


@override_settings(
    SESSION_COOKIE_NAME="sid",
    SESSION_COOKIE_DOMAIN="testserver",
    SESSION_COOKIE_PATH="/shop",
    SESSION_COOKIE_SECURE=True,
    SESSION_COOKIE_HTTPONLY=False,
    SESSION_COOKIE_SAMESITE="Strict",
)
def test_the_cookie_has_the_attributes_of_djangos_settings(client):
    morsel = get(client, set_entry("a", 1)).cookies["sid"]
    assert (morsel["domain"], morsel["path"], morsel["samesite"]) == ("testserver", "/shop", "Strict")
    assert (bool(morsel["secure"]), bool(morsel["httponly"])) == (True, False)


def test_a_response_varies_by_the_cookie_if_the_session_was_used(client):
    assert "Vary" not in get(client, lambda request: None).headers
    assert get(client, read("a")).headers["Vary"] == "Cookie"


def test_a_session_that_is_emptied_stays(client):
    get(client, set_entry("a", 1))
    session_id = get(client, lambda request: request.session.id).result
    get(client, lambda request: request.session.pop("a"))
    assert get(client, lambda request: (request.session.id, len(request.session.keys()))).result == (session_id, 0)


def test_a_session_that_never_had_an_entry_is_not_stored(client):
    def set_and_remove(request):
        request.session["a"] = 1
        del request.session["a"]

    assert "sessionid" not in get(client, set_and_remove).cookies


# Tests of applications.


@pytest.fixture
def test_environment():
    setup_test_environment()
    yield
    teardown_test_environment()


def test_the_test_clients_logins_work_in_a_test_environment(client, anna, test_environment):
    client.force_login(anna)
    assert get(client, name_of_user).result == "anna"
    client.logout()
    assert get(client, name_of_user).result == ""
    assert client.login(username="anna", password="secret")
    assert get(client, name_of_user).result == "anna"


def test_the_text_of_a_session_key_opens_nothing_after_the_tests(client, anna):
    setup_test_environment()
    client.force_login(anna)
    teardown_test_environment()
    assert get(client, name_of_user).result == ""


def test_the_test_clients_session_works_in_a_test_environment(client, test_environment):
    session = client.session
    session["a"] = 1
    session.save()
    assert get(client, read("a")).result == 1
    get(client, set_entry("b", 2))
    assert client.session["b"] == 2


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_session_is_a_plain_dict(client, copied):
    get(client, lambda request: request.session.update({"a": 1, "cart": [1]}))

    def view(request):
        made = copied(request.session)
        made["b"] = 2
        return made, dict(request.session.items())

    made, left = get(client, view).result
    assert (type(made), made) == (dict, {"a": 1, "b": 2, "cart": [1]})
    assert left == {"a": 1, "cart": [1]}


def test_a_session_cannot_be_pickled_and_says_what_can(client):
    def view(request):
        with pytest.raises(TypeError, match=r"dict\(session\.items\(\)\)"):
            pickle.dumps(request.session)
        return pickle.loads(pickle.dumps(dict(request.session.items())))

    get(client, lambda request: request.session.update({"a": 1}))
    assert get(client, view).result == {"a": 1}
