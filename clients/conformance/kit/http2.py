"""Relays calls by gRPC or Connect over HTTP/2. Frames pass as they are, so flow control is that of the two ends.

A client by Connect has to do without HPACK's dynamic table, so that the status of each response can be read by itself.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import hpack, messages
from .calls import Call
from .http1 import STATUS

if TYPE_CHECKING:
    from .faults import Fault
    from .relay import Connection

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, CONTINUATION = 0, 1, 3, 9
END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 32


@dataclass
class Frame:
    """A frame, with its bytes as they came."""

    raw: bytes

    @property
    def kind(self) -> int:
        return self.raw[3]

    @property
    def flags(self) -> int:
        return self.raw[4]

    @property
    def stream(self) -> int:
        return int.from_bytes(self.raw[5:9], "big") & 0x7FFFFFFF

    def content(self) -> bytes:
        """Returns the payload without padding and priority."""
        payload = self.raw[9:]
        if self.kind in (DATA, HEADERS) and self.flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if self.kind == HEADERS and self.flags & PRIORITY:
            payload = payload[5:]
        return payload


@dataclass
class Stream:
    """One call under way."""

    call: Call
    fault: Fault | None
    request: bytes = b""
    response: bytes = b""
    #: Of a response by Connect.
    status: str = ""
    #: Frames of the client that wait.
    held: list[Frame] = field(default_factory=list)

    @property
    def is_grpc(self) -> bool:
        return self.call.protocol == "grpc"

    def message(self, body: bytes) -> bytes:
        """Returns the message in a body."""
        return body[5:] if self.is_grpc else body


class Http2Connection:
    """Reads the frames of both directions, and forwards them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._relay = connection.relay
        self._decoder = hpack.Decoder()
        self._block = b""
        self._streams: dict[int, Stream] = {}
        #: Held while a frame is written to the client, or to the service.
        self._to_client, self._to_service = threading.Lock(), threading.Lock()

    def serve(self) -> None:
        _read_exactly(self._connection.client, len(PREFACE))
        self._connection.send_to_service(PREFACE)
        answers = threading.Thread(target=self._relay_to_client, daemon=True)
        answers.start()
        try:
            while (frame := _read_frame(self._connection.client)) is not None:
                self._relay_to_service(frame)
        except OSError:
            pass
        self._connection.end()
        answers.join(_JOIN_TIMEOUT)
        for stream in self._streams.values():
            if stream.call.state in ("begun", "held", "forwarded"):
                self._relay.log.set_state(stream.call, "lost")

    # From the client to the service.

    def _relay_to_service(self, frame: Frame) -> None:
        if frame.kind in (HEADERS, CONTINUATION):
            self._block += frame.content()
            if frame.flags & END_HEADERS:
                self._begin_call(frame.stream)
            # Always at once: the headers of later calls depend on these.
            self._send_to_service(frame)
            if frame.kind == HEADERS and frame.flags & END_STREAM:
                self._end_request(frame.stream, self._streams[frame.stream])
            return
        stream = self._streams.get(frame.stream)
        if stream is None or frame.kind != DATA:
            self._send_to_service(frame)
            return
        stream.request += frame.content()
        fault = stream.fault
        is_stopped = fault is not None and fault.do in ("hold", "answer", "drop request")
        if is_stopped:
            stream.held.append(frame)
        if frame.flags & END_STREAM:
            self._end_request(frame.stream, stream)
        if not is_stopped:
            self._send_to_service(frame)

    def _begin_call(self, number: int) -> None:
        headers, self._block = self._decoder.decode(self._block), b""
        method = headers[":path"].rpartition("/")[2]
        is_grpc = headers["content-type"].startswith("application/grpc")
        timeout = _timeout(headers.get("grpc-timeout")) if is_grpc else _milliseconds(headers.get("connect-timeout-ms"))
        call = self._relay.log.add(Call(method, self._relay.replica, "grpc" if is_grpc else "connect", timeout))
        self._streams[number] = Stream(call, self._relay.faults.take(method))

    def _end_request(self, number: int, stream: Stream) -> None:
        """Reads the request, which is whole now, and does what its fault asks for."""
        call, fault, log = stream.call, stream.fault, self._relay.log
        call.body = stream.message(stream.request)
        if call.method in self._relay.contract.rpcs:
            call.request = self._relay.contract.read(self._relay.contract.rpcs[call.method][0], call.body)
        if fault is not None and fault.do == "drop request":
            log.set_state(call, "lost")
            self._connection.end()
        elif fault is not None and fault.do == "answer":
            log.set_state(call, "failed")
            with self._to_client:
                self._connection.send_to_client(_error_response(number, fault, is_grpc=stream.is_grpc))
            # The service waits for the rest of the request.
            self._send_to_service(Frame(_frame(RST_STREAM, 0, number, b"\0\0\0\x08")))
        elif fault is not None and fault.do == "hold":
            log.set_state(call, "held")
            threading.Thread(target=self._release, args=(stream,), daemon=True).start()
        else:
            log.set_state(call, "forwarded")

    def _release(self, stream: Stream) -> None:
        assert stream.fault is not None
        stream.fault.released.wait(_LONGEST_HOLD)
        self._relay.log.set_state(stream.call, "forwarded")
        try:
            for frame in stream.held:
                self._send_to_service(frame)
        except OSError:
            self._relay.log.set_state(stream.call, "lost")

    def _send_to_service(self, frame: Frame) -> None:
        with self._to_service:
            self._connection.send_to_service(frame.raw)

    # From the service to the client.

    def _relay_to_client(self) -> None:
        try:
            while (frame := _read_frame(self._connection.service)) is not None:
                if not self._read_answer(frame):
                    break
                with self._to_client:
                    self._connection.send_to_client(frame.raw)
        except OSError:
            pass
        self._connection.end()

    def _read_answer(self, frame: Frame) -> bool:
        """Reads a frame of the service. False: the connection ends."""
        stream = self._streams.get(frame.stream)
        if stream is None or frame.kind not in (DATA, HEADERS):
            return True
        call, fault, log = stream.call, stream.fault, self._relay.log
        is_cut = fault is not None and fault.do == "cut answer" and frame.kind == DATA
        if is_cut or (fault is not None and fault.do == "drop answer"):
            log.set_state(call, "lost")
            return False
        if fault is not None and fault.do == "hold answer":
            # All answers of this connection wait, for their headers depend on each other.
            log.set_state(call, "held")
            fault.released.wait(_LONGEST_HOLD)
            stream.fault = None
        if frame.kind == DATA:
            stream.response += frame.content()
        elif not stream.is_grpc:
            stream.status = hpack.Decoder().decode(frame.content())[":status"]
        if frame.flags & END_STREAM:
            is_answer = bool(stream.response) if stream.is_grpc else stream.status == "200"
            if is_answer and call.method in self._relay.contract.rpcs:
                response_type = self._relay.contract.rpcs[call.method][1]
                call.response = self._relay.contract.read(response_type, stream.message(stream.response))
            if not self._connection.is_forgotten:
                log.set_state(call, "answered" if is_answer else "failed")
        return True


def _read_frame(source: socket.socket) -> Frame | None:
    """Returns the next frame. None: the connection has ended."""
    head = _read_exactly(source, 9)
    if head is None:
        return None
    payload = _read_exactly(source, int.from_bytes(head[:3], "big"))
    return None if payload is None else Frame(head + payload)


def _read_exactly(source: socket.socket, size: int) -> bytes | None:
    read = b""
    while len(read) < size:
        data = source.recv(size - len(read))
        if not data:
            return None
        read += data
    return read


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _timeout(text: str | None) -> float | None:
    return None if text is None else int(text[:-1]) * _UNITS[text[-1]]


def _milliseconds(text: str | None) -> float | None:
    return None if text is None else int(text) / 1000


def _error_response(stream: int, fault: Fault, *, is_grpc: bool) -> bytes:
    if fault.code == "bad gateway":
        block = hpack.encode([(":status", "502"), ("content-type", "text/html")])
        return _frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
    if not is_grpc:
        status = (":status", str(STATUS[fault.code]))
        block = hpack.encode([status, ("content-type", "application/json"), ("cloakroom-reason", fault.reason)])
        body = json.dumps({"code": fault.code, "message": "an error of the conformance kit"}).encode()
        return _frame(HEADERS, END_HEADERS, stream, block) + _frame(DATA, END_STREAM, stream, body)
    number, text = _CODES[fault.code], b"an error of the conformance kit"
    info = messages.write([(1, fault.reason.encode()), (2, b"cloakroom")])
    detail = messages.write([(1, b"type.googleapis.com/google.rpc.ErrorInfo"), (2, info)])
    details = b"\x08" + messages.varint(number) + messages.write([(2, text), (3, detail)])
    block = hpack.encode(
        [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", str(number)),
            ("grpc-message", text.decode()),
            ("grpc-status-details-bin", base64.b64encode(details).decode().rstrip("=")),
            ("cloakroom-reason", fault.reason),
        ]
    )
    return _frame(HEADERS, END_HEADERS | END_STREAM, stream, block)


_CODES = {
    "unavailable": 14,
    "deadline_exceeded": 4,
    "resource_exhausted": 8,
    "invalid_argument": 3,
    "failed_precondition": 9,
    "aborted": 10,
    "internal": 13,
}
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
#: Seconds. Longer than any deadline.
_LONGEST_HOLD = 30.0
_JOIN_TIMEOUT = 5.0
