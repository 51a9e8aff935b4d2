"""Proxies between the client and the service: nginx, HAProxy and Envoy."""

from __future__ import annotations

import contextlib
import socket

import pytest
from flask import Flask, session
from flask_app import make_app, request, set_entries
from proxies import envoy_command, nginx_command, running
from service import TIMEOUT, Service, free_port, program

from cloakroom import SessionUnavailable
from cloakroom.flask import CloakroomSessionInterface

NGINX = """
  upstream service {{ server 127.0.0.1:{target}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://service; proxy_set_header Host localhost; {settings} }}
  }}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  http-request set-header host localhost
  default_backend b
backend b
  server s 127.0.0.1:{target}
"""
ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: /}}
                route: {{cluster: service, host_rewrite_literal: localhost}}
  clusters:
  - name: service
    connect_timeout: 1s
    load_assignment:
      cluster_name: service
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {target}}}}}}}
"""
#: A filter that changes nothing makes nginx forget the length, and so send chunks.
CHUNKS = "sub_filter_types *; sub_filter '\\1never' ''; sub_filter_once off;"
KEEPALIVE = 'proxy_http_version 1.1; proxy_set_header Connection "";'
#: It obeys no answer that says how to pass it on.
OBSTINATE = "proxy_ignore_headers X-Accel-Buffering;"


def nginx(folder, port, target, settings):
    http = NGINX.format(port=port, target=target, settings=settings)
    return running(folder, nginx_command(folder, http), port)


def haproxy(folder, port, target, _):
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, target=target))
    return running(folder, [program("haproxy"), "-f", str(config)], port)


def envoy(folder, port, target, _):
    return running(folder, envoy_command(folder, ENVOY.format(port=port, target=target)), port)


def answer_head(port):
    """Returns the head of an answer in lower case."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        connection.sendall(
            b"POST /cloakroom.v1.SessionService/OpenSession HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/proto\r\ncontent-length: 0\r\n\r\n"
        )
        return connection.recv(65536).partition(b"\r\n\r\n")[0].decode("latin-1").lower()


@pytest.mark.parametrize(
    ("proxy", "settings"),
    [
        pytest.param(nginx, "", id="nginx as it comes"),
        pytest.param(nginx, KEEPALIVE, id="nginx with keepalive"),
        pytest.param(nginx, KEEPALIVE + CHUNKS, id="nginx that sends chunks"),
        pytest.param(haproxy, "", id="haproxy"),
        pytest.param(envoy, "", id="envoy"),
    ],
)
def test_sessions_work_through_a_proxy_and_survive_a_restart_behind_it(tmp_path, proxy, settings):
    store, port = f'[store.embedded]\npath = "{tmp_path}/data"', free_port()
    with Service.start(tmp_path, store=store) as service, proxy(tmp_path, port, service.port, settings):
        app = Flask(__name__)
        app.session_interface = CloakroomSessionInterface(f"127.0.0.1:{port}", app="shop", deadline=TIMEOUT)
        app.add_url_rule("/", "count", lambda: str((session.increment("n"), session["n"])[1]))
        app.add_url_rule("/fill", "fill", lambda: str(session.update(text="x" * 50_000)))
        if settings.endswith(CHUNKS):
            assert "transfer-encoding: chunked" in answer_head(port)
        client = app.test_client()
        assert client.get("/fill").status_code == 200
        assert [client.get("/").text for _ in range(5)] == ["1", "2", "3", "4", "5"]
        service.stop()
        service.launch()
        assert client.get("/").text == "6"

        service.stop()
        app.session_interface.client.deadline = 0.5
        app.config.update(TRAP_HTTP_EXCEPTIONS=True, PROPAGATE_EXCEPTIONS=True)
        with pytest.raises(SessionUnavailable) as unavailable:
            client.get("/")
        assert unavailable.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


@contextlib.contextmanager
def watched_session(tmp_path, proxy, settings, deadline):
    """Yields a watch by way of a proxy that has not begun, and a function that ends its session."""
    port = free_port()
    with Service.start(tmp_path) as service, proxy(tmp_path, port, service.port, settings):
        app = make_app(f"127.0.0.1:{port}", deadline=deadline)
        app.config.update(TRAP_HTTP_EXCEPTIONS=True)
        client = app.test_client()
        set_entries(app, client, a=1)
        yield (
            lambda: request(app, client, lambda: session.watch()).result,
            lambda: request(app, client, lambda: session.destroy()),
        )


@pytest.mark.parametrize(
    ("proxy", "settings"),
    [
        pytest.param(nginx, "", id="nginx as it comes"),
        pytest.param(nginx, KEEPALIVE, id="nginx with keepalive"),
        pytest.param(nginx, OBSTINATE + "proxy_buffering off;", id="nginx that was told not to buffer"),
        pytest.param(haproxy, "", id="haproxy"),
        pytest.param(envoy, "", id="envoy"),
    ],
)
def test_a_watch_works_through_a_proxy(tmp_path, proxy, settings):
    with watched_session(tmp_path, proxy, settings, TIMEOUT) as (watch, end), watch() as watched:
        assert watched.wait(timeout=0) is None
        end()
        assert watched.wait(TIMEOUT) == "DESTROYED"


def test_a_watch_through_a_proxy_that_buffers_responses_says_so(tmp_path):
    with watched_session(tmp_path, nginx, OBSTINATE, 2.0) as (watch, _), pytest.raises(SessionUnavailable) as failed:
        watch()
    assert "if there is a proxy, it must not buffer responses (nginx: proxy_buffering off)" in str(failed.value)
