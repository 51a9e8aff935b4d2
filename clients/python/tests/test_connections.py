"""How the client connects to the service: directly, once for all calls of a process, and again when it has to."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from lossy_proxy import LossyProxy
from service import TIMEOUT, Service, free_port, listening, wait_until

from cloakroom import AsyncClient, AsyncConnectTransport, Client, ConnectTransport, SessionUnavailable
from cloakroom.clock import now
from cloakroom.connect import connection as connections
from cloakroom.connect import pool as pools
from cloakroom.grpc_transport import GrpcTransport
from cloakroom.messages import session_service_pb2 as pb

PROXY_VARIABLES = ["http_proxy", "https_proxy", "grpc_proxy", "all_proxy"]


@pytest.fixture(params=[ConnectTransport, GrpcTransport])
def any_transport(request):
    """Each class of transports."""
    return request.param


@pytest.fixture
def proxy(service):
    proxy = LossyProxy(service.port)
    yield proxy
    proxy.close()


@pytest.fixture
def http_proxy():
    """A listener that counts connections and closes them."""
    connections = []

    def accept(connection):
        connections.append(connection.recv(4096))
        connection.close()

    with listening(accept) as port:
        yield port, connections


def write(client: Client) -> pb.SaveSessionResponse:
    """Creates a session with one entry."""
    changes = pb.Changes(set={"a": pb.Value(json="1")})
    return client.save(
        pb.SaveSessionRequest(app=client.app, cookie_header="", changes=changes, request_id=os.urandom(8).hex())
    )


def read(client: Client) -> pb.OpenSessionResponse:
    return client.open(pb.OpenSessionRequest(app=client.app))


def test_all_calls_of_a_process_share_one_connection(proxy, any_transport):
    client = Client(any_transport(proxy.address), app="shop")
    client.policy()
    client.open(pb.OpenSessionRequest(app="shop", token=write(client).session.token))
    assert proxy.accepted == 1


def test_a_call_whose_repeat_has_no_time_left_says_why_it_was_repeated(silent_address):
    with pytest.raises(SessionUnavailable, match="no answer.*; the attempt before: ") as failed:
        read(Client(silent_address, app="shop", deadline=2.0))
    assert failed.value.code == "DEADLINE_EXCEEDED"


def test_clients_of_one_address_share_their_connections(proxy):
    for client in [Client(proxy.address, app="shop") for _ in range(400)]:
        read(client)
    assert proxy.accepted == 1


def test_connections_end_with_the_last_client_of_their_address(proxy):
    client = Client(proxy.address, app="shop")
    read(client)
    assert proxy.open_count() == 1
    del client
    gc.collect()
    wait_until("the connection ends", lambda: proxy.open_count() == 0)


def test_a_process_has_a_bounded_number_of_connections(proxy):
    client = Client(proxy.address, app="shop", deadline=TIMEOUT)
    with concurrent.futures.ThreadPoolExecutor(200) as executor:
        list(executor.map(lambda _: read(client), range(2000)))
    assert proxy.accepted <= pools.MAX_CONNECTIONS


def test_a_call_waits_for_a_connection_only_until_its_deadline(own_service):
    client = Client(own_service.address, app="shop", deadline=0.6)
    read(client)
    own_service.suspend()
    try:
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(2 * pools.MAX_CONNECTIONS) as executor:
            calls = [executor.submit(read, client) for _ in range(2 * pools.MAX_CONNECTIONS)]
            assert all(isinstance(call.exception(), SessionUnavailable) for call in calls)
        assert time.monotonic() - began < 5
    finally:
        own_service.resume()
    assert read(client).session.new


def test_a_connection_that_was_closed_while_it_was_idle_is_not_used(proxy):
    client = Client(proxy.address, app="shop", deadline=TIMEOUT)
    write(client)
    before = proxy.requests
    proxy.close_connections()
    wait_until("the connection ends", lambda: proxy.open_count() == 0)
    write(client)
    assert proxy.requests - before == 1


def test_a_proxy_in_the_environment_gets_no_call(service, any_transport, http_proxy, monkeypatch):
    port, connections = http_proxy
    for variable in PROXY_VARIABLES:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        monkeypatch.setenv(variable.upper(), f"http://127.0.0.1:{port}")

    saved = write(Client(any_transport(service.address), app="shop"))

    assert saved.outcome == pb.OUTCOME_CREATED
    assert connections == []


def run_program(program: str, *arguments: str) -> str:
    """Runs a program, and returns what it prints. In a process of its own, for grpcio disturbs forks of this one."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_forked_children_and_their_parent_do_not_disturb_each_other(proxy):
    """They are forked while other threads of the parent have calls under way."""
    program = """
import concurrent.futures, contextlib, os, sys, threading
from cloakroom import Client
from cloakroom.messages import session_service_pb2 as pb

client = Client(sys.argv[1], app="shop", deadline=60)

def save(**credential):
    changes = pb.Changes(increment={"n": 1})
    request_id = os.urandom(8).hex()
    return client.save(pb.SaveSessionRequest(app="shop", changes=changes, request_id=request_id, **credential))

token = save(cookie_header="").session.token
is_over = threading.Event()

def count():
    counted = 0
    while not is_over.is_set():
        save(token=token)
        counted += 1
    return counted

def fork():
    child = os.fork()
    if child:
        return child
    with contextlib.suppress(BaseException):
        for _ in range(20):
            save(cookie_header="")
        os._exit(0)
    os._exit(1)

with concurrent.futures.ThreadPoolExecutor(4) as executor:
    threads = [executor.submit(count) for _ in range(4)]
    children = [fork() for _ in range(8)]
    statuses = [os.waitpid(child, 0)[1] for child in children]
    is_over.set()
    counted = 1 + sum(thread.result() for thread in threads)
entries = client.open(pb.OpenSessionRequest(app="shop", token=token)).session.entries
print(statuses, int(entries["n"].json) - counted)
"""
    assert run_program(program, proxy.address) == f"{[0] * 8} 0\n"


def test_children_forked_without_pythons_hooks_share_no_connection_and_no_lock_with_their_parent(proxy):
    """They are forked in C, as by uWSGI, while another thread holds the lock of the pool."""
    program = """
import ctypes, os, sys
from cloakroom import Client
from cloakroom.connect import pool
from cloakroom.messages import session_service_pb2 as pb

client = Client(sys.argv[1], app="shop", deadline=20)

def save(user):
    changes = pb.Changes(set={"user": pb.Value(json=str(user))})
    request_id = os.urandom(8).hex()
    return client.save(pb.SaveSessionRequest(app="shop", cookie_header="", changes=changes, request_id=request_id))

tokens = [save(user).session.token for user in range(4)]

def read(user):
    return client.open(pb.OpenSessionRequest(app="shop", token=tokens[user])).session.entries["user"].json

def fork(user):
    child = ctypes.PyDLL(None).fork()
    if child:
        return child
    status = 1
    try:
        status = int(any(read(user) != str(user) for _ in range(200)))
        client.transport.close()
    finally:
        os._exit(status)

held = [each._lock for each in pool._POOLS]
for lock in held: lock.acquire()
children = [fork(user) for user in range(1, 4)]
for lock in held: lock.release()
own = {read(0) for _ in range(200)}
print([os.waitpid(child, 0)[1] for child in children], own, len(held))
"""
    assert run_program(program, proxy.address) == f"{[0] * 3} {{'0'}} 1\n"
    # One of each process, and none is broken by another process.
    assert proxy.accepted == 4


def test_a_child_that_closes_what_it_has_inherited_breaks_no_connection_of_its_parent(proxy):
    program = """
import ctypes, os, sys
from cloakroom import Client

client = Client(sys.argv[1], app="shop")
client.policy()
if ctypes.PyDLL(None).fork() == 0:
    client.transport.close()
    os._exit(0)
os.wait()
client._policy = None
client.policy()
"""
    run_program(program, proxy.address)
    assert proxy.accepted == 1


def test_children_forked_without_pythons_hooks_draw_different_ids_and_delays():
    program = """
import ctypes, os
from cloakroom import session
from cloakroom.connect import replicas

for _ in range(4):
    if ctypes.PyDLL(None).fork() == 0:
        print(session._new_request_id(), replicas.RANDOM.random(), flush=True)
        os._exit(0)
    os.wait()
"""
    assert len(set(run_program(program).split())) == 8


def test_a_child_keeps_no_connection_of_its_parent_open(proxy):
    program = """
import os, sys
from cloakroom import Client
client = Client(sys.argv[1], app="shop")
client.policy()
if os.fork() == 0:
    sys.stdin.read(1)
    os._exit(0)
client.transport.close()
print("closed", flush=True)
os.wait()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, proxy.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "closed\n"
        wait_until("the connection ends", lambda: proxy.open_count() == 0)
        process.communicate("x", TIMEOUT)


def test_many_greenlets_share_a_few_connections(service):
    program = """
from gevent import monkey; monkey.patch_all()
import gevent, os, sys
from cloakroom import Client
from cloakroom.messages import session_service_pb2 as pb
client = Client(sys.argv[1], app="shop", deadline=60)
greenlets = [gevent.spawn(client.open, pb.OpenSessionRequest(app="shop")) for _ in range(500)]
gevent.joinall(greenlets, raise_error=True)
sockets = sum(os.readlink(f"/proc/self/fd/{fd}").startswith("socket") for fd in os.listdir("/proc/self/fd")
              if os.path.exists(f"/proc/self/fd/{fd}"))
print(len(greenlets), sockets <= 66)
# A greenlet that is ended in the middle of its call leaves no half-read response behind.
for _ in range(200):
    greenlet = gevent.spawn(client.open, pb.OpenSessionRequest(app="shop"))
    gevent.sleep(0)
    greenlet.kill()
    assert client.open(pb.OpenSessionRequest(app="shop")).session.new
print("done")
"""
    assert run_program(program, service.address) == "500 True\ndone\n"


def test_the_client_needs_no_grpcio(service):
    program = """
import sys
sys.modules["grpc"] = None
import cloakroom.flask, cloakroom.wsgi
from cloakroom import Client
print(Client(sys.argv[1], app="shop").policy().cookie_name)
"""
    assert run_program(program, service.address) == "session\n"


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("", "for example, localhost:50051"),
        (" , ", "for example, localhost:50051"),
        ("localhost:port", "from 1 to 65535"),
        ("localhost:70000", "from 1 to 65535"),
        ("unix:", "unix:/run/cloakroom/cloakroom.sock"),
        ("localhost:50051/path", "no address of the service"),
        ("user@localhost:50051", "no address of the service"),
        ("dns://10.0.0.1/cloakroom:50051", "needs GrpcTransport"),
        ("two words:50051", "no valid host"),
        ("[::1]50051", "written as [::1]:50051"),
    ],
)
def test_an_address_that_is_not_valid_is_refused_with_advice(address, advice):
    with pytest.raises(ValueError) as refused:
        ConnectTransport(address)
    assert advice in str(refused.value)


def test_a_system_without_unix_sockets_connects_by_tcp(service, monkeypatch):
    """Such as Windows."""
    monkeypatch.delattr(socket, "AF_UNIX")
    assert read(Client(ConnectTransport(service.address), app="shop")).session.new
    with pytest.raises(SessionUnavailable, match=r"cannot connect to 127\.0\.0\.1 port"):
        read(Client(ConnectTransport(f"127.0.0.1:{free_port()}"), app="shop", deadline=0.1))
    with pytest.raises(ValueError, match=r"no Unix sockets.*localhost:50051"):
        ConnectTransport("unix:/run/cloakroom/cloakroom.sock")


def test_an_address_of_ipv6_is_used(tmp_path):
    with Service.start(tmp_path, host="[::1]") as service:
        assert read(Client(service.address, app="shop")).session.new
        assert asyncio.run(AsyncClient(service.address, app="shop").policy()).app == "shop"


class RecordingSocket(socket.socket):
    """Advances a clock with each part that it sends, and records how long it waits for the response."""

    time = 0.0
    timeout_of_response = 0.0

    def send(self, data, *flags):
        type(self).time += 0.25
        return super().send(data, *flags)

    def sendall(self, data, *flags):
        type(self).time += 0.25
        return super().sendall(data, *flags)

    def recv(self, *arguments):
        type(self).timeout_of_response = self.gettimeout()
        return super().recv(*arguments)


def test_the_deadline_of_a_large_request_includes_the_time_to_send_it(monkeypatch):
    monkeypatch.setattr(connections, "now", lambda: RecordingSocket.time)
    response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    received = []

    def answer(accepted):
        while sum(map(len, received)) < 900_000:
            received.append(accepted.recv(65536))
        accepted.sendall(response)

    with listening(answer) as port:
        connected = RecordingSocket()
        connected.connect(("127.0.0.1", port))
        RecordingSocket.time = 0.0
        connection = connections.Connection(connected)
        # No deadline that a busy machine reaches.
        assert connection.call(bytes(range(250)) * 3600, 0.0, 1000.0).status == 200
        connection.close()
    assert b"".join(received) == bytes(range(250)) * 3600
    step = 1 / 64
    assert 0 <= RecordingSocket.timeout_of_response - (1000.0 - RecordingSocket.time) <= 2 * step


class Names:
    """A program with a client in a namespace with its own /etc/hosts and /etc/resolv.conf."""

    PROGRAM = """
import sys
from cloakroom import Client, SessionUnavailable
from cloakroom.messages import session_service_pb2 as pb
client = Client(sys.argv[1], app="shop", deadline=float(sys.argv[2]))
print("ready", flush=True)
for line in sys.stdin:
    try:
        client.open(pb.OpenSessionRequest(app="shop"))
        print("ok", flush=True)
    except SessionUnavailable as error:
        print(error, flush=True)
"""

    ASYNC_PROGRAM = """
import asyncio, sys
from cloakroom import AsyncClient, SessionUnavailable
from cloakroom.messages import session_service_pb2 as pb

async def main():
    client = AsyncClient(sys.argv[1], app="shop", deadline=float(sys.argv[2]))
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        try:
            await client.open(pb.OpenSessionRequest(app="shop"))
            print("ok", flush=True)
        except SessionUnavailable as error:
            print(error, flush=True)

asyncio.run(main())
"""

    def __init__(
        self, folder: pathlib.Path, address: str, deadline: float, resolv: str = "", program: str = PROGRAM
    ) -> None:
        self.hosts = folder / "hosts"
        (folder / "resolv.conf").write_text(resolv)
        mounts = "; ".join(f"mount --bind {folder}/{name} /etc/{name}" for name in ("hosts", "resolv.conf"))
        arguments = ["unshare", "--mount", "sh", "-ec", f'{mounts}; exec "$@"', "sh"]
        command = [*arguments, sys.executable, "-c", program, address, str(deadline)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        assert self.process.stdout.readline() == "ready\n"

    def call(self) -> str:
        """Makes a call and returns `ok`, or the error's text."""
        self.process.stdin.write("\n")
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.mark.parametrize("program", [Names.PROGRAM, Names.ASYNC_PROGRAM], ids=["sync", "async"])
def test_a_name_stands_for_all_addresses_that_it_has_now(tmp_path, program):
    port = free_port()
    folders = [tmp_path / "1", tmp_path / "2"]
    for folder in folders:
        folder.mkdir()
    (tmp_path / "hosts").write_text("127.0.0.1 cloakroom.test\n127.0.0.2 cloakroom.test\n")
    names = Names(tmp_path, f"cloakroom.test:{port}", TIMEOUT, program=program)
    try:
        with Service.start(folders[0], port=port) as first:
            with Service.start(folders[1], host="127.0.0.2", port=port) as second:
                assert [names.call() for _ in range(20)] == ["ok"] * 20
                assert min(first.count_calls("OpenSession"), second.count_calls("OpenSession")) >= 9
            (tmp_path / "hosts").write_text("127.0.0.3 cloakroom.test\n")
            first.stop(signal.SIGKILL)
        (tmp_path / "3").mkdir()
        with Service.start(tmp_path / "3", host="127.0.0.3", port=port) as third:
            assert names.call() == "ok"
            assert third.count_calls("OpenSession") == 1
    finally:
        names.close()


def test_calls_of_many_threads_share_the_first_look_up_of_a_name(service):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        for _ in range(30):
            client = Client(ConnectTransport(f"localhost:{service.port}"), app="shop", deadline=5)
            begin = threading.Barrier(16)

            def call(client=client, begin=begin):
                begin.wait()
                return read(client).session.new

            assert all(call.result() for call in [executor.submit(call) for _ in range(16)])
    sys.setswitchinterval(interval)


class IdleConnection:
    """A connection without a socket, on which nothing arrives."""

    is_closed = False

    def __init__(self):
        self.last_use = now()

    def is_silent(self):
        return True

    def close(self):
        self.is_closed = True


def test_a_connection_that_is_given_back_while_the_idle_ones_are_dropped_can_be_taken_again(monkeypatch):
    class ListOfAnotherThread(list):
        """Lets another thread drop the idle connections when this one has just got the list."""

        def append(self, connection):
            pool.drop_idle()
            super().append(connection)

    pool = pools.Pool(lambda end: IdleConnection())
    monkeypatch.setattr(pools, "MAX_CONNECTIONS", 1)
    connection = pool.take(now() + TIMEOUT)
    pool._idle = ListOfAnotherThread()

    pool.put(connection)

    assert pool.take(now() + 0.2) is connection


def test_the_connections_that_are_idle_are_dropped_and_not_those_in_calls():
    pool = pools.Pool(lambda end: IdleConnection())
    idle, used = [[pool.take(now() + TIMEOUT) for _ in range(3)] for _ in range(2)]
    for connection in idle:
        pool.put(connection)

    pool.drop_idle()

    assert [each.is_closed for each in (*idle, *used)] == [True] * 3 + [False] * 3
    assert pool.take_idle(now()) is None


class UnstartableThread(threading.Thread):
    """A thread of a process that may have no more of them."""

    def start(self):
        raise RuntimeError("can't start new thread")


def test_a_look_up_works_again_after_its_thread_could_not_be_started(service, monkeypatch):
    client = Client(ConnectTransport(f"localhost:{service.port}"), app="shop", deadline=0.2)
    with monkeypatch.context() as patched:
        patched.setattr(threading, "Thread", UnstartableThread)
        with pytest.raises(SessionUnavailable, match="cannot look up 'localhost': can't start new thread"):
            read(client)
    client.deadline = TIMEOUT
    assert read(client).session.new


def test_a_call_goes_to_the_known_addresses_although_the_thread_of_a_look_up_could_not_be_started(service, monkeypatch):
    transport = ConnectTransport(f"localhost:{service.port}")
    client = Client(transport, app="shop", deadline=TIMEOUT)
    read(client)
    [name] = transport._replicas.names
    monkeypatch.setattr(name, "is_due", lambda: True)
    monkeypatch.setattr(threading, "Thread", UnstartableThread)
    assert read(client).session.new


def test_a_look_up_without_an_answer_says_so(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(TIMEOUT) and [])
    client = Client(ConnectTransport("localhost:1"), app="shop", deadline=0.1)
    with pytest.raises(SessionUnavailable, match="cannot look up 'localhost': no answer in time"):
        read(client)
    ended.set()


@pytest.fixture
def silent_names(monkeypatch):
    """Has the look-up of names that begin with `silent` wait for an event, or the end of the test."""
    ended, look_up = threading.Event(), socket.getaddrinfo

    def look_up_others(host, *args, **kwargs):
        if host.startswith("silent"):
            ended.wait(TIMEOUT)
        return look_up("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_others)
    yield ended
    ended.set()


@pytest.mark.parametrize("others", ["127.0.0.1", "other.test"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_name_whose_look_up_hangs_holds_no_call_if_there_is_another_address(service, silent_names, others, is_first):
    addresses = [f"{host}:{service.port}" for host in ("silent.test", others)]
    address = ",".join(addresses if is_first else addresses[::-1])

    assert read(Client(ConnectTransport(address), app="shop", deadline=TIMEOUT / 4)).session.new

    async def read_in_loop():
        client = AsyncClient(AsyncConnectTransport(address), app="shop", deadline=TIMEOUT / 4)
        try:
            return await client.open(pb.OpenSessionRequest(app="shop"))
        finally:
            # The end of the loop waits for its threads.
            silent_names.set()

    assert asyncio.run(asyncio.wait_for(read_in_loop(), TIMEOUT)).session.new


def test_a_name_server_that_does_not_answer_holds_no_call_beyond_its_deadline(tmp_path):
    (tmp_path / "hosts").write_text("")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.9", 53))
        names = Names(tmp_path, "cloakroom.test:50051", 0.5, "nameserver 127.0.0.9\noptions timeout:30\n")
        try:
            began = time.monotonic()
            assert "cannot look up 'cloakroom.test'" in names.call()
            assert time.monotonic() - began < 5
        finally:
            names.close()
