"""A WSGI application that fails after a rotation was saved: its servers send the new cookie with the 500."""

from __future__ import annotations

import contextlib
import http.client
import threading
import wsgiref.simple_server

import pytest
import werkzeug.serving
from failing_app import make_app
from gunicorn_server import Gunicorn
from service import wait_until
from werkzeug.test import Client

PATHS = [f"/fail/{where}{late}" for where in ("before", "refused") for late in ("", "?late")]


@contextlib.contextmanager
def in_thread(make_server, service, log):
    server = make_server("127.0.0.1", 0, make_app(service.address))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def gunicorn(arguments, service, log):
    app = f"failing_app:make_app('{service.address}')"
    with Gunicorn(*arguments, "--error-logfile", str(log), app) as running:
        yield running.port


SERVERS = {
    "wsgiref": (in_thread, wsgiref.simple_server.make_server),
    "werkzeug": (in_thread, werkzeug.serving.make_server),
    "gunicorn": (gunicorn, []),
    "gunicorn with threads": (gunicorn, ["--threads", "2"]),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """The file to which gunicorn logs."""
    log = tmp_path_factory.mktemp("gunicorn") / "error.log"
    log.touch()
    return log


@pytest.fixture(scope="module", params=SERVERS)
def port(request, service, log):
    run, setting = SERVERS[request.param]
    with run(setting, service, log) as port:
        yield port


def get(port, path, cookie=""):
    """Returns the response's status, its body, and the cookies that it sets, each as `name=value`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    connection.request("GET", path, headers={"Cookie": cookie})
    response = connection.getresponse()
    cookies = [each.partition(";")[0] for each in response.headers.get_all("Set-Cookie", [])]
    result = response.status, response.read().decode(), cookies
    connection.close()
    return result


@pytest.mark.parametrize("path", PATHS)
def test_the_cookie_of_the_rotation_is_on_the_500_and_the_server_logs_the_error(port, path, log, capfd, caplog):
    _, _, [before] = get(port, "/fill")
    log.write_text("")

    status, text, [cookie] = get(port, path, before)

    assert (status, text, cookie != before) == (500, "Internal Server Error", True)
    assert get(port, "/read", cookie)[1] == "{'cart': [1]}"
    error, logged = "SessionRefused" if "refused" in path else "ZeroDivisionError", []

    def is_logged():
        logged.append(capfd.readouterr().err)
        return error in "".join([*logged, caplog.text, log.read_text()])

    wait_until("the error is logged", is_logged)


def test_a_response_that_has_begun_stays(port):
    _, _, [before] = get(port, "/fill")

    status, text, [cookie] = get(port, "/fail/written", before)

    assert (status, text, cookie != before) == (200, "written", True)


@pytest.mark.parametrize("path", PATHS)
def test_a_test_of_the_application_sees_the_error(service, path):
    client = Client(make_app(service.address))
    client.get("/fill")
    with pytest.raises(Exception, match="bytes" if "refused" in path else "^$"):
        client.get(path)
