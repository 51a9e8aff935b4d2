"""Gives each request its session, and does with the cookie what the service has decided."""

from __future__ import annotations

import logging
import time
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions import middleware
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.exception import response_for_exception
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.http import http_date

from ..cookie import CookieAction, CookieDecision
from ..errors import SessionUnavailable
from . import conf
from .store import SessionStore

log = logging.getLogger("cloakroom")


class SessionMiddleware(middleware.SessionMiddleware):  # type: ignore[misc, unused-ignore]
    """Takes the place of `django.contrib.sessions.middleware.SessionMiddleware`.

    The cookie has the attributes of Django's settings SESSION_COOKIE_*.
    """

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        if not issubclass(self.SessionStore, SessionStore):
            raise ImproperlyConfigured(
                f"{type(self).__name__} needs SESSION_ENGINE = 'cloakroom.django', or a module whose SessionStore is "
                f"derived from that one's; it is {settings.SESSION_ENGINE!r}"
            )
        conf.current()

    def __call__(self, request: HttpRequest) -> Any:
        try:
            return super().__call__(request)
        except SessionUnavailable as error:
            return self._answer(request, error)

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        try:
            return await self._respond(request)
        except SessionUnavailable as error:
            return self._answer(request, error)

    def process_request(self, request: HttpRequest) -> None:
        store: Any = self.SessionStore
        request.session = store.for_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        session = getattr(request, "session", None)
        if not isinstance(session, SessionStore):
            return response
        if session.unavailable is None:
            try:
                return self._with_cookie(session, session.finish(is_saved=_is_saved(response)), response)
            except UpdateError as error:
                raise _interrupted(error) from error
            except SessionUnavailable as error:
                session.unavailable = error
            except Exception as error:
                return self._failed(request, session, error)
        return self._without_session(request, session, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answers a request whose view an outage has ended."""
        if not isinstance(exception, SessionUnavailable):
            return None
        _log_outage(exception)
        return self._outage_page(request, exception)

    def on_unavailable(self, request: HttpRequest, error: SessionUnavailable) -> HttpResponse:
        """Returns the response to a request whose session could not be read or saved. What was not saved is lost.

        Called once for each request, and once more if something outside of this middleware fails as well. An override
        may return another response. If it reads the session, the response is this one.
        """
        response = HttpResponse("Service Unavailable", status=503, content_type="text/plain; charset=utf-8")
        response["Retry-After"] = str(conf.current().retry_after)
        # Django would log it once more.
        response._has_been_logged = True  # type: ignore[attr-defined, unused-ignore]
        return response

    async def _respond(self, request: HttpRequest) -> HttpResponse:
        if type(self).process_response is not SessionMiddleware.process_response:
            # A derived class does more, in a thread.
            derived: HttpResponse = await super().__acall__(request)  # type: ignore[assignment, unused-ignore]
            return derived
        self.process_request(request)
        get_response: Any = self.get_response
        response: HttpResponse = await get_response(request)
        session = getattr(request, "session", None)
        if not isinstance(session, SessionStore):
            return response
        if session.unavailable is None:
            try:
                return self._with_cookie(session, await session.afinish(is_saved=_is_saved(response)), response)
            except UpdateError as error:
                raise _interrupted(error) from error
            except SessionUnavailable as error:
                session.unavailable = error
            except Exception as error:
                return await sync_to_async(self._failed, thread_sensitive=False)(request, session, error)
        return self._without_session(request, session, response)

    def _outage_page(self, request: HttpRequest, error: SessionUnavailable) -> HttpResponse:
        try:
            return self.on_unavailable(request, error)
        except SessionUnavailable:
            return SessionMiddleware.on_unavailable(self, request, error)

    def _answer(self, request: HttpRequest, error: SessionUnavailable) -> HttpResponse:
        """Answers a request whose error page has failed as well: with CSRF_USE_SESSIONS it reads the session."""
        _log_outage(error)
        response = self._outage_page(request, error)
        patch_vary_headers(response, ("Cookie",))
        return response

    def _without_session(self, request: HttpRequest, session: SessionStore, response: HttpResponse) -> HttpResponse:
        """Ends a request in which the service did not answer. It has waited long enough, so nothing is saved."""
        response = self._unsaved(request, session, response)
        decision = session.saved_decision
        if decision is None or not decision.changes_cookie:
            return response
        try:
            # As the calls say that were answered before one failed.
            return self._with_cookie(session, decision, response)
        except SessionUnavailable:
            # The session's own expiry is not known.
            return response

    def _failed(self, request: HttpRequest, session: SessionStore, error: Exception) -> HttpResponse:
        """Ends a request whose last save has failed. If saves before it have changed the cookie, the 500 has it."""
        decision = session.saved_decision
        if decision is None or not decision.changes_cookie:
            raise error
        return self._with_cookie(session, decision, response_for_exception(request, error))

    def _unsaved(self, request: HttpRequest, session: SessionStore, response: HttpResponse) -> HttpResponse:
        error = session.unavailable
        patch_vary_headers(response, ("Cookie",))
        if error is None or response.status_code == 503:
            return response
        if not getattr(response, "_has_been_logged", False):
            _log_outage(error)
        # A view that has nothing to save may have handled the error.
        is_failed = response.status_code >= 500 or session.has_unsaved_changes()
        return self._outage_page(request, error) if is_failed else response

    def _with_cookie(self, session: SessionStore, decision: CookieDecision, response: HttpResponse) -> HttpResponse:
        if decision.action is CookieAction.DELETE:
            response.delete_cookie(settings.SESSION_COOKIE_NAME, **_attributes())
        elif decision.action is CookieAction.SET or (
            decision.action is CookieAction.REFRESH and _is_refreshed(session)
        ):
            response.set_cookie(
                settings.SESSION_COOKIE_NAME,
                decision.token,
                secure=bool(settings.SESSION_COOKIE_SECURE),
                httponly=bool(settings.SESSION_COOKIE_HTTPONLY),
                **_lifetime(session),
                **_attributes(),
            )
        elif not session.accessed:
            return response
        patch_vary_headers(response, ("Cookie",))
        return response


def _is_saved(response: HttpResponse) -> bool:
    """Whether the changes of the request are saved: those of a failed one are not, as in Django."""
    return bool(response.status_code < 500)


def _is_refreshed(session: SessionStore) -> bool:
    """Whether the cookie is sent again, so that it expires later."""
    return bool(session.modified or settings.SESSION_SAVE_EVERY_REQUEST)


def _attributes() -> dict[str, Any]:
    return {
        "path": settings.SESSION_COOKIE_PATH,
        "domain": settings.SESSION_COOKIE_DOMAIN,
        "samesite": settings.SESSION_COOKIE_SAMESITE,
    }


def _interrupted(error: UpdateError) -> SessionInterrupted:
    return SessionInterrupted(
        "The request's session was deleted before the request completed. The user may have logged out in a concurrent "
        f"request, for example ({error})."
    )


def _lifetime(session: SessionStore) -> dict[str, Any]:
    if session.get_expire_at_browser_close():
        return {"max_age": None, "expires": None}
    age = session.get_expiry_age()
    return {"max_age": age, "expires": http_date(time.time() + age)}


def _log_outage(error: SessionUnavailable) -> None:
    log.warning("the session service does not answer: %s", error)
