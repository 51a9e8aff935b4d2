"""Runs tests in an event loop."""

from __future__ import annotations

import asyncio
import functools

from service import TIMEOUT


def in_event_loop(test):
    """Turns a test that is a coroutine into one that pytest runs, in a loop of its own and in asyncio's debug mode."""

    @functools.wraps(test)
    def run(**fixtures):
        asyncio.run(asyncio.wait_for(test(**fixtures), 2 * TIMEOUT), debug=True)

    return run


async def until(description, condition):
    """Waits until `condition` is true. Fails after `TIMEOUT` seconds."""
    end = asyncio.get_running_loop().time() + TIMEOUT
    while not condition():
        assert asyncio.get_running_loop().time() < end, f"not within {TIMEOUT} s: {description}"
        await asyncio.sleep(0.01)
