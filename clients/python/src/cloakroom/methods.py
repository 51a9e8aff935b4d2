"""The RPCs that the client calls."""

from __future__ import annotations

from .messages import session_service_pb2 as pb
from .transport import Method

_SESSIONS = "cloakroom.v1.SessionService"
OPEN = Method(_SESSIONS, "OpenSession", pb.OpenSessionRequest, pb.OpenSessionResponse)
SAVE = Method(_SESSIONS, "SaveSession", pb.SaveSessionRequest, pb.SaveSessionResponse)
ROTATE = Method(_SESSIONS, "RotateSession", pb.RotateSessionRequest, pb.RotateSessionResponse)
DESTROY = Method(_SESSIONS, "DestroySession", pb.DestroySessionRequest, pb.DestroySessionResponse)
POLICY = Method(_SESSIONS, "GetAppPolicy", pb.GetAppPolicyRequest, pb.GetAppPolicyResponse)
WATCH = Method(_SESSIONS, "WatchSession", pb.WatchSessionRequest, pb.WatchSessionResponse)
