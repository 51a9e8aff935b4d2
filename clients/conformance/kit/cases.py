"""Reads the cases, and refuses those that are not well-formed."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass
from typing import Any

from .application import ABILITIES, KIT, OPERATIONS

Step = dict[str, Any]


@dataclass
class Case:
    """One rule, and the steps that show whether a client keeps it."""

    #: A sentence of fact.
    name: str
    #: The file's name without its suffix.
    topic: str
    #: `one`, `replicas` for two of them, or `keyless` for one whose apps have no signing key.
    services: str
    steps: list[Step]

    #: What a client need not have.
    abilities: list[str]

    def needs(self) -> set[str]:
        """Returns the operations that its requests have, and the abilities."""
        return {operation[0] for operation in _operations(self.steps)}.union(self.abilities)


def load(folder: pathlib.Path = KIT / "cases") -> list[Case]:
    """Returns all cases, in the order of the files' names and then of the files."""
    cases = []
    for file in sorted(folder.glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"), object_hook=_repeat)
        except ValueError as error:
            raise ValueError(f"{file.name}: {error}") from error
        for each in content["cases"]:
            cases.append(_case(file, content.get("services", "one"), each))
    names = [case.name for case in cases]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"cases with one name: {', '.join(sorted(repeated))}")
    return cases


def _case(file: pathlib.Path, services: str, text: dict[str, Any]) -> Case:
    case = Case(text["name"], file.stem, services, text["steps"], text.get("needs", []))
    where = f"{file.name}: {case.name!r}"
    if unknown := set(text) - {"name", "why", "needs", "steps"} | set(case.abilities) - set(ABILITIES):
        raise ValueError(f"{where}: unknown: {', '.join(sorted(unknown))}")
    for operation in _operations(case.steps):
        if operation[0] not in OPERATIONS:
            raise ValueError(f"{where}: there is no operation {operation[0]!r}")
    for step in _all_steps(case.steps):
        kinds = [kind for kind in STEPS if kind in step]
        if len(kinds) != 1:
            raise ValueError(f"{where}: a step has to have one of {', '.join(STEPS)}: {step}")
        unknown = set(step) - {kinds[0]} - STEPS[kinds[0]]
        if unknown:
            raise ValueError(f"{where}: {kinds[0]!r} has no field {', '.join(sorted(unknown))}")
        if unknown := set(step.get("expect", {})) - EXPECTATIONS:
            raise ValueError(f"{where}: there is no expectation {', '.join(sorted(unknown))}")
    return case


def _all_steps(steps: list[Step]) -> list[Step]:
    """Returns the steps, with those that run during others."""
    return [each for step in steps for each in (step, *step.get("during", []))]


def _repeat(value: dict[str, Any]) -> Any:
    """Returns the long text that `{"repeat": text, "times": number}` stands for."""
    return value["repeat"] * value["times"] if set(value) == {"repeat", "times"} else value


def _operations(steps: list[Step]) -> list[list[Any]]:
    return [operation for step in steps for operation in (step.get("request") or step.get("together") or [])]


_REQUEST = {"browser", "cookies", "lost", "as", "expect"}
#: The steps, and the fields that each may have besides.
STEPS: dict[str, set[str]] = {
    "request": _REQUEST,
    "together": {"browser", "browsers", "times", "during", "expect"},
    "finish": {"expect"},
    "silent": set(),
    "ready": set(),
    "more calls": set(),
    "fault": {"call", "times", "code", "reason"},
    "await": {"state", "replica"},
    "release": set(),
    "copy": {"to"},
    "relay": {"replica"},
    "service": {"replica"},
    "revoke": set(),
    "sessions": {"subject"},
    "calls": {"count", "fields", "same", "differ", "shares"},
    "connections": set(),
}
EXPECTATIONS = {
    "status",
    "results",
    "cookie",
    "vary",
    "calls",
    "headers",
    "within",
    "statuses",
}
