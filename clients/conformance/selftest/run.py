"""Tests the kit itself: every case fails for a client that is wrong in what the case is about.

A case that no wrong client fails tests nothing. The arguments are texts that names of wrong clients contain; without
any, all run.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import sys
import tempfile
import time
from dataclasses import replace

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kit.application import KIT, Manifest  # noqa: E402
from kit.application_run import ApplicationRun
from kit.cases import Case, load  # noqa: E402
from kit.service import Services  # noqa: E402


def main() -> int:
    cases = {case.name: case for case in load()}
    wrong_clients: dict[str, list[str]] = json.loads((KIT / "selftest/wrong_clients.json").read_text(encoding="utf-8"))
    problems = check_list(cases, wrong_clients)
    right = Manifest.read(KIT / "selftest/right.json")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cloakroom-kit-") as folder, contextlib.ExitStack() as stack:
        services: dict[str, Services] = {}
        for kind in dict.fromkeys(case.services for case in cases.values()):
            (pathlib.Path(folder) / kind).mkdir()
            services[kind] = stack.enter_context(Services(kind, pathlib.Path(folder) / kind))
        for wrong, names in wrong_clients.items():
            if sys.argv[1:] and not any(text in wrong for text in sys.argv[1:]):
                continue
            manifest = replace(right, name=wrong, environment={"KIT_WRONG": wrong})
            chosen = [cases[name] for name in names if name in cases]
            for kind in dict.fromkeys(case.services for case in chosen):
                with ApplicationRun(manifest, services[kind], pathlib.Path(folder), wait_limit=WAIT_LIMIT) as run:
                    for case in (case for case in chosen if case.services == kind):
                        problems += check(run, wrong, case)
    print("\n".join(problems) or f"{len(cases)} cases and {len(wrong_clients)} wrong clients", end="")
    print(f", in {time.monotonic() - began:.0f} s")
    return 1 if problems else 0


def check(run: ApplicationRun, wrong: str, case: Case) -> list[str]:
    """Runs a case, and returns a problem if it passes."""
    found = run.run(case)
    print(f"  {'found ' if found else 'PASSED'}  {wrong}: {case.name}\n          {found}", flush=True)
    return [] if found else [f"a client that is wrong in this passes: {wrong}: {case.name}"]


def check_list(cases: dict[str, Case], wrong_clients: dict[str, list[str]]) -> list[str]:
    """Returns what is missing in the list."""
    listed = {name for names in wrong_clients.values() for name in names}
    problems = [f"no wrong client fails the case: {name}" for name in cases if name not in listed]
    problems += [f"there is no case: {name}" for name in listed - set(cases)]
    ways = set(re.findall(r'wrong\("([^"]+)"\)', (KIT / "selftest/app.py").read_text(encoding="utf-8")))
    problems += [f"no case is listed for: {way}" for way in ways - set(wrong_clients)]
    return problems + [f"app.py is never wrong in: {way}" for way in set(wrong_clients) - ways]


#: Seconds. The client is fast where it is right.
WAIT_LIMIT = 5.0

if __name__ == "__main__":
    sys.exit(main())
