"""How the client connects to the service: directly, and once for all calls."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from lossy_proxy import LossyProxy

from cloakroom import Client
from cloakroom.messages import session_service_pb2 as pb

PROXY_VARIABLES = ["http_proxy", "https_proxy", "grpc_proxy", "all_proxy"]


@pytest.fixture
def http_proxy():
    """A listener that counts connections and closes them."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connections.append(connection.recv(4096))
                    connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], connections
        listener.shutdown(socket.SHUT_RDWR)


def write(client: Client) -> pb.SaveSessionResponse:
    """Creates a session with one entry."""
    changes = pb.Changes(set={"a": pb.Value(json="1")})
    return client.save(pb.SaveSessionRequest(app=client.app, cookie_header="", changes=changes, request_id="1"))


def test_all_calls_of_a_process_share_one_connection(service):
    proxy = LossyProxy(service.port)
    client = Client(proxy.address, app="shop")
    client.policy()
    client.open(pb.OpenSessionRequest(app="shop", token=write(client).session.token))
    proxy.close()
    assert proxy.accepted == 1


def test_a_proxy_in_the_environment_gets_no_call(service, http_proxy, monkeypatch):
    port, connections = http_proxy
    for variable in PROXY_VARIABLES:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        monkeypatch.setenv(variable.upper(), f"http://127.0.0.1:{port}")

    saved = write(Client(service.address, app="shop"))

    assert saved.outcome == pb.OUTCOME_CREATED
    assert connections == []
