"""The Cookie header that a session is opened with."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from .. import browser_input
from . import session_key


def of_request(request: HttpRequest) -> str:
    """Returns the whole header that the browser sent."""
    scope = getattr(request, "scope", None)
    if scope is None:
        header: str = request.META.get("HTTP_COOKIE", "")
    else:
        # HTTP/2 has several lines, and Django before 6.0 joins them by commas.
        lines = (value.decode("latin-1") for name, value in scope.get("headers", ()) if name.lower() == b"cookie")
        header = "; ".join(lines)
    return session_key.with_cookie_values(browser_input.cookie_header(header), settings.SESSION_COOKIE_NAME)


def of_key(key: str | None) -> str:
    """Returns a header for the value of a cookie, or for a `SessionKey`. Empty if it opens nothing."""
    if not is_valid(key):
        return ""
    value = session_key.cookie_value(key or "")
    if value is None or not value.isprintable() or ";" in value:
        return ""
    return browser_input.cookie_header(f"{settings.SESSION_COOKIE_NAME}={value}")


def is_valid(key: str | None) -> bool:
    """Whether Django accepts a key."""
    return key is not None and len(key) >= 8
