"""Two replicas of the service on one Redis: both are used, and one of them may end."""

from __future__ import annotations

import concurrent.futures
import signal

import pytest
from flask import Flask, session
from name_server import NameServer
from service import APPS, TIMEOUT, Service, free_port, generate_key, wait_until

from cloakroom import ConnectTransport
from cloakroom.flask import CloakroomSessionInterface
from cloakroom.grpc_transport import GrpcTransport


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


@pytest.fixture(params=["a list", "sockets", "a list for gRPC", "sockets for gRPC", "a name for gRPC"])
def transport(request, replicas):
    """A transport to both replicas, in all forms. `test_connections` has names for Connect."""
    addresses = ", ".join(each.address for each in replicas)
    sockets = ",".join(f"unix:{each.socket}" for each in replicas)
    if request.param == "a name for gRPC":
        with NameServer("127.0.0.1", "127.0.0.2") as names:
            yield GrpcTransport(f"dns://127.0.0.1:{names.port}/cloakroom.test:{replicas[0].port}")
    else:
        yield {
            "a list": lambda: ConnectTransport(addresses),
            "sockets": lambda: ConnectTransport(sockets),
            "a list for gRPC": lambda: GrpcTransport("ipv4:" + addresses),
            "sockets for gRPC": lambda: GrpcTransport(sockets),
        }[request.param]()


def make_app(transport):
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(transport, app="shop")
    app.add_url_rule("/write", "write", lambda: str(session.update(a=1)))
    app.add_url_rule("/count", "count", lambda: str((session.increment("n"), session["n"])[1]))
    app.add_url_rule("/both", "both", lambda: str((session.get("a"), session.update(a=1))))
    return app


def saves(replicas):
    return [replica.count_calls("SaveSession") for replica in replicas]


@pytest.mark.parametrize("path", ["/write", "/both"])
def test_each_of_two_replicas_creates_half_of_the_sessions(replicas, transport, path):
    app = make_app(transport)
    if isinstance(transport, GrpcTransport):
        # grpcio connects in the background: until then all calls go to the replica that was the first to answer.
        wait_until("both are used", lambda: app.test_client().get(path) and all(saves(replicas)))
    before = saves(replicas)
    for _ in range(100):
        assert app.test_client().get(path).status_code == 200
    created = [count - used for count, used in zip(saves(replicas), before, strict=True)]
    assert sum(created) == 100
    assert all(40 <= count <= 60 for count in created), created


def test_a_replica_that_does_not_answer_fails_no_request(replicas):
    client = make_app(",".join(each.address for each in replicas)).test_client()
    client.get("/count")
    replicas[1].suspend()
    try:
        assert [client.get("/count").text for _ in range(10)] == [str(count) for count in range(2, 12)]
    finally:
        replicas[1].resume()


def test_a_replica_that_is_back_is_used_again(replicas):
    address = ",".join(each.address for each in replicas)
    client = make_app(address).test_client()
    replicas[1].stop()
    assert [client.get("/count").text for _ in range(10)] == [str(count) for count in range(1, 11)]
    replicas[1].launch()
    wait_until("it is used", lambda: client.get("/count") and replicas[1].count_calls("SaveSession"))


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_no_request_fails_when_one_of_two_replicas_ends(replicas, transport, signal_number):
    app = make_app(transport)
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
