"""The interface to the network: one call, with a timeout.

Does not depend on retries, cookies or frameworks. `connect` implements it by plain HTTP, `grpc_transport` by gRPC, and
`testing` without a service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from google.protobuf.message import Message

Request = TypeVar("Request", bound="Message")
Response = TypeVar("Response")
ResponseT_co = TypeVar("ResponseT_co", covariant=True)


class CallFailed(Exception):
    """One attempt of one call failed.

    Args:
        code: The canonical gRPC code, such as `UNAVAILABLE`.
        reason: The service's reason, such as `OVERLOADED`. Empty if the service did not answer.
        message: A description for people.
    """

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class Untrusted(CallFailed):
    """The certificate of the service is not trusted, so a repeat would fail as well.

    Args:
        message: What has failed.
    """

    def __init__(self, message: str) -> None:
        super().__init__("UNAVAILABLE", "", message)


def serialize(request: Message) -> bytes:
    """Returns the bytes of a request. Raises `CallFailed` if the service would not take so many.

    It may refuse such a request before it has read the whole, and then its answer is lost.
    """
    message: bytes = request.SerializeToString()
    if len(message) > _MAX_REQUEST:
        raise CallFailed(
            "RESOURCE_EXHAUSTED",
            REQUEST_TOO_LARGE,
            f"the request is {len(message)} bytes; the limit is {_MAX_REQUEST}",
        )
    return message


class Method(Generic[Request, Response]):
    """One RPC of the service."""

    __slots__ = ("name", "path", "read")

    def __init__(self, service: str, name: str, request: type[Request], response: type[Response]) -> None:
        self.name = name
        self.path = f"/{service}/{name}"
        #: Reads a serialized response.
        read: Any = response
        self.read: Callable[[bytes], Response] = read.FromString


class Transport(Protocol):
    """Makes calls to the service.

    An implementation is safe to use from several threads, and in a forked child that inherited it. It raises
    `CallFailed`, at the latest after `timeout` seconds, and never repeats a call that the service may have received.
    """

    def call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response: ...


class ResponseStream(Protocol[ResponseT_co]):
    """The messages that answer one call, as they arrive."""

    def next(self, timeout: float | None = None) -> ResponseT_co | None:
        """Returns the next message, or None if the stream has ended.

        Args:
            timeout: Seconds to wait. None: waits until there is a message.

        Raises:
            TimeoutError: There was none in that time. The stream goes on.
            CallFailed: The stream failed, or was cut off.
        """
        ...

    def close(self) -> None:
        """Ends the stream, also from another thread, whose `next` returns None then."""
        ...


class StreamTransport(Transport, Protocol):
    """A transport that makes calls which are answered by streams as well."""

    def stream(self, method: Method[Request, Response], request: Request, timeout: float) -> ResponseStream[Response]:
        """Begins a call. Raises `CallFailed` if the first bytes do not come within `timeout` seconds."""
        ...


class AsyncTransport(Protocol):
    """The same for programs with an event loop."""

    async def call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response: ...


class AsyncResponseStream(Protocol[ResponseT_co]):
    """The same as `ResponseStream` for programs with an event loop."""

    async def next(self, timeout: float | None = None) -> ResponseT_co | None: ...

    def close(self) -> None: ...


#: The reason if a request is larger than the service takes. A repeat would fail as well.
REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
#: Bytes of a request's message. The service has the same limit.
_MAX_REQUEST = 4 * 1024 * 1024
