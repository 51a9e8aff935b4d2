"""The lifetime that Django's settings and `set_expiry` give a session, as the service takes it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone


def is_over(session: SessionBase) -> bool:
    """Whether Django would store the session as one that has expired already."""
    return bool(session.get_expiry_age() <= 0)


def idle_timeout(session: SessionBase) -> timedelta:
    """Returns how long the session lives without use."""
    return timedelta(seconds=min(max(session.get_expiry_age(), 1), _LONGEST))


def deadline_time(session: SessionBase) -> datetime | None:
    """Returns when the session ends however much it is used. None: `idle_timeout` counts."""
    expiry = session.get(_EXPIRY)
    if not isinstance(expiry, (str, datetime)) or not expiry:
        return None
    time: datetime = session.get_expiry_date(expiry=expiry)
    return timezone.make_aware(time) if timezone.is_naive(time) else time


#: The entry in which Django keeps the value of `set_expiry`.
_EXPIRY = "_session_expiry"
#: Seconds: 100 years. The service has its own limit.
_LONGEST = 3_155_760_000
