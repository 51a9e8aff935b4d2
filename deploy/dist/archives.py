"""Archives that depend on their content alone: not on the day, the user or the order of the disk."""

import gzip
import pathlib
import tarfile
import tempfile


def write_tar(folder, archive, time):
    """Writes a tar archive of what a folder has; one with gzip if its name says so."""
    with tempfile.TemporaryFile() as tar:
        with tarfile.open(fileobj=tar, mode="w", format=tarfile.GNU_FORMAT) as members:
            for path in sorted(folder.rglob("*")):
                members.add(path, str(path.relative_to(folder)), recursive=False, filter=_at(time))
        tar.seek(0)
        content = tar.read()
    archive.write_bytes(gzip.compress(content, mtime=time) if archive.suffix in (".gz", ".tgz") else content)


def repack(package, archive, time):
    """Writes the files of a tar archive into a new one."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(package) as members:
            members.extractall(folder, filter="data")
        write_tar(pathlib.Path(folder), archive, time)


def _at(time):
    def reset(member):
        member.mtime = time
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    return reset
