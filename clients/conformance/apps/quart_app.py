"""Quart, by `cloakroom.quart`. KIT_PLAIN_JSON=1 replaces the codec."""

from __future__ import annotations

import os

from asgi_server import serve
from cloakroom.quart import CloakroomSessionInterface, CookiesAmbiguous, JsonCodec, SessionUnavailable
from quart import Quart, jsonify, request, session

OPERATIONS = {
    "get": lambda key: session.get(key),
    "set": lambda key, value: session.update({key: value}),
    "delete": lambda key: session.pop(key, None) and None,
    "increment": lambda key, by: session.increment(key, by),
    "clear": lambda: session.clear(),
    "login": lambda subject: setattr(session, "subject", subject),
    "subject": lambda: session.subject,
    "rotate": lambda: session.rotate(),
    "permanent": lambda value: setattr(session, "permanent", value),
    "destroy": lambda: session.destroy(),
    "save": lambda: session.save(),
}
AWAITED = ("destroy", "save")


class Interface(CloakroomSessionInterface):
    async def on_gone(self, app, session, reason, response):
        response.status_code = 409


app = Quart(__name__)
app.session_interface = Interface(
    os.environ["CLOAKROOM_ADDRESS"],
    app=os.environ["CLOAKROOM_APP"],
    deadline=float(os.environ["CLOAKROOM_DEADLINE"]),
    codec=JsonCodec() if os.environ.get("KIT_PLAIN_JSON") == "1" else None,
)


@app.post("/")
async def run_operations():
    results, headers, status, is_stream = [], [], 200, False
    for name, *arguments in (await request.get_json())["operations"]:
        result = None
        if name == "header":
            headers.append(arguments)
        elif name == "status":
            status = arguments[0]
        elif name == "stream":
            is_stream = True
        else:
            result = OPERATIONS[name](*arguments)
            if name in AWAITED:
                result = await result
        results.append(result)
    response = jsonify(results=results)
    response.status_code = status
    if is_stream:
        body = await response.get_data()
        response.set_data(b"")
        response.response = response.iterable_body_class([bytes([byte]) for byte in body])
        del response.headers["Content-Length"]
    for header in headers:
        response.headers.add(*header)
    return response


@app.errorhandler(SessionUnavailable)
async def unavailable(error):
    return "try again in a moment", 503


@app.errorhandler(CookiesAmbiguous)
async def ambiguous(error):
    return str(error), 400


serve(app)
