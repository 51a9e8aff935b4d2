"""A small client that keeps every rule, and breaks the one that KIT_WRONG names.

It makes calls by Connect with JSON. `wrong_clients.json` lists the ways to be wrong, and the cases that find each.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import re
import secrets
import select
import socket
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESSES = os.environ["CLOAKROOM_ADDRESS"].split(",")
APP = os.environ["CLOAKROOM_APP"]
DEADLINE = float(os.environ["CLOAKROOM_DEADLINE"])
WRONG = os.environ.get("KIT_WRONG", "")


def wrong(what):
    """Whether this client is wrong in this way."""
    return what == WRONG


class CallError(Exception):
    """A call failed."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Replica:
    """One address of the service, with its idle connections."""

    def __init__(self, address):
        self.host, _, port = address.partition(":")
        self.port = int(port)
        self.avoid_until = 0.0
        self.is_left = False
        self._idle = []

    def call(self, method, body, timeout):
        """Returns the status and the body of the answer. Raises OSError or HTTPException without one."""
        connection = self._connection(timeout)
        try:
            connection.sock.settimeout(timeout)
            headers = {"Content-Type": "application/json"}
            if not wrong("no deadline"):
                headers["Connect-Timeout-Ms"] = str(int(timeout * 1000))
            connection.request("POST", f"/cloakroom.v1.SessionService/{method}", body, headers)
            response = connection.getresponse()
            answer = response.read(16384) if wrong("reads 16 KiB of an answer") else response.read()
        except BaseException:
            if wrong("never leaves a silent connection"):
                self._idle.append(connection)
                raise
            connection.close()
            # The others may be as silent.
            while self._idle:
                self._idle.pop().close()
            raise
        if response.will_close or wrong("a connection for each call") or not response.isclosed():
            connection.close()
        else:
            self._idle.append(connection)
        return response.status, answer

    def has_idle(self):
        return bool(self._idle)

    def _connection(self, timeout):
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if wrong("no retry") or not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=min(timeout, 1))
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


REPLICAS = [Replica(address) for address in ADDRESSES]
TURNS = {method: itertools.count(secrets.randbelow(2)) for method in ("OpenSession", "SaveSession", "DestroySession")}


def next_replica(method):
    if wrong("the first replica only"):
        return REPLICAS[0]
    usable = [each for each in REPLICAS if each.avoid_until <= time.monotonic() and not each.is_left] or REPLICAS
    return usable[next(TURNS[method]) % len(usable)]


def call(method, request):
    """Makes a call, and repeats it until the deadline while nothing answers or the answer is UNAVAILABLE."""
    if not wrong("the default app"):
        request = {"app": APP, **request}
    if wrong("takes a proxy from the environment"):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{REPLICAS[0].port}/", timeout=DEADLINE)
    end = time.monotonic() + DEADLINE
    attempt = 0
    while True:
        if attempt and wrong("a new request_id at each retry") and "requestId" in request:
            request = {**request, "requestId": secrets.token_hex(16)}
        if attempt and wrong("other content at the retry") and "changes" in request:
            request = {**request, "context": {"userAgent": "x" * attempt}}
        replica = next_replica(method)
        remaining = end - time.monotonic()
        if wrong("a deadline for each attempt"):
            remaining = DEADLINE
        # Half of the time is left for another way, if there is one.
        has_other_way = (replica.has_idle() or len(REPLICAS) > 1) and not wrong("waits the whole deadline")
        try:
            status, answer = replica.call(method, json.dumps(request), max(remaining / (1 + has_other_way), 0.01))
            body = json.loads(answer)
            code = body["code"] if status != 200 else ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            is_answered = isinstance(error, ValueError) and wrong("refuses what is no message")
            code, body = "internal" if is_answered else "unavailable", {"message": str(error)}
            replica.avoid_until = time.monotonic() + 1
            replica.is_left = wrong("never goes back to a replica")
        if not code:
            return body
        pause = min(0.05 * 2**attempt, 0.4)
        is_last = time.monotonic() + pause > end
        if wrong("a deadline for each attempt"):
            is_last = time.monotonic() > end + 2 * DEADLINE
        if is_last or wrong("no retry") or (attempt == 2 and wrong("three attempts")):
            raise CallError(code, body["message"])
        if code not in ("unavailable", "deadline_exceeded") and not wrong("repeats refusals"):
            raise CallError(code, body["message"])
        time.sleep(pause)
        attempt += 1


CACHE = {}


def open_session(cookies):
    if wrong("caches opens") and cookies in CACHE:
        return CACHE[cookies]
    CACHE[cookies] = call("OpenSession", {"cookieHeader": cookies})
    return CACHE[cookies]


class Session:
    """The session of one request."""

    def __init__(self, cookies):
        self.cookies = cookies
        self.opened = None
        self.is_saved = self.is_gone = self.is_over = False
        self.changes, self.rotates = {}, False
        self.headers = []

    def open(self):
        if self.opened is None or wrong("opens at each read"):
            try:
                self.opened = open_session(self.cookies)
            except CallError:
                if not wrong("an empty session in an outage"):
                    raise
                self.opened = {"session": {}}
            if "nullSession" in self.opened["session"] and wrong("fails at a null session"):
                raise CallError("internal", "a null session")
            if "nullSession" in self.opened["session"] and wrong("forgets what it wrote before a null session"):
                self.changes = {}
            self.headers = self.opened.get("readHeaders", [])
            if wrong("sends read_headers and untouched_headers"):
                self.headers = self.headers + self.opened.get("untouchedHeaders", [])
            if "nullSession" in self.opened["session"] and wrong("sets a cookie for a null session"):
                self.headers = [*self.headers, {"name": "Set-Cookie", "value": "session=null; Path=/"}]
            if wrong("never sends the headers of an open"):
                self.headers = [header for header in self.headers if header["name"] != "Set-Cookie"]
        return self.opened["session"]

    def run(self, name, *arguments):
        """Does one operation and returns its result."""
        if self.is_over and wrong("ignores what follows a logout"):
            return None
        return getattr(self, f"do_{name}")(*arguments)

    def do_get(self, key):
        value = self.open().get("entries", {}).get(key)
        return json.loads(value["json"]) if value else None

    def do_subject(self):
        return self.open().get("subject")

    def do_set(self, key, value):
        self.changes.setdefault("set", {})[key] = {"json": json.dumps(value)}

    def do_delete(self, key):
        names = self.changes.setdefault("unset", [])
        if not wrong("forgets deletes"):
            names.append(key)

    def do_increment(self, key, by):
        if wrong("counts by itself"):
            self.do_set(key, (self.do_get(key) or 0) + by)
        else:
            self.changes.setdefault("increment", {})[key] = by

    def do_clear(self):
        if wrong("clears entry by entry"):
            self.changes = {"unset": list(self.open().get("entries", {}))}
        else:
            self.changes = {"clear": True}

    def do_login(self, subject):
        self.changes["subject"] = subject

    def do_permanent(self, value):
        self.changes["permanent"] = value

    def do_rotate(self):
        if wrong("forgets rotate"):
            self.changes = self.changes or {"set": {}}
        else:
            self.rotates = True

    def do_destroy(self):
        if wrong("clears at a logout"):
            return self.do_clear()
        request = {"cookieHeader": self.cookies, "requestId": secrets.token_hex(16)}
        if self.opened is not None and wrong("ends the session that it has opened"):
            request = {"token": self.opened["session"]["token"], "requestId": secrets.token_hex(16)}
        self.headers = call("DestroySession", request).get("headers", [])
        self.cookies, self.opened, self.changes, self.is_over = "", None, {}, True
        return None

    def do_save(self):
        self.save()

    def save(self):
        """Saves the changes, if there are any."""
        if wrong("saves after each read") and self.opened and not self.changes:
            self.changes = {"set": {}}
        if not self.changes and not self.rotates:
            return
        # Repeated by the Cookie header, a login would begin another session each time.
        is_login = "subject" in self.changes and not wrong("logs in by the Cookie header")
        if is_login or wrong("opens before each write"):
            self.open()
        if wrong("saves all entries") and self.opened:
            entries = self.opened["session"].get("entries", {})
            changed = [*self.changes.get("unset", []), *self.changes.get("increment", {})]
            kept = {key: value for key, value in entries.items() if key not in changed}
            self.changes["set"] = {**kept, **self.changes.get("set", {})}
        request = {"changes": self.changes, "accessed": True, "rotate": self.rotates, **self.credential()}
        if not wrong("no request_id"):
            request["requestId"] = "one" * 8 if wrong("one request_id for all saves") else secrets.token_hex(16)
        try:
            saved = self.call_save(request)
        except CallError as error:
            if error.code in ("invalid_argument", "failed_precondition") and wrong("ignores refusals"):
                return
            if error.code == "unavailable" and wrong("an empty session in an outage"):
                return
            raise
        self.is_gone = saved["outcome"] == "OUTCOME_GONE"
        if self.is_gone and wrong("begins anew at GONE"):
            saved, self.is_gone = call("SaveSession", {**request, "token": None, "cookieHeader": ""}), False
        if self.is_gone and wrong("fails at GONE"):
            raise CallError("internal", "GONE")
        headers = saved.get("headers", [])
        keeps_earlier = self.is_saved and sets_cookie(self.headers) and not sets_cookie(headers)
        if wrong("appends the headers of a save to those of the open"):
            self.headers = self.headers + headers
        elif not keeps_earlier or wrong("the headers of the last save only"):
            self.headers = headers
        self.is_saved, self.changes, self.rotates = True, {}, False
        token = saved.get("session", {}).get("token")
        if token and not wrong("keeps the token after a save"):
            self.opened = {"session": {**(self.opened or {}).get("session", {}), "token": token}}
        if wrong("never sends the headers of a save"):
            self.headers = [header for header in headers if header["name"] != "Set-Cookie"]
        if wrong("sets the cookie at each save") and "session" in saved:
            value = f"session={saved['session']['token']}; Path=/"
            self.headers = [{"name": "Set-Cookie", "value": value}, {"name": "Vary", "value": "Cookie"}]

    def call_save(self, request):
        if not wrong("opens again at a retry"):
            return call("SaveSession", request)
        for _ in range(3):
            try:
                status, answer = REPLICAS[0].call("SaveSession", json.dumps({"app": APP, **request}), DEADLINE)
                return json.loads(answer)
            except (OSError, http.client.HTTPException):
                self.opened = None
                self.open()
                request = {**request, **self.credential(), "requestId": secrets.token_hex(16)}
        raise CallError("unavailable", "three attempts")

    def credential(self):
        if wrong("takes the token from the cookie") and self.cookies:
            return {"token": self.cookies.rpartition("session=")[2].partition(";")[0]}
        if self.opened is None or "token" not in self.opened["session"] or wrong("saves by the Cookie header"):
            return {"cookieHeader": self.cookies}
        is_outdated = self.opened.get("cookieOutdated", False) and not wrong("forgets cookie_outdated")
        return {"token": self.opened["session"]["token"], "cookieOutdated": is_outdated}


def sets_cookie(headers):
    return any(header["name"] == "Set-Cookie" for header in headers)


class Handler(BaseHTTPRequestHandler):
    """Serves the application of the kit."""

    def do_POST(self):  # noqa: N802 - the name that http.server wants
        operations = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["operations"]
        self.is_sent = False
        try:
            session = Session(self.read_cookies())
            status, headers, results = self.run_operations(session, operations)
        except CallError as error:
            is_temporary = error.code in ("unavailable", "deadline_exceeded", "resource_exhausted")
            if error.code == "resource_exhausted" and wrong("fails at overload"):
                is_temporary = False
            status = 503 if is_temporary else 500 if error.code == "internal" else 400
            headers, results = [], None
        if not self.is_sent:
            self.send_head(status, headers)
        self.wfile.write(json.dumps({"results": results}).encode())

    def run_operations(self, session, operations):
        if wrong("opens in each request"):
            session.open()
        headers, results, status, streams = [], [], 200, False
        for name, *arguments in operations:
            if name == "header":
                headers.append(tuple(arguments))
            elif name == "status":
                status = arguments[0]
            elif name == "stream":
                streams = True
            else:
                results.append(session.run(name, *arguments))
                continue
            results.append(None)
        if (session.changes and wrong("sends the head before the save")) or (
            streams and wrong("streams before the save")
        ):
            self.send_head(status, headers)
        session.save()
        if session.is_gone and not wrong("answers 200 at GONE"):
            status = 409
        pairs = [(header["name"], header["value"]) for header in session.headers]
        if wrong("sends no Vary"):
            pairs = [pair for pair in pairs if pair[0] != "Vary"]
        if wrong("replaces headers of the same name"):
            headers = [pair for pair in headers if pair[0] not in dict(pairs)]
        if status == 404 and wrong("no headers on an error page"):
            pairs = []
        return status, headers + pairs, results

    def send_head(self, status, headers):
        self.is_sent = True
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def read_cookies(self):
        lines = self.headers.get_all("Cookie", [])
        text = lines[0] if lines and wrong("the first Cookie line only") else "; ".join(lines)
        if wrong("the Cookie header as UTF-8"):
            text = text.encode("latin-1").decode("utf-8", "replace")
        if wrong("refuses odd cookies") and not re.fullmatch(r"[ -~]*", text):
            raise CallError("invalid_argument", "odd cookies")
        found = re.findall("session=([^;]*)", text)
        if wrong("searches its cookie in the header"):
            text = f"session={found[0]}" if found else ""
        if wrong("the first cookie of its name only"):
            text = "; ".join(text.split("; ")[:1])
        if wrong("refuses a repeated cookie") and len(found) > 1 and found[0].startswith("v1."):
            raise CallError("invalid_argument", "a repeated cookie")
        return text

    def log_message(self, format, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    threading.stack_size(256 * 1024)
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
