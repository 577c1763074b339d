"""The platform as an operator sees it: ready, documented, logged, and back after a kill."""
# runs alone

import json
import os
import re
import signal
import time

from support.e2e import E2E, until

LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
DAEMONS = ["identity", "catalog", "inventory", "cart", "checkout", "notify"]


class Platform(E2E):
    def test_all_ready(self):
        state = self.state()
        self.assertEqual(state["phase"], "ready")
        for name in DAEMONS + ["gateway", "sandbox", "mail", "postgres", "redis"]:
            self.assertEqual(state["processes"].get(name, {}).get("state"), "ready", name)
        guest = self.guest()
        self.assertEqual(guest.get("/healthz").status, 200)
        self.assertEqual(guest.get("/readyz").status, 200)

    def test_openapi(self):
        document = self.guest().get("/api/openapi.json", expect=200).json
        self.assertTrue(document["openapi"].startswith("3.1"))
        ids = []
        for path, item in document["paths"].items():
            variables = set(re.findall(r"\{(\w+)\}", path))
            for method, operation in item.items():
                if method in ("parameters", "summary", "description"):
                    continue
                self.assertIn(method, {"get", "put", "post", "delete", "patch", "head", "options"}, path)
                self.assertTrue(operation.get("responses"), f"{method} {path}")
                ids.append(operation.get("operationId", f"{method} {path}"))
                named = {p["name"] for p in operation.get("parameters", []) + item.get("parameters", [])
                         if p.get("in") == "path"}
                self.assertEqual(named, variables, f"{method} {path}")
        self.assertEqual(len(ids), len(set(ids)), "operation ids repeat")
        text = json.dumps(document)
        for reference in set(re.findall(r'"\$ref": "([^"]+)"', text)):
            self.assertTrue(reference.startswith("#/"), reference)
            node = document
            for part in reference[2:].split("/"):
                self.assertTrue(part in node, reference)
                node = node[part]
        for path in ("/api/products", "/api/cart/items", "/api/checkout", "/api/orders/confirm", "/api/auth/login"):
            self.assertTrue(path in document["paths"], path)

    def test_docs_page(self):
        page = self.guest().get("/api/docs", expect=200)
        self.assertTrue(page.header("Content-Type").startswith("text/html"))

    def test_unknown_path_and_method(self):
        guest = self.guest()
        self.assertError(guest.get("/api/no-such-thing"), 404, "NOT_FOUND")
        reply = guest.delete("/api/products")
        self.assertError(reply, 405)
        self.assertIn("GET", reply.header("Allow"))

    def test_request_id_travels(self):
        wanted = "e2e_" + self.unique().replace("-", "_")
        reply = self.guest().get("/api/products?limit=1", headers={"X-Request-Id": wanted}, expect=200)
        self.assertEqual(reply.header("X-Request-Id"), wanted)
        bad = self.guest().get("/api/products?limit=1", headers={"X-Request-Id": "no good\tid"})
        self.assertRegex(bad.header("X-Request-Id"), r"^[A-Za-z0-9_-]{8,64}$")

    def test_logs_are_json_lines(self):
        self.guest().get("/api/products?limit=1", expect=200)
        for name in DAEMONS + ["gateway"]:
            with open(os.path.join(self.run_dir, "logs", name + ".log"), encoding="utf-8") as f:
                lines = f.read().splitlines()
            self.assertTrue(lines, name)
            for line in lines:
                self.assertTrue(line.startswith("{"), f"{name}: {line}")
                entry = json.loads(line)
                self.assertLessEqual({"timestamp", "level", "service", "message"}, set(entry), line)
                self.assertIn(entry["level"], LEVELS)
                self.assertRegex(entry["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_killed_daemon_comes_back(self):
        guest = self.guest()
        before = self.state()["processes"]["catalog"]
        os.kill(before["pid"], signal.SIGKILL)
        until(lambda: self.state()["processes"]["catalog"]["restarts"] > before["restarts"]
              and self.state()["processes"]["catalog"]["state"] == "ready", 30)
        begun = time.monotonic()
        # Another currency than any cached answer has.
        until(lambda: guest.get("/api/products?limit=1&currency=CHF", expect=200), 20, (503,))
        self.assertLess(time.monotonic() - begun, 15)
