"""Fixtures for pytest. A test suite takes them by this line in its `conftest.py`:

    pytest_plugins = ["cloakroom.testing.pytest_plugin"]

It is no entry point, so it costs nothing in test suites that do not use it.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from .app import App
from .transport import AsyncMemoryTransport, MemoryTransport


@pytest.fixture
def cloakroom_apps() -> Iterable[App]:
    """The apps of `cloakroom_transport`. Override it for other settings than the defaults."""
    return ()


@pytest.fixture
def cloakroom_transport(cloakroom_apps: Iterable[App]) -> MemoryTransport:
    """A transport in memory without sessions, for one test."""
    return MemoryTransport(*cloakroom_apps)


@pytest.fixture
def cloakroom_async_transport(cloakroom_transport: MemoryTransport) -> AsyncMemoryTransport:
    """The same sessions for programs with an event loop."""
    return AsyncMemoryTransport(cloakroom_transport)
