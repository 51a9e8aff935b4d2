"""A transport that counts the calls it carries."""

from __future__ import annotations

from cloakroom.grpc_transport import GrpcTransport


class Counting:
    """Carries calls as the real one does, and remembers their names and requests."""

    def __init__(self, address: str) -> None:
        self.real = GrpcTransport(address)
        self.calls: list[str] = []
        self.requests: list[object] = []

    def __getattr__(self, name: str):
        method = getattr(self.real, name)

        def call(request, timeout):
            self.calls.append(name)
            self.requests.append(request)
            return method(request, timeout)

        return call

    def taken(self) -> list[str]:
        """The calls since it was asked last."""
        calls, self.calls, self.requests = self.calls, [], []
        return calls
