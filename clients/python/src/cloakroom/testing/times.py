"""Times in milliseconds since 1970, and spans in milliseconds, as the service has them."""

from __future__ import annotations

import time
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def current_time() -> int:
    """Returns the time now. Tools that freeze or move time change it."""
    return int(time.time() * 1000)


def milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def to_message(when_or_span: int) -> dict[str, int]:
    """Returns the fields of a Timestamp or a Duration."""
    return {"seconds": when_or_span // 1000, "nanos": when_or_span % 1000 * 1_000_000}


def span_of(duration: Duration, at_least: int) -> int | None:
    """Returns a span, or None if it is not valid or too short."""
    is_valid = 0 <= duration.seconds <= 315_576_000_000 and 0 <= duration.nanos < 1_000_000_000
    span = duration.seconds * 1000 + duration.nanos // 1_000_000
    return span if is_valid and span >= at_least else None


def time_of(timestamp: Timestamp) -> int | None:
    """Returns a time, or None if it is not from 1970 to 9999."""
    is_valid = 0 <= timestamp.seconds <= 253_402_300_799 and 0 <= timestamp.nanos < 1_000_000_000
    return timestamp.seconds * 1000 + timestamp.nanos // 1_000_000 if is_valid else None
