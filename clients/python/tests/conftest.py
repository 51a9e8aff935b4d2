"""Fixtures for all tests."""

from __future__ import annotations

import subprocess

import pytest
from service import Service, free_port, is_listening, listening, program, wait_until


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """A service on free ports of the loopback interface, shared by all tests."""
    with Service.start(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def own_service(tmp_path):
    """A service of one test, which the test may stop."""
    with Service.start(tmp_path, store=f'[store.embedded]\npath = "{tmp_path}/data"') as service:
        yield service


@pytest.fixture
def redis(tmp_path):
    """The URL of an empty Redis."""
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([program("redis-server"), *options], stdout=subprocess.DEVNULL)
    wait_until("redis listens", lambda: is_listening(port))
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait()


@pytest.fixture
def silent_address():
    """The address of a listener that ends its first connection, and is silent on all others."""
    connections = []

    def accept(connection):
        connections.append(connection)
        connections[0].close()

    with listening(accept) as port:
        yield f"127.0.0.1:{port}"
    for connection in connections:
        connection.close()
