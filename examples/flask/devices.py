"""A page on which users see where they are logged in, and log out there."""

from __future__ import annotations

import hmac
import os
import secrets

from flask import Blueprint, abort, flash, redirect, render_template_string, request, url_for

from cloakroom import SessionUnavailable
from cloakroom.admin import AdminClient
from cloakroom.flask import session

devices = Blueprint("devices", __name__)

#: It may end any session of the shop. So each view below asks for those of its own user only.
admin = AdminClient(os.environ.get("CLOAKROOM_ADMIN_ADDRESS", "localhost:50052"), app="shop", deadline=2)

PAGE = """<!doctype html><title>Your devices</title>
{% for message in get_flashed_messages() %}<p class="message">{{ message }}</p>{% endfor %}
<ul>{% for device in devices %}
  <li id="{{ device.id }}">
    {{ device.user_agent or "Unknown browser" }}, {{ device.remote_address }},
    last used {{ device.access_time.strftime("%Y-%m-%d %H:%M") }} UTC
    {%- if device.id == session.id %}, this one{% endif %}
    <form method="post" action="{{ url_for("devices.end") }}">
      <input type="hidden" name="csrf_token" value="{{ csrf_token }}">
      <button name="id" value="{{ device.id }}">Log out</button>
    </form>
  </li>
{% endfor %}</ul>
<form method="post" action="{{ url_for("devices.end_others") }}">
  <input type="hidden" name="csrf_token" value="{{ csrf_token }}">
  <button>Log out everywhere else</button>
</form>
"""


@devices.errorhandler(SessionUnavailable)
def unavailable(error: SessionUnavailable):
    return "Please try again in a moment.", 503, {"Retry-After": "5"}


def require_user() -> str:
    """Returns the user who is logged in, or sends the browser to the home page."""
    user = session.subject
    if user is None:
        abort(redirect(url_for("shop.home")))
    return user


def check_csrf_token() -> None:
    """Refuses a form that is none of this page's, as one on another site that logs the user out everywhere."""
    expected = session.get("csrf_token", "")
    if not expected or not hmac.compare_digest(request.form.get("csrf_token", "").encode(), expected.encode()):
        abort(403)


@devices.get("/devices")
def home() -> str:
    user = require_user()
    csrf_token = session.setdefault("csrf_token", secrets.token_urlsafe(16))
    return render_template_string(PAGE, devices=admin.list_subject(user), csrf_token=csrf_token)


@devices.post("/devices/end")
def end():
    user, session_id = require_user(), request.form["id"]
    check_csrf_token()
    if session_id == session.id:
        session.destroy()
        return redirect(url_for("shop.home"))
    # The id comes from the browser: only a session of this user may end.
    if not admin.revoke_session(session_id, subject=user):
        abort(404)
    flash("That device is logged out.")
    return redirect(url_for("devices.home"))


@devices.post("/devices/end-others")
def end_others():
    user = require_user()
    check_csrf_token()
    flash(f"Logged out on {admin.revoke_subject(user, except_id=session.id)} other devices.")
    return redirect(url_for("devices.home"))
