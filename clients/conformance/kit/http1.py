"""Relays calls by the Connect protocol over HTTP/1.1: one at a time on each connection."""

from __future__ import annotations

import json
import select
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .calls import Call

if TYPE_CHECKING:
    from .faults import Fault
    from .relay import Connection


@dataclass
class Message:
    """A request or a response: its bytes as they came, and their parts."""

    raw: bytes
    first_line: str
    headers: dict[str, str]
    body: bytes


class Http1Connection:
    """Reads whole requests and responses, and forwards them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._relay = connection.relay
        self._from_client = MessageReader(connection.client)
        self._from_service = MessageReader(connection.service)

    def serve(self) -> None:
        while self._client_is_next():
            request = self._from_client.read()
            if request is None or not self._relay_call(request):
                return

    def _client_is_next(self) -> bool:
        """Waits for the next request. False: the client or the service has ended the connection."""
        client, service = self._connection.client, self._connection.service
        ready, _, _ = select.select([client, service], [], [])
        return client in ready

    def _relay_call(self, request: Message) -> bool:
        """Forwards a request and its response. False: the connection ends."""
        call = self._relay.log.add(_call(self._relay.replica, request))
        fault = self._relay.faults.take(call.method)
        self._read_request(call, request)
        if fault is not None and fault.do == "drop request":
            self._set_state(call, "lost")
            return False
        if fault is not None and fault.do == "answer":
            self._connection.send_to_client(_error_response(fault))
            self._set_state(call, "failed")
            return True
        if fault is not None and fault.do == "hold":
            self._hold(call, fault)
        self._set_state(call, "forwarded")
        self._connection.send_to_service(request.raw)
        if self._connection.is_forgotten:
            self._wait_for_the_clients_end()
            self._set_state(call, "lost")
            return False
        response = self._from_service.read()
        if response is None or (fault is not None and fault.do == "drop answer"):
            self._set_state(call, "lost")
            return False
        if fault is not None and fault.do == "hold answer":
            self._hold(call, fault)
        if fault is not None and fault.do == "cut answer":
            self._connection.send_to_client(response.raw[: -max(len(response.body) // 2, 1)])
            self._set_state(call, "lost")
            return False
        is_answer = response.first_line.split(" ")[1] == "200"
        if is_answer and call.method in self._relay.contract.rpcs:
            self._read_response(call, response)
        # Before the client sees it, and can end the request that the call is part of.
        self._set_state(call, "answered" if is_answer else "failed")
        self._connection.send_to_client(response.raw)
        return True

    def _hold(self, call: Call, fault: Fault) -> None:
        self._set_state(call, "held")
        fault.released.wait(_LONGEST_HOLD)

    def _wait_for_the_clients_end(self) -> None:
        self._connection.client.settimeout(_LONGEST_HOLD)
        self._connection.client.recv(1)

    def _set_state(self, call: Call, state: str) -> None:
        self._relay.log.set_state(call, state)

    def _read_request(self, call: Call, message: Message) -> None:
        contract = self._relay.contract
        call.body = message.body
        if call.method in contract.rpcs:
            call.request = self._read(message, contract.rpcs[call.method][0])

    def _read_response(self, call: Call, message: Message) -> None:
        call.response = self._read(message, self._relay.contract.rpcs[call.method][1])

    def _read(self, message: Message, message_type: str) -> dict[str, Any]:
        if "json" in message.headers.get("content-type", ""):
            return self._relay.contract.read_json(message_type, message.body.decode())
        return self._relay.contract.read(message_type, message.body)


class MessageReader:
    """Reads requests or responses from a socket, by content-length or in chunks."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._buffer = b""

    def read(self) -> Message | None:
        """Returns the next message. None: the connection has ended."""
        end = self._find(b"\r\n\r\n", 0)
        if end < 0:
            return None
        first_line, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("expect", "").lower() == "100-continue":
            self._source.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        at = end + 4
        if "chunked" in headers.get("transfer-encoding", ""):
            body = b""
            while True:
                line_end = self._find(b"\r\n", at)
                if line_end < 0:
                    return None
                size = int(self._buffer[at:line_end].split(b";")[0], 16)
                at = line_end + 2 + size + 2
                if not self._fill(at):
                    return None
                body += self._buffer[line_end + 2 : at - 2]
                if size == 0:
                    break
        else:
            start, at = at, at + int(headers.get("content-length", "0"))
            if not self._fill(at):
                return None
            body = self._buffer[start:at]
        raw, self._buffer = self._buffer[:at], self._buffer[at:]
        return Message(raw, first_line, headers, body)

    def _find(self, text: bytes, at: int) -> int:
        while (found := self._buffer.find(text, at)) < 0:
            if not self._fill(len(self._buffer) + 1):
                return -1
        return found

    def _fill(self, size: int) -> bool:
        while len(self._buffer) < size:
            try:
                data = self._source.recv(65536)
            except OSError:
                return False
            if not data:
                return False
            self._buffer += data
        return True


def _call(replica: int, request: Message) -> Call:
    path = request.first_line.split(" ")[1]
    milliseconds = request.headers.get("connect-timeout-ms")
    return Call(path.rpartition("/")[2], replica, "connect", int(milliseconds) / 1000 if milliseconds else None)


def _error_response(fault: Fault) -> bytes:
    if fault.code == "bad gateway":
        body = b"<html><h1>502 Bad Gateway</h1></html>"
        head = f"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body
    body = json.dumps({"code": fault.code, "message": "an error of the conformance kit"}).encode()
    return (
        f"HTTP/1.1 {STATUS[fault.code]} Error\r\ncontent-type: application/json\r\n"
        f"cloakroom-reason: {fault.reason}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


STATUS = {
    "unavailable": 503,
    "deadline_exceeded": 504,
    "resource_exhausted": 429,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "aborted": 409,
    "internal": 500,
}
#: Seconds. Longer than any deadline.
_LONGEST_HOLD = 30.0
