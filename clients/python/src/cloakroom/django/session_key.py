"""The public key of a session, which Django calls session_key.

It is the session's id and 8 more digits, which change whenever the session gets another token: 40 lower-case
hexadecimal digits, as many as Django's own table has room for. It finds a session for an administrator and opens none.
"""

from __future__ import annotations

import collections
import hashlib
import re
import sys
from typing import Any

from .. import cookie
from ..messages import session_service_pb2 as pb


class SessionKey(str):
    """A session_key. In the process that made it, it also opens the session; its text does not.

    A copy, a pickle and whatever is stored or logged have the text only.
    """

    __slots__ = ("_cookie_value",)
    _cookie_value: str

    def __reduce__(self) -> Any:
        return str, (str(self),)


def of_session(session: pb.Session) -> SessionKey | None:
    """Returns the key of a session that is stored, and None for any other."""
    if session.new or not session.id:
        return None
    # The part between the dots is the same after a change of the key that signs.
    secret = session.token.rpartition(".")[0].rpartition(".")[2]
    key = SessionKey(session.id + hashlib.sha256(secret.encode()).hexdigest()[:8])
    key._cookie_value = session.token
    if _is_test():
        _remember(key)
    return key


def is_public(text: str) -> bool:
    """Whether a text has the form of a session_key, and so names no secret."""
    return _FORM.fullmatch(text) is not None


def session_id(key: str) -> str:
    """Returns the id of the session, which the service's commands take."""
    return key[:32]


def cookie_value(key: str) -> str | None:
    """Returns the value of the cookie that opens the session. None: only an administrator can find it."""
    if isinstance(key, SessionKey):
        return key._cookie_value
    if not is_public(key):
        return key
    return _cookie_values.get(key) if _is_test() else None


def with_cookie_values(header: str, cookie_name: str) -> str:
    """Returns a Cookie header in which a session_key is replaced, as Django's test client sends it."""
    if _is_test():
        for sent in cookie.cookie_values(header, cookie_name):
            header = header.replace(sent, cookie_value(sent) or sent) if is_public(sent) else header
    return header


def _is_test() -> bool:
    """Whether `setup_test_environment` was called, as Django's test runner and pytest-django do."""
    # Only tests import the module. Django has no public name for this, and mail.outbox may exist without a test.
    utils = sys.modules.get("django.test.utils")
    return hasattr(getattr(utils, "_TestState", None), "saved_data")


def _remember(key: SessionKey) -> None:
    """Lets the test client's cookie, which is the text of a session_key, open the session in this process."""
    _cookie_values[str(key)] = key._cookie_value
    if len(_cookie_values) > _MAX_REMEMBERED:
        _cookie_values.popitem(last=False)


_FORM = re.compile("[0-9a-f]{40}")
_cookie_values: collections.OrderedDict[str, str] = collections.OrderedDict()
_MAX_REMEMBERED = 10_000
