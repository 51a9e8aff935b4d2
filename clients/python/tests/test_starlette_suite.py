"""Starlette's own tests of its sessions, from its source distribution, pass with sessions in Cloakroom."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import starlette
from service import APPS, ROOT, Service

#: Excluded tests with the reason.
EXCLUDED = {
    "test_session[asyncio": "the cookie lasts until the browser closes, unless the session is permanent",
    "test_partitioned_session[asyncio-True": "the cookie's attributes are in the service's configuration",
    "test_session_expires": "a lifetime that is over: lifetimes are in the service's configuration",
    "test_session_zero_max_age": "the same",
    "test_session_cookie_subpath": "the cookie's attributes are in the service's configuration",
    "test_domain_cookie": "the same",
    "test_session_tracks_modification": "tests the class of Starlette's sessions alone",
    "trio": "the client is for asyncio",
}
SECURE_APP = '[apps.secure]\nkeys = ["{key}"]\n[apps.secure.cookie]\nsecure = true\n'


def test_starlettes_own_tests_pass(tmp_path):
    folder = ROOT / ".tools/python-suites" / f"starlette-{starlette.__version__}"
    suite = pathlib.Path(os.environ.get("CLOAKROOM_STARLETTE_SUITE", folder))
    options = ["-p", "starlette_suite_plugin", "-p", "no:cacheprovider", "-q"]
    deselected = [f"--deselect=tests/middleware/test_session.py::{name}" for name in EXCLUDED]
    with Service.start(tmp_path, APPS + SECURE_APP) as service:
        env = {**os.environ, "CLOAKROOM_ADDRESS": service.address}
        env["PYTHONPATH"] = os.pathsep.join([str(pathlib.Path(__file__).parent), env.get("PYTHONPATH", "")])
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                *options,
                *deselected,
                "-k",
                "not trio",
                "tests/middleware/test_session.py",
            ],
            cwd=suite,
            env=env,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(done.stdout.split(" passed")[0].split()[-1]) >= 8, done.stdout[-500:]
