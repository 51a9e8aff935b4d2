"""Forward authentication by the configurations of deploy/forward-auth, with real proxies and a real service.

Each has an application behind it, which answers what it received. Only addresses and the caller's token are replaced.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import re
import signal
import socket
import subprocess
import threading
import urllib.parse

import pytest
from proxies import envoy_command, nginx_command, running

from service import ROOT, TIMEOUT, Service, binary, free_port, program, wait_until

CONFIGURATIONS = ROOT / "deploy/forward-auth"
SPOOFED = {"Cloakroom-Subject": "admin", "Cloakroom-Session-Id": "1"}
#: Of other paths as /login, and of /login as other paths. Proxies and applications disagree about each.
SPELLINGS = [
    "/login/../orders",
    "/login/%2e%2e/orders",
    "/login/..%2forders",
    "/login/..%5corders",
    "/login/..;/orders",
    "/login;/orders",
    "/login/help",
    "/orders/../login",
    "/orders/%2e%2e/login",
    "/orders%2f..%2flogin",
    "//login",
    "/login/",
    "/LOGIN",
    "/login%00/orders",
    "/%6cogin",
    "/login\\..\\orders",
]


class Application(http.server.BaseHTTPRequestHandler):
    """Answers each request with what it received."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = json.dumps({"path": self.path, "headers": headers, "body": body}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Set-Cookie", "theme=dark")
        self.send_header("Cache-Control", "public, max-age=600")
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = answer  # noqa: N815 - the base class calls these names

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def application():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def caller_token():
    """The token of the caller, and its hash."""
    done = subprocess.run([binary(), "caller-token"], check=True, capture_output=True, text=True)
    return done.stdout.strip(), done.stderr.split()[-1]


@pytest.fixture
def service(tmp_path, caller_token):
    callers = f'[callers.proxy]\nroles = ["frontend"]\napps = ["*"]\ntoken_hashes = ["{caller_token[1]}"]'
    apps = '[apps.default]\nkeys = ["{key}"]\n'
    with Service.start(tmp_path, apps=apps, store=f'[store]\nkind = "memory"\n{callers}') as service:
        yield service


def caddy_command(folder, configuration):
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + configuration)
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", f"{folder}/Caddyfile"]


PROXIES = {
    "nginx": (nginx_command, "nginx.conf"),
    "caddy": (caddy_command, "Caddyfile"),
    "envoy": (envoy_command, "envoy.yaml"),
    "envoy by gRPC": (envoy_command, "envoy-grpc.yaml"),
}
ENVOY = ("envoy", "envoy by gRPC")


@contextlib.contextmanager
def running_proxy(kind, folder, service, application, caller_token, without=None):
    """Runs a proxy with its configuration, except for a line of it. Yields its port."""
    port, (command, file) = free_port(), PROXIES[kind]
    used = {"CALLER_TOKEN": caller_token[0], "50051": service.port, "8000": application, "8080": port}
    # At once, because a port may contain the digits of another.
    shown = re.compile(r"\b(?:" + "|".join(used) + r")\b")
    configuration = (CONFIGURATIONS / file).read_text()
    if without:
        lines = [line for line in configuration.splitlines(keepends=True) if without not in line]
        assert len(lines) == configuration.count("\n") - 1
        configuration = "".join(lines)
    assert set(shown.findall(configuration)) == used.keys()
    configuration = shown.sub(lambda found: str(used[found[0]]), configuration)
    with running(folder, command(folder, configuration), port):
        yield port


@pytest.fixture(params=PROXIES)
def proxy(request, tmp_path, service, application, caller_token):
    """The kind and the port of a running proxy."""
    with running_proxy(request.param, tmp_path, service, application, caller_token) as port:
        yield request.param, port


def send(port, path, headers=(), method="GET", body=None):
    """Returns status, headers and body of a response, the headers as a list."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)) as connection:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, [(name.lower(), value) for name, value in response.getheaders()], response.read()


def send_raw(port, request):
    """Sends text as it is. Returns the status and what the application received, or None if it was not asked."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        connection.sendall(request.encode("latin-1"))
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = response.read()
    return response.status, json.loads(body) if body.startswith(b'{"path"') else None


def named(received):
    """What an application is told of its user, if it takes underscores for hyphens."""
    names = {name.replace("_", "-"): value for name, value in received["headers"].items()}
    return {name: value for name, value in names.items() if name.startswith("cloakroom")}


def call(service, rpc, message, token):
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    status, _, body = send(service.port, f"/cloakroom.v1.SessionService/{rpc}", headers, "POST", json.dumps(message))
    assert status == 200, body
    return json.loads(body)


def log_in(service, token, **changes):
    """Returns the session of a login, and the Cookie header of its browser."""
    ticket = call(service, "OpenSession", {}, token)["session"]["token"]
    saved = call(service, "SaveSession", {"token": ticket, "changes": {"subject": "anna", **changes}}, token)
    return saved["session"], f"session={saved['session']['token']}"


def test_the_application_learns_who_is_logged_in_and_a_client_cannot_say_it(service, proxy, caller_token):
    kind, port = proxy
    session, cookie = log_in(service, caller_token[0])
    page = {"Origin": "https://shop.example", "Sec-Fetch-Site": "same-origin", "Host": "shop.example"}
    headers = {"Cookie": cookie, **page, **SPOOFED, "Authorization": "Basic dTpw"}

    status, answered, body = send(port, "/orders?page=2", headers, "POST", "x" * 100_000)

    received = json.loads(body)
    assert status == 200
    assert (received["path"], len(received["body"])) == ("/orders?page=2", 100_000)
    assert named(received) == {"cloakroom-subject": "anna", "cloakroom-session-id": session["id"]}
    assert (received["headers"]["authorization"], received["headers"]["host"]) == ("Basic dTpw", "shop.example")
    assert [value for name, value in answered if name == "set-cookie"] == ["theme=dark"]
    assert caller_token[0] not in str(answered) + body.decode()
    # To many applications these are the same names. And a header that Connection names ends at the next proxy.
    for more in ({"Cloakroom_Subject": "admin"}, {"Connection": "Cloakroom-Subject, Cloakroom-Session-Id"}):
        status, _, body = send(port, "/orders", {"Cookie": cookie, **more})
        assert status == 400 or named(json.loads(body))["cloakroom-subject"] == "anna", more


def test_a_subject_of_any_characters_reaches_the_application(service, proxy, caller_token):
    _, port = proxy
    _, cookie = log_in(service, caller_token[0], subject="Zoë, 100%\r\n")

    status, _, body = send(port, "/orders", {"Cookie": cookie})

    assert (status, named(json.loads(body))["cloakroom-subject"]) == (200, "Zo%C3%AB,%20100%25%0D%0A")


def test_cookies_in_several_lines_are_all_read(service, proxy, caller_token):
    kind, port = proxy
    _, cookie = log_in(service, caller_token[0])

    # One of them has bytes that are no text.
    lines = f"Cookie: theme=\xff\r\nCookie: {cookie}\r\n"
    status, _ = send_raw(port, f"GET /orders HTTP/1.1\r\nHost: shop.example\r\n{lines}\r\n")

    # By HTTP, Envoy joins them by a comma, so they are one cookie.
    assert status == (401 if kind == "envoy" else 200)


def test_by_grpc_envoy_removes_what_a_client_spells_otherwise(tmp_path, service, application, caller_token):
    _, cookie = log_in(service, caller_token[0])
    spellings = ["Cloakroom_Subject", "cloakroom_session_id", "cloakroom-session_id", "cloakroom_session-id"]
    headers = {"Cookie": cookie, **SPOOFED, **dict.fromkeys(spellings, "admin")}
    rejects = "headers_with_underscores_action"
    with running_proxy("envoy by gRPC", tmp_path, service, application, caller_token, rejects) as port:
        status, _, body = send(port, "/orders", headers)

    names = [name for name in json.loads(body)["headers"] if name.startswith("cloakroom")]
    assert (status, sorted(names)) == (200, ["cloakroom-session-id", "cloakroom-subject"])


def test_without_a_subject_nobody_passes_and_the_login_page_is_for_everybody(service, proxy, caller_token):
    kind, port = proxy
    _, cookie = log_in(service, caller_token[0])
    call(service, "DestroySession", {"token": cookie.removeprefix("session=")}, caller_token[0])

    for headers in ({}, {"Cookie": "session=forged"}, {"Cookie": cookie}, SPOOFED):
        status, answered, body = send(port, "/orders", headers)
        if kind in ENVOY:
            assert status == 401, body
        else:
            assert (status, dict(answered)["location"]) == (302, "/login"), body

    for more in ({}, {"Cloakroom_Subject": "admin"}):
        status, _, body = send(port, "/login?next=/", {**SPOOFED, **more, "Host": "shop.example"})
        if status != 400:
            received = json.loads(body)
            assert (received["path"], received["headers"]["host"], named(received)) == (
                "/login?next=/",
                "shop.example",
                {},
            )
        assert status == (400 if more and kind in ENVOY else 200)


def test_no_spelling_of_a_public_path_leads_to_another(proxy):
    _, port = proxy
    led = {}

    for path in SPELLINGS:
        status, received = send_raw(port, f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        if received and urllib.parse.unquote(received["path"]) != "/login":
            led[path] = status, received["path"]

    assert led == {}


def test_no_other_protocol_begins_behind_the_public_path(proxy):
    _, port = proxy
    for upgrade in ("h2c", "H2C", "websocket, h2c"):
        head = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"

        status, received = send_raw(port, f"GET /login HTTP/1.1\r\nHost: shop.example\r\n{head}\r\n")

        assert status in (400, 403) or (status, received["headers"].get("upgrade")) == (200, None), upgrade


def test_a_renewed_cookie_reaches_the_browser_and_no_cache(service, proxy, caller_token):
    _, port = proxy
    _, cookie = log_in(service, caller_token[0], permanent=True)

    _, headers, _ = send(port, "/", {"Cookie": cookie})

    def values(wanted):
        return sorted(value for name, value in headers if name == wanted)

    cookies = values("set-cookie")
    assert cookies[1] == "theme=dark"
    assert cookies[0].startswith(cookie)
    assert "Expires=" in cookies[0]
    assert "no-store" in ", ".join(values("cache-control"))
    assert "Cookie" in ", ".join(values("vary"))


def test_without_an_answer_nobody_passes_and_nobody_is_sent_to_the_login_page(service, proxy, caller_token):
    _, port = proxy
    _, cookie = log_in(service, caller_token[0])
    assert send(port, "/", {"Cookie": cookie})[0] == 200

    service.stop(signal.SIGKILL)

    assert send(port, "/", {"Cookie": cookie})[0] >= 500
    assert send(port, "/login")[0] == 200


def test_a_proxy_with_a_wrong_token_lets_nobody_pass_and_sends_nobody_to_the_login_page(service, proxy, caller_token):
    _, port = proxy
    _, cookie = log_in(service, caller_token[0])
    config = service.config.read_text()
    service.config.write_text(config.replace(caller_token[1], "0" * 64))
    service.process.send_signal(signal.SIGHUP)

    wait_until("the token is unknown", lambda: send(port, "/", {"Cookie": cookie})[0] != 200)

    assert send(port, "/", {"Cookie": cookie})[0] >= 500
