"""The messages of the service's RPCs, generated from its proto. `make python-messages` renews them."""

from typing import TYPE_CHECKING

from .. import lazy

if TYPE_CHECKING:
    from . import admin_service_pb2, session_service_pb2
else:
    session_service_pb2 = lazy.module(f"{__name__}.session_service_pb2")
    admin_service_pb2 = lazy.module(f"{__name__}.admin_service_pb2")

__all__ = ["admin_service_pb2", "session_service_pb2"]
