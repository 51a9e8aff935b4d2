"""A Flask application that uses its sessions before gunicorn forks, as with `--preload` and a warm-up request."""

from __future__ import annotations

import os

from flask import Flask, session

from cloakroom.flask import CloakroomSessionInterface

app = Flask(__name__)
app.session_interface = CloakroomSessionInterface(os.environ["CLOAKROOM_ADDRESS"], app="shop")


@app.route("/")
def count():
    session.increment("count")
    return f"{os.getpid()} {session['count']}"


FIRST_RESPONSE = app.test_client().get("/").text.split()
assert [str(os.getpid()), "1"] == FIRST_RESPONSE, FIRST_RESPONSE
