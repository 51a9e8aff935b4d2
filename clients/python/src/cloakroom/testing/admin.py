"""AdminService in memory: lists, ends and counts sessions."""

from __future__ import annotations

import re

from ..messages import admin_service_pb2 as admin_pb
from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from . import view
from .app import App
from .record import ADMIN, Authority, Gone, Precondition
from .store import Applied, Store
from .times import current_time, to_message


class Admin:
    """Answers the calls of AdminService for apps in memory. Each method raises `CallFailed`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, app: App, request: admin_pb.ListSessionsRequest) -> admin_pb.ListSessionsResponse:
        if request.page_size < 0:
            raise _invalid("PAGE_SIZE_INVALID", "page_size: it is 1 to 1000, or 0 for 100")
        after = _page_start(request)
        now = current_time()
        response = admin_pb.ListSessionsResponse()
        if request.subject:
            _check_subject(request.subject)
            found = self._store.live_sessions(app.name, now, request.subject)
            found.sort(key=lambda session: (session[1].access_time, session[0]), reverse=True)
        else:
            size = min(request.page_size or 100, 1000)
            rest = [session for session in self._store.live_sessions(app.name, now) if session[0] > after]
            found = rest[:size]
            response.next_page_token = found[-1][0] if len(found) == size else ""
        with_entries = request.with_entries
        response.sessions.extend(view.session_info(*session, None, with_entries=with_entries) for session in found)
        return response

    def get(self, app: App, request: admin_pb.GetSessionRequest) -> admin_pb.GetSessionResponse:
        _check_id("id", request.id)
        now = current_time()
        record = self._store.load(app.name, request.id, now)
        if record is None:
            message = "no session of that id is kept; it may have ended more than 16 minutes ago"
            raise CallFailed("NOT_FOUND", "SESSION_UNKNOWN", message)
        denial = self._store.denial(app.name, record, now)
        reason = denial.reason if denial else None
        info = view.session_info(request.id, record, reason, with_entries=request.with_entries)
        return admin_pb.GetSessionResponse(session=info)

    def revoke(self, app: App, request: admin_pb.RevokeSessionRequest) -> admin_pb.RevokeSessionResponse:
        _check_id("id", request.id)
        precondition = Precondition(ADMIN, current_time())
        applied = self._store.apply(app.name, request.id, precondition, pb.END_REASON_REVOKED)
        if isinstance(applied, Applied):
            return admin_pb.RevokeSessionResponse(outcome=pb.OUTCOME_DELETED, end_reason=pb.END_REASON_REVOKED)
        reason = applied.reason if isinstance(applied, Gone) else None
        return admin_pb.RevokeSessionResponse(outcome=pb.OUTCOME_GONE, end_reason=reason)

    def revoke_subject(self, app: App, request: admin_pb.RevokeSubjectRequest) -> admin_pb.RevokeSubjectResponse:
        _check_subject(request.subject)
        if request.except_id:
            _check_id("except_id", request.except_id)
        now = current_time()
        precondition = Precondition(Authority(subject=request.subject), now)
        sessions = self._store.live_sessions(app.name, now, request.subject)
        ids = [session_id for session_id, _ in sessions if session_id != request.except_id]
        for session_id in ids:
            self._store.apply(app.name, session_id, precondition, pb.END_REASON_REVOKED)
        return admin_pb.RevokeSubjectResponse(revoked=len(ids))

    def revoke_app(self, app: App, request: admin_pb.RevokeAppRequest) -> admin_pb.RevokeAppResponse:
        self._store.revoke_app(app.name, current_time())
        return admin_pb.RevokeAppResponse()

    def stats(self, app: App, request: admin_pb.GetStatsRequest) -> admin_pb.GetStatsResponse:
        now, counts = current_time(), self._store.counts(app.name)
        live = self._store.live_sessions(app.name, now)
        return admin_pb.GetStatsResponse(
            start_time=to_message(self._store.start_time),
            opened=counts.opened,
            created=counts.created,
            ended=counts.ended,
            live=len(live),
            live_anonymous=sum(record.subject is None for _, record in live),
            scan_time=to_message(now),
        )


def _page_start(request: admin_pb.ListSessionsRequest) -> str:
    """Returns the id after which a page begins."""
    token = request.page_token
    if token and (request.subject or not _ID.fullmatch(token)):
        raise _invalid("PAGE_TOKEN_INVALID", "page_token: it has to be the next_page_token of the same listing")
    return token


def _check_id(field: str, text: str) -> None:
    if not _ID.fullmatch(text):
        raise _invalid("SESSION_ID_INVALID", f"{field}: a session's id is 32 lower-case hexadecimal digits")


def _check_subject(subject: str) -> None:
    if not 1 <= len(subject.encode()) <= 256:
        raise _invalid("SUBJECT_INVALID", "subject: a subject is a string or an integer of 1 to 256 bytes")


def _invalid(reason: str, message: str) -> CallFailed:
    return CallFailed("INVALID_ARGUMENT", reason, message)


_ID = re.compile("[0-9a-f]{32}")
