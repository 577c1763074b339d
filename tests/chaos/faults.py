"""What is done to the platform. A fault begins, lasts, and is healed; all of them together make one list that a seed shuffles."""

import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

DAEMONS = ["identity", "catalog", "inventory", "cart", "checkout", "search", "reco", "notify"]


class Stage:
    """The running platform, for whoever breaks it."""

    def __init__(self, run_dir, shop):
        self.run_dir, self.shop = run_dir, shop
        self.control = None
        if os.path.exists(os.path.join(run_dir, "control")):
            with open(os.path.join(run_dir, "control")) as f:
                self.control = f.read()
        self.log = open(os.path.join(run_dir, "logs", "chaos.log"), "a")

    def state(self):
        while True:
            try:
                with open(os.path.join(self.run_dir, "state.json")) as f:
                    return json.load(f)
            except ValueError:
                time.sleep(0.01)

    def daemons(self):
        """Those that run here."""
        running = self.state()["processes"]
        return [d for d in DAEMONS if d in running]

    def schemas(self):
        return [row["name"] for row in self.rows(
            "SELECT n.nspname AS name FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid"
            f" WHERE c.relname = 'dead_letter' AND n.nspname = ANY ('{{{','.join(DAEMONS)}}}')")]

    def pid(self, name):
        return self.state()["processes"][name]["pid"]

    def send(self, name, sig):
        pid = self.pid(name)
        try:
            if pid:
                os.kill(pid, sig)
        except ProcessLookupError:
            return None
        return pid

    def proxy(self, match, mode, kind=None):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.control)
            sock.sendall(json.dumps({"match": match, "mode": mode, **({"kind": kind} if kind else {})}).encode() + b"\n")
            sock.recv(10)

    def clock(self, name, seconds):
        with open(os.path.join(self.run_dir, f"clock-{name}"), "r+b") as f:
            f.write(struct.pack("q", seconds))

    def dsn(self):
        with open(os.path.join(self.run_dir, "env", "cart.env")) as f:
            line = next(x for x in f if x.startswith("CART_PG_DSN="))
        return line.split("=", 1)[1].strip().strip("'").replace("user=souk_cart", "user=postgres")

    def sql(self, text, timeout=30):
        try:
            done = subprocess.run(["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", self.dsn()], text=True,
                                  input=text, capture_output=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise OSError(f"no answer within {timeout} s: {text[:300]}") from None
        if done.returncode:
            raise OSError(done.stderr.strip())
        return done.stdout.strip()

    def rows(self, query):
        """For the books: a run of an hour leaves millions of rows to be read."""
        return json.loads(self.sql(f"SELECT coalesce(json_agg(t), '[]') FROM ({query}) t", 1800))

    def redis(self, *words):
        with open(os.path.join(self.run_dir, "env", "cart.env")) as f:
            line = next(x for x in f if x.startswith("REDIS_URL="))
        path = line.split("unix://", 1)[1].strip().strip("'")
        subprocess.run(["redis-cli", "-s", path, *words], capture_output=True, timeout=10)

    def sandbox(self, **fault):
        try:
            self.shop.sandbox.clone().post("/_sandbox/faults", fault)
        except OSError:
            pass


def kill(stage, name, _):
    stage.send(name, signal.SIGKILL)


def term(stage, name, _):
    stage.send(name, signal.SIGTERM)


def pause(stage, name, seconds):
    pid = stage.send(name, signal.SIGSTOP)
    time.sleep(seconds)
    if pid:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


def proxied(mode, kind=None, match="*>{}"):
    def act(stage, name, seconds):
        stage.proxy(match.format(name), mode, kind)
        time.sleep(seconds)
        stage.proxy(match.format(name), "open", kind)
    return act


def flush(stage, _, __):
    stage.redis("FLUSHALL")


def horizon(stage, _, seconds):
    stage.sql(f"BEGIN; SELECT pg_current_xact_id(); SELECT pg_sleep({seconds}); COMMIT")


def wrong_clock(stage, name, seconds):
    stage.clock(name, random.choice((3600, -3600)))
    time.sleep(seconds)
    stage.clock(name, 0)


def provider(stage, _, seconds):
    rnd = random.Random(seconds)
    for operation, kind in (("create", "close_after"), ("create", "error_500_unstored"), ("capture", "close_after"),
                            ("capture", "close_before"), ("retrieve", "status_429"), ("cancel", "close_after"),
                            ("confirm", "close_after"), ("capture", "truncate_body")):
        stage.sandbox(operation=operation, kind=kind, probability=0.3, seed=rnd.randrange(1, 99999), count=6, retry_after=1)
    for kind in ("drop", "duplicate", "reorder", "bad_signature", "old_timestamp"):
        stage.sandbox(operation="webhook", kind=kind, probability=0.3, seed=rnd.randrange(1, 99999), count=6, n=3,
                      hold_ms=500, seconds=4000)
    time.sleep(seconds)
    try:
        stage.shop.sandbox.clone().delete("/_sandbox/faults")
    except OSError:
        pass


def mail_refuses(stage, _, seconds):
    try:
        stage.shop.mail.clone().put("/api/faults", {"refuse": {"code": 451, "times": 8}})
        time.sleep(seconds)
        stage.shop.mail.clone().put("/api/faults", {})
    except OSError:
        pass


def plan(seed, daemons):
    """[(kind, act, on, seconds)]: one round has every fault at least once."""
    rnd = random.Random(seed)
    every = [("kill -9", kill, d, 0) for d in daemons + ["gateway", "sandbox"]]
    every += [("SIGSTOP", pause, d, 2.5) for d in rnd.sample(daemons + ["gateway"], 3)]
    every += [("restart", term, d, 0) for d in rnd.sample(daemons, 3)]
    every += [("kill -9", kill, "postgres", 0), ("kill -9", kill, "redis", 0), ("redis flushed", flush, "redis", 0)]
    every += [("partition", proxied("hole"), d, 2.5) for d in rnd.sample(daemons, 2)]
    every += [("reset", proxied("reset"), d, 1.5) for d in rnd.sample(daemons, 2)]
    every += [("one-way partition", proxied("hole", match="checkout>{}"), rnd.choice(["inventory", "cart"]), 2.0)]
    every += [("doorbells dropped", proxied("mute", "bell", "*"), "all", 5.0), ("horizon held", horizon, "postgres", 4)]
    every += [("clock off", wrong_clock, d, 3.0) for d in rnd.sample(daemons, 2)]
    every += [("provider faults", provider, "sandbox", 6.0), ("mail refused", mail_refuses, "mail", 3.0), ("kill -9", kill, "mail", 0)]
    rnd.shuffle(every)
    return every


class Chaos(threading.Thread):
    """Begins a fault every `gap` seconds or so until told to stop; two may overlap."""

    def __init__(self, stage, seed, gap):
        super().__init__(daemon=True)
        self.stage, self.gap = stage, gap
        self.seed = seed
        self.halt = threading.Event()
        self.done = []  # (kind, on, begun, healed)
        self.failures = []
        self.running = []

    def run(self):
        rnd = random.Random(self.seed)
        round_no, daemons = 0, self.stage.daemons()
        while not self.halt.is_set():
            for fault in plan(self.seed * 1000 + round_no, daemons):
                self.halt.wait(rnd.uniform(0.5, 1.5) * self.gap)
                if self.halt.is_set():
                    break
                t = threading.Thread(target=self.one, args=fault, daemon=True)
                t.start()
                self.running.append(t)
                if rnd.random() < 0.7:
                    t.join()
            round_no += 1
        for t in self.running:
            t.join(30)

    def one(self, kind, act, on, seconds):
        begun = time.monotonic()
        print(f"{time.strftime('%H:%M:%S')} {kind} {on} {seconds or ''}", file=self.stage.log, flush=True)
        try:
            act(self.stage, on, seconds)
        except (OSError, subprocess.SubprocessError, KeyError) as e:
            print(f"{kind} {on}: {type(e).__name__}: {e}", file=self.stage.log, flush=True)
        self.done.append((kind, on, begun, time.monotonic()))

    def heal(self):
        self.halt.set()
        self.join(60)
        self.stage.proxy("*", "open")
        for name in self.stage.daemons():
            self.stage.clock(name, 0)
        for name in self.stage.daemons() + ["gateway", "sandbox", "mail", "redis"]:
            self.stage.send(name, signal.SIGCONT)


class Probe(threading.Thread):
    """Looks at each daemon all the time, so that the length of an outage is known."""

    def __init__(self, shop, ask):
        super().__init__(daemon=True)
        self.shop, self.ask = shop, ask  # daemon -> function(timeout): answered well
        self.halt = threading.Event()
        self.seen = {name: [] for name in ask}  # (when, well)

    def run(self):
        threads = [threading.Thread(target=self.watch, args=(name,), daemon=True) for name in self.ask]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def watch(self, name):
        while not self.halt.wait(0.15):
            when = time.monotonic()
            try:
                well = self.ask[name]()
            except Exception:  # noqa: BLE001 (any failure is an outage)
                well = False
            self.seen[name].append((when, well))

    def outage(self, name, begun, horizon=30):
        """Seconds from the first bad look after `begun` to the next good one; 0 when there was none."""
        bad = None
        for when, well in self.seen.get(name, ()):
            if when < begun or when > begun + horizon:
                continue
            if not well and bad is None:
                if when > begun + 6:
                    break
                bad = when
            if well and bad is not None:
                return when - bad
        return 0.0 if bad is None else min(horizon, self.seen[name][-1][0] - bad)
