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


class Method(Generic[Request, Response]):
    """One RPC of the service."""

    __slots__ = ("name", "path", "read", "service")

    def __init__(self, service: str, name: str, request: type[Request], response: type[Response]) -> None:
        self.service = service
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


class AsyncTransport(Protocol):
    """The same for programs with an event loop."""

    async def call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response: ...
