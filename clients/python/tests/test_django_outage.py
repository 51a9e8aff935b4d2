"""What Django users see while the service does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import django_app
import pytest
from django.contrib import auth
from django.core.exceptions import SynchronousOnlyOperation
from django.test import AsyncClient, Client, override_settings
from django_app import aget, cookie, get, run
from lossy_proxy import LossyProxy
from recording_transport import RecordingTransport, fail_at_deadline
from service import Service, wait_until

from cloakroom import SessionUnavailable
from cloakroom.django import SessionMiddleware
from cloakroom.transport import CallFailed

APPS = """
[apps.django]
keys = ["{key}"]
subject_key = "_auth_user_id"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    store = f'[store]\nkind = "embedded"\n[store.embedded]\npath = "{tmp_path_factory.mktemp("data")}"'
    with Service.start(tmp_path_factory.mktemp("service"), apps=APPS, store=store) as service:
        yield service


@pytest.fixture
def transport(service):
    return RecordingTransport(service.address)


@pytest.fixture(autouse=True)
def settings(transport):
    with override_settings(CLOAKROOM={"SERVICE": transport, "APP": "django", "DEADLINE": 0.5, "RETRY_AFTER": 7}):
        yield


@pytest.fixture
def client():
    client = Client()
    # The deadline is short, and the machine may be busy.
    wait_until("a session", lambda: get(client, lambda request: request.session.update({"a": 1})).status_code == 200)
    return client


@pytest.fixture
def outage(service, client):
    """Begins after the client has a session, and ends after the test."""
    service.stop(signal.SIGKILL)
    yield
    service.launch()


def is_only_line(caplog):
    return [record.message.partition(":")[0] for record in caplog.records] == ["the session service does not answer"]


@pytest.mark.parametrize(
    "view",
    [
        lambda request: request.session["a"],
        lambda request: request.session.update({"b": 1}),
        lambda request: request.session.flush(),
        lambda request: request.user.is_authenticated,
    ],
    ids=["read", "write", "flush", "user"],
)
def test_an_outage_is_503_with_one_log_line_and_one_wait(client, outage, transport, caplog, view):
    before = cookie(client)
    transport.take_calls()
    response = get(client, view)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
    assert "Set-Cookie" not in response.headers
    assert cookie(client) == before
    assert len(set(transport.take_calls())) == 1
    assert is_only_line(caplog)


def test_a_write_beside_a_failed_save_is_not_saved_a_second_time(client, transport, service, caplog):
    def end_then_write(request):
        assert request.session["a"] == 1
        service.stop(signal.SIGKILL)
        request.session["b"] = 1

    transport.take_calls()
    response = get(client, end_then_write)
    service.launch()
    assert response.status_code == 503
    assert set(transport.take_calls()) == {"OpenSession", "SaveSession"}
    assert is_only_line(caplog)


def test_a_view_that_handles_the_outage_answers_itself(client, outage, caplog):
    def view(request):
        try:
            request.session["a"]
        except SessionUnavailable:
            return django_app.HttpResponse("sorry")
        raise AssertionError

    response = get(client, view)
    assert (response.content, response.headers["Vary"]) == (b"sorry", "Cookie")
    assert is_only_line(caplog)


def test_requests_that_need_no_session_work_in_an_outage(client, outage):
    assert get(client, lambda request: None).status_code == 200
    assert get(Client(), lambda request: request.session.get("a")).status_code == 200


def test_an_outage_in_another_middleware_is_503_too(client, outage, caplog):
    name = f"{__name__}.reads_the_session"
    with override_settings(MIDDLEWARE=["cloakroom.django.SessionMiddleware", name]):
        other = Client(raise_request_exception=False)
        other.cookies = client.cookies
        assert other.get("/").status_code == 503
    assert len(caplog.records) == 1


def reads_the_session(get_response):
    def middleware(request):
        request.session["a"]
        return get_response(request)

    return middleware


@pytest.fixture
def csrf_in_sessions():
    """Django's middleware then reads each session, and once more for the page that answers its error."""
    with override_settings(CSRF_USE_SESSIONS=True):
        yield


def test_an_outage_is_503_with_one_wait_with_csrf_use_sessions(client, outage, transport, csrf_in_sessions, caplog):
    other = Client(raise_request_exception=False)
    other.cookies = client.cookies
    transport.take_calls()
    fail_at_deadline(transport, "OpenSession")
    response = get(other, lambda request: None)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
    assert (response.headers["Vary"], "Set-Cookie" in response.headers) == ("Cookie", False)
    assert transport.take_calls() == ["OpenSession"]
    assert is_only_line(caplog)


def test_an_outage_is_503_with_one_wait_with_csrf_use_sessions_in_an_async_view(
    client, outage, transport, csrf_in_sessions, caplog
):
    async def view(request):
        return None

    other = AsyncClient(raise_request_exception=False)
    other.cookies = client.cookies
    transport.take_calls()
    fail_at_deadline(transport, "OpenSession")
    response = run(aget(other, view))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
    assert transport.take_calls() == ["OpenSession"]
    assert is_only_line(caplog)


def test_a_page_for_outages_that_reads_the_session_is_the_plain_503(client, outage, transport, csrf_in_sessions):
    transport.take_calls()
    for view in (lambda request: request.session["a"], lambda request: request.session.update({"b": 1})):
        with override_settings(MIDDLEWARE=[f"{__name__}.PersonalApologies"]):
            other = Client(raise_request_exception=False)
            other.cookies = client.cookies
            response = get(other, view)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "7")


class Apologies(SessionMiddleware):
    def on_unavailable(self, request, error):
        return django_app.HttpResponse("sorry", status=503)


class PersonalApologies(SessionMiddleware):
    def on_unavailable(self, request, error):
        return django_app.HttpResponse(f"sorry, {request.session['a']}", status=503)


def test_the_response_can_be_another(client, outage):
    with override_settings(MIDDLEWARE=[f"{__name__}.Apologies"]):
        other = Client()
        other.cookies = client.cookies
        assert get(other, lambda request: request.session["a"]).content == b"sorry"


def test_reads_after_one_that_failed_make_no_call(client, transport):
    def view(request):
        session, failed = request.session, []
        reads = (lambda: session["a"], lambda: session.get("a"), lambda: len(session.items()), session.cycle_key)
        for read in (*reads, lambda: session.session_key, lambda: request.user.is_authenticated):
            try:
                read()
            except SessionUnavailable:
                failed.append(read)
        return len(failed)

    transport.take_calls()
    fail_at_deadline(transport, "OpenSession")
    response = get(client, view)
    assert (response.status_code, response.result) == (200, 6)
    assert transport.take_calls() == ["OpenSession"]


def test_an_explicit_save_calls_the_service_also_after_a_read_that_failed(client, transport):
    def view(request):
        with pytest.raises(SessionUnavailable):
            request.session["a"]
        request.session["b"] = 1
        transport.instead.clear()
        request.session.save()

    # Its last two calls reach the service, and the machine may be busy.
    with override_settings(CLOAKROOM={"SERVICE": transport, "APP": "django", "DEADLINE": 60}):
        other = Client()
        other.cookies = client.cookies
        transport.take_calls()
        fail_at_deadline(transport, "OpenSession")
        assert get(other, view).status_code == 200
    assert transport.take_calls() == ["GetAppPolicy", "OpenSession", "OpenSession", "SaveSession"]


@pytest.mark.skipif(django_app.django.VERSION < (5, 1), reason="Django 5.1 has made sessions awaitable")
def test_reads_after_one_that_failed_make_no_call_in_an_async_view(client, transport):
    async def view(request):
        for read in (request.session.aget, request.session.aget, request.session.get):
            with pytest.raises(SessionUnavailable):
                value = read("a")
                await value

    other = AsyncClient()
    other.cookies = client.cookies
    transport.take_calls()
    fail_at_deadline(transport, "OpenSession")
    assert run(aget(other, view)).status_code == 200
    assert transport.take_calls() == ["OpenSession"]


@pytest.mark.skipif(django_app.django.VERSION < (5, 1), reason="Django 5.1 has made sessions awaitable")
def test_an_outage_is_503_in_an_async_view(client, outage, caplog):
    async def read(request):
        return await request.session.aget("a")

    async def write(request):
        await request.session.aset("a", 2)

    for view in (read, write):
        caplog.clear()
        other = AsyncClient()
        other.cookies = client.cookies
        assert run(aget(other, view)).status_code == 503
        assert is_only_line(caplog)


class SilentService:
    """A transport whose calls fail at their deadline. It notes those that would block an event loop."""

    def __init__(self):
        self.calls, self.blocking_calls = [], []

    def call(self, method, request, timeout):
        self.calls.append(method.name)
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            self.blocking_calls.append(method.name)
        raise CallFailed("DEADLINE_EXCEEDED", "", "no answer within the deadline")


@pytest.fixture
def silent_service():
    """The service of a worker that has begun without it, and so does not know the app's policy."""
    service = SilentService()
    with override_settings(CLOAKROOM={"SERVICE": service, "APP": "django"}, SESSION_SAVE_EVERY_REQUEST=True):
        yield service


async def untouched(request):
    return None


@pytest.mark.skipif(django_app.django.VERSION < (5, 1), reason="Django 5.1 has made sessions awaitable")
@pytest.mark.parametrize("name", ["sessionid", "csrftoken"])
@pytest.mark.parametrize(
    ("view", "status"),
    [
        (untouched, 200),
        (lambda request: request.session.aflush(), 503),
        (lambda request: request.session.adelete(), 503),
    ],
    ids=["untouched", "flush", "delete"],
)
def test_a_worker_that_began_in_an_outage_blocks_no_event_loop_and_waits_once(silent_service, view, status, name):
    assert run(aget(AsyncClient(), view, headers={"Cookie": f"{name}=x"})).status_code == status
    assert (silent_service.calls, silent_service.blocking_calls) == (["GetAppPolicy"], [])


@pytest.mark.parametrize("name", ["sessionid", "csrftoken"])
@pytest.mark.parametrize(
    ("view", "status"), [(lambda request: None, 200), (lambda request: request.session.flush(), 503)]
)
def test_a_worker_that_began_in_an_outage_waits_once(silent_service, view, status, name):
    assert get(Client(), view, headers={"Cookie": f"{name}=x"}).status_code == status
    assert len(silent_service.calls) == 1


@pytest.mark.skipif(django_app.django.VERSION < (5, 1), reason="Django 5.1 has made sessions awaitable")
def test_a_property_that_would_fetch_the_policy_in_an_event_loop_is_refused(silent_service):
    async def view(request):
        with pytest.raises(SynchronousOnlyOperation):
            request.session.is_empty()

    with override_settings(SESSION_SAVE_EVERY_REQUEST=False):
        assert run(aget(AsyncClient(), view, headers={"Cookie": "csrftoken=x"})).status_code == 200
    assert silent_service.calls == []


def test_a_new_session_is_stored_once_even_if_answers_are_lost(service):
    proxy = LossyProxy(service.port)
    before = len(service.sessions("list", "--app", "django"))
    with override_settings(CLOAKROOM={"SERVICE": proxy.address, "APP": "django", "DEADLINE": 60}):

        def write(request):
            assert request.session.get("a") is None
            request.session["a"] = 1
            proxy.responses_to_drop = 3

        assert get(Client(), write).status_code == 200
    assert proxy.responses_to_drop == 0
    assert len(service.sessions("list", "--app", "django")) == before + 1
    proxy.close()


def test_a_login_works_after_an_outage(client, service):
    service.stop(signal.SIGKILL)
    with django_app.user() as anna:
        assert get(client, lambda request: auth.login(request, anna)).status_code == 503
        service.launch()
        wait_until("the client connects", lambda: get(client, lambda request: request.session.get("a")).result == 1)
        assert get(client, lambda request: auth.login(request, anna)).status_code == 200
        assert get(client, lambda request: request.user.get_username()).result == "anna"
