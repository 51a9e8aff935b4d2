"""Flask's own tests, from its source distribution, pass with sessions in Cloakroom."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import flask
from service import ROOT

FILES = [
    "test_basic",
    "test_reqctx",
    "test_session_interface",
    "test_testing",
    "test_signals",
    "test_user_error_handler",
]
#: Excluded tests with the reason: deliberate differences, and tests that fail with Flask's own sessions as well.
EXCLUDED = {
    "test_session_using_samesite_attribute": "changes an attribute of a cookie whose token the browser has",
    "test_session_secret_key_fallbacks": "the keys are in the service's configuration",
    "test_bad_environ_raises_bad_request": "fails with Flask's own sessions too, on this Werkzeug",
}


def test_flasks_own_tests_pass(service):
    suite = pathlib.Path(os.environ.get("CLOAKROOM_FLASK_SUITE", ROOT / ".tools/python-suites" / f"flask-{_version()}"))
    env = {**os.environ, "CLOAKROOM_ADDRESS": service.address, "PYTHONPATH": str(pathlib.Path(__file__).parent)}
    options = [
        "-p",
        "flask_suite_plugin",
        "-p",
        "no:cacheprovider",
        "-q",
        "-k",
        " and ".join(f"not {name}" for name in EXCLUDED),
    ]
    files = [f"tests/{name}.py" for name in FILES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files], cwd=suite, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 150, done.stdout[-500:]


def _version() -> str:
    from importlib.metadata import version

    return version(flask.__name__)
