"""A transport that records the calls it makes."""

from __future__ import annotations

from cloakroom import AsyncConnectTransport, ConnectTransport
from cloakroom.transport import CallFailed


class RecordingTransport:
    """Makes calls, and records their names and requests."""

    def __init__(self, address: str) -> None:
        self.transport = ConnectTransport(address)
        self.calls: list[str] = []
        self.requests: list[object] = []
        #: Tests put a function here that makes the next call of a method instead.
        self.instead: dict[str, object] = {}

    def call(self, method, request, timeout):
        self.calls.append(method.name)
        self.requests.append(request)
        make_call = self.instead.pop(method.name, self.transport.call)
        return make_call(method, request, timeout)

    def fail_next(self, method: str, error: Exception) -> None:
        """Has the next call of a method fail before the service gets it."""

        def fail(called, request, timeout):
            raise error

        self.instead[method] = fail

    def take_calls(self) -> list[str]:
        """Returns the names of the calls since the last `take_calls`."""
        calls, self.calls, self.requests = self.calls, [], []
        return calls


class AsyncRecordingTransport(RecordingTransport):
    """The same for programs with an event loop."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.transport = AsyncConnectTransport(address)

    async def call(self, method, request, timeout):
        return await super().call(method, request, timeout)

    async def stream(self, method, request, timeout):
        self.calls.append(method.name)
        return await self.transport.stream(method, request, timeout)


def lose_answers(transport: RecordingTransport, method: str, number: int, *, after: int = 0) -> None:
    """Loses the answers of the next calls of a method, which the service has done. `after` so many others."""
    make_call = transport.transport.call
    left = [after, number]

    def lose(called, request, timeout):
        if sum(left) > 1:
            transport.instead[method] = lose
        if left[0]:
            left[0] -= 1
            return make_call(called, request, timeout)
        left[1] -= 1
        make_call(called, request, timeout)
        raise CallFailed("UNAVAILABLE", "", "the answer is lost")

    transport.instead[method] = lose


def fail_at_deadline(transport: RecordingTransport, method: str) -> None:
    """Has each call of a method fail as if its deadline were over, until `transport.instead.clear()`."""

    def fail(called, request, timeout):
        transport.instead[method] = fail
        raise CallFailed("DEADLINE_EXCEEDED", "", "no answer within the deadline")

    transport.instead[method] = fail


#: Headers that describe the body of a response, or where it is.
BODY_HEADERS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "public, max-age=3600",
    "Content-Disposition": "attachment",
    "Content-Encoding": "gzip",
    "Content-Language": "de",
    "Content-Location": "/page.de",
    "Content-Range": "bytes 0-9/100",
    "ETag": '"1"',
    "Expires": "Fri, 01 Jan 2100 00:00:00 GMT",
    "Last-Modified": "Fri, 01 Jan 2021 00:00:00 GMT",
    "Location": "/next",
}
