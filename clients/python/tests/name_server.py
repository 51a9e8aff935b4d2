"""A name server that has some IPv4 addresses for every name."""

from __future__ import annotations

import socket
import threading

_HEADER_BYTES = 12
#: A pointer to the name in the question; type A, class IN, a time to live of 0 and an address of 4 bytes.
_ANSWER = bytes.fromhex("c00c 0001 0001 00000000 0004")
_TYPE_A = b"\0\1"


class NameServer:
    """Answers on a free port of 127.0.0.1. Leaving its `with` block stops it."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            if not query:
                return
            self._socket.sendto(self._response(query), client)

    def _response(self, query: bytes) -> bytes:
        name_end = query.index(b"\0", _HEADER_BYTES) + 1
        question = query[_HEADER_BYTES : name_end + 4]
        addresses = self._addresses if query[name_end : name_end + 2] == _TYPE_A else ()
        answers = b"".join(_ANSWER + socket.inet_aton(address) for address in addresses)
        # An authoritative answer, one question, and no authority and additional records.
        header = query[:2] + b"\x85\x80" + b"\0\1" + len(addresses).to_bytes(2, "big") + bytes(4)
        return header + question + answers

    def __enter__(self) -> NameServer:
        return self

    def __exit__(self, *_: object) -> None:
        # An empty query ends the thread.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()
