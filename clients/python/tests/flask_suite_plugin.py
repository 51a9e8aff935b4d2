"""A pytest plugin that runs Flask's own tests with sessions in Cloakroom, at the address CLOAKROOM_ADDRESS."""

from __future__ import annotations

import os

from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from cloakroom.flask import CloakroomSessionInterface

ADDRESS = os.environ["CLOAKROOM_ADDRESS"]

KEYLESS_INTERFACE = CloakroomSessionInterface(ADDRESS, app="keyless")


class Interface(CloakroomSessionInterface):
    """Uses an app without a key for an application without a secret key, so that its session is a null session too."""

    def open_session(self, app, request):
        open_session = super().open_session if app.secret_key else KEYLESS_INTERFACE.open_session
        return open_session(app, request)


def pytest_configure(config):
    assert isinstance(Flask.session_interface, SecureCookieSessionInterface)
    Flask.session_interface = Interface(ADDRESS, app="shop", refresh_untouched=True)
