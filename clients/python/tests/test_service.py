"""What tests start beside themselves."""

from __future__ import annotations

import pathlib
import subprocess
import sys

from service import free_port

PICK = """
import random, sys
from service import free_port
candidates = iter([int(sys.argv[1]), *range(10_000, 32_768)])
random.randrange = lambda *_: next(candidates)
print(free_port())
"""


def test_a_port_that_one_test_has_is_given_to_no_test_of_another_process():
    """Else two of them start a service each on it, and one of the two uses that of the other."""
    port = free_port()
    command = [sys.executable, "-c", PICK, str(port)]
    folder = pathlib.Path(__file__).parent
    other = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    assert int(other.stdout) != port
