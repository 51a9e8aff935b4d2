"""Flask, by `cloakroom.flask`.

KIT_TRANSPORT=grpc replaces the transport, KIT_PLAIN_JSON=1 the codec. With KIT_LOGIN=passport, a login sets the entry
`passport`.
"""

from __future__ import annotations

import os

from cloakroom.flask import CloakroomSessionInterface, CookiesAmbiguous, JsonCodec, SessionUnavailable
from flask import Flask, jsonify, request, session
from wsgi_server import serve


def log_in(subject):
    if os.environ.get("KIT_LOGIN") == "passport":
        session["passport"] = {"user": subject}
    else:
        session.subject = subject


OPERATIONS = {
    "get": lambda key: session.get(key),
    "set": lambda key, value: session.update({key: value}),
    "delete": lambda key: session.pop(key, None) and None,
    "increment": lambda key, by: session.increment(key, by),
    "clear": lambda: session.clear(),
    "login": lambda subject: log_in(subject),
    "subject": lambda: session.subject,
    "rotate": lambda: session.rotate(),
    "permanent": lambda value: setattr(session, "permanent", value),
    "destroy": lambda: session.destroy(),
    "save": lambda: session.save(),
}


class Interface(CloakroomSessionInterface):
    def on_gone(self, app, session, reason, response):
        response.status_code = 409


def service():
    address = os.environ["CLOAKROOM_ADDRESS"]
    if os.environ.get("KIT_TRANSPORT") != "grpc":
        return address
    from cloakroom.grpc_transport import GrpcTransport

    return GrpcTransport(address)


app = Flask(__name__)
app.session_interface = Interface(
    service(),
    app=os.environ["CLOAKROOM_APP"],
    deadline=float(os.environ["CLOAKROOM_DEADLINE"]),
    codec=JsonCodec() if os.environ.get("KIT_PLAIN_JSON") == "1" else None,
)


@app.post("/")
def run_operations():
    results, headers, status, is_stream = [], [], 200, False
    for name, *arguments in request.get_json()["operations"]:
        if name == "header":
            headers.append(tuple(arguments))
        elif name == "status":
            status = arguments[0]
        elif name == "stream":
            is_stream = True
        results.append(OPERATIONS[name](*arguments) if name in OPERATIONS else None)
    response = jsonify(results=results)
    response.status_code = status
    if is_stream:
        response.response = iter([bytes([byte]) for byte in response.get_data()])
    for header in headers:
        response.headers.add(*header)
    return response


@app.errorhandler(SessionUnavailable)
def unavailable(error):
    return "try again in a moment", 503


@app.errorhandler(CookiesAmbiguous)
def ambiguous(error):
    return str(error), 400


serve(app)
