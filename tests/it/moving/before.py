"""What an application had before: the credentials that the real Flask and the real Flask-Session make.

Told on standard input as one JSON document, answered as one JSON list of cookies, one for each session.
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
    """What a careful application does to Flask's digest and salt."""

    salt = "another salt"
    digest_method = staticmethod(hashlib.sha256)


def objects(kind):
    """Everything that a session of this kind can hold."""
    held = {
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
        held.update(bytes=b"\xff\x00\xfe", not_finite=[float("nan"), float("inf"), float("-inf")])
    if kind == "msgpack":
        held["keys"] = {1: "one", None: "none"}
    if kind == "cookie":
        held.update(tuple=(1, ("x",)), markup=Markup("<b>"), uuid=UUID(int=7), big=2**70)
    return held


def application(asked):
    app = Flask("before")
    app.secret_key = asked.get("key", "what Flask signs with")
    kind = asked["kind"]
    if kind == "cookie":
        if asked.get("sha256"):
            app.session_interface = Sha256Interface()
        if "fallbacks" in asked:
            app.config["SECRET_KEY_FALLBACKS"] = asked["fallbacks"]
    else:
        app.config.update(
            SESSION_TYPE="redis",
            SESSION_REDIS=Redis(unix_socket_path=asked["socket"]),
            SESSION_SERIALIZATION_FORMAT=kind,
            SESSION_USE_SIGNER=asked.get("signer", False),
            SESSION_PERMANENT=asked.get("permanent", True),
        )
        Session(app)

    @app.post("/")
    def write():
        if asked.get("objects"):
            session.update(objects(kind))
            flash("Saved", "good")
        else:
            session.update(flask.request.get_json())
        if asked.get("permanent") and kind == "cookie":
            session.permanent = True
        return ""

    return app


class TagFloat(JSONTag):
    """As the Python client registers it."""

    key = " f"

    def check(self, value):
        return isinstance(value, float) and not math.isfinite(value)

    def to_json(self, value):
        return json.dumps(value)

    def to_python(self, value):
        return float(value)


def expected(kind):
    """What the application would have read itself, in the types that JSON and Flask's tags have."""
    held = objects(kind)
    if kind in CODECS:
        codec = CODECS[kind]
        held = codec.decode(codec.encode(held))
    if "keys" in held:
        held["keys"] = {"1": "one", "null": "none"}
    if kind == "cookie":
        held["when"] = held["when"].astimezone(timezone.utc)
    return {**held, "_flashes": [("good", "Saved")] if kind == "cookie" else [["good", "Saved"]]}


def canonical(value):
    """One spelling of equal objects: NaN equals itself, and the order of keys does not count."""
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
    asked = json.load(sys.stdin)
    if "check" in asked:
        json.dump(differences(asked["kind"], asked["check"]), sys.stdout)
        return
    app = application(asked)
    cookies = []
    for held in asked.get("sessions", [{}]):
        client = app.test_client()
        client.post("/", json=held)
        cookies.append(client.get_cookie("session").value)
    json.dump(cookies, sys.stdout)


main()
