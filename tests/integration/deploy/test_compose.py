"""What can be said of docker-compose.yml and deploy/observability without an engine."""

import glob
import json
import os
import re
import subprocess
import sys
import unittest

import yaml

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "compose"))

import check_compose  # noqa: E402


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


class Compose(unittest.TestCase):
    def test_every_service_has_every_key(self):
        done = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "compose", "check_compose.py")],
                              stdout=subprocess.PIPE, text=True)
        self.assertEqual([x for x in done.stdout.splitlines() if not x.startswith("ok ")], [])
        self.assertEqual(done.returncode, 0)

    def test_the_check_sees_what_is_missing(self):
        """Each key taken from one service in turn is found."""
        for key in ("init", "read_only", "tmpfs", "user", "cap_drop", "security_opt", "mem_limit", "cpus", "pids_limit",
                    "stop_grace_period", "logging", "healthcheck", "networks", "restart"):
            document = yaml.safe_load(text("docker-compose.yml"))
            service = document["services"]["cart"]
            service.pop(key)
            bad = [what for what, holds in check_compose.rules("cart", service, document) if not holds]
            self.assertTrue(bad, key)

    def test_the_check_sees_who_reads_whose_secrets(self):
        document = yaml.safe_load(text("docker-compose.yml"))
        services = document["services"]

        def broken():
            return [what for what, holds in check_compose.whole(document) if not holds] + \
                [what for name in services for what, holds in check_compose.rules(name, services[name], document) if not holds]

        self.assertEqual(broken(), [])
        services["cart"]["volumes"].append("identity-secrets:/run/other:ro")
        self.assertTrue(any("identity-secrets is read by" in what for what in broken()))
        services["cart"]["volumes"].pop()
        services["cart"]["environment"]["CHECKOUT_PAY_KEY_FILE"] = "/run/souk/pay_secret_key"
        self.assertTrue(any("CHECKOUT_PAY_KEY_FILE" in what for what in broken()))

    def test_metrics_of_dashboards_and_alerts_exist(self):
        sources = "".join(text(os.path.relpath(p, ROOT)) for d in ("common", "gateway", "services/*")
                          for p in glob.glob(os.path.join(ROOT, d, "*.c")))
        known = set(re.findall(r'"(souk_[a-z_0-9]+)"', sources))
        used = text("deploy/observability/alerts.yml")
        for path in glob.glob(os.path.join(ROOT, "deploy/observability/grafana/dashboards/*.json")):
            board = json.loads(text(os.path.relpath(path, ROOT)))
            self.assertTrue(board["panels"], path)
            used += "\n".join([""] + [t["expr"] for p in board["panels"] for t in p["targets"]])
        names = {re.sub(r"_bucket$", "", n) for n in re.findall(r"\b(souk_[a-z_0-9]+)\b", used)}
        self.assertGreater(len(names), 20)
        self.assertEqual(names - known, set())
        # A rule that asks for an outcome of another spelling would be silent for ever.
        outcomes = set(re.findall(r'\bcode!?="([^"]+)"', used))
        self.assertIn("E_INTERNAL", outcomes)
        self.assertEqual(outcomes - set(re.findall(r'\{ \d+, "(\w+)" \}', text("common/err.c"))), set())

    def test_alerts_say_how_grave_and_what(self):
        groups = yaml.safe_load(text("deploy/observability/alerts.yml"))["groups"]
        rules = [r for g in groups for r in g["rules"]]
        self.assertGreater(len(rules), 10)
        self.assertEqual(len({r["alert"] for r in rules}), len(rules))
        for rule in rules:
            self.assertIn(rule["labels"]["severity"], ("page", "ticket"), rule["alert"])
            self.assertTrue(rule["annotations"]["summary"], rule["alert"])

    def test_every_process_is_scraped(self):
        config = yaml.safe_load(text("deploy/observability/prometheus.yml"))
        scraped = {(n, d["port"]) for d in config["scrape_configs"][0]["dns_sd_configs"] for n in d["names"]}
        services = yaml.safe_load(text("docker-compose.yml"))["services"]
        for name in check_compose.daemons() | {"gateway"}:
            port = int(services[name]["environment"][f"{name.upper()}_ADMIN_LISTEN"].rsplit(":", 1)[1])
            self.assertIn((name, port), scraped)


if __name__ == "__main__":
    unittest.main()
