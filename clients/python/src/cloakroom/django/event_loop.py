"""Refuses calls that would block an event loop."""

from __future__ import annotations

import asyncio
import os

from django.core.exceptions import SynchronousOnlyOperation


def refuse_in_event_loop() -> None:
    """Raises SynchronousOnlyOperation in a running event loop, as Django's database does."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
        raise SynchronousOnlyOperation(
            "this would block the event loop by a call to the session service: await the session's method that begins "
            "with an a, such as aget(), or use a thread or sync_to_async"
        )
