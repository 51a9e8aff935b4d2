"""A clock for deadlines, which tools that freeze time for tests do not change."""

from __future__ import annotations

import functools
import time
from typing import Callable

if hasattr(time, "clock_gettime"):
    #: Returns seconds since some moment in the past.
    now: Callable[[], float] = functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
else:
    now = time.monotonic
