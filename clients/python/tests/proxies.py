"""Starts proxies for the tests: what nginx, Envoy and others need to run in a folder, beside others of the machine."""

from __future__ import annotations

import contextlib
import os
import subprocess

from service import TIMEOUT, is_listening, program, wait_until

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {http}
}}
"""


def nginx_command(folder, http):
    """Writes the configuration with this content of `http`, and returns the command."""
    user = "user root;" if os.getuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, user=user, http=http))
    return [program("nginx"), "-e", f"{folder}/error.log", "-c", str(config)]


def envoy_command(folder, text):
    """Writes the configuration, and returns the command."""
    config = folder / "envoy.yaml"
    config.write_text(text)
    # Two Envoys of one machine would share memory for a restart without a gap.
    return [program("envoy"), "--disable-hot-restart", "--concurrency", "1", "-c", str(config)]


@contextlib.contextmanager
def running(folder, command, port):
    """Runs a proxy until the end of a `with` block, which begins when it listens."""
    log = folder / "proxy.log"
    with log.open("wb") as output:
        # Caddy keeps its configuration below the home folder.
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "HOME": str(folder)})
    try:
        wait_until("the proxy listens", lambda: is_listening(port) or process.poll() is not None)
        assert process.poll() is None, f"{command}\n{log.read_text()}"
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT)
