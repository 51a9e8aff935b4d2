"""What a caller can act on. The service's reason stands in `reason`; docs/errors.md lists them all."""

from __future__ import annotations


class CloakroomError(Exception):
    """A call to Cloakroom that did not do what it was asked to."""

    def __init__(self, message: str, code: str = "", reason: str = "") -> None:
        super().__init__(message)
        #: The canonical gRPC code, such as `FAILED_PRECONDITION`.
        self.code = code
        #: The service's reason, such as `SESSION_TOO_LARGE`; empty if no service answered.
        self.reason = reason


class SessionUnavailable(CloakroomError):
    """Nobody knows now what the session holds, or whether it was saved. Later may do; nobody is logged out."""


class SessionRefused(CloakroomError, RuntimeError):
    """The service refuses what it was asked; nothing was written, and asking again changes nothing."""


class NotInCookieKind(SessionRefused):
    """What only sessions in a store can do: the app keeps its sessions in Flask's own signed cookies."""


class SessionGone(CloakroomError):
    """The session ended before it was saved; nothing was written. Raised only by applications that wish so."""
