"""Two replicas of the service on one Redis: both are used, and one of them may end."""

from __future__ import annotations

import concurrent.futures
import signal

import pytest
from flask import Flask, session
from name_server import NameServer
from service import APPS, TIMEOUT, Service, free_port, generate_key, wait_until

from cloakroom.flask import CloakroomSessionInterface


@pytest.fixture
def replicas(tmp_path, redis):
    """Two services with one Redis and one key, on two addresses and one port."""
    apps, store, port = (
        APPS.replace("{key}", generate_key()),
        f'[store]\nkind = "redis"\n[store.redis]\nurl = "{redis}"',
        free_port(),
    )
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    with (
        Service.start(folders[0], apps, store, "127.0.0.1", port) as first,
        Service.start(folders[1], apps, store, "127.0.0.2", port) as second,
    ):
        yield first, second


@pytest.fixture(params=["a list", "a list of gRPC", "sockets", "a name"])
def address(request, replicas):
    """The address of both replicas, in all forms."""
    if request.param == "a name":
        with NameServer("127.0.0.1", "127.0.0.2") as names:
            yield f"dns://127.0.0.1:{names.port}/cloakroom.test:{replicas[0].port}"
    else:
        yield {
            "a list": ", ".join(each.address for each in replicas),
            "a list of gRPC": "ipv4:" + ",".join(each.address for each in replicas),
            "sockets": ",".join(f"unix:{each.socket}" for each in replicas),
        }[request.param]


def make_app(address):
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(address, app="shop")
    app.add_url_rule("/write", "write", lambda: str(session.update(a=1)))
    app.add_url_rule("/count", "count", lambda: str((session.increment("n"), session["n"])[1]))
    app.add_url_rule("/both", "both", lambda: str((session.get("a"), session.update(a=1))))
    return app


@pytest.mark.parametrize("path", ["/write", "/both"])
def test_each_of_two_replicas_creates_half_of_the_sessions(replicas, address, path):
    app = make_app(address)
    for _ in range(100):
        assert app.test_client().get(path).status_code == 200
    created = [replica.count_calls("SaveSession") for replica in replicas]
    assert sum(created) == 100
    assert all(40 <= count <= 60 for count in created), created


def test_a_replica_that_is_back_is_used_again(replicas):
    address = ",".join(each.address for each in replicas)
    client = make_app(address).test_client()
    replicas[1].stop()
    assert [client.get("/count").text for _ in range(10)] == [str(count) for count in range(1, 11)]
    replicas[1].launch()
    wait_until("it is used", lambda: client.get("/count") and replicas[1].count_calls("SaveSession"))


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_no_request_fails_when_one_of_two_replicas_ends(replicas, address, signal_number):
    app = make_app(address)
    app.session_interface.client.deadline = TIMEOUT
    clients = [app.test_client() for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        results = [
            pool.submit(lambda client: [client.get("/count").text for _ in range(100)], each) for each in clients
        ]
        while replicas[1].count_calls("SaveSession") < 20:
            pass
        replicas[1].stop(signal_number)
        for result in results:
            assert result.result() == [str(count) for count in range(1, 101)]
