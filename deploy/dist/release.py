"""What all files of a release have in common: the program, the version, the target and the time."""

import dataclasses
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Release:
    program: pathlib.Path
    version: str
    #: Such as x86_64-unknown-linux-gnu.
    target: str
    #: That of the commit, in seconds since 1970: the time of all files.
    time: int
    commit: str
    #: Name and address of the author of the commit.
    maintainer: str

    @classmethod
    def of(cls, program):
        """Returns the release with a program, which says itself what it was built for."""
        facts = subprocess.run([program, "version"], check=True, capture_output=True, text=True).stdout
        commit, time, maintainer = _git("show", "--no-patch", "--format=%H %ct %an <%ae>", "HEAD").strip().split(" ", 2)
        return cls(
            program=program,
            version=re.search(r"^cloakroom (\S+)$", facts, re.MULTILINE)[1],
            target=re.search(r"^target +(\S+)$", facts, re.MULTILINE)[1],
            time=int(time),
            commit=commit,
            maintainer=maintainer,
        )

    @property
    def debian_architecture(self):
        return {"x86_64": "amd64", "aarch64": "arm64"}[self.target.split("-")[0]]


def _git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout
