"""Django's sessions in async views."""

from __future__ import annotations

import asyncio

import django_app
import pytest
from blockbuster import blockbuster_ctx
from django.contrib import auth
from django.core.exceptions import SynchronousOnlyOperation
from django.core.handlers.asgi import ASGIRequest
from django.test import AsyncClient, override_settings
from django_app import aget, cookie, run

from cloakroom import SessionRefused
from cloakroom.django import SessionMiddleware, SessionStore

pytestmark = pytest.mark.skipif(django_app.django.VERSION < (5, 1), reason="Django 5.1 has made sessions awaitable")


@pytest.fixture(autouse=True)
def settings(service):
    with override_settings(CLOAKROOM={"SERVICE": service.address, "APP": "django"}):
        yield


async def write(request):
    await request.session.aset("a", 1)


async def read(request):
    return await request.session.aget("a")


async def name_of_user(request):
    return (await request.auser()).get_username()


def test_what_is_awaited_is_saved():
    async def requests():
        client = AsyncClient()
        await aget(client, write)
        await aget(client, lambda request: request.session.aupdate({"b": 2}))
        assert (await aget(client, read)).result == 1
        items = await aget(client, lambda request: request.session.aitems())
        assert sorted(items.result) == [("a", 1), ("b", 2)]

    run(requests())


def test_a_login_and_a_logout_are_awaited():
    async def requests(user):
        client = AsyncClient()
        await aget(client, write)
        before = cookie(client)
        await aget(client, lambda request: auth.alogin(request, user))
        assert cookie(client) != before
        assert (await aget(client, name_of_user)).result == "anna"
        assert (await aget(client, read)).result == 1
        await aget(client, auth.alogout)
        assert cookie(client) == ""
        assert (await aget(client, name_of_user)).result == ""

    with django_app.user() as anna:
        run(requests(anna))


def test_a_read_that_would_block_the_event_loop_is_refused():
    async def blocking_read(request):
        with pytest.raises(SynchronousOnlyOperation):
            request.session["a"]
        assert await request.session.aget("a") == 1
        return request.session["a"]

    async def requests():
        client = AsyncClient()
        await aget(client, write)
        assert (await aget(client, blocking_read)).result == 1

    run(requests())


def test_no_call_blocks_the_event_loop():
    # blockbuster raises an error where a coroutine makes a call of the system that may block.
    async def requests():
        client = AsyncClient()
        with blockbuster_ctx("cloakroom"):
            for view in (write, read, lambda request: request.session.acycle_key(), auth.alogout):
                assert (await aget(client, view)).status_code == 200

    run(requests())


def test_the_event_loop_runs_while_the_service_does_not_answer(service):
    async def requests():
        client = AsyncClient()
        await aget(client, write)
        service.suspend()
        try:
            waiting = asyncio.create_task(aget(client, read))
            turns = 0
            while turns < 100:
                await asyncio.sleep(0)
                turns += 1
            assert not waiting.done()
        finally:
            service.resume()
        assert (await waiting).result == 1

    run(requests())


def test_concurrent_requests_of_one_browser_lose_nothing():
    async def add(request):
        name = request.GET["name"]
        await request.session.aget(name)
        await request.session.aset(name, 1)
        return django_app.HttpResponse()

    async def requests():
        client = AsyncClient()
        await aget(client, write)
        django_app.set_async_view(add)
        await asyncio.gather(*(client.get(f"/async?name=n{number}") for number in range(20)))
        keys = (await aget(client, lambda request: request.session.akeys())).result
        assert len(keys) == 21

    run(requests())


class Marks(SessionMiddleware):
    def process_response(self, request, response):
        response = super().process_response(request, response)
        response["x-marked"] = "1"
        return response


def test_a_middleware_that_is_derived_may_change_the_response():
    async def requests():
        client = AsyncClient()
        assert (await aget(client, write)).headers["x-marked"] == "1"
        assert (await aget(client, read)).result == 1

    with override_settings(MIDDLEWARE=[f"{__name__}.Marks"]):
        run(requests())


def test_several_lines_of_cookies_are_one_header():
    async def requests():
        client = AsyncClient()
        await aget(client, write)
        lines = [(b"cookie", b"other=1"), (b"cookie", f"sessionid={cookie(client)}".encode()), (b"cookie", b"b=2")]
        request = ASGIRequest({"method": "GET", "path": "/", "headers": lines}, None)
        assert await SessionStore.for_request(request).aget("a") == 1

    run(requests())


async def have_refused(request):
    await request.session.aupdate({"a": 1, "large": "x" * 100_000})
    with pytest.raises(SessionRefused):
        await request.session.asave()


async def have_a_part_refused(request):
    await have_refused(request)
    await request.session.apop("large")


@pytest.mark.parametrize(("view", "stored"), [(have_refused, None), (have_a_part_refused, 1)])
def test_a_view_that_catches_a_refused_save_answers_and_the_rest_of_its_changes_is_saved(view, stored):
    async def requests():
        client = AsyncClient()
        assert (await aget(client, view)).status_code == 200
        assert (await aget(client, read)).result == stored

    run(requests())
