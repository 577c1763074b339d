#!/usr/bin/python3
"""Measures the platform beside its yardsticks, in one run: `make -f Makefile.ci bench`.

Every figure stands next to what it is compared with: a bare civetweb answering the same bytes, the same with an nng round trip and
one SELECT behind it, a bare nng loop, pgbench of the same statement. Ratios are what counts: the machine is small and
noisy. BENCH_SECONDS (5) is the length of one measurement. Figures below what is promised are marked; the exit code says so too.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy", "demo"))
from rest import Rest  # noqa: E402

SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
CONNECTIONS = 32
SKUS = 200  # a shop sells many articles; what one hot SKU does is measured by itself
BIN = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build", "release")
DAEMONS = ["gateway", "identity", "catalog", "inventory", "cart", "checkout", "notify"]
missed = []


def say(text=""):
    print(text, flush=True)


def pids(state):
    """Our processes by name."""
    return {name: p["pid"] for name, p in state["processes"].items() if name in DAEMONS and p["state"] == "ready"}


def pss_mib(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(procs):
    hz = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in procs.values():
        try:
            f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            total += int(f[11]) + int(f[12])
        except OSError:
            pass
    return total / hz


def wrk(url, headers=(), connections=CONNECTIONS):
    argv = ["wrk", "-t2", f"-c{connections}", f"-d{SECONDS}s", "--latency"]
    for h in headers:
        argv += ["-H", h]
    out = subprocess.run(argv + [url], capture_output=True, text=True, check=True).stdout

    def ms(text):
        number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
        return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]

    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return {"rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
            "p50": ms(re.search(r"^ +50% +(\S+)", out, re.M).group(1)), "p99": ms(re.search(r"^ +99% +(\S+)", out, re.M).group(1)),
            "bad": int(bad.group(1)) if bad else 0}


def row(name, r, procs=None, cpu=None, against=None, least=None):
    text = f"  {name:<44}{r['rps']:>9.0f}/s  p50 {r['p50']:>7.2f} ms  p99 {r['p99']:>7.2f} ms"
    if cpu is not None and r["rps"]:
        text += f"  cpu {cpu / (r['rps'] * SECONDS) * 1e6:>5.0f} us"
    if against:
        ratio = r["rps"] / against["rps"]
        text += f"  ratio {ratio:.2f}"
        if least:
            text += f" (promised {least})"
            if ratio < least:
                text += "  MISSED"
                missed.append(name)
    if r.get("bad"):
        text += f"  {r['bad']} NOT 2xx"
        missed.append(name + ": answers that are not 2xx")
    say(text)


def measured(procs, url, headers=()):
    wrk_warm = subprocess.run(["wrk", "-t1", "-c4", "-d1s", url] + [x for h in headers for x in ("-H", h)],
                              capture_output=True)
    assert wrk_warm.returncode == 0
    before = cpu_seconds(procs)
    r = wrk(url, headers)
    return r, cpu_seconds(procs) - before


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Yardstick:
    def __init__(self, body, dsn=None):
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(body)
        self.file.flush()
        self.port = free_port()
        argv = [os.path.join(BIN, "bench_civetweb"), f"127.0.0.1:{self.port}", self.file.name] + ([dsn] if dsn else [])
        self.process = subprocess.Popen(argv)
        self.url = f"http://127.0.0.1:{self.port}/"
        for _ in range(100):
            if subprocess.run(["curl", "-sf", "-o", "/dev/null", self.url]).returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError("the yardstick does not answer")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class PlainGateway:
    """One more gateway of the platform that keeps no answers: what a read costs that nobody asked for before."""

    def __init__(self, run_dir):
        self.port = free_port()
        env = {}
        for line in open(os.path.join(run_dir, "env", "gateway.env")):
            key, _, value = line.strip().partition("=")
            env[key] = shlex.split(value)[0] if value else ""
        env.update(GATEWAY_LISTEN=f"127.0.0.1:{self.port}", GATEWAY_ADMIN_LISTEN="127.0.0.1:0", GATEWAY_CACHE="false")
        self.process = subprocess.Popen([os.path.join(BIN, "souk-gateway")], env=dict(os.environ, **env),
                                        stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"
        for _ in range(200):
            if subprocess.run(["curl", "-sf", "-o", "/dev/null", self.url + "/readyz"]).returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError("the gateway without a cache does not answer")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def platform(run_dir):
    many = "100000000"
    env = dict(os.environ, SOUK_RUN_DIR=run_dir, SOUK_PORT_BASE="auto", DETACH="1", LOG_LEVEL="WARNING",
               DEMO_SCALE=os.environ.get("DEMO_SCALE", "1000"), LIMIT_USER=many, LIMIT_ANONYMOUS=many, LIMIT_AUTH=many,
               LIMIT_GUARD=many, INVENTORY_OWNER_UNIT_CAP="0")
    subprocess.run(["make", "-s", "-f", "Makefile.ci", "up"], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
    return env


def env_value(run_dir, process, key):
    for line in open(os.path.join(run_dir, "env", process + ".env")):
        if line.startswith(key + "="):
            return shlex.split(line.split("=", 1)[1])[0]
    raise KeyError(key)


def admin_dsn(run_dir):
    return re.sub(r"user=\S+", "user=postgres", env_value(run_dir, "cart", "CART_PG_DSN"))


def sandbox_url(run_dir):
    return "http://" + env_value(run_dir, "sandbox", "SANDBOX_LISTEN")


def state_of(run_dir):
    return json.load(open(os.path.join(run_dir, "state.json")))


def bench_table(dsn):
    script = ("CREATE TABLE IF NOT EXISTS public.bench (id int PRIMARY KEY, payload text);"
              "TRUNCATE public.bench; INSERT INTO public.bench SELECT i, repeat('x', 1000) FROM generate_series(1, 1000) i;")
    subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", script], check=True)


def pgbench(dsn):
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as f:
        f.write("SELECT id, payload FROM public.bench WHERE id = 7;\n")
        f.flush()
        out = subprocess.run(["pgbench", "-n", "-M", "prepared", "-c", "8", "-j", "2", "-T", str(SECONDS), "-f", f.name, dsn],
                             capture_output=True, text=True, check=True).stdout
    return float(re.search(r"tps = ([\d.]+)", out).group(1))


def much_stock(shop, run_dir):
    """Variants of one demo vendor with units for the whole run, as many as SKUS: the vendor receives deliveries."""
    demo = json.load(open(os.path.join(run_dir, "demo.json")))
    user = next(u for u in demo["users"] if u["role"] == "vendor")
    login = {"email": user["email"], "password": demo["password"], "audience": "vendor", "vendor_id": user["vendor_id"]}
    token = shop.post("/api/auth/login", login, expect=200)["access_token"]
    vendor = Rest(shop.url, token=token)
    cards = vendor.get("/api/vendor/products?status=published&limit=100", expect=200)["data"]
    variants = []
    for card in cards:
        variants += vendor.get(f"/api/vendor/products/{card['id']}", expect=200)["variants"]
        if len(variants) >= SKUS:
            break
    for i, variant in enumerate(variants[:SKUS]):
        vendor.post(f"/api/vendor/inventory/{urllib.parse.quote(variant['sku'])}/adjustments",
                    {"delta": 1000000, "reason": "a delivery for the measurement"}, key=f"bench-delivery-{i}", expect=201)
    return [v["id"] for v in variants[:SKUS]], cards[0]["id"], token


def orders(shop_url, sandbox_url, variants, threads, *mode):
    out = subprocess.run([os.path.join(BIN, "bench_orders"), shop_url, sandbox_url, ",".join(variants), str(threads),
                          str(2 * SECONDS), *mode], capture_output=True, text=True)
    if out.stderr:
        say("    " + out.stderr.strip().replace("\n", "\n    "))
    return json.loads(out.stdout)


def steps_row(name, r):
    say(f"  {name:<44}{r['per_second']:>9.0f}/s  " + "  ".join(
        f"{k} p50 {v['p50_ms']:.1f} p99 {v['p99_ms']:.1f} ms" for k, v in r["steps"].items())
        + (f"  {r['failed']} FAILED" if r["failed"] else ""))
    if r["failed"]:
        missed.append(name + ": failures")


def paid_orders(run_dir, shop, variants, dsn):
    """Orders against the yardstick before and after them: the promise of 150 a second was made where that makes 13,500."""
    promised, there = 150, 13500
    with Yardstick(b"x" * 1000, dsn) as deep:
        before, _ = measured({}, deep.url)
        r = orders(shop.url, sandbox_url(run_dir), variants, 16)
        after, _ = measured({}, deep.url)
    here = (before["rps"] + after["rps"]) / 2
    due = promised * min(1, here / there)
    steps_row(f"cart to paid order through REST (promised {promised})", r)
    say(f"  {'the yardstick before and after':<44}{here:>9.0f}/s  one order per {here / max(r['per_second'], 0.01):.0f} of its requests"
        f" (promised {there / promised:.0f}: {due:.0f}/s on this machine)")
    if r["per_second"] < due:
        missed.append(f"orders: {r['per_second']:.0f}/s, promised {due:.0f} on this machine ({promised} where the yardstick makes {there}/s)")


def plain_reservations(dsn, statement):
    """Reservations as one statement each, 32 clients at once on PostgreSQL: what combining is measured against."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as f:
        f.write("\\set a random(1, 1000000000)\n\\set b random(1, 1000000000)\n" + statement + ";\n")
        f.flush()
        out = subprocess.run(["pgbench", "-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "2", "-T", str(SECONDS), "-f", f.name,
                              dsn], capture_output=True, text=True, check=True).stdout
    return float(re.search(r"tps = ([\d.]+)", out).group(1))


def plain_by_function(variant):
    return (f"SELECT outcome FROM inventory.reserve_batch('{variant}', ARRAY['bench-' || :a || '-' || :b],"
            " ARRAY['res_' || :a || '_' || :b], ARRAY[1], ARRAY[''], ARRAY[900], 0)")


def plain_by_hand(variant):
    """The least that holds a unit: no cap, no answer for a key that is known."""
    return ("WITH s AS (UPDATE inventory.stock SET reserved = reserved + 1, updated_at = now()"
            f" WHERE variant_id = '{variant}' AND on_hand - reserved >= 1 RETURNING variant_id),"
            " r AS (INSERT INTO inventory.reservation (id, key, expires_at) SELECT 'res_' || :a || '_' || :b,"
            " 'bench-' || :a || '-' || :b, now() + interval '15 min' FROM s RETURNING id)"
            " INSERT INTO inventory.reservation_line (reservation_id, variant_id, qty) SELECT r.id, s.variant_id, 1 FROM r, s")


def hot_sku(run_dir, dsn, variant):
    say(f"\nreservations of one hot SKU ({CONNECTIONS} clients)")
    url = env_value(run_dir, "inventory", "INVENTORY_LISTEN")
    keys = os.path.join(run_dir, "keys")

    def reserve(rate):
        out = subprocess.run([os.path.join(BIN, "bench_reserve"), keys, url, variant, str(CONNECTIONS), str(SECONDS), str(rate)],
                             capture_output=True, text=True)
        if out.stderr:
            say("    " + out.stderr.strip())
        return json.loads(out.stdout)

    plain, by_hand = plain_reservations(dsn, plain_by_function(variant)), plain_reservations(dsn, plain_by_hand(variant))
    r, paced = reserve(0), reserve(2000)
    say(f"  {'plain, one statement each':<44}{plain:>9.0f}/s")
    say(f"  {'the least by hand, one statement each':<44}{by_hand:>9.0f}/s")
    say(f"  {'through inventory, combined (promised 5000)':<44}{r['per_second']:>9.0f}/s  p50 {r['p50_ms']:>7.2f} ms  p99 {r['p99_ms']:>7.2f} ms"
        f"  ratio {r['per_second'] / plain:.2f} (promised 5)")
    say(f"  {'the same at 2000/s (p99 promised 25 ms)':<44}{paced['per_second']:>9.0f}/s  p50 {paced['p50_ms']:>7.2f} ms"
        f"  p99 {paced['p99_ms']:>7.2f} ms")
    for what, bad in (("hot SKU: failures", r["failed"] + paced["failed"]), ("hot SKU: under 5000/s", r["per_second"] < 5000),
                      ("hot SKU: under 5 times the plain form", r["per_second"] < 5 * plain),
                      ("hot SKU: p99 over 25 ms", paced["p99_ms"] > 25)):
        if bad:
            missed.append(what)


class Peak(threading.Thread):
    """The processes' memory at the moment when they need most together, looked at each second."""

    def __init__(self, procs):
        super().__init__(daemon=True)
        self.procs, self.sizes, self.done = procs, {}, threading.Event()

    def run(self):
        while not self.done.wait(1):
            try:
                now = {name: pss_mib(pid) for name, pid in self.procs.items()}
            except OSError:
                continue  # one was just being started anew
            if sum(now.values()) > sum(self.sizes.values()):
                self.sizes = now

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


def memory(sizes, title, limit_each=None, limit_all=None):
    total = sum(sizes.values())
    say(f"  {title:<44}" + "  ".join(f"{n} {v:.1f}" for n, v in sizes.items()) + f"  all {total:.1f} MiB")
    if limit_each:
        for name, v in sizes.items():
            if v > limit_each:
                missed.append(f"{name}: {v:.1f} MiB PSS idle, promised {limit_each}")
    if limit_all and total > limit_all:
        missed.append(f"all processes: {total:.1f} MiB PSS under load, promised {limit_all}")


def reads(run_dir, shop, procs, product, user_token, vendor_token, dsn):
    detail = f"{shop.url}/api/products/{product}"
    listing = f"{shop.url}/api/products?limit=20"
    body = shop.get(f"/api/products/{product}", expect=200).body
    say(f"\nreads ({CONNECTIONS} connections, {SECONDS} s each; detail is {len(body)} bytes)")
    with Yardstick(body) as bare:
        base, _ = measured({}, bare.url)
        row("bare civetweb, the same bytes", base)
        r, cpu = measured(procs, detail)
        row("product detail, cached, anonymous", r, procs, cpu, base, 0.5)
        r, cpu = measured(procs, detail, [f"Authorization: Bearer {user_token}"])
        row("product detail, cached, signed in", r, procs, cpu, base, 0.3)
        r, cpu = measured(procs, listing)
        row("product listing, cached", r, procs, cpu, base)
    with Yardstick(body, dsn) as deep:
        base, _ = measured({}, deep.url)
        row("bare civetweb + nng + one SELECT", base)
    with PlainGateway(run_dir) as plain:
        with_it = dict(procs, gateway=plain.process.pid)
        r, cpu = measured(with_it, f"{plain.url}/api/products/{product}")
        row("product detail, uncached, anonymous", r, with_it, cpu, base, 0.5)
        r, cpu = measured(with_it, f"{plain.url}/api/products?limit=20")
        row("product listing, uncached", r, with_it, cpu, base)
    # The vendor's own view of a product is never cached, and asks for more than the public one: all prices, a vendor's right.
    r, cpu = measured(procs, f"{shop.url}/api/vendor/products/{product}", [f"Authorization: Bearer {vendor_token}"])
    row("product detail, the vendor's own view", r, procs, cpu, base)
    say(f"  {'pgbench, the same kind of SELECT, 8 clients':<44}{pgbench(dsn):>9.0f}/s")


def main():
    run_dir = tempfile.mkdtemp(prefix="souk-bench.")
    env = platform(run_dir)
    try:
        state = state_of(run_dir)
        procs = pids(state)
        urls = json.load(open(os.path.join(run_dir, "demo.json")))
        shop = Rest(state["info"]["url"], patience=30)
        dsn = admin_dsn(run_dir)
        bench_table(dsn)
        say("idle")
        memory({name: pss_mib(pid) for name, pid in procs.items()}, "PSS", limit_each=12)
        say("\nmessages")
        out = subprocess.run([os.path.join(BIN, "bench_rpc"), "64", str(min(SECONDS, 3))], capture_output=True, text=True)
        say("  " + out.stdout.strip().replace("\n", "\n  "))
        variants, product, vendor_token = much_stock(shop, run_dir)
        buyer = next(u for u in urls["users"] if u["role"] in ("buyer", "shopper"))
        token = shop.post("/api/auth/login", {"email": buyer["email"], "password": urls["password"]},
                          expect=200)["access_token"]
        with Peak(procs) as peak:
            reads(run_dir, shop, procs, product, token, vendor_token, dsn)
            say("\nwrites")
            before = cpu_seconds(procs)
            r = orders(shop.url, sandbox_url(run_dir), variants, 16, "carts")
            say(f"  {len(variants)} articles to choose from")
            steps_row("cart: made with a line, quantity set", r)
            if "checkout" in procs:
                paid_orders(run_dir, shop, variants, dsn)
            else:
                say("  not run: orders (checkout does not run)")
            say(f"  cpu of our processes in both: {cpu_seconds(procs) - before:.1f} s")
            hot_sku(run_dir, dsn, variants[0])
        say("\nrecommendations (latency counts from when a request was due)")
        latency = os.path.join(ROOT, "tests", "bench", "reco_latency.py")
        with Yardstick(b"x" * 1060, dsn) as deep:
            if subprocess.run([sys.executable, latency, BIN],
                              env=dict(env, BENCH_SECONDS=str(SECONDS), BENCH_YARDSTICK=deep.url)).returncode:
                missed.append("latency of recommendations")
        say("\nunder that load, at its peak")
        memory(peak.sizes, "PSS", limit_all=120)
    finally:
        subprocess.run(["make", "-s", "-f", "Makefile.ci", "down"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
        link = os.path.join(run_dir, "pg")
        if os.path.islink(link):
            shutil.rmtree(os.path.realpath(link), ignore_errors=True)
        shutil.rmtree(run_dir, ignore_errors=True)
    say("\n" + ("promised but missed in this run:\n  " + "\n  ".join(missed) if missed else "every promised figure was reached (orders: by the measure of the yardstick, see there)"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
