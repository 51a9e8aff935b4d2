"""The settings of an app, with the names and defaults of the service's configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import formatdate
from typing import Any, Literal

from ..messages import session_service_pb2 as pb
from ..transport import CallFailed
from .times import milliseconds, to_message


@dataclass(frozen=True)
class App:
    """One app of the service, of kind `stored`.

    The names and defaults are those of the service's tables `[apps.<name>]`, which `docs/configuration.md` describes;
    names such as `cookie_path` stand for `path` in the table `cookie`.

    Raises:
        ValueError: The service would refuse the settings.
    """

    name: str = "default"
    cookie_name: str = "session"
    cookie_domain: str = ""
    cookie_path: str = "/"
    cookie_httponly: bool = True
    cookie_secure: bool = False
    cookie_samesite: Literal["Strict", "Lax", "None", ""] = "Lax"
    cookie_partitioned: bool = False
    refresh_each_request: bool = True
    idle_timeout: timedelta = timedelta(days=31)
    absolute_timeout: timedelta = timedelta(days=365)
    #: None: the app's own, or `anonymous_absolute_timeout` if that is shorter.
    anonymous_idle_timeout: timedelta | None = None
    #: None: the app's own.
    anonymous_absolute_timeout: timedelta | None = None
    rotation_grace: timedelta = timedelta(seconds=30)
    subject_key: str = ""
    #: 0: no limit.
    max_sessions_per_subject: int = 1000
    on_session_limit: Literal["evict", "refuse"] = "evict"
    max_entries: int = 256
    max_session_bytes: int = 64 * 1024

    def __post_init__(self) -> None:
        """Raises ValueError for settings that the service refuses."""
        for setting, span, shortest, longest in (
            ("idle_timeout", self.idle_timeout, _MINUTE, self.absolute_timeout),
            ("absolute_timeout", self.absolute_timeout, _MINUTE, timedelta(days=400)),
            ("anonymous_idle_timeout", self.anonymous_idle_timeout, _MINUTE, self.anonymous_lifetimes()[1]),
            ("anonymous_idle_timeout", self.anonymous_idle_timeout, _MINUTE, self.idle_timeout),
            ("anonymous_absolute_timeout", self.anonymous_absolute_timeout, _MINUTE, self.absolute_timeout),
            ("rotation_grace", self.rotation_grace, timedelta(0), timedelta(hours=1)),
        ):
            if span is not None and not shortest <= span <= longest:
                raise ValueError(f"{setting} is {span}; it has to be from {shortest} to {longest}")
        for setting, number, least, most in (
            ("max_sessions_per_subject", self.max_sessions_per_subject, 0, 10_000),
            ("max_entries", self.max_entries, 1, 4096),
            ("max_session_bytes", self.max_session_bytes, 1024, 1024 * 1024),
        ):
            if not least <= number <= most:
                raise ValueError(f"{setting} is {number}; it has to be from {least} to {most}")
        if self.subject_key == "_permanent" or len(self.subject_key.encode()) > 256:
            raise ValueError("subject_key has to name an entry: at most 256 bytes, and not `_permanent`")
        if not self.cookie_secure and (self.cookie_samesite == "None" or self.cookie_partitioned):
            raise ValueError("cookie_samesite=None and cookie_partitioned need cookie_secure")
        self._check_name(self.cookie_name)

    def anonymous_lifetimes(self) -> tuple[timedelta, timedelta]:
        """Returns the idle and the absolute timeout of sessions without a subject."""
        absolute_timeout = self.anonymous_absolute_timeout or self.absolute_timeout
        return min(self.anonymous_idle_timeout or self.idle_timeout, absolute_timeout), absolute_timeout

    def named(self, cookie_name: str) -> App:
        """Returns the app with another name of its cookie, which a request asks for. Raises `CallFailed`."""
        if not cookie_name:
            return self
        try:
            return replace(self, cookie_name=cookie_name)
        except ValueError as error:
            raise CallFailed("INVALID_ARGUMENT", "COOKIE_NAME_INVALID", str(error)) from error

    def with_cookie(self, cookie_name: str, attributes: pb.CookieAttributes) -> App:
        """Returns the app with the cookie that a request asks for. Raises `CallFailed`."""
        names = [name for name in ("domain", "path", "secure", "samesite") if attributes.HasField(name)]
        if not names:
            return self.named(cookie_name)
        changes: dict[str, Any] = {f"cookie_{name}": getattr(attributes, name) for name in names}
        try:
            if self.cookie_secure and changes.get("cookie_secure") is False:
                raise ValueError("secure: the app's cookie is sent over TLS only")
            if cookie_name and not _COOKIE_NAME.fullmatch(cookie_name):
                return self.named(cookie_name)
            _check_attributes(attributes)
            return replace(self, cookie_name=cookie_name or self.cookie_name, **changes)
        except ValueError as error:
            message = f"cookie_attributes: {error}"
            raise CallFailed("INVALID_ARGUMENT", "COOKIE_ATTRIBUTES_INVALID", message) from error

    def _check_name(self, cookie_name: str) -> None:
        if not _COOKIE_NAME.fullmatch(cookie_name):
            raise ValueError("cookie_name: it has to be 1 to 256 letters, digits and !#$%&'*+-.^_`|~ (RFC 6265bis)")
        host_only = self.cookie_secure and not self.cookie_domain and self.cookie_path == "/"
        for prefix, is_allowed in {
            "__host-http-": host_only and self.cookie_httponly,
            "__host-": host_only,
            "__http-": self.cookie_secure and self.cookie_httponly,
            "__secure-": self.cookie_secure,
        }.items():
            if cookie_name.lower().startswith(prefix):
                if not is_allowed:
                    raise ValueError(f"cookie_name: browsers refuse a {prefix} cookie without other attributes")
                return

    def policy(self) -> pb.GetAppPolicyResponse:
        anonymous_idle_timeout, anonymous_absolute_timeout = self.anonymous_lifetimes()
        return pb.GetAppPolicyResponse(
            app=self.name,
            kind=pb.APP_KIND_STORED,
            cookie_name=self.cookie_name,
            cookie_domain=self.cookie_domain,
            cookie_path=self.cookie_path,
            cookie_httponly=self.cookie_httponly,
            cookie_secure=self.cookie_secure,
            cookie_samesite=self.cookie_samesite,
            cookie_partitioned=self.cookie_partitioned,
            refresh_each_request=self.refresh_each_request,
            idle_timeout=to_message(milliseconds(self.idle_timeout)),
            absolute_timeout=to_message(milliseconds(self.absolute_timeout)),
            rotation_grace=to_message(milliseconds(self.rotation_grace)),
            max_entries=self.max_entries,
            max_session_bytes=self.max_session_bytes,
            subject_key=self.subject_key,
            anonymous_idle_timeout=to_message(milliseconds(anonymous_idle_timeout)),
            anonymous_absolute_timeout=to_message(milliseconds(anonymous_absolute_timeout)),
        )

    def set_cookie(self, value: str, expire_time: int | None, now: int) -> pb.Header:
        """Returns the header that sets the cookie. Times are in milliseconds; None: until the browser closes."""
        expires = "" if expire_time is None else _expires(min(expire_time, now + _MAX_COOKIE_LIFETIME))
        return self._header(value, expires)

    def delete_cookie(self) -> pb.Header:
        return self._header("", _expires(0) + "; Max-Age=0")

    def _header(self, value: str, expiry: str) -> pb.Header:
        parts = [
            f"{self.cookie_name}={value}",
            f"; Domain={self.cookie_domain}" if self.cookie_domain else "",
            expiry,
            "; Secure" if self.cookie_secure else "",
            "; HttpOnly" if self.cookie_httponly else "",
            f"; Path={self.cookie_path}",
            f"; SameSite={self.cookie_samesite}" if self.cookie_samesite else "",
            "; Partitioned" if self.cookie_partitioned else "",
        ]
        return pb.Header(name="Set-Cookie", value="".join(parts))


def _check_attributes(attributes: pb.CookieAttributes) -> None:
    """Raises ValueError for attributes that no cookie may have."""
    if attributes.HasField("path") and not _COOKIE_PATH.fullmatch(attributes.path):
        raise ValueError("path: it has to begin with / and be at most 1024 printable characters without ; and space")
    if attributes.domain and not (len(attributes.domain) <= 253 and _COOKIE_DOMAIN.fullmatch(attributes.domain)):
        raise ValueError("domain: it has to be a host name such as example.com, without port or leading dot")
    if attributes.samesite not in ("Strict", "Lax", "None", ""):
        raise ValueError("samesite: it has to be Strict, Lax, None or empty")


def _expires(time: int) -> str:
    return f"; Expires={formatdate(time // 1000, usegmt=True)}"


_COOKIE_PATH = re.compile(r"/[!-:<-~]{0,1023}")
_COOKIE_LABEL = r"[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
_COOKIE_DOMAIN = re.compile(rf"{_COOKIE_LABEL}(?:\.{_COOKIE_LABEL})*")
_COOKIE_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
#: Milliseconds: browsers shorten a longer lifetime.
_MAX_COOKIE_LIFETIME = 400 * 24 * 60 * 60 * 1000
_MINUTE = timedelta(minutes=1)
