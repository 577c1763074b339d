"""PostgreSQL is killed: it comes back by itself, and every daemon is at work again within a second of it."""

import json
import os
import signal
import statistics
import threading
import time
import urllib.request

from support.e2e import E2E, until

DAEMONS = ["identity", "catalog", "inventory", "cart", "checkout", "notify"]
ROUNDS = 5
LIMIT_S = 1.0


class Ready(E2E):
    def setUp(self):
        with open(os.path.join(self.run_dir, "ports.json")) as f:
            self.ports = json.load(f)["ports"]
        self.direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def has_database(self, name):
        with self.direct.open(f"http://127.0.0.1:{self.ports[name + '_admin']}/readyz", timeout=5) as answer:
            state = json.load(answer)
        return state["status"] == "ready" and "postgresql" not in state["degraded"]

    def postgres(self):
        return self.state()["processes"]["postgres"]

    def kill_once(self):
        """Seconds from PostgreSQL's being there to each daemon's knowing it; 0 for one that saw nothing in between."""
        before = self.postgres()
        at, lost = {}, threading.Event()

        def watch(name):
            while not lost.is_set() and self.has_database(name):
                time.sleep(0.01)
            lost.wait(60)
            until(lambda: self.has_database(name), 60)
            at[name] = time.monotonic()

        threads = [threading.Thread(target=watch, args=(name,)) for name in DAEMONS]
        for t in threads:
            t.start()
        os.kill(before["pid"], signal.SIGKILL)
        until(lambda: self.postgres()["restarts"] > before["restarts"] and self.postgres()["state"] == "ready", 120)
        back = time.monotonic()
        lost.set()
        for t in threads:
            t.join(90)
        self.assertEqual(set(at), set(DAEMONS))
        return {name: max(0.0, t - back) for name, t in at.items()}

    def test_back_within_a_second(self):
        rounds = [self.kill_once() for _ in range(ROUNDS)]
        middle = {name: statistics.median(r[name] for r in rounds) for name in DAEMONS}
        print("# after PostgreSQL: " + ", ".join(f"{name} {s:.2f} s" for name, s in middle.items()), flush=True)
        for name, seconds in middle.items():
            self.assertLess(seconds, LIMIT_S, (name, rounds))

    def test_work_goes_on(self):
        self.kill_once()
        buyer = self.buyer()
        variant = self.variant()
        until(lambda: buyer.post("/api/cart/items", {"variant_id": variant["id"], "qty": 1}, expect=201), 20, (503,))
