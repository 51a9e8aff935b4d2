"""Starlette, by `cloakroom.starlette`. KIT_LAZY=1: each request opens its session only if an operation reads it."""

from __future__ import annotations

import os

from asgi_server import serve
from cloakroom.starlette import CloakroomMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

IS_LAZY = os.environ.get("KIT_LAZY") == "1"
OPERATIONS = {
    "get": lambda session, key: session.get(key),
    "set": lambda session, key, value: session.update({key: value}),
    "delete": lambda session, key: session.pop(key, None) and None,
    "increment": lambda session, key, by: session.increment(key, by),
    "clear": lambda session: session.clear(),
    "login": lambda session, subject: setattr(session, "subject", subject),
    "subject": lambda session: session.subject,
    "rotate": lambda session: session.rotate(),
    "permanent": lambda session, value: setattr(session, "permanent", value),
    "destroy": lambda session: session.destroy(),
    "save": lambda session: session.save(),
}
READS, AWAITED = ("get", "delete", "subject"), ("destroy", "save")


class Sessions(CloakroomMiddleware):
    async def on_gone(self, scope, session, reason):
        return PlainTextResponse(reason, 409)


async def run_operations(request):
    results, headers, status, is_stream = [], [], 200, False
    for name, *arguments in (await request.json())["operations"]:
        result = None
        if name == "header":
            headers.append(arguments)
        elif name == "status":
            status = arguments[0]
        elif name == "stream":
            is_stream = True
        else:
            if IS_LAZY and name in READS:
                await request.session.open()
            result = OPERATIONS[name](request.session, *arguments)
            if name in AWAITED:
                result = await result
        results.append(result)
    response = JSONResponse({"results": results}, status)
    if is_stream:
        response = StreamingResponse(iter([bytes([byte]) for byte in response.body]), status)
    for name, value in headers:
        response.headers.append(name, value)
    return response


sessions = Middleware(
    Sessions,
    os.environ["CLOAKROOM_ADDRESS"],
    app=os.environ["CLOAKROOM_APP"],
    deadline=float(os.environ["CLOAKROOM_DEADLINE"]),
    lazy=IS_LAZY,
)
serve(Starlette(routes=[Route("/", run_operations, methods=["POST"])], middleware=[sessions]))
