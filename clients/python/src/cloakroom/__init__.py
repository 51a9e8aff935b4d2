"""The Python client of Cloakroom.

`cloakroom.flask` has Flask's session interface, `cloakroom.wsgi` a middleware for any other WSGI application. Both are
built on modules that depend on no framework: `session` (the mapping), `entries` (tracks changes), `client` (deadlines
and retries), `transport` (the interface to the network) and `cookie` (decides what a response does with the cookie).
"""

import pkgutil
from typing import TYPE_CHECKING

from . import lazy

if TYPE_CHECKING:
    from . import methods
else:
    methods = lazy.module(f"{__name__}.methods")

from .client import Client
from .connect import ConnectTransport, Credentials
from .errors import CloakroomError, NotInCookieKind, SessionGone, SessionRefused, SessionUnavailable
from .session import Session
from .transport import Transport

# Messages that an application has generated from the proto lie in a folder cloakroom/v1 of its own.
__path__ = pkgutil.extend_path(__path__, __name__)

__all__ = [
    "Client",
    "CloakroomError",
    "ConnectTransport",
    "Credentials",
    "NotInCookieKind",
    "Session",
    "SessionGone",
    "SessionRefused",
    "SessionUnavailable",
    "Transport",
]
