"""A service to test against: the binary that CLOAKROOM_BIN names, on free ports of the loopback interface."""

from __future__ import annotations

import pytest
from service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    with Service.start(tmp_path_factory.mktemp("service")) as service:
        yield service
