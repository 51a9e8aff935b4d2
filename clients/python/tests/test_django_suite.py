"""Django's own tests of session stores, from its source distribution, pass with sessions in Cloakroom."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import django
import pytest
from service import ROOT, Service

APPS = """
[apps.django]
keys = ["{key}"]
subject_key = "_auth_user_id"
"""


@pytest.mark.parametrize("kind", ["memory", "embedded", "redis"])
def test_djangos_own_tests_pass_on_each_store(kind, tmp_path, request):
    store = f'[store]\nkind = "{kind}"\n'
    if kind == "redis":
        store += f'[store.redis]\nurl = "{request.getfixturevalue("redis")}"\n'
    if kind == "embedded":
        store += f'[store.embedded]\npath = "{tmp_path / "data"}"\n'
    with Service.start(tmp_path, apps=APPS, store=store) as service:
        run_suite(service.address)


def test_djangos_own_tests_pass_without_a_service():
    run_suite("")


def run_suite(address):
    named = os.environ.get("CLOAKROOM_DJANGO_SUITE")
    suite = pathlib.Path(named or ROOT / ".tools/python-suites" / f"django-{django.__version__}")
    path = [str(suite / "tests"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "CLOAKROOM_ADDRESS": address, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    command = [sys.executable, str(pathlib.Path(__file__).with_name("django_suite.py"))]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    # The asynchronous half of them is of Django 5.1.
    assert int(done.stderr.split("Ran ")[1].split()[0]) >= (130 if django.VERSION >= (5, 1) else 60), done.stderr
