"""The Python client of Cloakroom.

`cloakroom.flask` has Flask's session interface, `cloakroom.wsgi` a middleware for any other WSGI application. Both are
built on modules that depend on no framework: `session` (the mapping), `entries` (tracks changes), `client` (deadlines
and retries), `transport` (the interface to the network) and `cookie` (decides what a response does with the cookie).
For programs with an event loop there are `async_session` and `async_client`.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from . import lazy

if TYPE_CHECKING:
    from . import methods
else:
    methods = lazy.module(f"{__name__}.methods")

from .client import Client
from .connect import ConnectTransport, Credentials
from .errors import (
    CloakroomError,
    NotInCookieKind,
    SessionGone,
    SessionNotOpen,
    SessionRefused,
    SessionUnavailable,
)
from .session import Session
from .transport import AsyncTransport, Transport

if TYPE_CHECKING:
    from .async_client import AsyncClient
    from .async_session import AsyncSession
    from .connect.async_transport import AsyncConnectTransport

# Messages that an application has generated from the proto lie in a folder cloakroom/v1 of its own.
__path__ = pkgutil.extend_path(__path__, __name__)

__all__ = [
    "AsyncClient",
    "AsyncConnectTransport",
    "AsyncSession",
    "AsyncTransport",
    "Client",
    "CloakroomError",
    "ConnectTransport",
    "Credentials",
    "NotInCookieKind",
    "Session",
    "SessionGone",
    "SessionNotOpen",
    "SessionRefused",
    "SessionUnavailable",
    "Transport",
]

#: Where the names lie that need asyncio, which takes longer to import than all the rest.
_ASYNC_MODULES = {
    "AsyncClient": ".async_client",
    "AsyncConnectTransport": ".connect.async_transport",
    "AsyncSession": ".async_session",
}


def __getattr__(name: str) -> Any:
    if name not in _ASYNC_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ASYNC_MODULES[name], __name__), name)
