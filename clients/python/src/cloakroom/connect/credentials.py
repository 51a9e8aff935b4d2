"""What a client shows to the service, and how it recognizes the service."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from typing import Any

from .address import Address


@dataclass(frozen=True)
class Credentials:
    """What the calls of a client are authenticated by. Equal credentials share connections.

    The files are read again when they have changed, so certificates can be renewed without a restart.

    Args:
        token: The caller token, which is sent with every call.
        ca_file: The certificates, in PEM, that may have signed the service's. Empty: those that the system trusts.
        certificate_file: The client's certificate, with its chain, in PEM.
        key_file: The key of that certificate, in PEM.

    Raises:
        ValueError: A certificate lacks its key, a key its certificate, or the token cannot be sent.
    """

    token: str = field(default="", repr=False)
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    def __post_init__(self) -> None:
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file belong together: set both or none")
        if not all(" " < character < "\x7f" for character in self.token):
            raise ValueError("token has a character that is not visible ASCII, such as a newline at its end")

    def check(self, addresses: list[Address]) -> None:
        """Raises ValueError if they need TLS and an address is without."""
        if (self.ca_file or self.certificate_file) and not all(address.is_tls for address in addresses):
            raise ValueError("the credentials need TLS: write the address as https://host:port")


class TlsContexts:
    """Makes the settings of TLS from credentials, and again when a file has changed."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._made: tuple[list[Any], ssl.SSLContext] | None = None

    def context(self) -> ssl.SSLContext:
        """Raises OSError if a file cannot be read or is not valid."""
        given = self._credentials
        files = [name for name in (given.ca_file, given.certificate_file, given.key_file) if name]
        versions = [(name, os.stat(name).st_mtime_ns) for name in files]
        if self._made is None or self._made[0] != versions:
            context = ssl.create_default_context(cafile=given.ca_file or None)
            context.set_alpn_protocols(["http/1.1"])
            if given.certificate_file:
                context.load_cert_chain(given.certificate_file, given.key_file)
            self._made = versions, context
        return self._made[1]
