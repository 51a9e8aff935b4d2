"""Workers: gunicorn's forked processes, its threads and its greenlets, all on one session, and not one count lost."""

from __future__ import annotations

import concurrent.futures
import http.client
import os
import pathlib
import subprocess
import sys

import pytest
from service import free_port, listens, until

HERE = pathlib.Path(__file__).parent


class Gunicorn:
    """A gunicorn of this environment, which ends with its `with` block."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--no-control-socket"]
        env = {**os.environ, "PYTHONPATH": str(HERE), **environment}
        self.process = subprocess.Popen([*command, *arguments], env=env, cwd=HERE, start_new_session=True)
        until("gunicorn listens", lambda: self.process.poll() is not None or listens(self.port))

    def get(self, path: str = "/", cookie: str = "") -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        response = connection.getresponse()
        answer = response.status, response.read().decode(), (response.headers["Set-Cookie"] or "").partition(";")[0]
        connection.close()
        return answer

    def __enter__(self) -> Gunicorn:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


KINDS = {
    "forked after use": ["--preload", "--workers", "3"],
    "threads": ["--workers", "2", "--threads", "4"],
    "greenlets": ["--worker-class", "gevent", "--workers", "2"],
}


@pytest.mark.parametrize(("kind", "socket"), [("forked after use", "tcp"), ("threads", "unix"), ("greenlets", "tcp")])
def test_workers_of_every_kind_lose_nothing(service, kind, socket):
    address = service.address if socket == "tcp" else f"unix:{service.socket}"
    with Gunicorn(*KINDS[kind], "prefork:app", CLOAKROOM_ADDRESS=address) as gunicorn:
        status, _, cookie = gunicorn.get()
        assert status == 200
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = []

            def several_workers_answered() -> bool:
                answers.extend(pool.map(lambda _: gunicorn.get(cookie=cookie), range(40)))
                return len({text.split()[0] for _, text, _ in answers}) > 1

            until("a second worker answers", several_workers_answered)
        assert {status for status, _, _ in answers} == {200}
        assert gunicorn.get(cookie=cookie)[1].split()[1] == str(len(answers) + 2)
