"""Builds what a release consists of, around a program that is built already: from the same program, the same bytes.

    python deploy/dist/build.py target/dist-program/cloakroom target/dist-files

Needs git, dpkg-deb, buildah, helm and cargo, the clients' packages in target/packages, and the package
cyclonedx-python-lib. SHA256SUMS is for `sha256sum --check`.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from archives import repack, write_tar
from debian import build_debian
from image import build_image
from release import ROOT, Release
from sbom import write_sbom


def build(program, files):
    """Replaces the folder `files` by one with all files of the release."""
    release = Release.of(program)
    # For dpkg-deb and buildah.
    os.environ["SOURCE_DATE_EPOCH"] = str(release.time)
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = install(release, pathlib.Path(folder, "tree"))
        write_tar(tree, files / f"cloakroom-{release.version}-{release.target}.tar.gz", release.time)
        build_debian(release, tree, files, pathlib.Path(folder, "debian"))
        archive = files / f"cloakroom-{release.version}-{release.target}.oci.tar"
        build_image(release, tree / "bin/cloakroom", archive, pathlib.Path(folder))
    package_chart(release, files)
    write_sbom(release, files / f"cloakroom-{release.version}-{release.target}.cdx.json")
    for package in (ROOT / "target/packages").iterdir():
        if package.name != "SHA256SUMS":
            shutil.copyfile(package, files / package.name)
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(files.iterdir())]
    (files / "SHA256SUMS").write_text("".join(sums))


def install(release, tree):
    """Makes a folder with the program, its man pages, completions and unit, as they lie below /usr."""
    program = tree / "bin/cloakroom"
    for folder in ("bin", "lib/systemd/system", "lib/sysusers.d", "share/doc/cloakroom", "share/man/man1"):
        (tree / folder).mkdir(parents=True)
    subprocess.run(["strip", "-o", program, release.program], check=True)
    subprocess.run([program, "man-pages", tree / "share/man/man1"], check=True)
    for shell, name in COMPLETIONS.items():
        (tree / name).parent.mkdir(parents=True)
        completions = subprocess.run([program, "completions", shell], check=True, capture_output=True)
        (tree / name).write_bytes(completions.stdout)
    for source, name in COPIES.items():
        shutil.copyfile(ROOT / source, tree / name)
    return tree


def package_chart(release, files):
    """Packages the Helm chart. Helm writes the time of the day into the archive, so that is packed again."""
    with tempfile.TemporaryDirectory() as folder:
        chart = ROOT / "deploy/helm/cloakroom"
        subprocess.run(["helm", "package", chart, "--destination", folder], check=True, stdout=subprocess.DEVNULL)
        (package,) = pathlib.Path(folder).iterdir()
        repack(package, files / f"cloakroom-chart-{package.name.removeprefix('cloakroom-')}", release.time)


COMPLETIONS = {
    "bash": "share/bash-completion/completions/cloakroom",
    "zsh": "share/zsh/vendor-completions/_cloakroom",
    "fish": "share/fish/vendor_completions.d/cloakroom.fish",
}
COPIES = {
    "deploy/systemd/cloakroom.service": "lib/systemd/system/cloakroom.service",
    "deploy/systemd/cloakroom.sysusers.conf": "lib/sysusers.d/cloakroom.conf",
    "deploy/cloakroom.toml": "share/doc/cloakroom/cloakroom.toml",
    "LICENSE.md": "share/doc/cloakroom/LICENSE.md",
    "CHANGELOG.md": "share/doc/cloakroom/CHANGELOG.md",
}

if __name__ == "__main__":
    build(pathlib.Path(sys.argv[1]).absolute(), pathlib.Path(sys.argv[2]).absolute())
