"""A browser: sends requests to the application, and keeps cookies as RFC 6265bis says."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

#: The name of the session cookie.
COOKIE = "session"


@dataclass
class Response:
    """The application's response to one request."""

    status: int
    #: In their order, names in lower case.
    headers: list[tuple[str, str]]
    body: bytes
    #: Seconds.
    duration: float
    #: What the request sent as its Cookie lines.
    cookie_lines: list[str]

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]

    def set_cookies(self) -> list[str]:
        """Returns the Set-Cookie headers of the session cookie."""
        return [value for value in self.values("set-cookie") if cookie_name(value) == COOKIE]

    def varies_by_cookie(self) -> bool:
        names = ",".join(self.values("vary")).lower().split(",")
        return "cookie" in (name.strip() for name in names)

    def results(self) -> list[Any]:
        """Returns the results of the operations."""
        try:
            results = json.loads(self.body)["results"]
        except (ValueError, KeyError, TypeError):
            results = None
        if not isinstance(results, list):
            raise AssertionError(
                f"the status is {self.status}, and the body is no list of results: {self.body[:200]!r}"
            )
        return results


class Browser:
    """Has the session cookie of one user."""

    def __init__(self) -> None:
        #: The value of the session cookie, or None.
        self.cookie: str | None = None

    def copy(self) -> Browser:
        other = Browser()
        other.cookie = self.cookie
        return other

    def pair(self) -> str:
        return f"{COOKIE}={self.cookie or ''}"

    def cookie_lines(self) -> list[str]:
        return [] if self.cookie is None else [self.pair()]

    def receive(self, response: Response) -> None:
        """Takes the cookie of a response."""
        for text in response.set_cookies():
            self.cookie = None if is_deletion(text) else cookie_value(text)


def send(
    port: int, operations: list[Any], cookie_lines: list[str], timeout: float, has_head: threading.Event
) -> Response:
    """Sends operations to the application, the Cookie lines in Latin-1. Sets `has_head` when the head has arrived."""
    body = json.dumps({"operations": operations}).encode()
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    head += "".join(f"Cookie: {line}\r\n" for line in cookie_lines)
    head += f"Content-Length: {len(body)}\r\n\r\n"
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(head.encode("latin-1") + body)
        response = http.client.HTTPResponse(connection, method="POST")
        response.begin()
        has_head.set()
        content = response.read()
        headers = [(name.lower(), value) for name, value in response.getheaders()]
        return Response(response.status, headers, content, time.monotonic() - began, cookie_lines)


def cookie_name(set_cookie: str) -> str:
    return set_cookie.partition("=")[0].strip()


def cookie_value(set_cookie: str) -> str:
    return set_cookie.partition(";")[0].partition("=")[2].strip()


def is_deletion(set_cookie: str) -> bool:
    """Whether a Set-Cookie deletes the cookie."""
    attributes = [attribute.strip().lower() for attribute in set_cookie.split(";")[1:]]
    return "max-age=0" in attributes or any(each.startswith("expires=thu, 01 jan 1970") for each in attributes)
