"""Runs cases against one application."""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from . import browser as browsers
from . import rules
from .application import ROOT, Application, Manifest
from .browser import Browser, Response
from .calls import Call, CallLog
from .cases import STEPS, Case, Step
from .faults import Fault, Faults
from .messages import Contract
from .process import TIMEOUT
from .relay import ProxyTrap, Relay
from .service import EMBEDDED, Service, generate_key, redis_store, start_redis


class Services:
    """The replicas of the service with their relays. Several applications may use them one after the other."""

    def __init__(self, kind: str, folder: pathlib.Path) -> None:
        self._stack = contextlib.ExitStack()
        self.contract = Contract(ROOT / "proto/cloakroom/v1/session_service.proto")
        store, names = EMBEDDED, ["first"]
        if kind == "replicas":
            redis = start_redis(folder)
            self._stack.callback(redis.stop)
            store, names = redis_store(redis), ["first", "second"]
        keys = [generate_key()]
        self.replicas: list[Service] = []
        for name in names:
            (folder / name).mkdir()
            service = Service(folder / name, store, keys)
            self._stack.callback(service.stop)
            service.start()
            self.replicas.append(service)

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()


class Session:
    """One application with the services that it uses, its relays and its log of calls.

    Args:
        patience: Seconds for which a case waits for what the client does by itself.
    """

    def __init__(
        self, manifest: Manifest, services: Services, folder: pathlib.Path, *, patience: float = TIMEOUT
    ) -> None:
        self.patience = patience
        self.manifest, self.services = manifest, services
        self.log, self.faults = CallLog(), Faults()
        self.relays = [
            Relay(number, replica.port, services.contract, self.log, self.faults)
            for number, replica in enumerate(services.replicas)
        ]
        self.trap = ProxyTrap()
        addresses = [relay.address for relay in self.relays]
        self.application = Application(manifest, addresses, self.trap.url, folder)
        #: The request that each request_id was seen with.
        self.request_ids: dict[str, Any] = {}

    def __enter__(self) -> Session:
        self.application.__enter__()
        # A client may ask for the app's policy once.
        self.send([["get", "a"]], [])
        return self

    def __exit__(self, *_: Any) -> None:
        self.application.__exit__()
        for relay in self.relays:
            relay.close()
        self.trap.close()

    def send(self, operations: list[Any], cookie_lines: list[str], has_head: threading.Event | None = None) -> Response:
        timeout = 2 * self.manifest.deadline + TIMEOUT
        return browsers.send(self.application.port, operations, cookie_lines, timeout, has_head or threading.Event())

    def run(self, case: Case) -> str | None:
        """Runs a case. Returns what is wrong, or None."""
        run = CaseRun(self)
        wrong = self._run_steps(run, _with_own_subjects(case.steps))
        try:
            run.close()
        except AssertionError as error:
            return wrong or str(error)
        return wrong

    def _run_steps(self, run: CaseRun, steps: list[Step]) -> str | None:
        for number, step in enumerate(steps, 1):
            try:
                run.do(step)
            except (AssertionError, OSError, http.client.HTTPException, ValueError) as error:
                return f"step {number}: {str(error) or type(error).__name__}"
        left = self.faults.clear()
        return f"{left} faults have not happened, for there were fewer calls" if left else run.check_rules()


class CaseRun:
    """One run of one case."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._log, self._faults = session.log, session.faults
        self._mark = len(self._log)
        #: The log's length when the last request began.
        self._request_mark = self._mark
        self._browsers: dict[str, Browser] = {}
        self._pool = ThreadPoolExecutor(MANY_REQUESTS)
        self._started: dict[str, tuple[Future[Response], Browser, threading.Event]] = {}
        self._accepted = sum(relay.accepted for relay in session.relays)
        self._trapped = session.trap.connections
        #: Whether the client may have to find the service again.
        self._was_cut_off = False

    def do(self, step: Step) -> None:
        """Does one step. Raises AssertionError if what it expects is not so."""
        kind = next(kind for kind in STEPS if kind in step)
        getattr(self, "_" + kind.replace(" ", "_"))(step)

    def check_rules(self) -> str | None:
        """Checks what holds in every case. Returns what is wrong, or None."""
        if self._session.trap.connections > self._trapped:
            return "the client has used a proxy that the environment names"
        return rules.check_calls(self._log.since(self._mark), self._session.manifest, self._session.request_ids)

    def close(self) -> None:
        """Leaves everything as it was before the case."""
        self._faults.clear()
        self._pool.shutdown(wait=True)
        for relay in self._session.relays:
            relay.accept()
        for replica in self._session.services.replicas:
            if not replica.process.is_running():
                replica.start()
            replica.process.resume()
        if self._was_cut_off:
            self._ready({})

    # Requests.

    def _request(self, step: Step) -> None:
        browser = self._browser(step)
        lines = [self._fill(line) for line in step["cookies"]] if "cookies" in step else browser.cookie_lines()
        self._request_mark = len(self._log)
        if "as" in step:
            has_head = threading.Event()
            future = self._pool.submit(self._session.send, step["request"], lines, has_head)
            self._started[step["as"]] = (future, browser, has_head)
            return
        response = self._session.send(step["request"], lines)
        calls = self._log.since(self._request_mark)
        self._expect(response, step.get("expect", {}), calls)
        if wrong := rules.check_response(response, calls, step["request"]):
            raise AssertionError(wrong)
        if not step.get("lost"):
            browser.receive(response)

    def _finish(self, step: Step) -> None:
        future, browser, _ = self._started.pop(step["finish"])
        response = future.result(TIMEOUT)
        self._expect(response, step.get("expect", {}), [])
        if wrong := rules.check_headers(response):
            raise AssertionError(wrong)
        browser.receive(response)

    def _silent(self, step: Step) -> None:
        """Checks that nothing of a response has arrived."""
        if self._started[step["silent"]][2].wait(SILENCE):
            raise AssertionError("the head of the response was sent before the save was answered")

    def _together(self, step: Step) -> None:
        """Sends the same operations many times at once, from one browser or in several, each one after the other."""
        names = [f"{step.get('browser', 'a')}"] * 8 if "browser" in step else []
        names = names or [f"together {number}" for number in range(step.get("browsers", 4))]
        expect, times = step.get("expect", {}), step.get("times", 1)
        users = [self._browsers.setdefault(name, Browser()) for name in names]
        counters = [operation[1] for operation in step["together"] if operation[0] == "increment"]
        before = {(name, key): self._counter(name, key) for name in set(names) for key in counters}
        self._request_mark = len(self._log)
        is_over = threading.Event()

        def send_all(browser: Browser) -> list[Response]:
            responses = []
            while len(responses) < times or ("during" in step and not is_over.is_set()):
                responses.append(self._session.send(step["together"], browser.cookie_lines()))
                if len(set(names)) == len(names):
                    browser.receive(responses[-1])
            return responses

        running = [self._pool.submit(send_all, browser) for browser in users]
        try:
            for each in step.get("during", []):
                self.do(each)
        finally:
            is_over.set()
        by_browser = [future.result(2 * TIMEOUT) for future in running]
        allowed = expect.get("statuses", [200])
        for response in (response for responses in by_browser for response in responses):
            if response.status not in allowed:
                raise AssertionError(f"the status is {response.status}, expected one of {allowed}")
            if wrong := rules.check_headers(response):
                raise AssertionError(wrong)
            cookie = expect.get("cookie")
            if cookie:
                _check_cookie(response, cookie)
        # What was acknowledged is there, once.
        for (name, key), start in before.items():
            count = sum(
                response.status == 200
                for each, responses in zip(names, by_browser)
                for response in responses
                if each == name
            )
            found = self._counter(name, key) - start
            if found != count:
                raise AssertionError(f"{count} steps of the counter were acknowledged, and it has made {found}")

    def _counter(self, name: str, key: str) -> int:
        lines = self._browsers[name].cookie_lines()
        return int(self._session.send([["get", key]], lines).results()[0] or 0) if lines else 0

    # Faults.

    def _fault(self, step: Step) -> None:
        times, is_endless = step.get("times", 1), step.get("times") == "always"
        fault = Fault(step["fault"], step.get("call", "any"), 1 if is_endless else times, is_endless=is_endless)
        fault.code, fault.reason = step.get("code", fault.code), step.get("reason", fault.reason)
        self._was_cut_off |= is_endless
        self._faults.add(fault)

    def _await(self, step: Step) -> None:
        method, state = step["await"], step.get("state", "held")
        self._log.wait_for(
            f"a call of {method} is {state}",
            lambda calls: any(
                (call.method, call.state) == (method, state) and step.get("replica", call.replica) == call.replica
                for call in calls
            ),
            self._mark,
            self._session.patience,
        )

    def _more_calls(self, step: Step) -> None:
        """Waits until so many more calls were answered."""
        mark = len(self._log)
        self._log.wait_for(
            f"{step['more calls']} more calls are answered",
            lambda calls: sum(call.state == "answered" for call in calls) >= step["more calls"],
            mark,
            TIMEOUT,
        )

    def _release(self, step: Step) -> None:
        self._faults.release()

    def _relay(self, step: Step) -> None:
        action = {
            "end connections": Relay.end_connections,
            "forget connections": Relay.forget_connections,
            "refuse": Relay.refuse,
            "accept": Relay.accept,
        }[step["relay"]]
        self._was_cut_off = True
        for relay in self._chosen(self._session.relays, step):
            action(relay)

    def _service(self, step: Step) -> None:
        self._was_cut_off = True
        for replica in self._chosen(self._session.services.replicas, step):
            self._do_to_service(replica, step["service"])

    def _do_to_service(self, replica: Service, action: str) -> None:
        if action == "suspend":
            replica.process.suspend()
        elif action == "resume":
            replica.process.resume()
        elif action == "start":
            replica.start()
            self._ready({})
        elif action in ("stop", "kill"):
            replica.stop() if action == "stop" else replica.kill()
        elif action in ("restart", "kill and start", "restart with a new key"):
            replica.kill() if action == "kill and start" else replica.stop()
            if action == "restart with a new key":
                replica.keys.insert(0, generate_key())
            replica.start()
        elif action.startswith("restart in "):
            replica.stop()
            threading.Timer(float(action.split()[2]), replica.start).start()
        else:
            raise ValueError(f"unknown action {action!r}")

    def _ready(self, step: Step) -> None:
        """Sends requests until the client has found the service again, which it may look for at intervals."""
        end = time.monotonic() + self._session.patience
        good = 0
        while good < 2 * len(self._session.relays):
            if time.monotonic() > end:
                raise AssertionError("the client does not find the service again")
            good = good + 1 if self._session.send([["get", "a"]], []).status == 200 else 0

    # Facts.

    def _copy(self, step: Step) -> None:
        self._browsers[step["to"]] = self._browsers[step["copy"]].copy()

    def _revoke(self, step: Step) -> None:
        """Ends the session that a browser's last response was about, as an administrator."""
        ids = [call.response.get("session", {}).get("id") for call in self._log.since(self._mark)]
        last = [session_id for session_id in ids if session_id][-1]
        self._session.services.replicas[0].sessions(self._session.manifest.app, "revoke", last)

    def _sessions(self, step: Step) -> None:
        """Counts the live sessions of a subject."""
        arguments = ["list", "--subject", step["subject"]]
        count = len(self._session.services.replicas[0].sessions(self._session.manifest.app, *arguments))
        if count != step["sessions"]:
            raise AssertionError(f"{step['subject']} has {count} live sessions, expected {step['sessions']}")

    def _calls(self, step: Step) -> None:
        """Checks the calls of one method since the last request began."""
        method = step["calls"]
        calls = [call for call in self._log.since(self._request_mark) if call.method == method]
        if "count" in step and len(calls) != step["count"]:
            raise AssertionError(f"{len(calls)} calls of {method}, expected {step['count']}")
        if not calls and "fields" in step:
            raise AssertionError(f"no call of {method}")
        for name, expected in step.get("fields", {}).items():
            for call in calls:
                found = call.request.get(name, "" if isinstance(expected, str) else False)
                expected = self._fill(expected) if isinstance(expected, str) else expected
                if found != expected:
                    raise AssertionError(f"{name} of {method} is {_short(found)}, expected {_short(expected)}")
        if "same" in step and len({call.request.get(step["same"]) for call in calls}) != 1:
            raise AssertionError(f"the calls of {method} differ in their {step['same']}")
        if "differ" in step and len({call.request.get(step["differ"]) for call in calls}) != len(calls):
            raise AssertionError(f"two calls of {method} have the same {step['differ']}")
        if "shares" in step:
            counts = [sum(call.replica == number for call in calls) for number in range(len(self._session.relays))]
            if min(counts) < step["shares"] * len(calls):
                raise AssertionError(f"the replicas got {counts} calls of {method}")

    def _connections(self, step: Step) -> None:
        count = sum(relay.accepted for relay in self._session.relays) - self._accepted
        if count > step["connections"]:
            raise AssertionError(f"{count} new connections, expected at most {step['connections']}")

    # Private.

    def _expect(self, response: Response, expect: dict[str, Any], calls: list[Call]) -> None:
        status = expect.get("status", 200)
        if response.status not in (status if isinstance(status, list) else [status]):
            body = response.body[:200].decode("latin-1")
            raise AssertionError(f"the status is {response.status}, expected {status}; the body is {body!r}")
        if "results" in expect and response.results() != expect["results"]:
            raise AssertionError(f"the results are {response.results()}, expected {expect['results']}")
        if "cookie" in expect:
            _check_cookie(response, expect["cookie"])
        if "vary" in expect and response.varies_by_cookie() != expect["vary"]:
            raise AssertionError(f"Vary is {response.values('vary')}")
        for name, values in expect.get("headers", {}).items():
            for value in values:
                if not any(value.lower() in found.lower() for found in response.values(name)):
                    raise AssertionError(f"{name} is {response.values(name)}, expected {value!r} in it")
        if "within" in expect:
            limit = {"deadline": self._session.manifest.deadline}.get(expect["within"], expect["within"]) + SLACK
            if response.duration > limit:
                raise AssertionError(f"the request took {response.duration:.1f} s, expected at most {limit:.1f} s")
        if "calls" in expect:
            found = [call.method for call in calls if call.method in rules.METHODS]
            allowed = expect["calls"] if expect["calls"] and isinstance(expect["calls"][0], list) else [expect["calls"]]
            if found not in allowed:
                raise AssertionError(f"the calls are {[call.describe() for call in calls]}, expected {expect['calls']}")

    def _browser(self, step: Step) -> Browser:
        return self._browsers.setdefault(step.get("browser", "a"), Browser())

    def _fill(self, text: str) -> str:
        """Puts the cookies and tokens of browsers into a text: `{a}` is a's cookie, `{a.token}` its value."""
        for name, browser in self._browsers.items():
            text = text.replace("{" + name + "}", browser.pair()).replace("{" + name + ".token}", browser.cookie or "")
        return text

    def _chosen(self, all_of_them: list[Any], step: Step) -> Iterator[Any]:
        return (each for number, each in enumerate(all_of_them) if step.get("replica", number) == number)


def _check_cookie(response: Response, expected: str) -> None:
    """Checks what a response does with the session cookie."""
    sent = "; ".join(response.cookie_lines)
    found = "kept"
    for text in response.set_cookies():
        found = "deleted" if browsers.is_deletion(text) else "set"
        if found == "set" and browsers.cookie_value(text) not in sent:
            found = "changed"
    matches = {"set": ("set", "changed"), "kept or deleted": ("kept", "deleted")}.get(expected, (expected,))
    if found not in matches:
        raise AssertionError(f"the response has the cookie {found}, expected {expected}: {response.set_cookies()}")


def _with_own_subjects(steps: Any) -> Any:
    """Returns the steps with subjects that no other run has: every text that begins with `@`."""
    suffix = secrets.token_hex(4)

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(each) for name, each in value.items()}
        if isinstance(value, list):
            return [fill(each) for each in value]
        return f"{value[1:]}-{suffix}" if isinstance(value, str) and value.startswith("@") else value

    return fill(steps)


def _short(value: Any) -> str:
    """A token is a secret, also in a test's output."""
    text = repr(value)
    return text if len(text) < 40 else text[:12] + "…"


#: Requests at a time.
MANY_REQUESTS = 16
#: Seconds in which a head that was sent too early arrives.
SILENCE = 0.3
#: Seconds that a request may take besides its calls, on a machine that is busy.
SLACK = 2.0
