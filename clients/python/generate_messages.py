"""Generates the package's messages from the proto, in a pool of descriptors of their own: `make python-messages`.

Generated code describes its messages in one pool for the whole process, which refuses two versions of one proto.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MESSAGES = ROOT / "clients/python/src/cloakroom/messages"
PROTOS = ["session_service", "admin_service"]
REPLACEMENTS = {
    r"^from google\.protobuf import descriptor_pool as _descriptor_pool$": "from .pool import POOL as _POOL",
    r"_descriptor_pool\.Default\(\)": "_POOL",
    # The other messages are loaded at their first use, and have to be described before those that contain them.
    r"^from cloakroom\.v1 import (\w+) as (cloakroom_dot_\w+)$": r"from . import \1 as \2; \2.DESCRIPTOR",
    r"^from cloakroom\.v1 import": "from . import",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}"]
        outputs = [f"--python_out={folder}", f"--pyi_out={folder}"]
        subprocess.run([*protoc, *outputs, *(f"cloakroom/v1/{proto}.proto" for proto in PROTOS)], check=True)
        for generated in pathlib.Path(folder, "cloakroom/v1").iterdir():
            text = generated.read_text()
            for pattern, replacement in REPLACEMENTS.items():
                text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
            (MESSAGES / generated.name).write_text(text)


if __name__ == "__main__":
    main()
