"""Rules that hold for every response and every call, whatever the case."""

from __future__ import annotations

from typing import Any

from .application import Manifest
from .browser import COOKIE, Response, cookie_name, cookie_value, is_deletion
from .calls import Call

#: The calls that a request of a user makes. A client may make others, such as GetAppPolicy, once in a while.
METHODS = ("OpenSession", "SaveSession", "RotateSession", "DestroySession")
#: Operations that do not look at the session.
WITHOUT_SESSION = ("header", "status", "stream")
#: Statuses of a response that says nothing about the session.
FAILED = (400, 409, 500, 503)


def check_response(response: Response, calls: list[Call], operations: list[Any]) -> str | None:
    """Checks the response to the only request that ran. Returns what is wrong, or None."""
    return check_headers(response) or _check_list(response, calls) or _check_vary(response, operations)


def check_headers(response: Response) -> str | None:
    """Checks the headers of any response."""
    names = [cookie_name(value) for value in response.values("set-cookie")]
    if len(names) != len(set(names)):
        return f"the response has several Set-Cookie of one name: {names}"
    if response.status in FAILED and COOKIE in names:
        return f"a response with the status {response.status} sets or deletes the session cookie"
    return None


def check_calls(calls: list[Call], manifest: Manifest, request_ids: dict[str, Any]) -> str | None:
    """Checks all calls of a case. `request_ids` has the request that each request_id was seen with."""
    for call in calls:
        if call.method not in METHODS or not call.body:
            continue
        app = call.request.get("app") or "default"
        if app != manifest.app:
            return f"a call of {call.method} is for the app {app!r}, expected {manifest.app!r}"
        if call.timeout is None:
            return f"a call of {call.method} has no deadline"
        # gRPC rounds it.
        if call.timeout > 1.05 * manifest.deadline:
            return f"a call of {call.method} has a deadline of {call.timeout} s, expected at most {manifest.deadline} s"
        if call.method == "OpenSession" or (call.method == "DestroySession" and not call.request.get("request_id")):
            continue
        request_id = call.request.get("request_id", "")
        if len(request_id) < _REQUEST_ID_BYTES:
            return f"the request_id of a {call.method} is {request_id!r}, expected at least {_REQUEST_ID_BYTES} bytes"
        if request_ids.setdefault(request_id, call.request) != call.request:
            return f"two different calls have the same request_id, the later one is a {call.method}"
    return None


def _check_list(response: Response, calls: list[Call]) -> str | None:
    """Checks that the response does with the cookie what exactly one list of headers says."""
    answered = [call for call in calls if call.method in METHODS and call.state == "answered"]
    if response.status in FAILED:
        return None
    writes = [_set_cookies(call.response.get("headers", [])) for call in answered if call.method != "OpenSession"]
    opens = [call.response for call in answered if call.method == "OpenSession"]
    if writes:
        allowed = [([each for each in writes if each] or writes)[-1]]
    elif opens:
        allowed = [_set_cookies(opens[-1].get(name, [])) for name in ("read_headers", "untouched_headers")]
    else:
        allowed = [[]]
    found = [_effect(value) for value in response.set_cookies()]
    if found not in allowed:
        return f"the response does {_names(found)} with the cookie, and the service's headers say {_names(allowed[0])}"
    return None


def _check_vary(response: Response, operations: list[Any]) -> str | None:
    is_used = any(operation[0] not in WITHOUT_SESSION for operation in operations)
    if is_used and response.status not in FAILED and not response.varies_by_cookie():
        return f"the response depends on the session, and its Vary is {response.values('vary')}"
    return None


def _set_cookies(headers: list[dict[str, str]]) -> list[str]:
    """Returns the effects of the service's Set-Cookie headers, without those of other cookies."""
    texts = [header.get("value", "") for header in headers if header.get("name") == "Set-Cookie"]
    return [_effect(text) for text in texts if cookie_name(text) == COOKIE]


def _effect(set_cookie: str) -> str:
    """Returns the cookie's new value, or an empty text if it is deleted."""
    return "" if is_deletion(set_cookie) else cookie_value(set_cookie)


def _names(effects: list[str]) -> str:
    return " and ".join("set" if effect else "delete" for effect in effects) or "nothing"


_REQUEST_ID_BYTES = 16
