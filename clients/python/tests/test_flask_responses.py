"""Real Flask's responses beside ours, case by case: Vary and Set-Cookie, and where they differ on purpose."""

from __future__ import annotations

import re

import pytest
from flask import Flask, flash, session

from cloakroom.flask import CloakroomSessionInterface

CASES = {
    "untouched": lambda: None,
    "get": lambda: session.get("a"),
    "in": lambda: "a" in session,
    "pop of what is missing": lambda: session.pop("zz", None),
    "setdefault of what is there": lambda: session.setdefault("a", 2),
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

#: Set-Cookie where Flask has it and we do not: the browser has the very token, and the session lies in the service.
UNCHANGED_TOKEN = {
    ("a session", case) for case in ("write", "same value", "empty update", "modified", "flash", "failed after a write")
}
#: A permanent session that nobody looks at is not refreshed, unless `refresh_untouched` is set.
UNTOUCHED = {("a permanent session", "untouched")}


SETTINGS = [(start, case, False) for start in STARTS for case in CASES] + [(*each, True) for each in UNTOUCHED]


@pytest.mark.parametrize(("start", "case", "refresh_untouched"), SETTINGS)
def test_a_response_is_flasks(service, start, case, refresh_untouched):
    ours = CloakroomSessionInterface(service.address, app="shop", refresh_untouched=refresh_untouched)
    expected, answer = [respond(interface, start, case) for interface in (None, ours)]
    if (start, case) in UNCHANGED_TOKEN:
        assert expected[2] is not None
        expected = (*expected[:2], None)
    if (start, case) in UNTOUCHED and not refresh_untouched:
        assert expected[1:] == ("Cookie", "session=…; Expires=…; HttpOnly; Path=/")
        expected = (expected[0], None, None)
    assert answer == expected


def respond(interface, start, case):
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
