"""Runs the application that type checkers accept, and shows what they refuse."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import flask
import typed_app

import cloakroom.flask

WRONG = {
    "session.subject = 5.0": "assignment",
    "session.increment(5)": "arg-type",
    'session.id = "x"': "misc",
    "session.nothing()": "attr-defined",
    'CloakroomSessionInterface("localhost:50051", unavailable="never")': "arg-type",
}


def test_the_typed_session_is_flasks():
    assert cloakroom.flask.session is flask.session


def test_the_typed_application_runs():
    client = typed_app.make_test_app().test_client()
    assert client.get("/").json["visits"] == 1
    client.post("/login", data={"user": "ada"})
    home = client.get("/").json
    assert (home["user"], home["new"], home["recent"]) == ("ada", False, True)
    assert client.get("/devices").json[0].startswith("Werkzeug")
    assert client.get("/events").text == "alive"
    assert client.get("/copy").json == {"_permanent": True, "more": "ada", "user": "ada", "visits": 1}
    client.post("/confirm")
    client.post("/logout")
    assert client.get("/").json["user"] is None


def test_mypy_refuses_wrong_uses(tmp_path):
    source = ["from cloakroom.flask import CloakroomSessionInterface, session", *WRONG]
    (tmp_path / "wrong.py").write_text("\n".join(source) + "\n")
    configuration = pathlib.Path(__file__).parents[1] / "pyproject.toml"
    mypy = [sys.executable, "-m", "mypy", "--config-file", str(configuration), "--show-error-codes"]
    done = subprocess.run([*mypy, str(tmp_path / "wrong.py")], capture_output=True, text=True)
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert [(int(line.split(":")[1]) - 2, line.rsplit("[", 1)[1][:-1]) for line in errors] == list(
        enumerate(WRONG.values())
    ), done.stdout
