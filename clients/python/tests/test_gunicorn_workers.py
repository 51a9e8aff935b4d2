"""Gunicorn's forked processes, threads and greenlets on one session: no count is lost."""

from __future__ import annotations

import concurrent.futures

import pytest
from gunicorn_server import Gunicorn
from service import wait_until

WORKER_KINDS = {
    "forked after use": ["--preload", "--workers", "3"],
    "threads": ["--workers", "2", "--threads", "4"],
    "greenlets": ["--worker-class", "gevent", "--workers", "2"],
}


@pytest.mark.parametrize(("kind", "socket"), [("forked after use", "tcp"), ("threads", "unix"), ("greenlets", "tcp")])
def test_concurrent_workers_lose_no_count(service, kind, socket):
    address = service.address if socket == "tcp" else f"unix:{service.socket}"
    with Gunicorn(*WORKER_KINDS[kind], "preloaded_app:app", CLOAKROOM_ADDRESS=address) as gunicorn:
        status, _, cookie = gunicorn.get()
        assert status == 200
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            responses = []

            def several_workers_responded() -> bool:
                responses.extend(pool.map(lambda _: gunicorn.get(cookie=cookie), range(40)))
                return len({text.split()[0] for _, text, _ in responses}) > 1

            wait_until("a second worker responds", several_workers_responded)
        assert {status for status, _, _ in responses} == {200}
        assert gunicorn.get(cookie=cookie)[1].split()[1] == str(len(responses) + 2)
