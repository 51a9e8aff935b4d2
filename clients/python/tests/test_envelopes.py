"""Reads responses that are streams, in pieces of any size, as a socket or an event loop gets them."""

from __future__ import annotations

import json

import pytest

from cloakroom.connect.envelope import StreamReader, write_envelope
from cloakroom.connect.http1 import Malformed
from cloakroom.messages import session_service_pb2 as pb
from cloakroom.transport import CallFailed, Method

WATCH = Method("cloakroom.v1.SessionService", "WatchSession", pb.WatchSessionRequest, pb.WatchSessionResponse)
ALIVE = pb.WatchSessionResponse(state=pb.WATCH_STATE_ALIVE)
ENDED = pb.WatchSessionResponse(state=pb.WATCH_STATE_ENDED, end_reason=pb.END_REASON_DESTROYED)


def envelope(flags: int, data: bytes) -> bytes:
    return bytes([flags]) + len(data).to_bytes(4, "big") + data


def response(*parts: bytes, status: int = 200, content_type: str = "application/connect+proto") -> bytes:
    """Returns a chunked response, each part in a chunk of its own."""
    head = f"HTTP/1.1 {status} OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


MESSAGES = [envelope(0, ALIVE.SerializeToString()), envelope(0, ENDED.SerializeToString())]
WHOLE = response(*MESSAGES, envelope(2, b"{}"))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40, len(WHOLE)])
def test_messages_are_read_from_pieces_of_any_size(size):
    reader, messages = StreamReader(WATCH), []
    for at in range(0, len(WHOLE), size):
        messages += reader.receive(WHOLE[at : at + size])
    assert (messages, reader.is_ended) == ([ALIVE, ENDED], True)


def test_a_message_is_returned_as_soon_as_it_is_whole():
    reader = StreamReader(WATCH)
    first = response(MESSAGES[0])[: -len(b"0\r\n\r\n")]
    assert (reader.receive(first), reader.is_ended) == ([ALIVE], False)


def test_an_empty_message_is_a_message():
    reader = StreamReader(WATCH)
    assert reader.receive(response(write_envelope(b""), envelope(2, b"{}"))) == [pb.WatchSessionResponse()]


def test_a_stream_with_a_length_in_place_of_chunks_is_read():
    body = b"".join(MESSAGES) + envelope(2, b"{}")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/connect+proto\r\ncontent-length: %d\r\n\r\n" % len(body)
    reader, messages = StreamReader(WATCH), []
    for byte in head + body:
        messages += reader.receive(bytes([byte]))
    assert (messages, reader.is_ended) == ([ALIVE, ENDED], True)


def test_an_error_at_the_end_has_its_code_and_reason():
    error = {"code": "not_found", "message": "no such app", "details": [{"debug": {"reason": "APP_UNKNOWN"}}]}
    with pytest.raises(CallFailed, match="no such app") as failed:
        StreamReader(WATCH).receive(response(envelope(2, json.dumps({"error": error}).encode())))
    assert (failed.value.code, failed.value.reason) == ("NOT_FOUND", "APP_UNKNOWN")


@pytest.mark.parametrize(
    "data",
    [WHOLE[:-30], response(*MESSAGES), response(), response(MESSAGES[0], MESSAGES[1][:-1])],
    ids=["in a chunk", "before the end", "without a message", "in a message"],
)
def test_a_stream_that_is_cut_off_is_unavailable(data):
    reader = StreamReader(WATCH)
    with pytest.raises(CallFailed) as failed:
        reader.receive(data)
        reader.receive(b"")
    assert failed.value.code == "UNAVAILABLE"


@pytest.mark.parametrize(("status", "code"), [(503, "UNAVAILABLE"), (415, "UNKNOWN"), (404, "UNIMPLEMENTED")])
def test_a_proxy_that_answers_fails_the_call(status, code):
    with pytest.raises(CallFailed) as failed:
        StreamReader(WATCH).receive(response(b"<html>", status=status, content_type="text/html"))
    assert failed.value.code == code


@pytest.mark.parametrize("end", [b"", b"[]", b"no", b'{"error": 1}', b'{"error": {"details": 1}}'])
def test_an_end_that_is_not_readable_fails_the_call(end):
    with pytest.raises((CallFailed, Malformed)):
        StreamReader(WATCH).receive(response(envelope(2, end)))


@pytest.mark.parametrize(
    "part",
    [envelope(1, b"compressed"), b"\0\xff\xff\xff\xff", envelope(0, b"\xff"), b"HTTP"],
    ids=["compressed", "too long", "not a message", "no envelope"],
)
def test_what_is_no_message_fails_the_call(part):
    with pytest.raises((CallFailed, Malformed)):
        StreamReader(WATCH).receive(response(part, b"....."))


def test_a_response_without_the_content_type_of_streams_fails_the_call():
    with pytest.raises(CallFailed, match="not the service"):
        StreamReader(WATCH).receive(response(*MESSAGES, content_type="application/proto"))
