"""The software bill of materials, in CycloneDX: what is linked into the program.

cargo says which crates the program of this target is made of, those that only build or test it aside. Cargo.lock has
their checksums. A static program also has the standard library of Rust and the C library in it.
"""

import platform
import re
import subprocess
from datetime import datetime, timezone
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from release import ROOT

#: A line of `cargo tree`: the depth, the name, the version, and the licences.
CRATE = re.compile(r"^(\d+)(\S+) v(\S+)[^|]*\|(.*)$")

#: A crate from a registry in Cargo.lock.
LOCKED = re.compile(r'^name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"$', re.MULTILINE)


def write_sbom(release, file):
    """Writes the bill, and checks it with the schema of CycloneDX 1.6."""
    crates, uses = linked_crates(release.target)
    checksums = _checksums()
    components = {crate: _component(crate, licenses, checksums.get(crate)) for crate, licenses in crates.items()}
    program = components.pop(("cloakroom", release.version))
    program.type = ComponentType.APPLICATION
    program.properties.add(Property(name="cloakroom:commit", value=release.commit))

    libraries = [_library("rust-std", _rust_version(), "MIT OR Apache-2.0"), _library(*_c_library())]
    bom = Bom(components=[*components.values(), *libraries])
    bom.serial_number = uuid5(NAMESPACE_URL, f"cloakroom/{release.version}/{release.target}/{release.commit}")
    bom.metadata.component = program
    bom.metadata.timestamp = datetime.fromtimestamp(release.time, timezone.utc)
    bom.register_dependency(program, libraries)
    for user, used in uses:
        bom.register_dependency(components.get(user, program), [components[used]])
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        raise ValueError(f"{file.name} breaks the schema of CycloneDX: {error}")
    file.write_text(f"{text}\n")


def linked_crates(target):
    """Returns the licences of each crate of the program, and each pair of a crate and one that it uses."""
    command = ["cargo", "tree", "--locked", "--package", "cloakroom", "--target", target, "--no-dedupe"]
    command += ["--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", "{p}|{l}"]
    tree = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    crates, uses, path = {}, set(), []
    for line in tree.splitlines():
        depth, name, version, licenses = CRATE.match(line).groups()
        crates[name, version] = licenses
        path[int(depth) :] = [(name, version)]
        if len(path) > 1:
            uses.add((path[-2], path[-1]))
    return crates, sorted(uses)


def _component(crate, licenses, checksum):
    name, version = crate
    url = PackageURL("cargo", None, name, version)
    component = Component(type=ComponentType.LIBRARY, name=name, version=version, purl=url, bom_ref=url.to_string())
    # Older crates write a slash for a choice.
    component.licenses = [LicenseExpression(licenses.replace("/", " OR "))] if licenses else []
    component.hashes = [HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else []
    return component


def _library(name, version, licenses):
    component = Component(type=ComponentType.LIBRARY, name=name, version=version, bom_ref=f"{name}@{version}")
    component.licenses = [LicenseExpression(licenses)]
    return component


def _checksums():
    lines = LOCKED.findall((ROOT / "Cargo.lock").read_text())
    return {(name, version): checksum for name, version, checksum in lines}


def _rust_version():
    return subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]


def _c_library():
    """Returns name, version and licence of the C library of this machine, where the program is linked."""
    name, version = platform.libc_ver()
    return name, version, "LGPL-2.1-or-later"
