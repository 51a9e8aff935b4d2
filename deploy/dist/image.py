"""The image, as an archive of the Open Container Initiative: the final stage of the Dockerfile, around the program.

The OCI's format has no health check. docker and podman load the archive all the same, and `podman run` takes one by
`--health-cmd`.
"""

import shutil
import subprocess

from archives import write_tar
from release import ROOT


def build_image(release, program, archive, folder):
    context = folder / "image"
    for name in ("etc/cloakroom", "data"):
        (context / "out" / name).mkdir(parents=True)
    shutil.copyfile(program, context / "out/cloakroom")
    # Whatever the umask is: the image's user has to read them.
    for path in (context / "out").rglob("*"):
        path.chmod(0o755)
    final_stage = (ROOT / "Dockerfile").read_text().partition("\nFROM scratch\n")[2]
    (context / "Dockerfile").write_text(f"FROM scratch AS build\nCOPY out /out\nFROM scratch\n{final_stage}")

    name = f"cloakroom:{release.version}"
    # A storage of its own: one that other containers use could need other rights or another driver.
    buildah = ["buildah", "--storage-driver", "vfs", "--root", folder / "graph", "--runroot", folder / "run"]
    build = ["bud", "--isolation", "chroot", "--format", "oci", "--timestamp", str(release.time), "--tag", name]
    arguments = ["--build-arg", f"VERSION={release.version}", "--build-arg", f"REVISION={release.commit}", context]
    subprocess.run([*buildah, *build, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    layout = folder / "layout"
    subprocess.run([*buildah, "push", "--quiet", name, f"oci:{layout}:{name}"], check=True)
    write_tar(layout, archive, release.time)
    # Files of other users are not for the caller to remove.
    subprocess.run([*buildah, "rmi", "--all", "--force"], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder / "graph", ignore_errors=True)
