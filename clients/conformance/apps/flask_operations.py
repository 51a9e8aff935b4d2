"""The operations of the kit in an application of Flask that uses `cloakroom.flask`.

With KIT_LOGIN=passport, a login sets the entry `passport`, and with KIT_LOGIN=user the entry `user`.
"""

from __future__ import annotations

import os

from cloakroom.flask import CookiesAmbiguous, SessionUnavailable
from flask import jsonify, request, session


def log_in(subject):
    how = os.environ.get("KIT_LOGIN")
    if how == "passport":
        session["passport"] = {"user": subject}
    elif how == "user":
        session["user"] = subject
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


def add_operations(app):
    """Adds the route of the kit, and the responses that it asks for."""
    app.post("/")(run_operations)
    app.errorhandler(SessionUnavailable)(lambda error: ("try again in a moment", 503))
    app.errorhandler(CookiesAmbiguous)(lambda error: (str(error), 400))
    app.session_interface.on_gone = be_gone


def be_gone(app, session, reason, response):
    response.status_code = 409


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
