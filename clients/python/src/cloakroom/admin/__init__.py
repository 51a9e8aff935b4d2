"""Operations on sessions for operators, support desks and the page of a user's devices.

AdminService has an address of its own. If the service checks its callers, it needs the role `admin`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .answers import Explanation, MigrationStats, SessionInfo, SessionPage, Stats
from .client import AdminClient
from .events import Event, EventBatch, EventStream

if TYPE_CHECKING:
    from .async_client import AsyncAdminClient
    from .async_events import AsyncEventStream

__all__ = [
    "AdminClient",
    "AsyncAdminClient",
    "AsyncEventStream",
    "Event",
    "EventBatch",
    "EventStream",
    "Explanation",
    "MigrationStats",
    "SessionInfo",
    "SessionPage",
    "Stats",
]

#: Where the names lie that need asyncio, which takes longer to import than all the rest.
_ASYNC_MODULES = {"AsyncAdminClient": ".async_client", "AsyncEventStream": ".async_events"}


def __getattr__(name: str) -> Any:
    if name not in _ASYNC_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ASYNC_MODULES[name], __name__), name)
