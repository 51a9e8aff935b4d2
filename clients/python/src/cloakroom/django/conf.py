"""Reads the setting `CLOAKROOM`, a dict. Nothing here makes a call."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.core.signing import JSONSerializer
from django.utils.module_loading import import_string

from ..admin import AdminClient
from ..async_client import AsyncClient
from ..client import Client
from ..connect import Credentials
from ..connect.address import parse
from ..messages import session_service_pb2 as pb
from ..transport import Method, Request, Response, Transport
from .event_loop import refuse_in_event_loop

log = logging.getLogger("cloakroom")

#: The entry in which Django keeps the user.
SUBJECT_KEY = "_auth_user_id"


@dataclass(frozen=True)
class Settings:
    """The values of the setting `CLOAKROOM`, in lower case."""

    #: The service's address, or a `Transport`.
    service: Any = "localhost:50051"
    #: The app's name in the service's configuration.
    app: str = "default"
    #: Seconds that one call may take, its retries included.
    deadline: float = 2.0
    #: The address of the service's AdminService, or a `Transport`. Needed to end a session by its key alone.
    admin_service: Any = ""
    token: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    #: Seconds after which a browser may try again during an outage.
    retry_after: int = 5
    #: Whether to send the browser's user agent and address, for the list of a user's sessions.
    send_context: bool = True

    def credentials(self) -> Credentials | None:
        """Raises ValueError if they contradict each other."""
        if not (self.token or self.ca_file or self.certificate_file or self.key_file):
            return None
        return Credentials(self.token, self.ca_file, self.certificate_file, self.key_file)


@functools.cache
def current() -> Settings:
    """Returns the settings. Raises ImproperlyConfigured if they are not valid."""
    problems = list(find_problems())
    # System checks see more, but they do not run in a web server.
    if "django.contrib.sessions.middleware.SessionMiddleware" in settings.MIDDLEWARE:
        problems.append("MIDDLEWARE needs cloakroom.django.SessionMiddleware instead of Django's SessionMiddleware")
    if problems:
        raise ImproperlyConfigured("; ".join(problems))
    return Settings(**_values())


@functools.cache
def client() -> Client:
    """Returns the client of this process."""
    now = current()
    return Client(now.service, app=now.app, deadline=now.deadline, credentials=now.credentials())


@functools.cache
def async_client() -> AsyncClient:
    """Returns the client of this process for event loops."""
    now = current()
    service = now.service if isinstance(now.service, str) else _InThread(now.service)
    return AsyncClient(service, app=now.app, deadline=now.deadline, credentials=now.credentials())


def knows_policy() -> bool:
    """Whether `policy` makes no call."""
    return bool(_policy)


def policy() -> pb.GetAppPolicyResponse:
    """Returns the app's policy. Fetches it once per process, and then looks whether it fits Django's settings."""
    if not _policy:
        refuse_in_event_loop()
        found = client().policy()
        _check_policy(found)
        _policy.append(found)
    return _policy[0]


async def apolicy() -> pb.GetAppPolicyResponse:
    """The same without blocking an event loop. After that, `policy` makes no call."""
    if not _policy:
        found = await async_client().policy()
        _check_policy(found)
        _policy.append(found)
    return _policy[0]


def _check_policy(found: pb.GetAppPolicyResponse) -> None:
    if found.kind == pb.APP_KIND_COOKIE:
        raise ImproperlyConfigured(f"the app {found.app!r} of the service is of kind `cookie`; Django needs `stored`")
    age, limit = timedelta(seconds=settings.SESSION_COOKIE_AGE), found.idle_timeout.ToTimedelta()
    if age > limit:
        log.warning(
            "SESSION_COOKIE_AGE is %s, but the service ends sessions of the app %r after %s without a use: raise "
            "idle_timeout in its configuration, or lower the setting",
            age,
            found.app,
            limit,
        )
    if found.subject_key != SUBJECT_KEY and "django.contrib.auth" in settings.INSTALLED_APPS:
        log.warning(
            "the sessions of the app %r cannot be found by their user: set subject_key = %r in the service's "
            "configuration",
            found.app,
            SUBJECT_KEY,
        )


@functools.cache
def admin_client() -> AdminClient:
    """Returns the client for AdminService. Raises ImproperlyConfigured if its address is not set."""
    now = current()
    if not now.admin_service:
        raise ImproperlyConfigured(
            "a session_key by itself ends a session only through AdminService: set CLOAKROOM['ADMIN_SERVICE'], "
            "for example to localhost:50052"
        )
    return AdminClient(now.admin_service, app=now.app, deadline=now.deadline, credentials=now.credentials())


def find_problems() -> Iterator[str]:
    """Yields what is wrong with the settings, and what to change."""
    given = getattr(settings, "CLOAKROOM", {})
    if not isinstance(given, Mapping):
        yield "CLOAKROOM must be a dict"
        return
    for name, value in given.items():
        types = _TYPES.get(name)
        if types is None:
            yield f"CLOAKROOM has the unknown key {name!r}; it knows {', '.join(_TYPES)}"
        elif not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            yield f"CLOAKROOM[{name!r}] must be {' or '.join(each.__name__ for each in types)}, not {value!r}"
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and value <= 0 and name in _POSITIVE:
            yield f"CLOAKROOM[{name!r}] is in seconds and must be above 0, not {value!r}"
    yield from _find_credential_problems(given)
    serializer = import_string(settings.SESSION_SERIALIZER)
    if not (isinstance(serializer, type) and issubclass(serializer, JSONSerializer)):
        yield (
            f"SESSION_SERIALIZER is {settings.SESSION_SERIALIZER!r}, but Cloakroom keeps JSON only, and never pickle: "
            "remove the setting, or derive the class from django.core.signing.JSONSerializer"
        )


def _find_credential_problems(given: Mapping[str, Any]) -> Iterator[str]:
    names = ("TOKEN", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE")
    try:
        credentials = Credentials(*(str(given.get(name, "")) for name in names))
    except ValueError as error:
        yield f"CLOAKROOM: {error}"
        return
    for name, service in _services(given).items():
        try:
            if isinstance(service, str):
                credentials.check(parse(service))
            elif credentials != Credentials():
                raise ValueError("it is a transport: give the credentials to it")
        except ValueError as error:
            yield f"CLOAKROOM[{name!r}]: {error}"


def _services(given: Mapping[str, Any]) -> dict[str, Any]:
    services = {"SERVICE": given.get("SERVICE", Settings.service)}
    return {**services, "ADMIN_SERVICE": given["ADMIN_SERVICE"]} if given.get("ADMIN_SERVICE") else services


def _values() -> dict[str, Any]:
    return {name.lower(): value for name, value in getattr(settings, "CLOAKROOM", {}).items()}


def _forget(*, setting: str, **_: Any) -> None:
    """Reads the settings again after a test has changed them."""
    if setting in ("CLOAKROOM", "MIDDLEWARE", "SESSION_COOKIE_AGE", "SESSION_SERIALIZER"):
        _policy.clear()
        for cached in (current, client, async_client, admin_client):
            cached.cache_clear()


class _InThread:
    """Makes the calls of a transport that waits, each in a thread."""

    def __init__(self, transport: Transport) -> None:
        self._call = sync_to_async(transport.call, thread_sensitive=False)

    async def call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response:
        response: Response = await self._call(method, request, timeout)
        return response


setting_changed.connect(_forget)

#: The app's policy, when it is known.
_policy: list[pb.GetAppPolicyResponse] = []

_POSITIVE = ("DEADLINE", "RETRY_AFTER")
_TYPES: dict[str, tuple[type, ...]] = {
    "SERVICE": (object,),
    "APP": (str,),
    "DEADLINE": (int, float),
    "ADMIN_SERVICE": (object,),
    "TOKEN": (str,),
    "CA_FILE": (str,),
    "CERTIFICATE_FILE": (str,),
    "KEY_FILE": (str,),
    "RETRY_AFTER": (int,),
    "SEND_CONTEXT": (bool,),
}
