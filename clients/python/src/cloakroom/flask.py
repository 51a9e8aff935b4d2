"""Flask's session interface for Cloakroom."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta
from typing import Any, Literal, cast

import flask
from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface, SessionMixin

from . import browser_input, errors
from .client import Client
from .codec import Codec, JsonCodec
from .connect import Credentials
from .cookie import CookieAction
from .errors import SessionGone
from .messages import session_service_pb2 as pb
from .session import Session
from .session_interface import (
    AppRequestInfo,
    CookiesAmbiguous,
    HttpErrors,
    InterfaceBase,
    SessionUnavailable,
    replace,
    session_gone,
    vary_by_cookie,
)
from .transport import Transport

log = logging.getLogger("cloakroom")


class CloakroomSession(HttpErrors, Session, SessionMixin):  # type: ignore[override, unused-ignore]
    """Flask's session, with `rotate`, `destroy`, `id`, `subject` and `increment` in addition."""


#: `flask.session`, with the type that it has with this interface, for tools that check types.
session = cast(CloakroomSession, flask.session)


class CloakroomSessionInterface(InterfaceBase, SessionInterface):
    """Stores a Flask application's sessions in Cloakroom.

        app.session_interface = CloakroomSessionInterface("localhost:50051", app="shop")

    Args:
        service: The service's address, such as `localhost:50051`, `https://cloakroom:50051` or `unix:/path`, or a
            `Transport`.
        app: The app's name in the service's configuration. Empty means `default`.
        deadline: Seconds that one call may take, its retries included.
        credentials: What the calls are authenticated by. A `Transport` has its own.
        unavailable: What happens while the service is unavailable. "raise": the line that needs the session raises
            `SessionUnavailable`, which Flask answers by 503. "null": the session reads as empty, and writes raise.
            See `on_unavailable` for writes that need no read.
        refresh_untouched: Whether to extend a permanent session also in requests that do not use it, as Flask does.
            It costs one call for each such request that has the cookie.
        send_context: Whether to send the browser's user agent and address, for the list of a user's sessions.
        max_authenticate_age: How long an authentication counts for `session.recently_authenticated`. Not for apps of
            kind `cookie`.
        codec: Converts values to JSON text and back. The default writes Flask's tags. `JsonCodec()` writes plain JSON,
            for sessions that are shared with another framework or language. Not for apps of kind `cookie`.

    Raises:
        ValueError: `unavailable` is neither "raise" nor "null".
    """

    client: Client
    session_class = CloakroomSession
    _default_expiration_time = SessionInterface.get_expiration_time

    def __init__(
        self,
        service: str | Transport = "localhost:50051",
        *,
        app: str = "",
        deadline: float = 2.0,
        credentials: Credentials | None = None,
        unavailable: Literal["raise", "null"] = "raise",
        refresh_untouched: bool = False,
        send_context: bool = True,
        max_authenticate_age: timedelta | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.client = Client(service, app=app, deadline=deadline, credentials=credentials)
        super().__init__(
            app,
            self.client.policy,
            unavailable=unavailable,
            send_context=send_context,
            max_authenticate_age=max_authenticate_age,
            codec=codec,
        )
        self._refresh_untouched = refresh_untouched

    def open_session(self, app: Flask, request: Request) -> Any:
        """Creates the request's session. Makes no call, except once per process for the app's policy."""
        failed: errors.SessionUnavailable | None = None
        if app.config["PERMANENT_SESSION_LIFETIME"] is not self._checked_setting:
            try:
                policy = self.client.policy_if_due()
                if policy is not None:
                    self._apply_policy(app, policy)
            except errors.SessionUnavailable as error:
                failed = error
        if self._has_null_session:
            return None
        environ = request.environ

        def context() -> pb.RequestContext:
            return browser_input.request_context(environ.get("HTTP_USER_AGENT", ""), request.remote_addr or "")

        session = self.session_class(self.client, AppRequestInfo(self, app, environ.get("HTTP_COOKIE", ""), context))
        if failed is not None:
            session.note_unavailable(failed)
        return session

    def save_session(self, app: Flask, session: SessionMixin | None, response: Response) -> None:
        """Saves the changes, and sets or deletes the cookie if needed."""
        if not isinstance(session, Session):
            return
        is_read = session.accessed
        if not is_read:
            if not (self._refresh_untouched and session._request_info.sent_tokens()):
                return
            with contextlib.suppress(errors.SessionUnavailable):
                session.open()
            if session.unavailable is not None:
                # The response does not depend on the session, and the cookie stays as it is.
                log.warning("the session service does not answer: %s", session.unavailable)
                return
        if is_read:
            vary_by_cookie(response)
        if session.unavailable is not None:
            # The request has waited for the service already.
            self.on_unavailable(app, session, session.unavailable, response)
            self._apply_saved(app, session, response)
            return
        current = session
        try:
            decision, _ = session.finish_request(
                lambda reason: self.on_gone(app, current, reason, response), is_read=is_read
            )
        except errors.SessionUnavailable as error:
            self.on_unavailable(app, session, error, response)
            self._apply_saved(app, session, response)
            return
        except CookiesAmbiguous as error:
            # A browser's cookies are no reason for a 500.
            replace(response, error.get_response())
            return
        except Exception:
            # This may be the response of an error handler, which is sent although this error is raised.
            self._apply_saved(app, session, response)
            raise
        if decision.action is not CookieAction.KEEP:
            self._apply_to_cookie(app, session, decision, response)


__all__ = [
    "CloakroomSession",
    "CloakroomSessionInterface",
    "CookiesAmbiguous",
    "JsonCodec",
    "NullSession",
    "SessionGone",
    "SessionUnavailable",
    "session",
    "session_gone",
]
