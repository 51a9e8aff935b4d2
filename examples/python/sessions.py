"""Calls Cloakroom with a deadline per call."""

import json
import os
import secrets

import grpc
from cloakroom.v1 import session_service_pb2 as pb
from cloakroom.v1.session_service_pb2_grpc import SessionServiceStub

ADDRESS = os.environ.get("CLOAKROOM_ADDRESS", "127.0.0.1:50051")
DEADLINE = 5  # seconds
# Retries are safe: opens and destroys may be repeated, and saves have a request_id.
RETRY = {"methodConfig": [{
    "name": [{"service": "cloakroom.v1.SessionService"}],
    "retryPolicy": {
        "maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "0.5s", "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    },
}]}
TEMPORARY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}

OPTIONS = [
    ("grpc.service_config", json.dumps(RETRY)),
    ("grpc.enable_http_proxy", 0),  # Calls carry tokens.
]

cloakroom = SessionServiceStub(grpc.insecure_channel(ADDRESS, OPTIONS))


def open_session(cookies):
    return cloakroom.OpenSession(pb.OpenSessionRequest(cookie_header=cookies), timeout=DEADLINE)


def save_session(session, changes, *, rotate=False):
    return cloakroom.SaveSession(pb.SaveSessionRequest(
        token=session.token, changes=changes, rotate=rotate, accessed=True, request_id=secrets.token_hex(16),
    ), timeout=DEADLINE)


def destroy_session(cookies):
    return cloakroom.DestroySession(pb.DestroySessionRequest(cookie_header=cookies), timeout=DEADLINE)


def is_temporary(error):
    """Whether the same call may succeed a moment later."""
    return error.code() in TEMPORARY
