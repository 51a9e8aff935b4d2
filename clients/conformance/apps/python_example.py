"""The session module of `examples/python`, which is gRPC without the client library."""

from __future__ import annotations

import json
import os

import grpc
import sessions
from cloakroom.v1 import session_service_pb2 as pb
from server import serve
from sessions import destroy_session, is_temporary, log_in, open_session, save, save_session

sessions.DEADLINE = float(os.environ["CLOAKROOM_DEADLINE"])


def run_operations(environ):
    """Returns the status, the headers and the body."""
    cookies = environ.get("HTTP_COOKIE", "")
    operations = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))["operations"]
    opened, changes, rotate, status = None, pb.Changes(), False, 200
    own_headers, session_headers, results = [], [], []
    if any(name in ("get", "subject") for name, *_ in operations):
        opened = open_session(cookies)
        session_headers = opened.read_headers
    for name, *arguments in operations:
        result = None
        if name == "get":
            value = opened.session.entries.get(arguments[0])
            result = json.loads(value.json) if value else None
        elif name == "subject":
            result = opened.session.subject or None
        elif name == "set":
            changes.set[arguments[0]].json = json.dumps(arguments[1])
        elif name == "delete":
            changes.unset.append(arguments[0])
        elif name == "increment":
            changes.increment[arguments[0]] += arguments[1]
        elif name == "clear":
            changes.clear = True
        elif name == "login":
            changes.subject = arguments[0]
        elif name == "permanent":
            changes.permanent = arguments[0]
        elif name == "rotate":
            rotate = True
        elif name == "destroy":
            session_headers, cookies, opened = destroy_session(cookies).headers, "", None
        elif name == "header":
            own_headers.append(tuple(arguments))
        elif name == "status":
            status = arguments[0]
        results.append(result)
    if rotate or changes.ByteSize():
        if changes.subject and opened is None:
            saved = log_in(cookies, changes)
        elif opened is None or opened.session.HasField("null_session"):
            saved = save(changes, rotate=rotate, cookie_header=cookies)
        else:
            saved = save_session(opened, changes, rotate=rotate)
        session_headers = saved.headers
        if saved.outcome == pb.OUTCOME_GONE:
            status = 409
    headers = [*own_headers, *((header.name, header.value) for header in session_headers)]
    return f"{status} Done", headers, json.dumps({"results": results})


def app(environ, start_response):
    try:
        status, headers, body = run_operations(environ)
    except grpc.RpcError as error:
        status, headers, body = "503 Service Unavailable" if is_temporary(error) else "400 Bad Request", [], ""
    start_response(status, headers)
    return [body.encode()]


serve(app, int(os.environ["PORT"]))
