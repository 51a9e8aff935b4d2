"""Flask applications for the tests, and requests to them."""

from __future__ import annotations

import datetime
import uuid

from flask import Flask, session
from markupsafe import Markup

from cloakroom.flask import CloakroomSessionInterface

#: Values that a session returns with their types.
VALUES = [
    None,
    True,
    0,
    -1,
    2**70,
    1e16,
    1e-05,
    -0.0,
    "",
    "é \u2028 \U0001f600 </script>",
    [1, [2, {"a": None}]],
    {"a": {"b": [1]}},
    (1, "x", (2,)),
    [(1, 2), (3,)],
    b"\xff\x00\xfe",
    Markup("<b>bold</b>"),
    uuid.UUID("12345678123456781234567812345678"),
    datetime.datetime(2023, 11, 14, 20, 13, 20, tzinfo=datetime.timezone.utc),
    {" t": [1]},
    {" f": "NaN"},
    {" t__": 1},
    {" z": 1},
    {" t": 1, "b": 2},
]


def make_app(service, name="shop", **settings):
    """Returns an application whose sessions are in Cloakroom. `service` is an address or a transport."""
    app = Flask(__name__)
    app.testing = True
    app.session_interface = CloakroomSessionInterface(service, app=name, **settings)
    return app


def request(app, client, view):
    """Sends one request, whose view is the function `view`. Returns the response, and the view's result in `result`."""
    results = []
    app.view_functions["view"] = lambda: (results.append(view()), "ok")[1]
    if "view" not in {rule.endpoint for rule in app.url_map.iter_rules()}:
        app.add_url_rule("/", "view")
    response = client.get("/")
    response.result = results[-1] if results else None
    return response


def session_entries(app, client):
    """Returns the session's entries in one request."""
    return request(app, client, lambda: dict(session)).result


def set_entries(app, client, **entries):
    """Sets entries of the session in one request."""
    return request(app, client, lambda: session.update(entries))
