"""The Debian package. dpkg-deb sorts the files and takes their time from SOURCE_DATE_EPOCH."""

import email.utils
import gzip
import shutil
import subprocess

from release import ROOT

REVISION = 1
CONTROL = """\
Package: cloakroom
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {kilobytes}
Depends: init-system-helpers (>= 1.54), systemd (>= 250)
Section: net
Priority: optional
Description: session service for web applications
 Cloakroom keeps the sessions of web applications in any language: a frontend
 sends the Cookie header of a request, and gets a session. It speaks gRPC
 and Connect, and stores sessions in a file of its own, in Redis or in memory.
"""
CHANGELOG = """\
cloakroom ({version}) unstable; urgency=medium

  * changelog.gz says what has changed in Cloakroom.

 -- {maintainer}  {day}
"""
APACHE = "\n## Apache-2.0\n"


def build_debian(release, tree, files, folder):
    """Builds the package of what lies below /usr, the configuration, and the scripts of `deploy/debian`."""
    shutil.copytree(tree, folder / "usr")
    version = f"{release.version}-{REVISION}"
    documents = folder / "usr/share/doc/cloakroom"
    day = email.utils.formatdate(release.time)
    changelog = CHANGELOG.format(version=version, maintainer=release.maintainer, day=day)
    (documents / "changelog.Debian").write_text(changelog)
    (documents / "CHANGELOG.md").rename(documents / "changelog")
    for text in (
        documents / "changelog.Debian",
        documents / "changelog",
        *(folder / "usr/share/man/man1").iterdir(),
    ):
        _compress(text)
    _write_copyright(documents / "LICENSE.md", documents / "copyright")
    configuration = folder / "etc/cloakroom/cloakroom.toml"
    configuration.parent.mkdir(parents=True)
    shutil.copyfile(ROOT / "deploy/debian/cloakroom.toml", configuration)

    kilobytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 1024
    control = folder / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(
        CONTROL.format(
            version=version,
            architecture=release.debian_architecture,
            maintainer=release.maintainer,
            kilobytes=kilobytes,
        )
    )
    (control / "conffiles").write_text("/etc/cloakroom/cloakroom.toml\n")
    for script in ("postinst", "prerm", "postrm"):
        shutil.copyfile(ROOT / "deploy/debian" / script, control / script)
    for path in [folder, *folder.rglob("*")]:
        is_program = path.is_dir() or path.parent.name == "bin" or path.name in ("postinst", "prerm", "postrm")
        path.chmod(0o755 if is_program else 0o644)

    package = files / f"cloakroom_{version}_{release.debian_architecture}.deb"
    # Several threads would divide the data by their number.
    command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--threads-max=1", "--build", folder, package]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _write_copyright(license_file, copyright_file):
    """Names the file that every Debian has, in place of the text of the Apache License."""
    own = license_file.read_text().partition(APACHE)[0]
    copyright_file.write_text(f"{own}{APACHE}\nIts text is in /usr/share/common-licenses/Apache-2.0.\n")
    license_file.unlink()


def _compress(path):
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()
