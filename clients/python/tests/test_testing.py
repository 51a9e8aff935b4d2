"""`cloakroom.testing`: what it does over time, and what it is like to test an application with it.

`test_testing_differential.py` compares it with the service, which cannot be moved in time.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import datetime
import os
import re
import subprocess
import sys
import threading
from datetime import timedelta

import freezegun
import pytest
import time_machine
from flask import session
from flask_app import make_app, request, session_entries, set_entries
from service import ROOT, TIMEOUT, binary

from cloakroom import Client, ConnectTransport, SessionRefused, SessionUnavailable, methods
from cloakroom.messages import session_service_pb2 as pb
from cloakroom.testing import App, AsyncMemoryTransport, MemoryTransport
from cloakroom.transport import CallFailed

BEGIN = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture
def clock():
    with time_machine.travel(BEGIN, tick=False) as clock:
        yield clock


@pytest.fixture
def transport():
    return MemoryTransport()


def open_session(transport, header="", **fields):
    return transport.call(methods.OPEN, pb.OpenSessionRequest(app="shop", cookie_header=header, **fields), 1)


def save(transport, token=None, header="", **fields):
    changes = {name: pb.Value(json=value) for name, value in fields.pop("set", {}).items()}
    credential = {"token": token} if token else {"cookie_header": header}
    message = pb.SaveSessionRequest(app="shop", changes=pb.Changes(set=changes), **credential)
    for name in ("subject", "authenticated", "permanent"):
        if name in fields:
            setattr(message.changes, name, fields.pop(name))
    if "idle_timeout" in fields:
        message.changes.idle_timeout.FromTimedelta(fields.pop("idle_timeout"))
    message.MergeFrom(pb.SaveSessionRequest(**fields))
    return transport.call(methods.SAVE, message, 1)


def rotate(transport, token, cause):
    request = pb.RotateSessionRequest(app="shop", token=token, cause=cause)
    return transport.call(methods.ROTATE, request, 1).session.token


def cookie(token):
    return f"session={token}"


def sets_cookie(headers):
    return any(header.name == "Set-Cookie" for header in headers)


# What the passing of time does.


def test_a_session_ends_when_it_is_not_used_for_its_idle_timeout(transport, clock):
    token = save(transport, set={"a": "1"}).session.token
    clock.shift(timedelta(days=30))
    assert not open_session(transport, cookie(token)).session.new
    clock.shift(timedelta(days=30))
    assert not open_session(transport, cookie(token)).session.new
    clock.shift(timedelta(days=31))
    assert open_session(transport, cookie(token)).session.new
    gone = save(transport, token, set={"a": "2"})
    assert (gone.outcome, gone.end_reason) == (pb.OUTCOME_GONE, pb.END_REASON_IDLE)


def test_a_look_is_no_use(transport, clock):
    token = save(transport, set={"a": "1"}).session.token
    clock.shift(timedelta(days=30))
    assert not open_session(transport, cookie(token), no_touch=True).session.new
    clock.shift(timedelta(days=1))
    assert open_session(transport, cookie(token)).session.new


def test_a_session_ends_at_its_absolute_timeout_however_much_it_is_used(clock):
    transport = MemoryTransport(App("shop", absolute_timeout=timedelta(days=40)))
    token = save(transport, set={"a": "1"}).session.token
    for _ in range(3):
        clock.shift(timedelta(days=10))
        assert not open_session(transport, cookie(token)).session.new
    clock.shift(timedelta(days=10))
    assert save(transport, token, set={"a": "2"}).end_reason == pb.END_REASON_ABSOLUTE


def test_a_use_without_changes_is_written_after_a_twentieth_of_the_idle_timeout(clock):
    transport = MemoryTransport(App("shop", idle_timeout=timedelta(minutes=20)))
    token = save(transport, set={"a": "1"}).session.token
    clock.shift(timedelta(seconds=59))
    open_session(transport, cookie(token))
    clock.shift(timedelta(minutes=19, seconds=1))
    assert open_session(transport, cookie(token)).session.new
    token = save(transport, set={"a": "1"}).session.token
    clock.shift(timedelta(seconds=60))
    open_session(transport, cookie(token))
    clock.shift(timedelta(minutes=19, seconds=59))
    assert not open_session(transport, cookie(token)).session.new


def test_a_save_may_ask_for_a_shorter_life(transport, clock):
    token = save(transport, set={"a": "1"}, idle_timeout=timedelta(minutes=1)).session.token
    clock.shift(timedelta(minutes=1))
    assert save(transport, token, set={"a": "2"}).end_reason == pb.END_REASON_IDLE


def test_the_reason_of_an_end_is_known_for_16_minutes(transport, clock):
    token = save(transport, set={"a": "1"}).session.token
    transport.call(methods.DESTROY, pb.DestroySessionRequest(app="shop", token=token), 1)
    clock.shift(timedelta(minutes=16) - timedelta(milliseconds=1))
    assert save(transport, token, set={"a": "2"}).end_reason == pb.END_REASON_DESTROYED
    clock.shift(timedelta(milliseconds=1))
    gone = save(transport, token, set={"a": "2"})
    assert (gone.outcome, gone.end_reason) == (pb.OUTCOME_GONE, pb.END_REASON_UNSPECIFIED)


def test_a_ticket_is_good_for_15_minutes(transport, clock):
    ticket = open_session(transport).session.token
    clock.shift(timedelta(minutes=15))
    assert save(transport, ticket, set={"a": "1"}).outcome == pb.OUTCOME_CREATED
    ticket = open_session(transport).session.token
    clock.shift(timedelta(minutes=15, seconds=1))
    with pytest.raises(CallFailed, match="older than 15 minutes"):
        save(transport, ticket, set={"a": "1"})


def test_a_request_id_is_remembered_for_10_minutes(transport, clock):
    token = save(transport, set={"n": "0"}).session.token
    message = pb.SaveSessionRequest(app="shop", token=token, request_id="once", changes=pb.Changes(increment={"n": 1}))
    clock.shift(timedelta(seconds=1))
    counts = [transport.call(methods.SAVE, message, 1).counters["n"] for _ in range(2)]
    clock.shift(timedelta(minutes=10))
    counts.append(transport.call(methods.SAVE, message, 1).counters["n"])
    assert counts == [1, 1, 2]


def test_a_renewed_token_opens_the_session_until_its_grace_is_over(transport, clock):
    old = save(transport, set={"a": "1"}).session.token
    new = rotate(transport, old, pb.ROTATION_CAUSE_RENEWAL)
    clock.shift(timedelta(seconds=30) - timedelta(milliseconds=1))
    opened = open_session(transport, cookie(old))
    assert (opened.session.token, opened.cookie_outdated) == (new, True)
    assert rotate(transport, old, pb.ROTATION_CAUSE_RENEWAL) == new
    clock.shift(timedelta(milliseconds=1))
    assert open_session(transport, cookie(old)).session.new
    assert not open_session(transport, cookie(new)).session.new


def test_a_recovery_session_sets_no_cookie_for_30_seconds_except_at_a_login(transport, clock):
    old = save(transport, set={"a": "1"}).session.token
    save(transport, old, subject="ada")
    opened = open_session(transport, cookie(old))
    assert opened.session.new
    kept = save(transport, opened.session.token, set={"csrf": '"x"'})
    assert (kept.outcome, kept.session.token, sets_cookie(kept.headers)) == (pb.OUTCOME_CREATED, "", False)
    again = open_session(transport, cookie(old))
    assert again.session.entries["csrf"].json == '"x"'
    clock.shift(timedelta(seconds=30))
    later = open_session(transport, cookie(old))
    assert (sets_cookie(later.read_headers), later.session.id) == (True, again.session.id)
    login = save(transport, again.session.token, subject="ada")
    assert sets_cookie(login.headers)
    assert open_session(transport, cookie(old)).session.id != again.session.id


def test_a_session_without_a_subject_may_have_a_shorter_life(clock):
    hours = {"anonymous_idle_timeout": timedelta(hours=1), "anonymous_absolute_timeout": timedelta(hours=2)}
    transport = MemoryTransport(App("shop", **hours))
    anonymous, owned = (save(transport, set={"a": "1"}).session.token for _ in range(2))
    owned = save(transport, owned, subject="ada").session.token
    clock.shift(timedelta(hours=1))
    assert open_session(transport, cookie(anonymous)).session.new
    assert not open_session(transport, cookie(owned)).session.new
    owned = save(transport, owned, subject="").session.token
    clock.shift(timedelta(hours=1))
    assert save(transport, owned, set={"a": "2"}).end_reason == pb.END_REASON_IDLE


def test_after_a_logout_the_shorter_life_begins_then(clock):
    hours = {"anonymous_idle_timeout": timedelta(hours=1), "anonymous_absolute_timeout": timedelta(hours=2)}
    transport = MemoryTransport(App("shop", **hours))
    token = save(transport, set={"a": "1"}, subject="ada").session.token
    clock.shift(timedelta(hours=10))
    token = save(transport, token, subject="").session.token
    for _ in range(3):
        clock.shift(timedelta(minutes=39))
        assert not open_session(transport, cookie(token)).session.new
    clock.shift(timedelta(minutes=3))
    assert save(transport, token, set={"a": "2"}).end_reason == pb.END_REASON_ABSOLUTE


def test_an_authentication_is_recent_until_its_age(transport, clock):
    token = save(transport, set={"a": "1"}, subject="ada").session.token
    clock.shift(timedelta(seconds=59))
    age = {"seconds": 60}
    assert open_session(transport, cookie(token), max_authenticate_age=age).recently_authenticated
    clock.shift(timedelta(seconds=1))
    assert not open_session(transport, cookie(token), max_authenticate_age=age).recently_authenticated


def test_a_permanent_cookie_expires_with_its_session(clock):
    transport = MemoryTransport(App("shop", idle_timeout=timedelta(days=400), absolute_timeout=timedelta(days=400)))
    saved = save(transport, set={"a": "1"}, permanent=True)
    assert "Expires=Wed, 05 Feb 2031 00:00:00 GMT" in saved.headers[0].value


# What is true of it at any time.


def test_a_token_opens_nothing_at_the_service_nor_at_another_transport(transport, service):
    token = save(transport, set={"a": "1"}).session.token
    for other in (ConnectTransport(service.address), MemoryTransport()):
        assert open_session(other, cookie(token)).session.new
        with pytest.raises(CallFailed, match="token does not verify"):
            save(other, token, set={"a": "2"})


def test_a_token_of_the_service_opens_nothing_in_memory(transport, service):
    token = save(ConnectTransport(service.address), set={"a": "1"}).session.token
    assert open_session(transport, cookie(token)).session.new


def test_tokens_cannot_be_changed(transport):
    token = save(transport, set={"a": "1"}).session.token
    for at in range(len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert open_session(transport, cookie(changed)).session.new, changed


def test_without_settings_every_app_exists_and_with_them_only_those(transport):
    assert Client(transport, app="any").policy().app == "any"
    with pytest.raises(SessionRefused, match="no app of that name"):
        Client(MemoryTransport(App("shop")), app="other").policy()


def test_an_outage_can_be_tested_without_a_wait(transport):
    app = make_app(transport)
    client = app.test_client()
    set_entries(app, client, a=1)
    transport.is_available = False
    with app.test_request_context(headers={"Cookie": cookie(client.get_cookie("session").value)}):
        began = datetime.datetime.now()
        with pytest.raises(SessionUnavailable):
            session.get("a")
        assert datetime.datetime.now() - began < timedelta(seconds=1)
    transport.is_available = True
    assert session_entries(app, client) == {"a": 1}


def test_a_watch_in_memory_reports_the_end(transport):
    app = make_app(transport)
    client = app.test_client()
    set_entries(app, client, a=1)
    with request(app, client, lambda: session.watch()).result as watched:
        assert watched.wait(timeout=0) is None
        results = []
        waiting = threading.Thread(target=lambda: results.append(watched.wait(TIMEOUT)))
        waiting.start()
        request(app, client, lambda: session.destroy())
        waiting.join(TIMEOUT)
        assert results == ["DESTROYED"]


def test_a_watch_in_memory_notices_that_time_was_moved(transport, clock):
    app = make_app(transport)
    client = app.test_client()
    set_entries(app, client, a=1)
    with request(app, client, lambda: session.watch()).result as watched:
        clock.shift(timedelta(days=31))
        assert watched.wait(TIMEOUT) == "IDLE"


def test_no_count_is_lost_among_threads(transport):
    token = save(transport, set={"n": "0"}).session.token
    message = pb.SaveSessionRequest(app="shop", token=token, changes=pb.Changes(increment={"n": 1}))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: transport.call(methods.SAVE, message, 1), range(400)))
    assert open_session(transport, cookie(token)).session.entries["n"].json == "400"


def test_calls_of_an_event_loop_share_the_sessions(transport):
    token = save(transport, set={"a": "1"}).session.token
    opened = AsyncMemoryTransport(transport).call(
        methods.OPEN, pb.OpenSessionRequest(app="shop", cookie_header=cookie(token)), 1
    )
    assert asyncio.run(opened).session.entries["a"].json == "1"


def test_a_watch_in_an_event_loop_reports_the_end(transport):
    async def watch():
        shared = AsyncMemoryTransport(transport)
        stream = await shared.stream(methods.WATCH, pb.WatchSessionRequest(app="shop", token=token), 1)
        states = [(await stream.next(1)).state]
        with pytest.raises(TimeoutError):
            await stream.next(0)
        ended = asyncio.create_task(stream.next(TIMEOUT))
        await shared.call(methods.DESTROY, pb.DestroySessionRequest(app="shop", token=token), 1)
        states.append((await ended).state)
        return states, await stream.next()

    token = save(transport, set={"a": "1"}).session.token
    assert asyncio.run(watch()) == ([pb.WATCH_STATE_ALIVE, pb.WATCH_STATE_ENDED], None)


# Frozen time.


@pytest.mark.parametrize(
    "freeze",
    [lambda: freezegun.freeze_time(BEGIN), lambda: time_machine.travel(BEGIN, tick=False)],
    ids=["freezegun", "time_machine"],
)
@pytest.mark.parametrize("is_real", [True, False], ids=["the service", "in memory"])
def test_sessions_work_in_frozen_time(service, freeze, is_real):
    app = make_app(service.address if is_real else MemoryTransport(App("shop", cookie_samesite="")))
    with freeze():
        client = app.test_client()
        response = request(app, client, lambda: session.update(a=1, _permanent=True))
        assert session_entries(app, client) == {"a": 1, "_permanent": True}
    year = int(re.search(r"Expires=\w+, \d+ \w+ (\d+)", response.headers["Set-Cookie"])[1])
    assert (year >= 2030) is (not is_real)


@pytest.mark.parametrize(
    "move",
    [
        lambda seconds: freezegun.freeze_time(BEGIN + timedelta(seconds=seconds)),
        lambda seconds: time_machine.travel(BEGIN + timedelta(seconds=seconds), tick=False),
    ],
    ids=["freezegun", "time_machine"],
)
def test_both_tools_move_sessions(move):
    app = make_app(MemoryTransport(App("shop", idle_timeout=timedelta(hours=1))))
    app.permanent_session_lifetime = timedelta(hours=1)
    client = app.test_client()
    with move(0):
        set_entries(app, client, a=1)
    with move(3599):
        assert session_entries(app, client) == {"a": 1}
    with move(3599 + 3600):
        assert session_entries(app, client) == {}


# Settings.

DAY = timedelta(days=1)
REFUSED = {
    'idle_timeout = "59s"': {"idle_timeout": timedelta(seconds=59)},
    'idle_timeout = "3d"\nabsolute_timeout = "2d"': {"idle_timeout": 3 * DAY, "absolute_timeout": 2 * DAY},
    'absolute_timeout = "401d"': {"absolute_timeout": 401 * DAY},
    'rotation_grace = "2h"': {"rotation_grace": timedelta(hours=2)},
    'subject_key = "_permanent"': {"subject_key": "_permanent"},
    "max_sessions_per_subject = 10001": {"max_sessions_per_subject": 10001},
    "limits.max_entries = 0": {"max_entries": 0},
    "limits.max_session_bytes = 1023": {"max_session_bytes": 1023},
    'anonymous.idle_timeout = "32d"': {"anonymous_idle_timeout": 32 * DAY},
    'anonymous.absolute_timeout = "366d"': {"anonymous_absolute_timeout": 366 * DAY},
    'anonymous.idle_timeout = "2d"\nanonymous.absolute_timeout = "1d"': {
        "anonymous_idle_timeout": 2 * DAY,
        "anonymous_absolute_timeout": DAY,
    },
    'cookie.samesite = "None"': {"cookie_samesite": "None"},
    "cookie.partitioned = true": {"cookie_partitioned": True},
    'cookie.name = "__Host-id"': {"cookie_name": "__Host-id"},
    'cookie.name = "a b"': {"cookie_name": "a b"},
}


def defaults_of_the_service(folder):
    """Returns the settings that the service prints for an app, by the names in memory."""
    (folder / "cloakroom.toml").write_text("")
    check = [binary(), "check", "--config", str(folder / "cloakroom.toml")]
    printed = subprocess.run(check, check=True, capture_output=True, text=True).stdout
    found, prefix = {}, None
    for line in printed.splitlines():
        if line.startswith("["):
            tables = {"apps.default": "", "apps.default.cookie": "cookie_", "apps.default.limits": ""}
            prefix = tables.get(line.strip("[]"))
        elif prefix is not None and line.endswith("# default"):
            name, value = line.removesuffix("# default").split(" = ")
            found[prefix + name] = value.strip()
    return found


def as_printed(value):
    if isinstance(value, timedelta):
        return f'"{value.days}d"' if value.days else f'"{value.seconds}s"'
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def test_the_defaults_are_those_of_the_service(tmp_path):
    given = defaults_of_the_service(tmp_path)
    fields = {field.name: as_printed(field.default) for field in dataclasses.fields(App)}
    for name in ("name", "anonymous_idle_timeout", "anonymous_absolute_timeout"):  # The service prints what is set.
        del fields[name]
    assert fields == {name: given[name] for name in fields}


@pytest.mark.parametrize(("table", "settings"), REFUSED.items(), ids=REFUSED)
def test_settings_that_the_service_refuses_are_refused(tmp_path, table, settings):
    with pytest.raises(ValueError, match=next(iter(settings)).split("_")[-1]):
        App("shop", **settings)
    (tmp_path / "cloakroom.toml").write_text(f"[apps.shop]\n{table}\n")
    check = [binary(), "check", "--config", str(tmp_path / "cloakroom.toml")]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode != 0
    assert "apps.shop" in done.stderr + done.stdout


# The fixture.


def test_the_fixture_gives_each_test_a_transport_of_its_own(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["cloakroom.testing.pytest_plugin"]\n')
    (tmp_path / "test_shop.py").write_text(
        "import pytest\n"
        "from cloakroom import Client\n"
        "from cloakroom.testing import App\n"
        "@pytest.fixture\n"
        "def cloakroom_apps():\n"
        "    return [App('shop', subject_key='user')]\n"
        "@pytest.mark.parametrize('number', [1, 2])\n"
        "def test_sessions(cloakroom_transport, cloakroom_async_transport, number):\n"
        "    assert cloakroom_async_transport.transport is cloakroom_transport\n"
        "    assert Client(cloakroom_transport, app='shop').policy().subject_key == 'user'\n"
        "    assert not hasattr(cloakroom_transport, 'used')\n"
        "    cloakroom_transport.used = True\n"
    )
    done = subprocess.run([sys.executable, "-m", "pytest", str(tmp_path)], capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout


def test_the_page_about_testing_is_right(tmp_path):
    """Runs the code of docs/testing.md with the application of examples/flask."""
    code = re.findall("```python\n(.*?)```", (ROOT / "docs/testing.md").read_text(), re.DOTALL)
    (tmp_path / "test_page.py").write_text("\n\n".join(code))
    path = os.pathsep.join([str(ROOT / "examples/flask"), *sys.path])
    environment = {**os.environ, "SECRET_KEY": "secret-key", "PYTHONPATH": path}
    pytest_of_page = [sys.executable, "-m", "pytest", str(tmp_path)]
    done = subprocess.run(pytest_of_page, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert f"{''.join(code).count('def test_')} passed" in done.stdout, done.stdout
