"""Compares status, Vary and Set-Cookie with those of Flask's own sessions, and lists the deliberate differences."""

from __future__ import annotations

import re

import pytest
from flask import Flask, flash, session

from cloakroom.flask import CloakroomSessionInterface

CASES = {
    "untouched": lambda: None,
    "get": lambda: session.get("a"),
    "in": lambda: "a" in session,
    "pop of a missing key": lambda: session.pop("zz", None),
    "setdefault of an existing key": lambda: session.setdefault("a", 2),
    "write": lambda: session.update(b=1),
    "same value": lambda: session.update(a=1),
    "empty update": lambda: session.update({}),
    "permanent": lambda: setattr(session, "permanent", True),
    "not permanent": lambda: setattr(session, "permanent", False),
    "clear": lambda: session.clear(),
    "pop of all": lambda: [session.pop(key) for key in list(session)],
    "modified": lambda: setattr(session, "modified", True),
    "flash": lambda: flash("hi"),
    "clear and write": lambda: (session.clear(), session.update(b=1)),
    "failed after a write": lambda: (session.update(b=1), 1 / 0),
    "unserialisable": lambda: session.update(b={1}),
}
STARTS = {"no cookie": {}, "a session": {"a": 1}, "a permanent session": {"a": 1, "_permanent": True}, "forged": None}

#: Flask sends Set-Cookie and Cloakroom does not: the browser already has the token, and the entries are in the service.
UNCHANGED_TOKEN = {
    ("a session", case) for case in ("write", "same value", "empty update", "modified", "flash", "failed after a write")
}
#: Flask sends a cookie that holds nothing but `permanent`. Cloakroom stores no session for that alone.
PERMANENT_ALONE = {(start, case) for start in ("no cookie", "forged") for case in ("permanent", "not permanent")}
#: A permanent session that the request does not use is refreshed only with `refresh_untouched`.
UNTOUCHED = {("a permanent session", "untouched")}


SETTINGS = [(start, case, False) for start in STARTS for case in CASES] + [(*each, True) for each in UNTOUCHED]


@pytest.mark.parametrize(("start", "case", "refresh_untouched"), SETTINGS)
def test_the_response_equals_flasks(service, start, case, refresh_untouched):
    interface = CloakroomSessionInterface(service.address, app="shop", refresh_untouched=refresh_untouched)
    expected, actual = [respond(each, start, case) for each in (None, interface)]
    if (start, case) in UNCHANGED_TOKEN | PERMANENT_ALONE:
        assert expected[2] is not None
        expected = (*expected[:2], None)
    if (start, case) in UNTOUCHED and not refresh_untouched:
        assert expected[1:] == ("Cookie", "session=…; Expires=…; HttpOnly; Path=/")
        expected = (expected[0], None, None)
    assert actual == expected


def respond(interface, start, case):
    """Returns status, Vary and Set-Cookie of the case's response. `interface` None: Flask's own sessions."""
    app = Flask(__name__)
    app.secret_key = "secret-key"
    if interface is not None:
        app.session_interface = interface
    app.add_url_rule("/start", "start", lambda: str(session.update(STARTS[start])))
    app.add_url_rule("/case", "case", lambda: str(CASES[case]()))
    client = app.test_client()
    if start == "forged":
        client.set_cookie("session", "forged.forged.forged")
    elif STARTS[start]:
        client.get("/start")
    response = client.get("/case")
    cookie = response.headers.get("Set-Cookie")
    if cookie is not None:
        cookie = re.sub(r"session=[^;]+", "session=…", cookie)
        cookie = re.sub(r"Expires=(?!Thu, 01 Jan 1970)[^;]+", "Expires=…", cookie)
    return response.status_code, response.headers.get("Vary"), cookie
