"""Tests the metrics, the alerts and the dashboard of deploy/ with a real service and a real Prometheus.

The tests make calls that change every counter. Then each query of the dashboard, the recording rules and the alerts must
return a result. Needs prometheus, promtool, grpcurl and redis-server.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
# The tests of the Python client have it.
sys.path.append(str(ROOT / "clients/python/tests"))
from service import free_port

BINARY = os.environ.get("CLOAKROOM_BIN", ROOT / "target/debug/cloakroom")
GRPCURL = ROOT / ".tools/bin/grpcurl"
RULES = ROOT / "deploy/prometheus/cloakroom.rules.yml"
SESSIONS = "cloakroom.v1.SessionService"

# Queries that return nothing in a healthy system, with the reason.
EMPTY_QUERIES = {
    "job_protocol:cloakroom_calls_failed:ratio5m > 0.1"
    " and job_protocol:cloakroom_calls_failed:ratio5m"
    " * sum by (job, namespace, service, protocol) (job:cloakroom_calls:rate5m) > 10 / 300"
    " unless on (job, namespace, service) job:cloakroom_calls_failed:ratio5m > 0.01": "its comparison is not the last one; few calls fail",
}


def get(url):
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.read().decode()


def wait_for(query, timeout=90):
    """Calls `query` until its result is true, and returns that. Fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            result = query()
            if result:
                return result
        if time.monotonic() > end:
            raise AssertionError(f"no result within {timeout} s: {query}")
        time.sleep(0.1)


@contextlib.contextmanager
def running(*command, **options):
    """Runs a program in a `with` block, and then stops it, by SIGKILL if SIGTERM is not enough."""
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield program
    finally:
        program.terminate()
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def promtool(*arguments, **options):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, **options)
    return done.returncode, done.stdout + done.stderr


class MonitoringTest(unittest.TestCase):
    """Starts one service and one Prometheus for all tests."""

    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.port, cls.admin, cls.prometheus = free_port(), free_port(), free_port()
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "90", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "tls.key", "-out", folder / "tls.crt"],
            check=True, capture_output=True, timeout=60,
        )
        settings = {
            "CLOAKROOM__SERVER__LISTEN": f"127.0.0.1:{cls.port}",
            "CLOAKROOM__SERVER__TLS__CERTIFICATE_FILE": str(folder / "tls.crt"),
            "CLOAKROOM__SERVER__TLS__KEY_FILE": str(folder / "tls.key"),
            "CLOAKROOM__ADMIN__LISTEN": f"127.0.0.1:{cls.admin}",
            "CLOAKROOM__SERVER__LIVE_COUNT_INTERVAL": "1s",
            "CLOAKROOM__STORE__KIND": "redis",
            "CLOAKROOM__STORE__REDIS__MODE": "cluster",
            "CLOAKROOM__STORE__REDIS__URL": f"redis://127.0.0.1:{cls.start_cluster()}",
            "CLOAKROOM__AUDIT__FOLDER": str(folder / "audit"),
            "CLOAKROOM__APPS__DEFAULT__KEYS": subprocess.check_output([BINARY, "keygen"], text=True, timeout=60).strip(),
            "CLOAKROOM__APPS__DEFAULT__MIGRATE__UNTIL": "2999-01-01",
            "CLOAKROOM__APPS__DEFAULT__MIGRATE__FLASK_COOKIE__KEYS": "the-secret-key-of-the-flask-application",
        }
        cls.enterClassContext(running(BINARY, "serve", cwd=folder, env=settings))
        wait_for(lambda: cls.page("/readyz"))
        # The labels that Kubernetes gives to a target.
        target = {"targets": [f"127.0.0.1:{cls.admin}"], "labels": {"namespace": "sessions", "service": "cloakroom"}}
        scrape = {"job_name": "cloakroom", "static_configs": [target]}
        intervals = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        # Prometheus reads YAML, which includes JSON.
        config = {"global": intervals, "rule_files": [str(RULES)], "scrape_configs": [scrape]}
        (folder / "prometheus.json").write_text(json.dumps(config))
        cls.enterClassContext(running(
            "prometheus", f"--config.file={folder}/prometheus.json", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{cls.prometheus}", "--log.level=error", cwd=folder,
        ))
        # A counter that changed only before the first scrape has no rate.
        wait_for(lambda: cls.query("cloakroom_calls_total"))
        for _ in range(2):
            cls.make_calls()
            time.sleep(1)
        wait_for(lambda: cls.query('rate(cloakroom_sessions_ended_total{reason="DESTROYED"}[5m]) > 0'))
        wait_for(lambda: cls.query("job:cloakroom_calls_failed:ratio5m"))
        wait_for(lambda: cls.query("cloakroom_sessions_live"))

    @classmethod
    def start_cluster(cls):
        """Starts a Redis Cluster of one node. Returns its port."""
        port = free_port()
        options = ["--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--save", ""]
        cls.enterClassContext(running("redis-server", *options, cwd=cls.enterClassContext(tempfile.TemporaryDirectory())))
        command = ["redis-cli", "-p", str(port), "cluster", "addslotsrange", "0", "16383"]
        wait_for(lambda: b"OK" in subprocess.run(command, capture_output=True, timeout=10).stdout)
        return port

    @classmethod
    def page(cls, path):
        return get(f"http://127.0.0.1:{cls.admin}{path}")

    @classmethod
    def query(cls, expression):
        query = urllib.parse.urlencode({"query": expression})
        return json.loads(get(f"http://127.0.0.1:{cls.prometheus}/api/v1/query?{query}"))["data"]["result"]

    @classmethod
    def call(cls, method, request, port=None):
        # Only the listener for frontends uses TLS here.
        tls_option = "-plaintext" if port else "-insecure"
        command = [GRPCURL, tls_option, "-max-time", "30", "-d", json.dumps(request)]
        address = f"127.0.0.1:{port or cls.port}"
        done = subprocess.run([*command, address, method], capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    @classmethod
    def make_calls(cls):
        """Makes calls that change every counter."""
        tokens = []
        for _ in range(2):
            opened = cls.call(f"{SESSIONS}/OpenSession", {})
            changes = {"subject": "ada", "set": {"cart": {"json": "[1]"}}}
            save = {"token": opened["session"]["token"], "changes": changes}
            tokens.append(cls.call(f"{SESSIONS}/SaveSession", save)["session"]["token"])
        cookies = "; ".join(f"session={token}" for token in tokens)
        cls.call(f"{SESSIONS}/OpenSession", {"cookie_header": f"session={tokens[0]}"})
        cls.call(f"{SESSIONS}/OpenSession", {"cookie_header": cookies})
        cls.call(f"{SESSIONS}/OpenSession", {"cookie_header": f"session={tokens[0][:-2]}AA"})
        cls.call(f"{SESSIONS}/SaveSession", {"token": "forged", "changes": {}})
        cls.call(f"{SESSIONS}/DestroySession", {"token": tokens[0]})
        cls.call("cloakroom.v1.AdminService/ListSessions", {"subject": "ada"}, cls.admin)

    def test_promtool_finds_no_problem(self):
        with self.subTest("metrics"):
            self.assertEqual(promtool("check", "metrics", input=self.page("/metrics")), (0, ""))
        for check in [("check", "rules", RULES), ("check", "config", RULES.with_name("prometheus.yml")),
                      ("test", "rules", pathlib.Path(__file__).with_name("alerts.test.yml"))]:
            with self.subTest(check[:2]):
                code, output = promtool(*check)
                self.assertEqual(code, 0, output)

    def test_every_query_of_the_dashboard_returns_a_result(self):
        dashboard = json.loads((ROOT / "deploy/grafana/cloakroom.json").read_text())
        variables = {"$__rate_interval": "5m", "$job": "cloakroom", "$instance": ".*", "$app": ".*",
                     "$namespace": ".*", "$service": ".*"}
        queries = 0
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                expression = target["expr"]
                for name, value in variables.items():
                    expression = expression.replace(name, value)
                queries += 1
                with self.subTest(panel["title"], query=expression):
                    result = self.query(expression)
                    self.assertTrue(result)
                    labels = re.findall(r"{{(\w+)}}", target["legendFormat"])
                    self.assertLessEqual(set(labels), set(result[0]["metric"]), "the legend has an unknown label")
                    self.assertNotIn("NaN", [sample["value"][1] for sample in result])
        self.assertGreater(queries, 25)

    def test_the_dashboard_keeps_deployments_apart(self):
        dashboard = json.loads((ROOT / "deploy/grafana/cloakroom.json").read_text())
        variables = [variable["name"] for variable in dashboard["templating"]["list"]]
        self.assertEqual(variables, ["datasource", "job", "namespace", "service", "instance", "app"])
        for target in [target for panel in dashboard["panels"] for target in panel.get("targets", [])]:
            with self.subTest(query=target["expr"]):
                selectors = re.findall(r"{([^}]*)}", target["expr"])
                self.assertTrue(selectors)
                for selector in selectors:
                    self.assertIn('job="$job", namespace=~"$namespace", service=~"$service"', selector)
                for operator, grouped in re.findall(r"\b(sum|min|max|count)( by \(namespace, service\b)?", target["expr"]):
                    self.assertTrue(grouped, operator)

    def test_every_query_of_the_runbook_returns_a_result(self):
        queries = re.findall(r"^histogram_quantile.*", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
        self.assertEqual(len(queries), 2)
        for query in queries:
            with self.subTest(query=query):
                self.assertTrue(self.query(query))

    def test_every_metric_in_a_rule_exists(self):
        groups = json.loads(get(f"http://127.0.0.1:{self.prometheus}/api/v1/rules"))["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        self.assertGreater(len(rules), 15)
        for rule in rules:
            with self.subTest(rule["name"]):
                self.assertEqual((rule["health"], rule.get("lastError")), ("ok", None))
                if rule["query"] not in EMPTY_QUERIES:
                    # An alert that does not fire has an empty result. The left side of its comparison does not.
                    compared = re.sub(r" (>|<|==) [0-9.e+]+$", "", rule["query"])
                    self.assertTrue(self.query(compared), compared)

    def test_the_rules_work_with_one_sample_a_minute(self):
        ranges = re.findall(r"\[(\w+)\]", RULES.read_text())
        self.assertGreater(len(ranges), 15)
        for minutes in ranges:
            # A rate needs two samples, also if one scrape fails.
            self.assertGreaterEqual(int(minutes.removesuffix("m")), 3, minutes)

    def test_only_the_alert_for_suspicious_cookies_fires(self):
        alerts = json.loads(get(f"http://127.0.0.1:{self.prometheus}/api/v1/alerts"))["data"]["alerts"]
        # How long calls take says nothing here, for others use the machine too.
        self.assertEqual(
            {alert["labels"]["alertname"] for alert in alerts} - {"CloakroomSlow"}, {"CloakroomSuspiciousCookies"}
        )

    def test_every_alert_has_a_section_in_the_runbook(self):
        runbook = (ROOT / "docs/operations.md").read_text()
        headings = {line.removeprefix("### ").lower() for line in runbook.splitlines() if line.startswith("### ")}
        rules = RULES.read_text()
        alerts = re.findall(r"alert: (\w+)", rules)
        self.assertEqual([name.lower() for name in alerts], re.findall(r"runbook: docs/operations.md#(\w+)", rules))
        self.assertLessEqual({name.lower() for name in alerts}, headings)

    def test_every_metric_is_documented(self):
        runbook = (ROOT / "docs/operations.md").read_text()
        for metric in re.findall(r"^# TYPE (\S+)", self.page("/metrics"), re.MULTILINE):
            self.assertIn(f"`{metric}", runbook)

    def test_stats_equal_the_metrics(self):
        stats = self.call("cloakroom.v1.AdminService/GetStats", {}, self.admin)
        for metric, count in [
            ('cloakroom_sessions_opened_total{app="default"}', stats["opened"]),
            ('cloakroom_sessions_created_total{app="default"}', stats["created"]),
            ('cloakroom_sessions_ended_total{app="default",reason="DESTROYED"}', stats["ended"]["DESTROYED"]),
        ]:
            self.assertIn(f"\n{metric} {count}\n", self.page("/metrics"))


if __name__ == "__main__":
    unittest.main()
