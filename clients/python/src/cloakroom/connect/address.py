"""Addresses of the service, as an application writes them, and what they stand for."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any, NamedTuple

DEFAULT_PORT = 50051


@dataclass(frozen=True)
class Address:
    """One address: of a Unix socket, or a host and a port."""

    #: The path of a Unix socket. Empty for a host.
    path: str = ""
    #: A name or an IP address.
    host: str = ""
    port: int = 0
    is_tls: bool = False

    def is_name(self) -> bool:
        """Whether it has to be looked up."""
        return not self.path and not _is_ip(self.host)


class Endpoint(NamedTuple):
    """What a socket connects to."""

    family: int
    #: As the socket module takes it.
    target: Any
    #: For the header `host`.
    host: str
    #: The name or IP address that the service's certificate must have. Empty: without TLS.
    tls_name: str

    @property
    def is_unix_socket(self) -> bool:
        return has_unix_sockets() and self.family == socket.AF_UNIX

    def __str__(self) -> str:
        return f"unix:{self.target}" if self.is_unix_socket else f"{self.target[0]} port {self.target[1]}"


def has_unix_sockets() -> bool:
    """Whether this system has them. Windows has none that Python knows."""
    return hasattr(socket, "AF_UNIX")


def parse(text: str) -> list[Address]:
    """Returns the addresses in a list that is separated by commas. Raises ValueError."""
    addresses = [_parse_one(part.strip()) for part in text.split(",") if part.strip()]
    if not addresses:
        raise ValueError("the service's address is empty; it is, for example, localhost:50051")
    return addresses


def endpoint(address: Address) -> Endpoint:
    """Returns the endpoint of an address that is no name."""
    if address.path:
        return Endpoint(socket.AF_UNIX, address.path, "localhost", "")
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return _endpoint(address, family, (address.host, address.port))


def endpoints(address: Address, found: list[tuple[Any, ...]]) -> list[Endpoint]:
    """Returns the endpoints of a name, from the results of `socket.getaddrinfo`."""
    pairs = {(family, target): None for family, _, _, _, target in found}
    return [_endpoint(address, family, target) for family, target in pairs]


def _endpoint(address: Address, family: int, target: Any) -> Endpoint:
    # On loopback the service takes no name: it could be a web page's, by DNS rebinding.
    is_loopback = not address.is_tls and ipaddress.ip_address(target[0].partition("%")[0]).is_loopback
    name = target[0] if is_loopback else address.host
    host = f"[{name}]:{address.port}" if ":" in name else f"{name}:{address.port}"
    return Endpoint(family, target, host, address.host if address.is_tls else "")


def _parse_one(text: str) -> Address:
    if text.startswith("unix:"):
        # unix:///run/x.sock is the form of a URL.
        path = text[len("unix:") :]
        path = path[2:] if path.startswith("///") else path
        if not path:
            raise ValueError(f"{text!r} has no path; it is, for example, unix:/run/cloakroom/cloakroom.sock")
        if not has_unix_sockets():
            raise ValueError(f"{text!r}: Python has no Unix sockets on this system; take, for example, localhost:50051")
        return Address(path=path)
    rest, is_tls = text, False
    for prefix in ("https://", "http://", "dns:///", "ipv4:", "ipv6:"):
        if text.startswith(prefix):
            rest, is_tls = text[len(prefix) :].removesuffix("/"), prefix == "https://"
    if "/" in rest or "@" in rest:
        raise ValueError(
            f"{text!r} is no address of the service; it is, for example, localhost:50051, https://cloakroom:50051 or "
            "unix:/run/cloakroom/cloakroom.sock. A name server of its own needs GrpcTransport."
        )
    host, port = _split_port(rest, text)
    return Address(host=host, port=port, is_tls=is_tls)


def _split_port(rest: str, text: str) -> tuple[str, int]:
    host, port = rest, ""
    if rest.startswith("["):
        host, _, after = rest[1:].partition("]")
        if after and not after.startswith(":"):
            raise ValueError(f"{text!r}: a port is written as [{host}]:50051")
        port = after[1:]
    elif rest.count(":") == 1:
        host, _, port = rest.partition(":")
    if not host or any(character.isspace() for character in host) or not host.isascii():
        raise ValueError(f"{text!r} has no valid host; it is, for example, localhost:50051")
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r}: the port is a number from 1 to 65535")
    return host, int(port or DEFAULT_PORT)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
