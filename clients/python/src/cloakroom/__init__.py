"""Sessions kept by Cloakroom: one call for a request that reads its session, one more for one that writes it.

`cloakroom.flask` is Flask's session interface, `cloakroom.wsgi` a middleware for any other WSGI application. What
they share knows neither: `session` (the mapping), `entries` (what changed), `client` (deadlines, retries),
`transport` (the seam to the wire) and `carry` (what happens to the cookie).
"""

from .client import Client
from .errors import CloakroomError, NotInCookieKind, SessionGone, SessionRefused, SessionUnavailable
from .session import Session
from .transport import Transport

__all__ = [
    "Client",
    "CloakroomError",
    "NotInCookieKind",
    "Session",
    "SessionGone",
    "SessionRefused",
    "SessionUnavailable",
    "Transport",
]
