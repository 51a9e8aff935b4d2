"""Runs an application under gunicorn."""

from __future__ import annotations

import http.client
import os
import pathlib
import subprocess
import sys

from service import free_port, is_listening, wait_until

TESTS = pathlib.Path(__file__).parent


class Gunicorn:
    """A running gunicorn of this Python environment. Leaving its `with` block stops it."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--no-control-socket"]
        env = {**os.environ, "PYTHONPATH": str(TESTS), **environment}
        self.process = subprocess.Popen([*command, *arguments], env=env, cwd=TESTS, start_new_session=True)
        wait_until("gunicorn listens", lambda: self.process.poll() is not None or is_listening(self.port))

    def get(self, path: str = "/", cookie: str = "") -> tuple[int, str, str]:
        """Returns the response's status, its body and the cookie that it sets, as `name=value`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        response = connection.getresponse()
        set_cookie = (response.headers["Set-Cookie"] or "").partition(";")[0]
        result = response.status, response.read().decode(), set_cookie
        connection.close()
        return result

    def __enter__(self) -> Gunicorn:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
