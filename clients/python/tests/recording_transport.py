"""A transport that records the calls it makes."""

from __future__ import annotations

from cloakroom.grpc_transport import GrpcTransport


class RecordingTransport:
    """Makes calls by gRPC, and records their names and requests."""

    def __init__(self, address: str) -> None:
        self.grpc = GrpcTransport(address)
        self.calls: list[str] = []
        self.requests: list[object] = []

    def __getattr__(self, name: str):
        method = getattr(self.grpc, name)

        def call(request, timeout):
            self.calls.append(name)
            self.requests.append(request)
            return method(request, timeout)

        return call

    def take_calls(self) -> list[str]:
        """Returns the names of the calls since the last `take_calls`."""
        calls, self.calls, self.requests = self.calls, [], []
        return calls
