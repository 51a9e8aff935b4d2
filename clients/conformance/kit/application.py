"""The application under test: what its manifest says, and its process."""

from __future__ import annotations

import json
import pathlib
import sys
from dataclasses import dataclass
from typing import Any

from .process import Process, free_port

KIT = pathlib.Path(__file__).resolve().parents[1]
ROOT = KIT.parents[1]
OPERATIONS = (
    "get",
    "set",
    "delete",
    "increment",
    "clear",
    "login",
    "subject",
    "rotate",
    "permanent",
    "destroy",
    "save",
    "header",
    "status",
    "stream",
)
#: What a client may lack besides. `README.md` describes them.
ABILITIES = (
    "quick recovery",
    "lazy open",
    "save without open",
    "login after logout",
    "app by name",
)


@dataclass
class Manifest:
    """What an application's author declares. `README.md` describes each field."""

    name: str
    command: list[str]
    #: The name of the app in the service's configuration, and the seconds of the deadline.
    app: str
    deadline: float
    environment: dict[str, str]
    #: Reasons, by the operation or ability that is not there.
    lacks: dict[str, str]
    #: Reasons, by the name of the case that fails.
    fails: dict[str, str]

    @classmethod
    def read(cls, file: pathlib.Path) -> Manifest:
        text = _fields(file)
        unknown = set(text) - {"command", "app", "deadline", "environment", "lacks", "fails"}
        if unknown:
            raise ValueError(f"{file.name}: unknown fields: {', '.join(sorted(unknown))}")
        manifest = cls(
            file.stem,
            text["command"],
            text.get("app", "kit"),
            text.get("deadline", DEADLINE),
            text.get("environment", {}),
            text.get("lacks", {}),
            text.get("fails", {}),
        )
        for each in manifest.lacks:
            if each not in OPERATIONS + ABILITIES:
                raise ValueError(f"{file.name}: there is no operation {each!r}")
        for what, reason in [*manifest.lacks.items(), *manifest.fails.items()]:
            if not isinstance(reason, str) or len(reason.split()) < _REASON_WORDS:
                raise ValueError(f"{file.name}: {what!r} needs a reason")
        return manifest


class Application:
    """The process of an application."""

    def __init__(self, manifest: Manifest, addresses: list[str], proxy: str, folder: pathlib.Path) -> None:
        self.manifest = manifest
        self.port = free_port()
        places = {"{python}": sys.executable, "{root}": str(ROOT), "{kit}": str(KIT)}
        environment = {
            "CLOAKROOM_ADDRESS": ",".join(addresses),
            "CLOAKROOM_APP": manifest.app,
            "CLOAKROOM_DEADLINE": str(manifest.deadline),
            "PORT": str(self.port),
            **dict.fromkeys(_PROXY_VARIABLES, proxy),
            "no_proxy": "",
            "NO_PROXY": "",
            **{name: _fill(value, places) for name, value in manifest.environment.items()},
        }
        command = [_fill(word, places) for word in manifest.command]
        self.process = Process(f"the application {manifest.name}", command, self.port, folder / "app.log", environment)

    def start(self) -> None:
        self.process.start()

    def stop(self) -> None:
        self.process.stop()


def _fields(file: pathlib.Path) -> dict[str, Any]:
    """Returns what a manifest says, and what the one that it extends says besides."""
    own: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    extended = own.pop("extends", None)
    return own if extended is None else {**_fields(file.with_name(f"{extended}.json")), **own}


def _fill(text: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        text = text.replace(place, value)
    return text


#: Seconds that the application has for one call, unless its manifest says otherwise.
DEADLINE = 2.0
#: A client takes no proxy from them.
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "grpc_proxy")
_REASON_WORDS = 3
