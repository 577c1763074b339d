#!/usr/bin/python3
"""Torture: for every row of the OpenAPI document, in every process that works for it, the first, second, third ... allocation,
connect, send, receive and libpq call fails, until none is left to fail. Each time: an answer that says what went wrong or the
right one, nobody dies but by decision, the same request works again; in the end nothing leaked and the books are right.

	torture.py --build build/release [--filter REGEX] [--kinds alloc,libpq] [--samples N] [--seconds N] [--sanitized]

--seconds stops after that time, the most important rows come first; what was not reached is named. --sanitized is for a build
with the address sanitizer, which wants the allocator for itself. Prints `ok NAME` / `FAIL NAME` lines; KEEP=1 keeps the run
folder.
"""

import argparse
import collections
import json
import os
import random
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
sys.path[0:0] = [HERE, os.path.join(HERE, "..", "chaos"), os.path.join(ROOT, "deploy", "demo")]

import chaos  # noqa: E402
import checks  # noqa: E402
from driver import KINDS, OTHERS, SERVING, Driver  # noqa: E402
from faults import DAEMONS, Stage  # noqa: E402
from rows import World, rows  # noqa: E402

say = chaos.say
FIRST = ["POST /api/checkout", "POST /api/orders/confirm", "POST /api/cart/items", "GET /api/cart", "GET /api/products/{product_id}",
         "GET /api/search", "POST /api/auth/login", "POST /api/vendor/products", "POST /api/auth/refresh", "GET /api/recommendations",
         "GET /api/admin/notify/messages", "GET /api/vendor/inventory/{sku}", "POST /api/orders/{order_id}/cancel", "POST /api/events"]
MOST = 2000	   # a row whose calls never end would be a row that makes more of them each time
ELSEWHERE = 4	   # tries among the threads that serve nobody
CUT_ROWS = 5	   # rows a process meets without its connections: they are opened the same way for each


def build_shim(into, sanitized):
    out = os.path.join(into, "preload.so")
    subprocess.run(["cc", "-std=gnu11", "-shared", "-fPIC", "-O2", "-isystem", "/usr/include/postgresql",
                    *(["-DTORTURE_SANITIZED"] if sanitized else []), "-o", out, os.path.join(HERE, "preload.c"), "-ldl"], check=True)
    return out


class Stand(chaos.Platform):
    """The platform with the shim in it."""

    program = os.path.join(HERE, "stage.py")

    def __init__(self, build, sanitized):
        super().__init__(build, GATEWAY_THREADS="16", INVENTORY_OWNER_UNIT_CAP="0", GATEWAY_CACHE="false")
        self.env["SOUK_PG_FAST"] = "1"
        self.env["TORTURE_SHIM"] = build_shim(self.run_dir, sanitized)
        if sanitized:
            self.env["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=1"
            self.env["LSAN_OPTIONS"] = "suppressions=" + os.path.join(ROOT, "tests", "support", "lsan.supp")


class Run:
    def __init__(self, args, platform):
        self.args = args
        self.stage = Stage(platform.run_dir, platform.shop)
        with open(os.path.join(platform.run_dir, "demo.json")) as f:
            self.world = World(platform.shop, json.load(f))
        split = urllib.parse.urlsplit(platform.shop.url)
        self.world.gateway = split.hostname, split.port
        self.driver = Driver(self.stage, self.world, self.stage.daemons() + ["gateway"])
        doc = self.world.shop.guest().get("/api/openapi.json", expect=200).json
        wanted = [r for r in rows(doc) if re.search(args.filter, r.name)]
        self.rows = sorted(wanted, key=lambda r: FIRST.index(r.name) if r.name in FIRST else len(FIRST))
        self.kinds = [k for k in KINDS if k in args.kinds.split(",")]
        with open(os.path.join(platform.run_dir, "ports.json")) as f:
            self.ports = json.load(f)["ports"]
        self.deadline = time.monotonic() + args.seconds if args.seconds else None
        self.count = collections.Counter()   # failures by (kind, process)
        self.methods = collections.Counter() # failures by rpc method
        self.statuses = collections.Counter()
        self.found = []
        self.cut = collections.Counter()     # rows by process
        self.random = random.Random(args.seed)

    def late(self):
        return self.deadline and time.monotonic() > self.deadline

    def all(self):
        left = list(self.rows)
        while left and not self.late():
            row = left.pop(0)
            before = len(self.found), sum(self.count.values())
            try:
                self.row(row)
            except Exception as e:  # noqa: BLE001 (a world that cannot be prepared is a finding, not the end of the run)
                self.found.append(f"{row.name}: cannot go on: {e!r}"[:600])
            n = sum(self.count.values()) - before[1]
            for line in self.found[before[0]:]:
                say(f"FAIL torture: {line}")
            if len(self.found) == before[0]:
                say(f"ok torture: {row.name}: {n} failures")
            say(f"# {row.name}: {n} failures, {self.driver.deaths} restarts so far, {len(left)} rows to go")
        if left:
            say(f"# time is over, not reached: {len(left)} of {len(self.rows)} rows")
        return left

    def row(self, row):
        driver = self.driver
        answer, seen = driver.observe(row)
        if answer.status is None or answer.status >= 500:
            self.found.append(f"{row.name}: with nothing failing: {answer}")
            return
        self.statuses[answer.status // 100] += 1
        base = {answer.status}
        for name, kinds in seen.items():
            if self.args.processes and name not in self.args.processes.split(","):
                continue
            if not self.deadline:
                driver.victims[name].forget_fatal()
            for kind in self.kinds:
                if kinds[kind] and self.args.samples:
                    some = self.random.sample(range(1, kinds[kind] + 1), min(self.args.samples, kinds[kind]))
                    self.sweep(row, base, name, kind, SERVING, sorted(some))
                elif kinds[kind]:
                    self.sweep(row, base, name, kind, SERVING, range(1, self.args.most + 1))
            if "connect" in self.kinds and self.cut[name] < CUT_ROWS:
                self.cut[name] += 1
                numbers = [1, 2] if self.args.samples else range(1, self.args.most + 1)
                self.sweep(row, base, name, "connect", SERVING, numbers, before=self.driver.cut)
            for kind in ("send", "recv", "alloc"):
                if kind in self.kinds and not self.args.samples:
                    self.sweep(row, base, name, kind, OTHERS, range(1, ELSEWHERE + 1))
            if stuck := self.stuck():
                self.found.append(f"{row.name}: after failures in {name}: {', '.join(stuck)}")

    def stuck(self, seconds=15):
        """Requests that never end."""
        deadline, left = time.monotonic() + seconds, {}
        while True:
            left = {name: n for name in self.driver.victims if name != "gateway" and (n := self.in_flight(name))}
            if not left or time.monotonic() > deadline:
                return [f"{n} requests never end in {name}" for name, n in left.items()]
            time.sleep(0.1)

    def in_flight(self, name):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name + '_admin']}/metrics", timeout=5) as reply:
                found = re.search(rb"^souk_rpc_server_in_flight(?:\{[^}]*\})? (\d+)", reply.read(), re.M)
            return int(found[1]) if found else 0
        except OSError:
            return 0

    def sweep(self, row, base, name, kind, scope, numbers, before=None):
        for n in numbers:
            if self.late() or len(self.found) > 200:
                return
            if before:
                before(name)
            fired, wrong = self.driver.attempt(row, base, name, kind, n, scope)
            if wrong:
                self.found.append(f"{row.name}: {wrong}")
            if not fired:
                if scope == SERVING and not self.args.samples:
                    return
                continue
            self.count[(kind, name)] += 1
            self.methods[self.driver.victims[name].method() if name != "gateway" else row.name] += 1
        if scope == SERVING and len(numbers) == MOST:
            self.found.append(f"{row.name}: {kind} in {name}: more than {MOST} calls")

    def books(self):
        """What must be true in the end."""
        checks.close_open(self.stage)
        found = []
        if checks.quiesce(self.stage, 120) is None:
            found.append(f"I7 still under way: {checks.pending(self.stage)}")
        self.world.shop.sandbox = self.world.shop.sandbox.clone()
        return found + checks.books(self.stage) + checks.events(self.stage) + checks.provider(self.stage, self.world.shop)

    def report(self):
        by_kind = collections.Counter()
        for (kind, _), n in self.count.items():
            by_kind[kind] += n
        say(f"# failures by kind: {', '.join(f'{k} {by_kind[k]}' for k in self.kinds)}; restarts by decision {self.driver.deaths}")
        by_name = collections.Counter()
        for (_, name), n in self.count.items():
            by_name[name] += n
        say(f"# failures by process: {', '.join(f'{k} {n}' for k, n in by_name.most_common())}")
        say(f"# {len([m for m in self.methods if '.v1.' in m])} rpc methods, rows answered 2xx without a failure: {self.statuses[2] + self.statuses[3]}"
            f" of {sum(self.statuses.values())}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--filter", default=os.environ.get("TORTURE_FILTER", ""), help="only rows (METHOD /path) that match")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--processes", default="", help="failures in these alone")
    parser.add_argument("--most", type=int, default=MOST, help="failures of a kind in a process, for a row")
    parser.add_argument("--samples", type=int, default=0, help="so many of each kind in each process, drawn by --seed, instead of all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--sanitized", action="store_true")
    args = parser.parse_args()
    if args.sanitized:
        args.kinds = ",".join(k for k in args.kinds.split(",") if k != "alloc")
    with Stand(args.build, args.sanitized) as platform:
        run = Run(args, platform)
        before = checks.usage(run.stage)
        run.all()
        run.driver.quiet()
        wrong = run.books() + checks.leaks(before, checks.usage(run.stage))
        run.report()
    for line in wrong:
        say(f"FAIL torture: {line}")
    if not wrong:
        say("ok torture: the books are right, nothing leaked")
    return 1 if wrong or run.found else 0


if __name__ == "__main__":
    sys.exit(main())
