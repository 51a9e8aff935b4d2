"""An application that has used its sessions before gunicorn forks, as one that is preloaded and warmed up may."""

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


PARENT = app.test_client().get("/").text.split()
assert [str(os.getpid()), "1"] == PARENT, PARENT
