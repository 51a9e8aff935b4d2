"""Calls by the Connect protocol over HTTP/1.1, with Python's own sockets.

A call goes through `transport` (which replica), `pool` (which connection), `protocol` (writes the request, reads the
message of the response), `connection` (the socket) and `http1` (the bytes of the response).
"""

from .credentials import Credentials
from .transport import ConnectTransport, shared_transport

__all__ = ["ConnectTransport", "Credentials", "shared_transport"]
