"""Does the steps of one case."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from . import rules
from .browser import Browser, Response
from .cases import STEPS, Step
from .expectations import check_cookie, check_response, short
from .faults import Fault
from .process import TIMEOUT
from .relay import Relay
from .service import Service, generate_key

if TYPE_CHECKING:
    from .application_run import ApplicationRun


class CaseRun:
    """One run of one case."""

    def __init__(self, run: ApplicationRun) -> None:
        self._run = run
        self._log, self._faults = run.log, run.faults
        self._mark = len(self._log)
        #: The log's length when the last request began.
        self._request_mark = self._mark
        self._browsers: dict[str, Browser] = {}
        self._pool = ThreadPoolExecutor(MANY_REQUESTS)
        self._started: dict[str, tuple[Future[Response], Browser, threading.Event]] = {}
        self._accepted = sum(relay.accepted for relay in run.relays)
        self._trapped = run.trap.connections
        self._timers: list[threading.Timer] = []
        #: Whether the client may have to find the service again.
        self._was_cut_off = False

    def do(self, step: Step) -> None:
        """Does one step. Raises AssertionError if what it expects is not so."""
        kind = next(kind for kind in STEPS if kind in step)
        getattr(self, "_" + kind.replace(" ", "_"))(step)

    def check_rules(self) -> str | None:
        """Checks what holds in every case. Returns what is wrong, or None."""
        if self._run.trap.connections > self._trapped:
            return "the client has used a proxy that the environment names"
        return rules.check_calls(self._log.since(self._mark), self._run.manifest, self._run.request_ids)

    def close(self) -> None:
        """Leaves everything as it was before the case."""
        self._faults.clear()
        self._pool.shutdown(wait=True)
        for timer in self._timers:
            timer.join()
        for relay in self._run.relays:
            relay.accept()
        for replica in self._run.services.replicas:
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
            future = self._pool.submit(self._run.send, step["request"], lines, has_head)
            self._started[step["as"]] = (future, browser, has_head)
            return
        response = self._run.send(step["request"], lines)
        calls, expect = self._log.since(self._request_mark), step.get("expect", {})
        check_response(response, expect, calls, self._run.manifest.deadline)
        # What a step expects of Vary takes the place of the rule.
        if wrong := rules.check_response(response, calls, [] if "vary" in expect else step["request"]):
            raise AssertionError(wrong)
        if not step.get("lost"):
            browser.receive(response)

    def _finish(self, step: Step) -> None:
        future, browser, _ = self._started.pop(step["finish"])
        response = future.result(TIMEOUT)
        check_response(response, step.get("expect", {}), [], self._run.manifest.deadline)
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
            responses: list[Response] = []
            while len(responses) < times or ("during" in step and not is_over.is_set()):
                responses.append(self._run.send(step["together"], browser.cookie_lines()))
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
                check_cookie(response, cookie)
        # What was acknowledged is there, once. What was not may be there.
        for (name, key), start in before.items():
            own = [each for user, responses in zip(names, by_browser) if user == name for each in responses]
            count = sum(response.status == 200 for response in own)
            found = self._counter(name, key) - start
            if not count <= found <= len(own):
                raise AssertionError(
                    f"{count} of {len(own)} steps of the counter were acknowledged, and it has made {found}"
                )

    def _counter(self, name: str, key: str) -> int:
        lines = self._browsers[name].cookie_lines()
        return int(self._run.send([["get", key]], lines).results()[0] or 0) if lines else 0

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
            self._run.wait_limit,
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
        for relay in self._chosen(self._run.relays, step):
            action(relay)

    def _service(self, step: Step) -> None:
        self._was_cut_off = True
        for replica in self._chosen(self._run.services.replicas, step):
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
            self._timers.append(threading.Timer(float(action.split()[2]), replica.start))
            self._timers[-1].start()
        else:
            raise ValueError(f"unknown action {action!r}")

    def _ready(self, step: Step) -> None:
        """Sends requests until the client has found the service again, which it may look for at intervals."""
        end = time.monotonic() + self._run.wait_limit
        good = 0
        while good < 2 * len(self._run.relays):
            if time.monotonic() > end:
                raise AssertionError("the client does not find the service again")
            good = good + 1 if self._run.send([["get", "a"]], []).status == 200 else 0

    # Facts.

    def _copy(self, step: Step) -> None:
        self._browsers[step["to"]] = self._browsers[step["copy"]].copy()

    def _revoke(self, step: Step) -> None:
        """Ends the session that a browser's last response was about, as an administrator."""
        ids = [call.response.get("session", {}).get("id") for call in self._log.since(self._mark)]
        last = [session_id for session_id in ids if session_id][-1]
        self._run.services.replicas[0].sessions(self._run.manifest.app, "revoke", last)

    def _sessions(self, step: Step) -> None:
        """Counts the live sessions of a subject."""
        arguments = ["list", "--subject", step["subject"]]
        count = len(self._run.services.replicas[0].sessions(self._run.manifest.app, *arguments))
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
                    raise AssertionError(f"{name} of {method} is {short(found)}, expected {short(expected)}")
        if "same" in step and len({call.request.get(step["same"]) for call in calls}) != 1:
            raise AssertionError(f"the calls of {method} differ in their {step['same']}")
        if "differ" in step and len({call.request.get(step["differ"]) for call in calls}) != len(calls):
            raise AssertionError(f"two calls of {method} have the same {step['differ']}")
        if "shares" in step:
            counts = [sum(call.replica == number for call in calls) for number in range(len(self._run.relays))]
            if min(counts) < step["shares"] * len(calls):
                raise AssertionError(f"the replicas got {counts} calls of {method}")

    def _connections(self, step: Step) -> None:
        count = sum(relay.accepted for relay in self._run.relays) - self._accepted
        if count > step["connections"]:
            raise AssertionError(f"{count} new connections, expected at most {step['connections']}")

    # Private.

    def _browser(self, step: Step) -> Browser:
        return self._browsers.setdefault(step.get("browser", "a"), Browser())

    def _fill(self, text: str) -> str:
        """Puts the cookies and tokens of browsers into a text: `{a}` is a's cookie, `{a.token}` its value."""
        for name, browser in self._browsers.items():
            text = text.replace("{" + name + "}", browser.pair()).replace("{" + name + ".token}", browser.cookie or "")
        return text

    def _chosen(self, all_of_them: list[Any], step: Step) -> Iterator[Any]:
        return (each for number, each in enumerate(all_of_them) if step.get("replica", number) == number)


#: Requests at a time.
MANY_REQUESTS = 16
#: Seconds in which a head that was sent too early arrives.
SILENCE = 0.3
