"""Errors that Django answers otherwise than by 500."""

from __future__ import annotations

from django.core.exceptions import BadRequest

from ..errors import COOKIES_AMBIGUOUS, CloakroomError, SessionRefused


class CookiesAmbiguous(SessionRefused, BadRequest):  # type: ignore[misc, unused-ignore]
    """The request has the cookies of two live sessions, so a write is refused. Django answers 400.

    A login, `clear` and `flush` are not refused: they end both sessions.
    """


def http_error(error: CloakroomError) -> CloakroomError:
    """Returns the error that Django answers as it should."""
    if error.reason != COOKIES_AMBIGUOUS or isinstance(error, CookiesAmbiguous):
        return error
    return CookiesAmbiguous(str(error), error.code, error.reason)
