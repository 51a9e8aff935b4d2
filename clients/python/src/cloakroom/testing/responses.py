"""Responses that several calls have in common."""

from __future__ import annotations

from ..messages import session_service_pb2 as pb
from . import view
from .app_call import AppCall, Presented
from .record import Record
from .tokens import Note, Token


def new_session(call: AppCall, token: Token, note: Note) -> pb.Session:
    ticket = call.signer.sign_ticket(call.app.name, token, note, call.now)
    return view.new_session(call.app, call.session_id(token), ticket, call.now)


def stored_session(call: AppCall, record: Record, token: Token | None, of: Token) -> pb.Session:
    text = "" if token is None else call.signer.sign_token(call.app.name, token)
    return view.stored_session(call.session_id(of), record, text, call.now)


def response_headers(call: AppCall, session: pb.Session, *, sets_cookie: bool, varies: bool) -> list[pb.Header]:
    return view.headers(call.app, session, call.now, sets_cookie=sets_cookie, varies=varies)


def unchanged(call: AppCall, session: pb.Session, *, sets_cookie: bool, varies: bool) -> pb.SaveSessionResponse:
    headers = response_headers(call, session, sets_cookie=sets_cookie, varies=varies)
    return pb.SaveSessionResponse(outcome=pb.OUTCOME_UNCHANGED, session=session, headers=headers)


def gone(reason: pb.EndReason | None, *, varies: bool) -> pb.SaveSessionResponse:
    headers = [view.vary()] if varies else []
    return pb.SaveSessionResponse(outcome=pb.OUTCOME_GONE, end_reason=reason, headers=headers)


def deleted(
    call: AppCall, presented: Presented, reason: pb.EndReason, counters: dict[str, int], *, varies: bool
) -> pb.SaveSessionResponse:
    headers = [call.app.delete_cookie(), view.vary()]
    if presented.note is Note.KEEP:
        # The browser may be about to get the cookie of a login.
        headers = [view.vary()] if varies else []
    return pb.SaveSessionResponse(outcome=pb.OUTCOME_DELETED, end_reason=reason, headers=headers, counters=counters)
