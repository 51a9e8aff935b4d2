"""Builds the clients' packages: from the same files, the same bytes.

    python clients/build_packages.py target/packages

Needs git, npm, gem, Maven, and the package flit-core. A package has the licence, the changelog and the client's README,
without links to files that the package does not have. SHA256SUMS is for `sha256sum --check`.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).parents[1]
#: The time of all files, in seconds since 1970: a zip file knows no earlier day.
FILE_TIME = 315619200
FILE_DAY = (1980, 1, 2, 0, 0, 0)
#: A Go module has its version in no file of its own.
VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
LINK_OUT = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")
LINKS_NOTE = "\nThe pages that this text names are in the folder `docs` of Cloakroom's repository.\n"
#: What Maven downloads lies where the other targets of make have it.
MAVEN = ["mvn", "--quiet", "--batch-mode", f"-Dmaven.repo.local={ROOT}/.tools/maven"]
BUILD_PYTHON = """
import sys
from flit_core import buildapi
buildapi.build_wheel(sys.argv[1])
buildapi.build_sdist(sys.argv[1])
"""


def build_python(files, packages):
    subprocess.run([sys.executable, "-c", BUILD_PYTHON, packages], cwd=files, env=_environment(), check=True)


def build_node(files, packages):
    command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", packages]
    subprocess.run(command, cwd=files, env=_environment(), check=True, stdout=subprocess.DEVNULL)


def build_go(files, packages):
    """Writes the zip file of a Go module (https://go.dev/ref/mod#zip-files), without the modules inside of it."""
    for inner in list(files.glob("*/go.mod")):
        shutil.rmtree(inner.parent)
    go_mod = (files / "go.mod").read_text()
    module = re.search(r"^module (\S+)$", go_mod, re.MULTILINE)[1]
    # Beside its client in the repository, a module of its own needs no version of it.
    go_mod = re.sub(r"\nreplace .*\n", "", go_mod).replace("cloakroom v0.0.0\n", f"cloakroom v{VERSION}\n")
    (files / "go.mod").write_text(go_mod)
    name = "-".join(["cloakroom-go", *module.split("/")[2:]])
    write_zip(packages / f"{name}-v{VERSION}.zip", files, f"{module}@v{VERSION}")


def build_php(files, packages):
    """Writes a zip file that Composer takes from a repository of the type `artifact`, which is a folder."""
    manifest = json.loads((files / "composer.json").read_text())
    # Beside a checkout, Composer has the version from git.
    (files / "composer.json").write_text(json.dumps({**manifest, "version": VERSION}, indent=4) + "\n")
    for folder in ("bench", "tests"):
        shutil.rmtree(files / folder)
    name = f"cloakroom-session-handler-{VERSION}"
    write_zip(packages / f"{name}.zip", files, name)


def build_ruby(files, packages):
    gem = packages / f"rack-session-cloakroom-{VERSION}.gem"
    command = ["gem", "build", "--silent", "rack-session-cloakroom.gemspec", "--output", gem]
    subprocess.run(command, cwd=files, env=_environment(), check=True)


def build_java(files, packages):
    """Writes a jar file. It has the POM in it, so `mvn install:install-file` needs nothing else."""
    command = [*MAVEN, "-Dmaven.test.skip=true", "package"]
    # A jar file has the modes of the files that the compiler makes.
    subprocess.run(command, cwd=files, env=_environment(), check=True, umask=0o022)
    (jar,) = files.parents[1].glob(f"target/spring-session/*-{VERSION}.jar")
    shutil.copy(jar, packages)


def write_zip(package, files, folder):
    """Writes the files of a folder, as one of another name."""
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in files.rglob("*") if path.is_file()):
            name = f"{folder}/{path.relative_to(files)}"
            archive.writestr(zipfile.ZipInfo(name, FILE_DAY), path.read_bytes(), zipfile.ZIP_DEFLATED)


CLIENTS = {
    "python": build_python,
    "node": build_node,
    "connect-cloakroom": build_node,
    "go": build_go,
    "go/gorillastore": build_go,
    "php": build_php,
    "ruby": build_ruby,
    "spring-session": build_java,
}


def build(packages):
    """Replaces the folder `packages` by one with all packages."""
    shutil.rmtree(packages, ignore_errors=True)
    packages.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        for client, build_client in CLIENTS.items():
            # Java's build writes into the folder `target` beside `clients`.
            files = pathlib.Path(folder, "clients", client)
            copy_files(client, files)
            build_client(files, packages)
    sums = [f"{_sha256(package)}  {package.name}\n" for package in sorted(packages.iterdir())]
    (packages / "SHA256SUMS").write_text("".join(sums))


def copy_files(client, to):
    """Copies what git tracks of a client, with the mode and the time that every machine gives it."""
    source = ROOT / "clients" / client
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=source, check=True, capture_output=True, text=True)
    texts = {name: (source / name).read_bytes() for name in listed.stdout.split("\0")[:-1]}
    texts |= {name: (ROOT / name).read_bytes() for name in ("CHANGELOG.md", "LICENSE.md")}
    for name in [name for name in texts if pathlib.Path(name).name == "README.md"]:
        texts[name] = without_links_out(texts[name].decode()).encode()
    for name, text in texts.items():
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        path.chmod(0o644)
        os.utime(path, (FILE_TIME, FILE_TIME))


def without_links_out(text):
    """Returns a README with plain text in place of the links that lead out of its folder."""
    plain, count = LINK_OUT.subn(r"\1", text)
    return plain + LINKS_NOTE if count else text


def _sha256(package):
    return hashlib.sha256(package.read_bytes()).hexdigest()


def _environment():
    return {**os.environ, "SOURCE_DATE_EPOCH": str(FILE_TIME)}


if __name__ == "__main__":
    build(pathlib.Path(sys.argv[1]).absolute())
