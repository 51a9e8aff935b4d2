"""Opening: finds the session that a request's cookies name."""

from __future__ import annotations

import math

from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from . import view
from .app_call import AppCall, Live, Presented, Superseded
from .responses import new_session, response_headers
from .tokens import Note, Token, is_ticket


def open_session(call: AppCall, request: pb.OpenSessionRequest) -> pb.OpenSessionResponse:
    live: tuple[Live, Note] | None = None
    superseded: list[Superseded] = []
    shown = _presented(call, request)
    for presented in shown:
        state = call.state(presented.token)
        if isinstance(state, Superseded):
            superseded.append(state)
        if not isinstance(state, Live):
            continue
        note = presented.note if state.token == presented.token else Note.SET
        if live is not None and live[0].token.selector != state.token.selector:
            session = view.ambiguous_session()
            return pb.OpenSessionResponse(session=session, read_headers=[view.vary()])
        if live is None or live[1] is not Note.NONE:
            live = state, note
    if live is not None:
        return _open_live(call, *live, request)
    received = _receive_time(call, request)
    is_overtaken = any(received < call.end_time(presented.token) for presented in shown)
    first: tuple[Token, Note] | None = None
    for each in superseded:
        recovery = call.find_recovery(each)
        note = Note.KEEP if is_overtaken or received < recovery.end_time else recovery.note
        if recovery.record is not None:
            return _open_live(call, Live(recovery.record, recovery.token), note, request)
        first = first or (recovery.token, note)
    token, note = first or (Token.random(), Note.KEEP if is_overtaken else Note.NONE)
    return pb.OpenSessionResponse(session=new_session(call, token, note), read_headers=[view.vary()])


def _receive_time(call: AppCall, request: pb.OpenSessionRequest) -> float:
    """Returns when the frontend received the request of a Cookie header; infinite: it did not say."""
    if request.WhichOneof("credential") != "cookie_header" or not request.HasField("request_age"):
        return math.inf
    return call.now - request.request_age.ToMilliseconds()


def _presented(call: AppCall, request: pb.OpenSessionRequest) -> list[Presented]:
    kind = request.WhichOneof("credential")
    if kind == "cookie_header":
        return call.in_header(request.cookie_header)
    if kind is None or not request.token or is_ticket(request.token):
        return []
    try:
        presented = call.verify(request.token)
    except CallFailed:
        return []
    note = Note.NONE if presented.note is Note.NONE else Note.SET
    return [presented._replace(note=note)]


def _open_live(call: AppCall, live: Live, note: Note, request: pb.OpenSessionRequest) -> pb.OpenSessionResponse:
    record, token = live
    call.store.counts(call.app.name).opened += 1
    used = record.access_time if request.no_touch else call.now
    if not request.no_touch:
        call.store.touch(record, request.context if request.HasField("context") else None, call.now)
    signed_note = note if note is Note.KEEP else Note.NONE
    text = call.signer.sign_token(call.app.name, token, signed_note)
    session_id = call.session_id(token)
    session = view.stored_session(session_id, record, text, used, with_entries=True)
    refreshes = bool(session.permanent) and call.app.refresh_each_request
    sets_cookie = note is Note.SET or (note is Note.NONE and refreshes)
    recently_authenticated = False
    if request.HasField("max_authenticate_age") and record.authenticate_time is not None:
        age = request.max_authenticate_age.ToMilliseconds()
        recently_authenticated = call.now < record.authenticate_time + age
    return pb.OpenSessionResponse(
        session=session,
        read_headers=response_headers(call, session, sets_cookie=sets_cookie, varies=True),
        untouched_headers=response_headers(call, session, sets_cookie=sets_cookie, varies=False),
        recently_authenticated=recently_authenticated,
        cookie_outdated=note is Note.SET,
    )
