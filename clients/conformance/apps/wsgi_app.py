"""A WSGI application without a framework, by `cloakroom.wsgi`."""

from __future__ import annotations

import json
import os

from cloakroom.wsgi import SESSION, CloakroomMiddleware
from wsgi_server import serve

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


def run_operations(environ, start_response):
    session = environ[SESSION]
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    results, headers, status, is_stream = [], [("Content-Type", "application/json")], 200, False
    for name, *arguments in json.loads(body)["operations"]:
        if name == "header":
            headers.append(tuple(arguments))
        elif name == "status":
            status = arguments[0]
        elif name == "stream":
            is_stream = True
        results.append(OPERATIONS[name](session, *arguments) if name in OPERATIONS else None)
    if session.accessed:
        session.save()
    if session.gone is not None:
        status = 409
    start_response(f"{status} Done", headers)
    content = json.dumps({"results": results}).encode()
    return (bytes([byte]) for byte in content) if is_stream else [content]


application = CloakroomMiddleware(
    run_operations,
    os.environ["CLOAKROOM_ADDRESS"],
    app=os.environ["CLOAKROOM_APP"],
    deadline=float(os.environ["CLOAKROOM_DEADLINE"]),
)
serve(application)
