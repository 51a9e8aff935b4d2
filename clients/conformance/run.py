"""Runs the conformance cases against applications. `README.md` describes what an application has to do.

python clients/conformance/run.py apps/flask.json
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from kit.application import KIT, Manifest
from kit.application_run import ApplicationRun
from kit.cases import Case, load
from kit.service import Services


def main() -> int:
    arguments = parse_arguments()
    cases = [case for case in load() if arguments.cases in f"{case.topic}: {case.name}"]
    if not cases:
        sys.exit(f"no case contains {arguments.cases!r}")
    arguments.manifests = arguments.manifests or sorted((KIT / "apps").glob("*.json"))
    manifests = [Manifest.read(file) for file in arguments.manifests]
    names = {case.name for case in load()}
    for manifest in manifests:
        if unknown := set(manifest.fails) - names:
            sys.exit(f"{manifest.name}: there is no case {', '.join(sorted(unknown))}")
    if len(manifests) > 1:
        return run_apart(arguments)
    with tempfile.TemporaryDirectory(prefix="cloakroom-kit-") as folder, contextlib.ExitStack() as stack:
        services: dict[str, Services] = {}
        for kind in dict.fromkeys(case.services for case in cases):
            place = pathlib.Path(folder) / kind
            place.mkdir()
            services[kind] = stack.enter_context(Services(kind, place))
        is_good = run_all(manifests[0], cases, services, pathlib.Path(folder), show_log=arguments.show_log)
    return 0 if is_good else 1


def run_apart(arguments: argparse.Namespace) -> int:
    """Runs several applications, each in a process of its own with services of its own: most of the time is waiting."""

    def run(file: pathlib.Path) -> int:
        command = [sys.executable, __file__, str(file), f"--cases={arguments.cases}"]
        command += ["--show-log"] if arguments.show_log else []
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(done.stdout, end="", flush=True)
        return done.returncode

    with ThreadPoolExecutor(arguments.at_once) as pool:
        return max(pool.map(run, arguments.manifests))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs the conformance cases against applications.")
    parser.add_argument(
        "manifests", nargs="*", type=pathlib.Path, help="the applications' manifests; all of apps/ if there is none"
    )
    parser.add_argument("--cases", default="", help="only the cases whose topic or name contains this text")
    parser.add_argument("--at-once", type=int, default=1, help="how many applications run at the same time")
    parser.add_argument("--show-log", action="store_true", help="also print what a failed application has printed")
    return parser.parse_args()


def run_all(
    manifest: Manifest, cases: list[Case], services: dict[str, Services], folder: pathlib.Path, *, show_log: bool
) -> bool:
    """Runs all cases against one application, prints the results, and returns whether they are as declared."""
    began, counts, is_good = time.monotonic(), {"ok": 0, "skipped": 0, "known": 0, "FAILED": 0}, True
    print(f"{manifest.name}:", flush=True)
    for kind in dict.fromkeys(case.services for case in cases):
        with ApplicationRun(manifest, services[kind], folder) as run:
            for case in (case for case in cases if case.services == kind):
                result, text = run_one(run, case)
                counts[result] += 1
                print(f"  {result:8}{case.topic}: {case.name}{text}", flush=True)
            if counts["FAILED"] and is_good:
                is_good = False
                if show_log:
                    print("  The application printed:\n" + run.application.process.log())
    summary = ", ".join(f"{count} {result}" for result, count in counts.items() if count)
    print(f"  {manifest.name}: {summary}, in {time.monotonic() - began:.0f} s\n", flush=True)
    return is_good


def run_one(run: ApplicationRun, case: Case) -> tuple[str, str]:
    """Runs one case, if the application can. Returns the result, and what there is to say about it."""
    manifest = run.manifest
    lacking = sorted(case.needs() & set(manifest.lacks))
    if lacking:
        return "skipped", f"\n            it lacks {lacking[0]!r}: {manifest.lacks[lacking[0]]}"
    began = time.monotonic()
    wrong = run.run(case)
    known = manifest.fails.get(case.name)
    if wrong is None:
        if known:
            return "FAILED", "\n            it passes, so take it out of the manifest's `fails`"
        return "ok", f" ({time.monotonic() - began:.1f} s)"
    return ("known", f"\n            {known}: {wrong}") if known else ("FAILED", f"\n            {wrong}")


if __name__ == "__main__":
    sys.exit(main())
