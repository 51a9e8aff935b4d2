"""Flask's session interface on Cloakroom."""

from __future__ import annotations

import logging
import warnings
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, Request, Response
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import NullSession, SessionInterface, SessionMixin

from .carry import Carry, Verdict
from .client import Client
from .errors import SessionGone, SessionUnavailable
from .session import _KIND_COOKIE, Session, Visit
from .tagged import TaggedCodec, TagNonFinite, forget_non_finite
from .transport import Transport
from .v1 import session_service_pb2 as pb

try:
    from blinker import Signal

    #: Sent when the session had ended before it was saved: (app, session=, reason=).
    session_gone: Signal | None = Signal()
except ImportError:  # Flask before 2.3 does without.
    session_gone = None

log = logging.getLogger("cloakroom")


class CloakroomSession(Session, SessionMixin):  # type: ignore[override, unused-ignore]
    """Flask's session, with `rotate`, `destroy`, `id`, `subject` and `increment`."""


class CloakroomSessionInterface(SessionInterface):
    """Keeps an application's sessions in Cloakroom.

        app.session_interface = CloakroomSessionInterface("localhost:50051", app="shop")

    `unavailable` says what a request sees while the service is away: "raise" `SessionUnavailable` from the line that
    needs the session, or a "null" session, which reads as empty and raises at writes. `refresh_untouched` makes one
    call for a request that carries the cookie and never looks at its session, to extend a permanent one as Flask does.
    """

    session_class = CloakroomSession

    def __init__(
        self,
        service: str | Transport = "localhost:50051",
        *,
        app: str = "",
        deadline: float = 2.0,
        unavailable: str = "raise",
        refresh_untouched: bool = False,
        send_context: bool = True,
        max_authenticate_age: timedelta | None = None,
    ) -> None:
        if unavailable not in ("raise", "null"):
            raise ValueError('unavailable must be "raise" or "null"')
        self.client = Client(service, app=app, deadline=deadline)
        #: Where an application registers tags of its own.
        self.serializer = TaggedJSONSerializer()
        self.serializer.register(TagNonFinite)
        self._codec = TaggedCodec(self.serializer)
        self._tolerates_absence = unavailable == "null"
        self._refresh_untouched = refresh_untouched
        self._send_context = send_context
        self._max_authenticate_age = max_authenticate_age
        self._has_warned = False

    def open_session(self, app: Flask, request: Request) -> Any:
        """The request's session. Makes no call, but for the app's policy once a process."""
        policy = self.client.policy_if_known()
        if policy is not None:
            self._check_lifetime(app, policy)
            if policy.HasField("null_session"):
                return None
            if policy.kind == _KIND_COOKIE:
                forget_non_finite(self.serializer)
        visit = Visit(
            client=self.client,
            codec=self._codec,
            cookie_header=request.environ.get("HTTP_COOKIE", ""),
            cookie_name=self.get_cookie_name(app),
            context=self._context(request),
            tolerates_absence=self._tolerates_absence,
            max_authenticate_age=self._max_authenticate_age,
            idle_timeout=lambda: self._lifetime(app),
        )
        return self.session_class(visit)

    def save_session(self, app: Flask, session: SessionMixin | None, response: Response) -> None:
        """Saves what has changed, and sets the cookie if the browser needs it."""
        if not isinstance(session, Session):
            return
        is_read = session.accessed
        if not is_read:
            if not (self._refresh_untouched and session._visit.sent()):
                return
            session.open()
        if is_read:
            response.vary.add("Cookie")
        was_gone = session.gone
        verdict = session.finish(is_read=is_read)
        if session.gone is not None and was_gone is None:
            self.on_gone(app, session, session.gone, response)
        self._carry(app, session, verdict, response)

    def on_gone(self, app: Flask, session: Session, reason: str, response: Response) -> None:
        """Called when the session had ended before it was saved: nothing was written, and the cookie stays as it is.

        Logs it and sends the signal `session_gone`. An override may raise `SessionGone`, or change the response.
        """
        log.warning("a request's changes were not saved, for its session has ended: %s", reason)
        if session_gone is not None:
            session_gone.send(app, session=session, reason=reason)

    def _carry(self, app: Flask, session: Any, verdict: Verdict, response: Response) -> None:
        if verdict.carry is Carry.KEEP:
            return
        name = self.get_cookie_name(app)
        attributes: dict[str, Any] = {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "samesite": self.get_cookie_samesite(app),
            "httponly": self.get_cookie_httponly(app),
        }
        # Flask before 3.1 knows nothing of it.
        if hasattr(self, "get_cookie_partitioned") and self.get_cookie_partitioned(app):
            attributes["partitioned"] = True
        if verdict.carry is Carry.DELETE:
            response.delete_cookie(name, **attributes)
            response.vary.add("Cookie")
            return
        if verdict.carry is Carry.SET:
            # The cookie holds another token from here on, which is a change as Flask understands it.
            session._modified = True
        if not self.should_set_cookie(app, session):
            return
        response.set_cookie(name, verdict.token, expires=self._expires(app, session, verdict), **attributes)
        response.vary.add("Cookie")

    def _expires(self, app: Flask, session: Any, verdict: Verdict) -> datetime | None:
        if type(self).get_expiration_time is not SessionInterface.get_expiration_time:
            return self.get_expiration_time(app, session)
        return verdict.expire_time if verdict.permanent else None

    def _lifetime(self, app: Flask) -> timedelta | None:
        """PERMANENT_SESSION_LIFETIME, if it is shorter than what the service grants by itself."""
        lifetime = app.permanent_session_lifetime
        return lifetime if lifetime < self.client.policy().idle_timeout.ToTimedelta() else None

    def _check_lifetime(self, app: Flask, policy: pb.GetAppPolicyResponse) -> None:
        most = policy.idle_timeout.ToTimedelta()
        if not self._has_warned and policy.HasField("idle_timeout") and app.permanent_session_lifetime > most:
            warnings.warn(
                f"PERMANENT_SESSION_LIFETIME is {app.permanent_session_lifetime}, and Cloakroom grants this app {most}:"
                " raise idle_timeout in its configuration, or lower the lifetime.",
                stacklevel=2,
            )
            self._has_warned = True

    def _context(self, request: Request) -> pb.RequestContext:
        if not self._send_context:
            return pb.RequestContext()
        address = request.remote_addr or ""
        agent = request.environ.get("HTTP_USER_AGENT", "")
        return pb.RequestContext(user_agent=agent[:256], remote_address=address if len(address) <= 64 else "")


__all__ = ["CloakroomSession", "CloakroomSessionInterface", "NullSession", "SessionGone", "SessionUnavailable"]
