"""Checks what a step expects of a response."""

from __future__ import annotations

from typing import Any

from . import browser, rules
from .browser import Response
from .calls import Call


def check_response(response: Response, expect: dict[str, Any], calls: list[Call], deadline: float) -> None:
    """Checks a response and the calls of its request. Raises AssertionError."""
    status = expect.get("status", 200)
    if response.status not in (status if isinstance(status, list) else [status]):
        body = response.body[:200].decode("latin-1")
        raise AssertionError(f"the status is {response.status}, expected {status}; the body is {body!r}")
    if "results" in expect and response.results() != expect["results"]:
        raise AssertionError(f"the results are {response.results()}, expected {expect['results']}")
    if "cookie" in expect:
        check_cookie(response, expect["cookie"])
    if expect.get("vary", "any") not in ("any", response.varies_by_cookie()):
        raise AssertionError(f"Vary is {response.values('vary')}")
    for name, values in expect.get("headers", {}).items():
        for value in values:
            if not any(value.lower() in found.lower() for found in response.values(name)):
                raise AssertionError(f"{name} is {short(response.values(name))}, expected {value!r} in it")
    if "within" in expect:
        limit = {"deadline": deadline}.get(expect["within"], expect["within"]) + SLACK
        if response.duration > limit:
            raise AssertionError(f"the request took {response.duration:.1f} s, expected at most {limit:.1f} s")
    if "calls" in expect:
        found = [call.method for call in calls if call.method in rules.METHODS]
        allowed = expect["calls"] if expect["calls"] and isinstance(expect["calls"][0], list) else [expect["calls"]]
        if found not in allowed:
            raise AssertionError(f"the calls are {[call.describe() for call in calls]}, expected {expect['calls']}")


def check_cookie(response: Response, expected: str) -> None:
    """Checks what a response does with the session cookie."""
    sent = "; ".join(response.cookie_lines)
    found = "kept"
    for text in response.set_cookies():
        found = "deleted" if browser.is_deletion(text) else "set"
        if found == "set" and browser.cookie_value(text) not in sent:
            found = "changed"
    matches = {"set": ("set", "changed")}.get(expected, (expected,))
    if found not in matches:
        raise AssertionError(
            f"the response has the cookie {found}, expected {expected}: {short(response.set_cookies())}"
        )


def short(value: Any) -> str:
    """A token is a secret, also in a test's output."""
    text = repr(value)
    return text if len(text) < 40 else text[:12] + "…"


#: Seconds that a request may take besides its calls, on a machine that is busy.
SLACK = 2.0
