"""Fixtures for all tests."""

from __future__ import annotations

import pytest
from service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """A service on free ports of the loopback interface, shared by all tests."""
    with Service.start(tmp_path_factory.mktemp("service")) as service:
        yield service
