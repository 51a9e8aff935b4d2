"""Runs applications of several frameworks and languages on one session. docs/sharing-a-session.md describes it.

python clients/conformance/sharing.py
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import pathlib
import sys
import tempfile
import threading
from typing import Any

from kit import browser
from kit.application import KIT, Application, Manifest
from kit.browser import Browser
from kit.process import TIMEOUT
from kit.service import Services

#: Names of manifests in apps/.
APPLICATIONS = ("flask", "quart", "django", "starlette", "express", "fastify", "go")
#: The entry whose value is the subject, in the app that all of them use.
SUBJECT = "_auth_user_id"
#: What every client writes and reads alike. The last one looks like a tag of Flask.
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**53 - 1,
    0.1,
    1e300,
    "",
    "Zoë \u2028 \U0001f600 </script>",
    [1, [2, {"a": None}], "x"],
    {"b": {"c": []}, "a": 1},
    {" t": [1, 2]},
]


class SharedSession:
    """One user, who sends each request to another application."""

    def __init__(self, applications: dict[str, Application]) -> None:
        self._applications = applications
        self.browser = Browser()

    def send(self, name: str, *operations: Any) -> list[Any]:
        """Sends operations to one application. Returns the results, and takes the cookie."""
        port = self._applications[name].port
        response = browser.send(port, list(operations), self.browser.cookie_lines(), TIMEOUT, threading.Event())
        assert response.status == 200, f"{name} answers {response.status}: {response.body!r}"
        self.browser.receive(response)
        return response.results()


def check_values(user: SharedSession, writer: str, reader: str) -> None:
    """What one application writes, the other one reads, and writes again without a change of the others."""
    names = [f"{writer}-{number}" for number in range(len(VALUES))]
    user.send(writer, *(["set", *pair] for pair in zip(names, VALUES)))
    user.send(reader, ["set", "by", reader])
    results = user.send(reader, *(["get", name] for name in names))
    assert results == VALUES, f"{reader} reads {results}, where {writer} has written {VALUES}"


def check_counter(user: SharedSession, names: list[str]) -> None:
    for name in names:
        user.send(name, ["increment", "visits", 1])
    for name in names:
        assert user.send(name, ["get", "visits"]) == [len(names)], f"{name} does not see every increment"


def check_login(applications: dict[str, Application], login: str, logout: str) -> None:
    """A login at one application counts at all of them, and so does a logout. Each of the two ends older cookies."""
    user = SharedSession(applications)
    user.send(logout, ["set", "cart", [1]])
    before = user.browser.copy()
    user.send(login, ["set", SUBJECT, "anna"])
    assert user.browser.cookie != before.cookie, f"a login at {login} keeps the cookie"
    after_login = user.browser.copy()
    for name in applications:
        results = user.send(name, ["get", SUBJECT], ["get", "cart"])
        assert results == ["anna", [1]], f"after a login at {login}, {name} reads {results}"
        check_is_out(applications, before, name)
    user.send(logout, ["destroy"])
    for name in applications:
        check_is_out(applications, after_login, name)


def check_is_out(applications: dict[str, Application], old: Browser, name: str) -> None:
    user = SharedSession(applications)
    user.browser = old.copy()
    subject, cart = user.send(name, ["get", SUBJECT], ["get", "cart"])
    assert subject is None and cart is None, f"{name} opens an old cookie: {subject!r}, {cart!r}"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="cloakroom-sharing-") as text, contextlib.ExitStack() as stack:
        folder = pathlib.Path(text)
        services = stack.enter_context(Services("one", folder))
        address = f"127.0.0.1:{services.replicas[0].port}"
        applications = {}
        for name in APPLICATIONS:
            manifest = Manifest.read(KIT / f"apps/{name}.json")
            environment = {**manifest.environment, "KIT_PLAIN_JSON": "1"}
            manifest = dataclasses.replace(manifest, app="by-entry", deadline=TIMEOUT, environment=environment)
            place = folder / name
            place.mkdir()
            applications[name] = Application(manifest, [address], "http://127.0.0.1:9", place)
            stack.callback(applications[name].stop)
            applications[name].start()
        user = SharedSession(applications)
        for writer, reader in itertools.permutations(applications, 2):
            check_values(user, writer, reader)
        check_counter(user, list(applications))
        names = [*applications]
        for login, logout in zip(names, names[1:] + names[:1]):
            check_login(applications, login, logout)
    print(f"one session is shared by {', '.join(APPLICATIONS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
