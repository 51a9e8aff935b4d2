"""What the session interfaces of Flask and Quart have in common: settings, cookies and errors."""

from __future__ import annotations

import logging
import warnings
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from flask.json.tag import TaggedJSONSerializer
from werkzeug.exceptions import BadRequest, ServiceUnavailable

from . import browser_input, errors
from .codec import Codec
from .cookie import CookieAction, CookieDecision
from .errors import COOKIES_AMBIGUOUS, RETRY_AFTER, SessionRefused
from .messages import session_service_pb2 as pb
from .session import RequestInfo, warn_of_gone
from .tagged import TaggedCodec, TagNonFinite, unregister_non_finite

try:
    from blinker import Signal

    #: Sent if a session had ended before it was saved. The sender is the application; the keywords are session, reason.
    session_gone: Signal | None = Signal()
except ImportError:  # Flask before 2.3 does not need blinker.
    session_gone = None

if TYPE_CHECKING:
    from .async_client import AsyncClient
    from .client import Client

log = logging.getLogger("cloakroom")


class CookiesAmbiguous(SessionRefused, BadRequest):
    """The request has the cookies of two live sessions, so a write is refused. It is answered by 400.

    A login, `clear` and `destroy` are not refused: they end both sessions.
    """

    # werkzeug reads the class's code, and `CloakroomError` sets another one in the instance.
    code = 400  # type: ignore[assignment]

    def __str__(self) -> str:
        return str(self.args[0])

    def get_response(self, *_: Any, **__: Any) -> Any:
        return BadRequest(str(self)).get_response()


class SessionUnavailable(errors.SessionUnavailable, ServiceUnavailable):
    """The service did not answer in time. It is answered by 503 with Retry-After."""

    code = 503  # type: ignore[assignment]

    def __str__(self) -> str:
        return str(self.description)

    def get_response(self, *_: Any, **__: Any) -> Any:
        return ServiceUnavailable(retry_after=RETRY_AFTER).get_response()


def http_error(error: errors.CloakroomError) -> errors.CloakroomError:
    """Returns the error that Flask and Quart answer otherwise than by 500, if there is one."""
    if isinstance(error, (SessionUnavailable, CookiesAmbiguous)):
        return error
    if isinstance(error, errors.SessionUnavailable):
        return SessionUnavailable(str(error), error.code, error.reason)
    if error.reason == COOKIES_AMBIGUOUS:
        return CookiesAmbiguous(str(error), error.code, error.reason)
    return error


class HttpErrors:
    """Has a session raise the errors that Flask and Quart answer otherwise than by 500."""

    def _raise(self, error: errors.CloakroomError) -> NoReturn:
        raised = http_error(error)
        if raised is error:
            raise error
        raise raised from error


class AppRequestInfo(RequestInfo):
    """What a session of Flask or Quart needs to know. Making one costs less than the base class does.

    Args:
        interface: The session interface.
        app: The application.
        cookie_header: The Cookie header.
        context: Returns the user agent and the remote address.
    """

    def __init__(
        self, interface: InterfaceBase, app: Any, cookie_header: str, context: Callable[[], pb.RequestContext]
    ) -> None:
        self._interface = interface
        self._framework_app = app
        self.app = interface._app_name
        self.policy = interface._known_policy
        self.codec = interface._codec
        self.cookie_header = browser_input.cookie_header(cookie_header)
        self.cookie_name = interface.get_cookie_name(app)
        self.context = context if interface._send_context else pb.RequestContext
        self.null_when_unavailable = interface._null_when_unavailable
        self.max_authenticate_age = interface._max_authenticate_age

    def knows_policy(self) -> bool:
        return self._interface.client.knows_policy

    def idle_timeout(self) -> timedelta | None:
        return self._interface._idle_timeout(self._framework_app)

    def cookie_name_override(self) -> str:
        if self.cookie_name == self._interface._policy_cookie_name:
            return ""
        return super().cookie_name_override()


class InterfaceBase:
    """A session interface without the calls."""

    client: Client | AsyncClient
    #: Those of the framework's interface.
    get_cookie_name: Callable[[Any], str]
    get_cookie_domain: Callable[[Any], Any]
    get_cookie_path: Callable[[Any], str]
    get_cookie_secure: Callable[[Any], bool]
    get_cookie_samesite: Callable[[Any], Any]
    get_cookie_httponly: Callable[[Any], bool]
    should_set_cookie: Callable[[Any, Any], bool]
    get_expiration_time: Callable[[Any, Any], Any]
    #: The framework's own `get_expiration_time`, which an application may override.
    _default_expiration_time: Any

    def __init__(
        self,
        app: str,
        known_policy: Callable[[], pb.GetAppPolicyResponse],
        *,
        unavailable: str,
        send_context: bool,
        max_authenticate_age: timedelta | None,
        codec: Codec | None = None,
    ) -> None:
        if unavailable not in ("raise", "null"):
            raise ValueError('unavailable must be "raise" or "null"')
        #: Applications register their own tags here. Unused with a codec of the application.
        self.serializer = TaggedJSONSerializer()
        self.serializer.register(TagNonFinite)
        self._app_name = app
        self._known_policy = known_policy
        self._codec = codec or TaggedCodec(self.serializer)
        self._null_when_unavailable = unavailable == "null"
        self._send_context = send_context
        self._max_authenticate_age = max_authenticate_age
        self._has_warned_of_lifetime = False
        #: The value of PERMANENT_SESSION_LIFETIME that was checked last. What follows depends on it and on the policy.
        self._checked_setting: Any = None
        self._shorter_idle_timeout: timedelta | None = None
        self._has_null_session = False
        self._policy_cookie_name = ""

    def on_gone(self, app: Any, session: Any, reason: str, response: Any) -> None:
        """Called if the session had ended before it was saved. Nothing was written, and the cookie stays as it is.

        A `save` of the application that has met the end counts too, unless it has read the reason in `session.gone`.
        Logs a warning and sends the signal `session_gone`. An override may raise `SessionGone` or change the response.

        Args:
            app: The application.
            session: The request's session.
            reason: Why the session had ended, such as `DESTROYED` or `SUPERSEDED`.
            response: The response, which has not been sent yet.
        """
        warn_of_gone(reason)
        if session_gone is not None:
            session_gone.send(app, session=session, reason=reason)

    def on_unavailable(self, app: Any, session: Any, error: errors.SessionUnavailable, response: Any) -> None:
        """Called at the end of a request in which the service did not answer. What was not saved is lost.

        Logs a warning, and makes the response a 503 with Retry-After, unless nothing was to be saved and the
        application has handled the error. A response of 500 and more, other than 503, has not handled it: it stands,
        for example, for an error page that failed because it reads the session. An override may make another response.

        Args:
            app: The application.
            session: The request's session.
            error: Why the call failed.
            response: The response, which has not been sent yet.
        """
        log.warning("the session service does not answer: %s", error)
        is_failed = response.status_code >= 500 and response.status_code != 503
        if is_failed or session.has_unsaved_changes():
            replace(response, ServiceUnavailable(retry_after=RETRY_AFTER).get_response())

    def _apply_saved(self, app: Any, session: Any, response: Any) -> None:
        """Sets or deletes the cookie as the calls say that were answered before one failed."""
        decision = session.saved_decision
        if decision is not None and decision.changes_cookie:
            self._apply_to_cookie(app, session, decision, response)

    def _apply_to_cookie(self, app: Any, session: Any, decision: CookieDecision, response: Any) -> None:
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
            vary_by_cookie(response)
            return
        if decision.action is CookieAction.SET:
            # `should_set_cookie` checks this: for Flask a new cookie is a modification.
            session._modified = True
        if not self.should_set_cookie(app, session):
            return
        response.set_cookie(name, decision.token, expires=self._expires(app, session, decision), **attributes)
        vary_by_cookie(response)

    def _expires(self, app: Any, session: Any, decision: CookieDecision) -> datetime | None:
        if type(self).get_expiration_time is not type(self)._default_expiration_time:
            expires: datetime | None = self.get_expiration_time(app, session)
            return expires
        return decision.expire_time if decision.permanent else None

    def _apply_policy(self, app: Any, policy: pb.GetAppPolicyResponse) -> None:
        self._warn_of_lifetime(app, policy)
        if policy.kind == pb.APP_KIND_COOKIE:
            unregister_non_finite(self.serializer)
        self._has_null_session = policy.HasField("null_session")
        self._policy_cookie_name = policy.cookie_name
        lifetime = max(app.permanent_session_lifetime, _SHORTEST_LIFETIME)
        self._shorter_idle_timeout = lifetime if lifetime < policy.idle_timeout.ToTimedelta() else None
        self._checked_setting = app.config["PERMANENT_SESSION_LIFETIME"]

    def _idle_timeout(self, app: Any) -> timedelta | None:
        """Returns PERMANENT_SESSION_LIFETIME if it is shorter than the app's idle timeout in the service."""
        if app.config["PERMANENT_SESSION_LIFETIME"] is not self._checked_setting:
            self._apply_policy(app, self._known_policy())
        return self._shorter_idle_timeout

    def _warn_of_lifetime(self, app: Any, policy: pb.GetAppPolicyResponse) -> None:
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


def vary_by_cookie(response: Any) -> None:
    headers = response.headers
    # These cost less than `in`, which raises an error inside, and an assignment, which looks for the header again.
    if headers.getlist("Vary"):
        response.vary.add("Cookie")
    else:
        headers.add("Vary", "Cookie")


def replace(response: Any, other: Any) -> None:
    """Makes a response another one. Headers of the application stay, such as those for CORS, but not its body's."""
    for name in _BODY_HEADERS:
        response.headers.pop(name, None)
    response.headers["Cache-Control"] = "no-store"
    response.status = other.status
    response.headers.update(other.headers)
    response.set_data(other.get_data())


#: Headers that are about the body of a response, or about where it is.
_BODY_HEADERS = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Location",
    "Content-Range",
    "ETag",
    "Expires",
    "Last-Modified",
    "Location",
)
#: The service accepts no shorter idle timeout.
_SHORTEST_LIFETIME = timedelta(seconds=1)
