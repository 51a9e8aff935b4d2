"""Django's session engine for Cloakroom: `SESSION_ENGINE = "cloakroom.django"`.

`store` has the session, `middleware` sets the cookie, `conf` reads the setting `CLOAKROOM`, and `checks` looks for
mistakes in the settings.
"""

from .errors import CookiesAmbiguous
from .middleware import SessionMiddleware
from .session_key import SessionKey
from .store import SessionStore

__all__ = ["CookiesAmbiguous", "SessionKey", "SessionMiddleware", "SessionStore"]
