"""Requests that are larger than the service takes."""

from __future__ import annotations

import asyncio

import pytest
from recording_transport import RecordingTransport

from cloakroom import AsyncClient, AsyncConnectTransport, Client, ConnectTransport, SessionRefused
from cloakroom.grpc_transport import GrpcTransport
from cloakroom.messages import session_service_pb2 as pb
from cloakroom.methods import WATCH
from cloakroom.transport import CallFailed

#: Bytes of the largest request.
LIMIT = 4 * 1024 * 1024


def save_of(size):
    """Returns a save of so many bytes."""
    request = pb.SaveSessionRequest(app="shop", cookie_header="", request_id="1" * 32)
    request.changes.set["a"].json = '"' + "x" * (size - 200)
    request.changes.set["a"].json += "x" * (size - request.ByteSize() - 1) + '"'
    assert request.ByteSize() == size
    return request


def save(transport, request):
    if isinstance(transport, AsyncConnectTransport):
        return asyncio.run(AsyncClient(transport, app="shop").save(request))
    return Client(transport, app="shop").save(request)


TRANSPORTS = [ConnectTransport, GrpcTransport, AsyncConnectTransport]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_request_over_the_limit_is_refused_without_a_call(transport):
    nobody_listens = transport("127.0.0.1:1")
    with pytest.raises(SessionRefused, match=f"the request is {LIMIT + 1} bytes; the limit is {LIMIT}") as refused:
        save(nobody_listens, save_of(LIMIT + 1))
    assert (refused.value.code, refused.value.reason) == ("RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_request_at_the_limit_is_judged_by_the_service(service, transport):
    with pytest.raises(SessionRefused) as refused:
        save(transport(service.address), save_of(LIMIT))
    assert refused.value.reason == "SESSION_TOO_LARGE"


@pytest.mark.parametrize("stream", ["stream", "async_stream"])
def test_a_stream_whose_request_is_over_the_limit_is_refused_without_a_call(stream):
    request = pb.WatchSessionRequest(app="shop", cookie_header="x" * LIMIT)
    with pytest.raises(SessionRefused) as refused:
        if stream == "stream":
            Client(ConnectTransport("127.0.0.1:1")).stream(WATCH, request)
        else:
            asyncio.run(AsyncClient(AsyncConnectTransport("127.0.0.1:1")).stream(WATCH, request))
    assert refused.value.reason == "REQUEST_TOO_LARGE"


def test_a_request_that_is_too_large_for_the_service_is_refused_and_not_repeated(service):
    transport = RecordingTransport(service.address)
    transport.fail_next("SaveSession", CallFailed("RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE", "too large"))
    with pytest.raises(SessionRefused, match="too large"):
        save(transport, save_of(1000))
    assert transport.take_calls() == ["SaveSession"]
