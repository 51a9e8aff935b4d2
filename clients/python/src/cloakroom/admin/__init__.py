"""Operations on sessions for operators, support desks and the page of a user's devices.

AdminService has an address of its own. If the service checks its callers, it needs the role `admin`.
"""

from .answers import Explanation, MigrationStats, SessionInfo, SessionPage, Stats
from .client import AdminClient
from .events import Event, EventBatch, EventStream

__all__ = [
    "AdminClient",
    "Event",
    "EventBatch",
    "EventStream",
    "Explanation",
    "MigrationStats",
    "SessionInfo",
    "SessionPage",
    "Stats",
]
