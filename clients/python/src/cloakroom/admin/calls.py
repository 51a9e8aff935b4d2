"""The calls of AdminService: their requests, and what their answers become. Makes none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Generic, TypeVar

from ..messages import admin_service_pb2 as pb
from ..messages.session_service_pb2 import OUTCOME_DELETED
from ..transport import Method
from . import methods
from .answers import Explanation, SessionInfo, SessionPage, Stats, explanation_of, session_info, stats_of

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One call."""

    method: Method[Any, Any]
    request: Any
    #: Converts the response.
    read: Callable[[Any], Answer]


def list_subject(app: str, subject: str, *, with_entries: bool) -> Call[list[SessionInfo]]:
    check_subject(subject)
    request = pb.ListSessionsRequest(app=app, subject=subject, with_entries=with_entries)
    return Call(methods.LIST, request, _sessions)


def list_page(app: str, page_token: str, *, page_size: int, with_entries: bool) -> Call[SessionPage]:
    request = pb.ListSessionsRequest(app=app, page_token=page_token, page_size=page_size, with_entries=with_entries)
    return Call(methods.LIST, request, lambda response: SessionPage(_sessions(response), response.next_page_token))


def get_session(app: str, session_id: str, *, with_entries: bool) -> Call[SessionInfo]:
    request = pb.GetSessionRequest(app=app, id=session_id, with_entries=with_entries)
    return Call(methods.GET, request, lambda response: session_info(response.session))


def revoke_session(app: str, session_id: str) -> Call[bool]:
    request = pb.RevokeSessionRequest(app=app, id=session_id)
    return Call(methods.REVOKE, request, lambda response: bool(response.outcome == OUTCOME_DELETED))


def revoke_subject(app: str, subject: str, except_id: str) -> Call[int]:
    check_subject(subject)
    request = pb.RevokeSubjectRequest(app=app, subject=subject, except_id=except_id)
    return Call(methods.REVOKE_SUBJECT, request, lambda response: int(response.revoked))


def revoke_app(app: str) -> Call[None]:
    return Call(methods.REVOKE_APP, pb.RevokeAppRequest(app=app), lambda _: None)


def explain(app: str, cookie_header: str, token: str, cookie_name: str) -> Call[list[Explanation]]:
    request = pb.ExplainCredentialRequest(app=app, cookie_name=cookie_name)
    if token:
        request.token = token
    else:
        request.cookie_header = cookie_header
    return Call(methods.EXPLAIN, request, lambda response: [explanation_of(each) for each in response.explanations])


def stats(app: str) -> Call[Stats]:
    return Call(methods.STATS, pb.GetStatsRequest(app=app), stats_of)


def check_subject(subject: str) -> None:
    """Raises ValueError for a text that is no user: an empty one would be every session of the app."""
    if not subject:
        raise ValueError("the subject is empty")


def _sessions(response: pb.ListSessionsResponse) -> list[SessionInfo]:
    return [session_info(info) for info in response.sessions]
