"""Finds sessions by the text of their session_key, which opens nothing: by AdminService."""

from __future__ import annotations

from asgiref.sync import sync_to_async

from ..errors import CloakroomError
from ..messages import admin_service_pb2 as pb
from ..transport import Method
from . import conf, session_key


def exists(key: str) -> bool:
    """Whether there is a live session of this key. A look by an administrator is no use of the session."""
    if not session_key.is_public(key):
        return False
    client = conf.admin_client()
    try:
        found = client.call(_GET, pb.GetSessionRequest(app=client.app, id=session_key.session_id(key)))
    except CloakroomError as error:
        if error.reason == "SESSION_UNKNOWN":
            return False
        raise
    return not found.session.end_reason


def end(key: str) -> None:
    """Ends the session of this key, if there is one."""
    if session_key.is_public(key):
        client = conf.admin_client()
        client.call(_REVOKE, pb.RevokeSessionRequest(app=client.app, id=session_key.session_id(key)))


aexists = sync_to_async(exists, thread_sensitive=False)
aend = sync_to_async(end, thread_sensitive=False)

_ADMIN = "cloakroom.v1.AdminService"
_GET = Method(_ADMIN, "GetSession", pb.GetSessionRequest, pb.GetSessionResponse)
_REVOKE = Method(_ADMIN, "RevokeSession", pb.RevokeSessionRequest, pb.RevokeSessionResponse)
