"""The RPCs of AdminService."""

from __future__ import annotations

from ..messages import admin_service_pb2 as pb
from ..transport import Method

_ADMIN = "cloakroom.v1.AdminService"
LIST = Method(_ADMIN, "ListSessions", pb.ListSessionsRequest, pb.ListSessionsResponse)
GET = Method(_ADMIN, "GetSession", pb.GetSessionRequest, pb.GetSessionResponse)
REVOKE = Method(_ADMIN, "RevokeSession", pb.RevokeSessionRequest, pb.RevokeSessionResponse)
REVOKE_SUBJECT = Method(_ADMIN, "RevokeSubject", pb.RevokeSubjectRequest, pb.RevokeSubjectResponse)
REVOKE_APP = Method(_ADMIN, "RevokeApp", pb.RevokeAppRequest, pb.RevokeAppResponse)
EXPLAIN = Method(_ADMIN, "ExplainCredential", pb.ExplainCredentialRequest, pb.ExplainCredentialResponse)
STATS = Method(_ADMIN, "GetStats", pb.GetStatsRequest, pb.GetStatsResponse)
WATCH_EVENTS = Method(_ADMIN, "WatchEvents", pb.WatchEventsRequest, pb.WatchEventsResponse)
