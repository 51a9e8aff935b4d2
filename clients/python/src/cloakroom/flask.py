"""Flask's session interface for Cloakroom."""

from __future__ import annotations

import logging
import warnings
from datetime import datetime, timedelta
from typing import Any, Literal, cast

import flask
from flask import Flask, Request, Response
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import NullSession, SessionInterface, SessionMixin
from werkzeug.exceptions import BadRequest, ServiceUnavailable

from . import browser_input, errors
from .client import Client
from .connect import Credentials
from .cookie import CookieAction, CookieDecision
from .errors import COOKIES_AMBIGUOUS, RETRY_AFTER, SessionGone, SessionRefused
from .messages import session_service_pb2 as pb
from .session import RequestInfo, Session
from .tagged import TaggedCodec, TagNonFinite, unregister_non_finite
from .transport import Transport
from .watch import SessionWatch

try:
    from blinker import Signal

    #: Sent if a session had ended before it was saved. The sender is the application; the keywords are session, reason.
    session_gone: Signal | None = Signal()
except ImportError:  # Flask before 2.3 does not need blinker.
    session_gone = None

log = logging.getLogger("cloakroom")


class CloakroomSession(Session, SessionMixin):  # type: ignore[override, unused-ignore]
    """Flask's session, with `rotate`, `destroy`, `id`, `subject` and `increment` in addition."""

    def _check_writable(self) -> None:
        try:
            super()._check_writable()
        except (errors.SessionUnavailable, SessionRefused) as error:
            raise _http_error(error) from error

    def _open_now(self) -> None:
        try:
            super()._open_now()
        except errors.SessionUnavailable as error:
            raise _http_error(error) from error

    def finish(self, *, is_read: bool = True) -> CookieDecision:
        try:
            return super().finish(is_read=is_read)
        except (errors.SessionUnavailable, SessionRefused) as error:
            raise _http_error(error) from error

    def destroy(self) -> None:
        try:
            super().destroy()
        except (errors.SessionUnavailable, SessionRefused) as error:
            raise _http_error(error) from error

    def watch(self) -> SessionWatch:
        try:
            return super().watch()
        except (errors.SessionUnavailable, SessionRefused) as error:
            raise _http_error(error) from error


#: `flask.session`, with the type that it has with this interface, for tools that check types.
session = cast(CloakroomSession, flask.session)


class CookiesAmbiguous(SessionRefused, BadRequest):
    """The request has the cookies of two live sessions, so a write is refused. Flask answers 400.

    A login, `clear` and `destroy` are not refused: they end both sessions.
    """

    # werkzeug reads the class's code, and `CloakroomError` sets another one in the instance.
    code = 400  # type: ignore[assignment]

    def __str__(self) -> str:
        return str(self.args[0])

    def get_response(self, *_: Any, **__: Any) -> Any:
        return BadRequest(str(self)).get_response()


class SessionUnavailable(errors.SessionUnavailable, ServiceUnavailable):
    """The service did not answer in time. Flask answers 503 with Retry-After, unless the application handles it."""

    code = 503  # type: ignore[assignment]

    def __str__(self) -> str:
        return str(self.description)

    def get_response(self, *_: Any, **__: Any) -> Any:
        return ServiceUnavailable(retry_after=RETRY_AFTER).get_response()


def _http_error(error: errors.CloakroomError) -> errors.CloakroomError:
    """Returns the error that Flask answers otherwise than by 500, if there is one."""
    if isinstance(error, errors.SessionUnavailable):
        return SessionUnavailable(str(error), error.code, error.reason)
    if error.reason == COOKIES_AMBIGUOUS:
        return CookiesAmbiguous(str(error), error.code, error.reason)
    return error


class CloakroomSessionInterface(SessionInterface):
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

    Raises:
        ValueError: `unavailable` is neither "raise" nor "null".
    """

    session_class = CloakroomSession

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
    ) -> None:
        if unavailable not in ("raise", "null"):
            raise ValueError('unavailable must be "raise" or "null"')
        self.client = Client(service, app=app, deadline=deadline, credentials=credentials)
        #: Applications register their own tags here.
        self.serializer = TaggedJSONSerializer()
        self.serializer.register(TagNonFinite)
        self._codec = TaggedCodec(self.serializer)
        self._null_when_unavailable = unavailable == "null"
        self._refresh_untouched = refresh_untouched
        self._send_context = send_context
        self._max_authenticate_age = max_authenticate_age
        self._has_warned_of_lifetime = False
        # Of the policy and PERMANENT_SESSION_LIFETIME, for the lifetime that was checked last.
        self._checked_lifetime: timedelta | None = None
        self._shorter_idle_timeout: timedelta | None = None
        self._has_null_session = False

    def open_session(self, app: Flask, request: Request) -> Any:
        """Creates the request's session. Makes no call, except once per process for the app's policy."""
        policy = self.client.policy_if_available()
        if policy is not None:
            if app.permanent_session_lifetime != self._checked_lifetime:
                self._apply_policy(app, policy)
            if self._has_null_session:
                return None
        request_info = RequestInfo(
            app=self.client.app,
            policy=self.client.policy,
            codec=self._codec,
            cookie_header=browser_input.cookie_header(request.environ.get("HTTP_COOKIE", "")),
            cookie_name=self.get_cookie_name(app),
            context=lambda: self._context(request),
            null_when_unavailable=self._null_when_unavailable,
            max_authenticate_age=self._max_authenticate_age,
            idle_timeout=lambda: self._idle_timeout(app),
        )
        return self.session_class(self.client, request_info)

    def save_session(self, app: Flask, session: SessionMixin | None, response: Response) -> None:
        """Saves the changes, and sets or deletes the cookie if needed."""
        if not isinstance(session, Session):
            return
        is_read = session.accessed
        if not is_read:
            if not (self._refresh_untouched and session._request_info.sent_tokens()):
                return
            session.open()
        if is_read:
            _vary_by_cookie(response)
        was_gone = session.gone
        if session.unavailable is not None:
            # The request has waited for the service already.
            self.on_unavailable(app, session, session.unavailable, response)
            return
        try:
            decision = session.finish(is_read=is_read)
        except errors.SessionUnavailable as error:
            self.on_unavailable(app, session, error, response)
            return
        except CookiesAmbiguous as error:
            # A browser's cookies are no reason for a 500.
            _replace(response, error.get_response())
            return
        if session.gone is not None and was_gone is None:
            self.on_gone(app, session, session.gone, response)
        self._apply_to_cookie(app, session, decision, response)

    def on_gone(self, app: Flask, session: Session, reason: str, response: Response) -> None:
        """Called if the session had ended before it was saved. Nothing was written, and the cookie stays as it is.

        Logs a warning and sends the signal `session_gone`. An override may raise `SessionGone` or change the response.

        Args:
            app: The application.
            session: The request's session.
            reason: Why the session had ended, such as `DESTROYED` or `SUPERSEDED`.
            response: The response, which has not been sent yet.
        """
        log.warning("a request's changes were not saved, for its session has ended: %s", reason)
        if session_gone is not None:
            session_gone.send(app, session=session, reason=reason)

    def on_unavailable(
        self, app: Flask, session: Session, error: errors.SessionUnavailable, response: Response
    ) -> None:
        """Called at the end of a request in which the service did not answer. What was not saved is lost.

        Logs a warning, and makes the response a 503 with Retry-After, unless nothing was to be saved and the
        application has handled the error. An override may make another response.

        Args:
            app: The application.
            session: The request's session.
            error: Why the call failed.
            response: The response, which has not been sent yet.
        """
        log.warning("the session service does not answer: %s", error)
        if session.has_unsaved_changes():
            _replace(response, ServiceUnavailable(retry_after=RETRY_AFTER).get_response())

    def _apply_to_cookie(self, app: Flask, session: Any, decision: CookieDecision, response: Response) -> None:
        if decision.action is CookieAction.KEEP:
            return
        name = self.get_cookie_name(app)
        attributes: dict[str, Any] = {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "samesite": self.get_cookie_samesite(app),
            "httponly": self.get_cookie_httponly(app),
        }
        # Flask before 3.1 does not have this method.
        if hasattr(self, "get_cookie_partitioned") and self.get_cookie_partitioned(app):
            attributes["partitioned"] = True
        if decision.action is CookieAction.DELETE:
            response.delete_cookie(name, **attributes)
            _vary_by_cookie(response)
            return
        if decision.action is CookieAction.SET:
            # `should_set_cookie` checks this: for Flask a new cookie is a modification.
            session._modified = True
        if not self.should_set_cookie(app, session):
            return
        response.set_cookie(name, decision.token, expires=self._expires(app, session, decision), **attributes)
        _vary_by_cookie(response)

    def _expires(self, app: Flask, session: Any, decision: CookieDecision) -> datetime | None:
        if type(self).get_expiration_time is not SessionInterface.get_expiration_time:
            return self.get_expiration_time(app, session)
        return decision.expire_time if decision.permanent else None

    def _apply_policy(self, app: Flask, policy: pb.GetAppPolicyResponse) -> None:
        self._warn_of_lifetime(app, policy)
        if policy.kind == pb.APP_KIND_COOKIE:
            unregister_non_finite(self.serializer)
        self._has_null_session = policy.HasField("null_session")
        lifetime = max(app.permanent_session_lifetime, _SHORTEST_LIFETIME)
        self._shorter_idle_timeout = lifetime if lifetime < policy.idle_timeout.ToTimedelta() else None
        self._checked_lifetime = app.permanent_session_lifetime

    def _idle_timeout(self, app: Flask) -> timedelta | None:
        """Returns PERMANENT_SESSION_LIFETIME if it is shorter than the app's idle timeout in the service."""
        if app.permanent_session_lifetime != self._checked_lifetime:
            self._apply_policy(app, self.client.policy())
        return self._shorter_idle_timeout

    def _warn_of_lifetime(self, app: Flask, policy: pb.GetAppPolicyResponse) -> None:
        """Warns once of a lifetime that sessions will not have."""
        limit = policy.idle_timeout.ToTimedelta()
        lifetime = app.permanent_session_lifetime
        advice = ""
        if policy.HasField("idle_timeout") and lifetime > limit:
            advice = (
                f"Cloakroom grants this app {limit}: raise idle_timeout in its configuration, or lower the lifetime."
            )
        elif lifetime < _SHORTEST_LIFETIME and policy.kind != pb.APP_KIND_COOKIE:
            advice = f"sessions end after {_SHORTEST_LIFETIME} without a use, the shortest lifetime. Raise it."
        if advice and not self._has_warned_of_lifetime:
            warnings.warn(f"PERMANENT_SESSION_LIFETIME is {lifetime}, and {advice}", stacklevel=3)
            self._has_warned_of_lifetime = True

    def _context(self, request: Request) -> pb.RequestContext:
        if not self._send_context:
            return pb.RequestContext()
        return browser_input.request_context(request.environ.get("HTTP_USER_AGENT", ""), request.remote_addr or "")


def _vary_by_cookie(response: Response) -> None:
    if "Vary" in response.headers:
        response.vary.add("Cookie")
    else:
        response.headers["Vary"] = "Cookie"


def _replace(response: Response, other: Any) -> None:
    """Makes a response another one. Headers of the application stay, such as those for CORS."""
    response.status = other.status
    response.headers.update(other.headers)
    response.set_data(other.get_data())


#: The service accepts no shorter idle timeout.
_SHORTEST_LIFETIME = timedelta(seconds=1)

__all__ = [
    "CloakroomSession",
    "CloakroomSessionInterface",
    "CookiesAmbiguous",
    "NullSession",
    "SessionGone",
    "SessionUnavailable",
    "session",
]
