"""Calls Cloakroom with a deadline per call, over all addresses in turn."""

import itertools
import os
import secrets
import time

import grpc
from cloakroom.v1 import session_service_pb2 as pb
from cloakroom.v1.session_service_pb2_grpc import SessionServiceStub

# One or more: host:port, unix:/path, or dns:///name:port for all addresses of a name.
ADDRESSES = os.environ.get("CLOAKROOM_ADDRESS", "127.0.0.1:50051").split(",")
DEADLINE = 5  # seconds
PAUSE = 0.25  # seconds
OPTIONS = [
    ("grpc.enable_http_proxy", 0),  # Calls carry tokens.
    ("grpc.lb_policy_name", "round_robin"),
    # Leave a connection that loses its packets.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.ping_timeout_ms", 3000),
    ("grpc.http2.max_pings_without_data", 0),
    # Connect again soon after a restart, and drop connections that are not used.
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.client_idle_timeout_ms", 60_000),
]
TEMPORARY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}


def new_stub(address):
    # gRPC's authority for a socket is its path, which HTTP/2 servers reject.
    socket_options = [("grpc.default_authority", "localhost")] if address.startswith("unix") else []
    return SessionServiceStub(grpc.insecure_channel(address, OPTIONS + socket_options))


# The replicas take turns for each method. If all methods took turns together, one of two replicas would get every open
# and the other one every save. gRPC shares the connections of these channels.
turns = {
    method: itertools.cycle([new_stub(address) for address in ADDRESSES])
    for method in ("OpenSession", "SaveSession", "DestroySession")
}


def call(method, request):
    """Repeats the call on the next replica while one is unavailable.

    That is safe: opens and destroys may be repeated, and saves have a request_id.
    """
    end = time.monotonic() + DEADLINE
    for attempt in itertools.count(1):
        try:
            return getattr(next(turns[method]), method)(request, timeout=end - time.monotonic())
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() + PAUSE > end:
                raise
        if attempt % len(ADDRESSES) == 0:
            time.sleep(PAUSE)


def open_session(cookies):
    return call("OpenSession", pb.OpenSessionRequest(cookie_header=cookies))


def save_session(opened, changes, *, rotate=False):
    """Saves to an opened session. If that has ended meanwhile, nothing is saved."""
    return save(changes, token=opened.session.token, cookie_outdated=opened.cookie_outdated, rotate=rotate)


def log_in(cookies, changes):
    """Logs in, with a new token, so that nobody knows it who has planted or seen the one before.

    All repeats of a save by the token of an open are one session: the user has no other one that nobody knows of.
    """
    opened = open_session(cookies)
    if not opened.session.HasField("null_session"):
        saved = save_session(opened, changes, rotate=True)
        if saved.outcome != pb.OUTCOME_GONE:
            return saved
    # The session has ended since the open, or the browser has the cookies of two. A login ends both, and begins another.
    return save(changes, cookie_header=cookies, rotate=True)


def save(changes, **fields):
    request_id = secrets.token_hex(16)
    return call("SaveSession", pb.SaveSessionRequest(changes=changes, accessed=True, request_id=request_id, **fields))


def destroy_session(cookies):
    return call("DestroySession", pb.DestroySessionRequest(cookie_header=cookies))


def is_temporary(error):
    """Whether the same call may succeed a moment later."""
    return error.code() in TEMPORARY
