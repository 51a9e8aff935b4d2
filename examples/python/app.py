"""A login and a counter: each request opens its session, saves it at most once, and sends the returned headers."""

import json
import os
import sys
from urllib.parse import parse_qs

import grpc
from cloakroom.v1 import session_service_pb2 as pb
from page import counter_page, message_page, session_ended_page, two_sessions_page
from server import serve
from sessions import destroy_session, is_temporary, log_in, open_session, save_session


def home(cookies, form):
    opened = open_session(cookies)
    return "200 OK", counter_page(opened.session.entries), opened.read_headers


def login(cookies, form):
    name = form.get("name", [""])[0]
    if not 1 <= len(name) <= 64:
        return "400 Bad Request", message_page("A name has 1 to 64 characters."), []
    # A real site checks a password here.
    changes = pb.Changes(set={"name": pb.Value(json=json.dumps(name))}, subject=name)
    return redirect(log_in(cookies, changes).headers)


def count(cookies, form):
    opened = open_session(cookies)
    if opened.session.null_session.reason == "COOKIES_AMBIGUOUS":
        return "400 Bad Request", two_sessions_page(), opened.read_headers
    saved = save_session(opened, pb.Changes(increment={"count": 1}))
    if saved.outcome == pb.OUTCOME_GONE:
        return "409 Conflict", session_ended_page(), saved.headers
    return "200 OK", counter_page(opened.session.entries, saved.counters["count"]), saved.headers


def logout(cookies, form):
    return redirect(destroy_session(cookies).headers)


def not_found(cookies, form):
    return "404 Not Found", message_page("Not found."), []


def redirect(headers):
    return "303 See Other", message_page("See the first page."), [*headers, pb.Header(name="Location", value="/")]


# The cookie is SameSite=Lax by default. A real site also adds CSRF tokens to its forms.
ROUTES = {("GET", "/"): home, ("POST", "/login"): login, ("POST", "/count"): count, ("POST", "/logout"): logout}


def app(environ, start_response):
    route = ROUTES.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]), not_found)
    length = environ.get("CONTENT_LENGTH") or ""
    body = environ["wsgi.input"].read(min(int(length), 4096)) if length.isdecimal() else b""
    # WSGI decodes the Cookie header as Latin-1, which is what Cloakroom expects. It takes up to 1 MiB.
    cookies = environ.get("HTTP_COOKIE", "")[:65536]
    try:
        status, page, headers = route(cookies, parse_qs(body.decode(errors="replace")))
    except grpc.RpcError as error:
        print(error.code(), error.details(), file=sys.stderr)
        status, page, headers = "500 Internal Server Error", message_page("Something broke."), []
        # If the session cannot be read now, do not show the page of a user who is logged out.
        if is_temporary(error):
            status, page = "503 Service Unavailable", message_page("Try again in a moment.")
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), *((h.name, h.value) for h in headers)])
    return [page.encode()]


if __name__ == "__main__":
    serve(app, int(os.environ.get("PORT", "8001")))
