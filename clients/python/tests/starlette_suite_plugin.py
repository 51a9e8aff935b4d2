"""A pytest plugin that runs Starlette's own tests with sessions in Cloakroom, at the address CLOAKROOM_ADDRESS.

Starlette's tests return sessions as JSON, which takes a dict. They set the cookie by arguments of the middleware; here
that is in the service's configuration, which has an app for secure cookies.
"""

from __future__ import annotations

import json
import os

import starlette.middleware.sessions
from starlette.responses import JSONResponse

from cloakroom import AsyncSession
from cloakroom.starlette import CloakroomMiddleware

ADDRESS = os.environ["CLOAKROOM_ADDRESS"]


class Middleware(CloakroomMiddleware):
    """Takes the arguments of Starlette's middleware."""

    def __init__(self, application, /, secret_key, *, https_only=False, **_) -> None:
        super().__init__(application, ADDRESS, app="secure" if https_only else "shop")


def to_dict(value):
    if isinstance(value, AsyncSession):
        return dict(value)
    raise TypeError(type(value))


def pytest_configure(config):
    JSONResponse.render = lambda self, content: json.dumps(content, default=to_dict).encode()
    starlette.middleware.sessions.SessionMiddleware = Middleware
