"""Errors that callers can act on. `docs/errors.md` lists the values of `reason`."""

from __future__ import annotations


class CloakroomError(Exception):
    """A call to Cloakroom failed."""

    def __init__(self, message: str, code: str = "", reason: str = "") -> None:
        super().__init__(message)
        #: The canonical gRPC code, such as `FAILED_PRECONDITION`.
        self.code = code
        #: The service's reason, such as `SESSION_TOO_LARGE`. Empty if the service did not answer.
        self.reason = reason


class SessionUnavailable(CloakroomError):
    """The service did not answer in time. A save may or may not have been applied. No user is logged out by it."""


class SessionNotOpen(CloakroomError, RuntimeError):
    """The value is not known yet: `await session.open()` before reading. Only asynchronous sessions raise it."""


class SessionRefused(CloakroomError, RuntimeError):
    """The service rejected the request. Nothing was written, and a retry would fail as well."""


class NotInCookieKind(SessionRefused):
    """The operation needs stored sessions, but this app's kind is `cookie`: its sessions are Flask's signed cookies."""


class SessionGone(CloakroomError):
    """The session ended before it was saved, and nothing was written.

    The client itself never raises it: an override of `on_gone` may.
    """


#: The service's reason if a request has the cookies of two live sessions.
COOKIES_AMBIGUOUS = "COOKIES_AMBIGUOUS"
#: Seconds after which a browser may try again during an outage.
RETRY_AFTER = 5
