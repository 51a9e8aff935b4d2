"""A pytest plugin for Flask's own tests: every application keeps its sessions in the service of CLOAKROOM_ADDRESS."""

from __future__ import annotations

import os

from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from cloakroom.flask import CloakroomSessionInterface

ADDRESS = os.environ["CLOAKROOM_ADDRESS"]

WITHOUT_KEY = CloakroomSessionInterface(ADDRESS, app="keyless")


class Interface(CloakroomSessionInterface):
    """An application without a secret key is one whose app has no key."""

    def open_session(self, app, request):
        real = super().open_session if app.secret_key else WITHOUT_KEY.open_session
        return real(app, request)


def pytest_configure(config):
    assert isinstance(Flask.session_interface, SecureCookieSessionInterface)
    Flask.session_interface = Interface(ADDRESS, app="shop", refresh_untouched=True)
