"""A legacy application: makes sessions by the real Flask and the real Flask-Session.

Reads a JSON object from standard input. Prints a JSON list: the cookie of each session, or with "check" the entries that
differ from what the application would have read.
"""

import hashlib
import json
import math
import sys
from datetime import datetime, timedelta, timezone
from uuid import UUID

import flask
import msgspec
from flask import Flask, flash, session
from flask.json.tag import JSONTag, TaggedJSONSerializer
from flask.sessions import SecureCookieSessionInterface
from flask_session import Session
from markupsafe import Markup
from redis import Redis


CODECS = {"msgpack": msgspec.msgpack, "json": msgspec.json}


class Sha256Interface(SecureCookieSessionInterface):
    """Flask's interface with another digest and salt."""

    salt = "another salt"
    digest_method = staticmethod(hashlib.sha256)


def objects(kind):
    """A value of every type that a session of this kind can hold."""
    values = {
        "text": "Grüße 🦀",
        "numbers": [0, -1, 2**53 + 1, 1.0, 0.1, 1e16, 5e-324],
        "words": [True, False, None],
        "nested": {"a": [{"b": {}}], " t": 1, "c": 2},
        "looks": {" t": [1, {" b": "x"}]},
        "float": {" f": "NaN"},
        "when": datetime(1969, 7, 20, 20, 17, 40, tzinfo=timezone(timedelta(hours=2))),
        "_user_id": "anna",
    }
    if kind != "json":
        values.update(bytes=b"\xff\x00\xfe", not_finite=[float("nan"), float("inf"), float("-inf")])
    if kind == "msgpack":
        values["keys"] = {1: "one", None: "none"}
    if kind == "cookie":
        values.update(tuple=(1, ("x",)), markup=Markup("<b>"), uuid=UUID(int=7), big=2**70)
    return values


def application(request):
    app = Flask("legacy")
    app.secret_key = "what Flask signs with"
    kind = request["kind"]
    if kind == "cookie":
        if request.get("sha256"):
            app.session_interface = Sha256Interface()
    else:
        app.config.update(
            SESSION_TYPE="redis",
            SESSION_REDIS=Redis(unix_socket_path=request["socket"]),
            SESSION_SERIALIZATION_FORMAT=kind,
            SESSION_USE_SIGNER=request.get("signer", False),
            SESSION_PERMANENT=request.get("permanent", True),
        )
        Session(app)

    @app.post("/")
    def write():
        if request.get("objects"):
            session.update(objects(kind))
            flash("Saved", "good")
        else:
            session.update(flask.request.get_json())
        if request.get("permanent") and kind == "cookie":
            session.permanent = True
        return ""

    return app


class TagFloat(JSONTag):
    """The tag that the Python client registers."""

    key = " f"

    def check(self, value):
        return isinstance(value, float) and not math.isfinite(value)

    def to_json(self, value):
        return json.dumps(value)

    def to_python(self, value):
        return float(value)


def expected(kind):
    """The values that the application would have read, in the types of JSON and of Flask's tags."""
    values = objects(kind)
    if kind in CODECS:
        codec = CODECS[kind]
        values = codec.decode(codec.encode(values))
    if "keys" in values:
        values["keys"] = {"1": "one", "null": "none"}
    if kind == "cookie":
        values["when"] = values["when"].astimezone(timezone.utc)
    return {**values, "_flashes": [("good", "Saved")] if kind == "cookie" else [["good", "Saved"]]}


def canonical(value):
    """A text that is the same for equal objects: NaN equals itself, and the order of keys does not count."""
    if isinstance(value, dict):
        return repr({key: canonical(value[key]) for key in sorted(value)})
    if isinstance(value, (list, tuple)):
        return type(value).__name__ + repr([canonical(item) for item in value])
    return repr(value)


def differences(kind, entries):
    serializer = TaggedJSONSerializer()
    serializer.register(TagFloat)
    read = {name: serializer.loads(text) for name, text in entries.items()}
    wanted = expected(kind)
    names = sorted({*read, *wanted})
    differ = [name for name in names if canonical(read.get(name)) != canonical(wanted.get(name))]
    return [f"{name}: {read.get(name)!r}, not {wanted.get(name)!r}" for name in differ]


def main():
    request = json.load(sys.stdin)
    if "check" in request:
        json.dump(differences(request["kind"], request["check"]), sys.stdout)
        return
    app = application(request)
    cookies = []
    for entries in request.get("sessions", [{}]):
        client = app.test_client()
        client.post("/", json=entries)
        cookies.append(client.get_cookie("session").value)
    json.dump(cookies, sys.stdout)


main()
