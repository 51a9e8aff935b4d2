"""A WSGI application that fails after it has replaced the token of its session."""

from __future__ import annotations

from cloakroom.wsgi import SESSION, CloakroomMiddleware


def make_app(address: str) -> CloakroomMiddleware:
    return CloakroomMiddleware(application, address, app="shop")


def application(environ, start_response):
    return (respond_late if environ["QUERY_STRING"] == "late" else respond)(environ, start_response)


def respond(environ, start_response):
    session, path = environ[SESSION], environ["PATH_INFO"]
    if path == "/fill":
        session["cart"] = [1]
    if path.startswith("/fail"):
        session.rotate()
        session.save()
    if path == "/fail/refused":
        session["large"] = "x" * 100_000
    if path == "/fail/before":
        raise ZeroDivisionError
    if path == "/fail/written":
        start_response("200 OK", [("Content-Length", "7")])(b"written")
    else:
        start_response("200 OK", [("Content-Type", "text/plain")])
    if path.startswith("/fail"):
        raise ZeroDivisionError
    return [repr(dict(session)).encode()]


def respond_late(environ, start_response):
    """Does the same when the server asks for the first part of the body."""
    yield from respond(environ, start_response)
