"""A login and a counter in Flask."""

import os

from cloakroom.flask import CloakroomSessionInterface, JsonCodec
from flask import Flask, redirect, request, session
from page import counter_page
from werkzeug.serving import make_server

app = Flask(__name__)
app.session_interface = CloakroomSessionInterface(os.environ["CLOAKROOM_ADDRESS"], deadline=20, codec=JsonCodec())


@app.get("/")
def home():
    return counter_page(session)


@app.post("/login")
def login():
    session["name"] = session.subject = request.form["name"]
    return redirect("/", 303)


@app.post("/count")
def count():
    session.increment("count")
    session.save()
    return counter_page(session)


@app.post("/logout")
def logout():
    session.destroy()
    return redirect("/", 303)


server = make_server("127.0.0.1", 0, app, threaded=True)
print(f"http://127.0.0.1:{server.port}", flush=True)
server.serve_forever()
