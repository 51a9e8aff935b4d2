"""SessionService in memory: checks the fields of requests, and answers them.

The modules beside this one have the names of those in the service's `src/service/` and `src/session/`, and the same
rules: a change there is a change here.
"""

from __future__ import annotations

from typing import Union

from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from .app import App
from .app_call import AppCall, check_header
from .changes import Message
from .destroy import destroy_session
from .open import open_session
from .rotate import rotate_session
from .save import save_session
from .store import Store
from .times import current_time, span_of
from .tokens import Signer
from .watch import watch_session


class Sessions:
    """Answers the calls of SessionService for apps in memory. Each method raises `CallFailed`."""

    def __init__(self, store: Store, signer: Signer) -> None:
        self._store = store
        self._signer = signer

    def open(self, app: App, request: pb.OpenSessionRequest) -> pb.OpenSessionResponse:
        if request.HasField("max_authenticate_age"):
            _check_age(request)
        _check_request_age(request)
        return open_session(self._begin(app, request), request)

    def save(self, app: App, request: pb.SaveSessionRequest) -> pb.SaveSessionResponse:
        changes = Message(request.changes) if request.HasField("changes") else None
        etag = _etag(request.etag)
        _check_request_id(request)
        _check_request_age(request)
        return save_session(self._begin(app, request), request, changes, etag)

    def rotate(self, app: App, request: pb.RotateSessionRequest) -> pb.RotateSessionResponse:
        _check_request_id(request)
        saved = rotate_session(self._begin(app, request), request)
        response = pb.RotateSessionResponse(
            outcome=saved.outcome, end_reason=saved.end_reason, headers=list(saved.headers)
        )
        if saved.HasField("session"):
            response.session.CopyFrom(saved.session)
        return response

    def destroy(self, app: App, request: pb.DestroySessionRequest) -> pb.DestroySessionResponse:
        _check_request_id(request)
        return destroy_session(self._begin(app, request), request)

    def watch(self, app: App, request: pb.WatchSessionRequest) -> pb.WatchSessionResponse:
        """Returns what a watch finds now."""
        return watch_session(self._begin(app, request), request)

    def _begin(self, app: App, request: _Request) -> AppCall:
        check_header(request)
        return AppCall(_with_cookie(app, request), self._store, self._signer, current_time())


_Request = Union[
    pb.OpenSessionRequest,
    pb.SaveSessionRequest,
    pb.RotateSessionRequest,
    pb.DestroySessionRequest,
    pb.WatchSessionRequest,
]


def _with_cookie(app: App, request: _Request) -> App:
    """Returns the app with the cookie that a request asks for."""
    if isinstance(request, pb.WatchSessionRequest) or not request.HasField("cookie_attributes"):
        return app.named(request.cookie_name)
    return app.with_cookie(request.cookie_name, request.cookie_attributes)


def _etag(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or str(int(text)) != text or int(text) >= 2**53:
        raise CallFailed("INVALID_ARGUMENT", "ETAG_INVALID", "etag: it has to be one that this service gave out")
    return int(text)


def _check_request_age(request: pb.OpenSessionRequest | pb.SaveSessionRequest) -> None:
    if request.HasField("request_age") and span_of(request.request_age, at_least=0) is None:
        message = "request_age: it has to be a valid span that is not negative"
        raise CallFailed("INVALID_ARGUMENT", "REQUEST_AGE_INVALID", message)


def _check_request_id(request: pb.SaveSessionRequest | pb.RotateSessionRequest | pb.DestroySessionRequest) -> None:
    size = len(request.request_id.encode())
    if size > _MAX_REQUEST_ID:
        message = f"request_id has {size} bytes; the limit is {_MAX_REQUEST_ID}"
        raise CallFailed("INVALID_ARGUMENT", "REQUEST_ID_INVALID", message)


def _check_age(request: pb.OpenSessionRequest) -> None:
    if span_of(request.max_authenticate_age, at_least=1) is None:
        message = "max_authenticate_age: it has to be a valid and positive span"
        raise CallFailed("INVALID_ARGUMENT", "AUTHENTICATE_AGE_INVALID", message)


#: Bytes.
_MAX_REQUEST_ID = 64
