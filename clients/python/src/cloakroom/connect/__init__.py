"""Calls by the Connect protocol over HTTP/1.1, with Python's own sockets.

A call goes through `transport` (which replica), `pool` (which connection), `protocol` (writes the request, reads the
message of the response), `connection` (the socket) and `http1` (the bytes of the response). The modules whose names
begin with `async_` are the same for event loops; they are imported only where they are used, for asyncio takes long.
"""

from .credentials import Credentials
from .transport import ConnectTransport, shared_transport

__all__ = ["ConnectTransport", "Credentials", "shared_transport"]
