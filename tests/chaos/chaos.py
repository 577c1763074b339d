#!/usr/bin/python3
"""The chaos run: the real platform, buyers all the time, faults all the time, and then the books.

	chaos.py --build build/release [--seconds 60] [--seed 1] [--rate 12] [--gap 2.0]

Prints `ok NAME` / `FAIL NAME` lines and a report; KEEP=1 keeps the run folder. The same seed plans the same faults and the
same buyers; what the machine makes of it differs.
"""

import argparse
import collections
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
sys.path[0:0] = [HERE, os.path.join(ROOT, "deploy", "demo")]

import checks  # noqa: E402
from faults import Chaos, Probe, Stage  # noqa: E402
from load import GONE, HOME, Caller, History, Load, Purchase, Session  # noqa: E402
from rest import Failed, Rest  # noqa: E402
from shop import Shop, until  # noqa: E402

SETTINGS = {"NOTIFY_RETRY_BASE_MS": "300", "NOTIFY_RETRY_MAX_S": "3", "NOTIFY_UNKNOWN_RETRY_S": "3", "NOTIFY_SMTP_TIMEOUT_MS": "5000",
            "INVENTORY_OWNER_UNIT_CAP": "0", "LOG_LEVEL": "WARNING", "DRAIN_MS": "1000", "RESOLVE_MS": "1000",
            "GATEWAY_CONNS_PER_ADDR": "0", "GATEWAY_THREADS": "256", "SANDBOX_WEBHOOK_RETRY_MS": "300,500,1000,2000,4000,8000,8000,8000"}


def say(text=""):
    print(text, flush=True)


class Platform:
    """Up with `with`, down whatever happens."""

    program = os.path.join(HERE, "stage.py")

    def __init__(self, build, **env):
        where = os.environ.get("CHAOS_DIR")
        if where:
            os.makedirs(where, exist_ok=True)
        self.run_dir = tempfile.mkdtemp(prefix="souk-chaos.", dir=where)
        self.env = dict(os.environ, SOUK_RUN_DIR=self.run_dir, SOUK_BUILD_DIR=os.path.abspath(build),
                        SOUK_PORT_BASE=str(random.SystemRandom().randrange(11000, 18000)), SOUK_TEST="1", DEMO_SCALE="10", **{**SETTINGS, **env})
        self.env.pop("SOUK_PG_FAST", None)
        self.popen = None

    def __enter__(self):
        if self.env.get("CHAOS_PROXY"):
            clock = os.path.join(self.run_dir, "clock.so")
            subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", clock, os.path.join(HERE, "clock.c"), "-ldl"], check=True)
            self.env["CHAOS_CLOCK"] = clock
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever ends us ends the platform too
        self.out = open(os.path.join(self.run_dir, "stage.log"), "w")
        for attempt in range(3):
            try:
                return self.start()
            except RuntimeError as e:
                if attempt == 2 or " is taken" not in str(e):
                    self.__exit__()
                    raise
                self.env["SOUK_PORT_BASE"] = str(random.SystemRandom().randrange(11000, 18000))

    def start(self):
        self.popen = subprocess.Popen(["/usr/bin/python3", self.program, "up"], cwd=self.run_dir, env=self.env,
                                      stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out)
        try:
            deadline = time.monotonic() + 180
            while self.phase() != "ready":
                if self.popen.poll() is not None or time.monotonic() > deadline:
                    with open(self.out.name) as f:
                        raise RuntimeError("the platform does not start: " + f.read()[-600:])
                time.sleep(0.2)
        except RuntimeError:
            self.stop()
            raise
        except BaseException:
            self.__exit__()
            raise
        self.shop = Shop.of_run_dir(self.run_dir, patience=30)
        return self

    def phase(self):
        try:
            with open(os.path.join(self.run_dir, "state.json")) as f:
                return json.load(f)["phase"]
        except (OSError, ValueError):
            return None

    def stop(self):
        if self.popen and self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(120)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()

    def __exit__(self, failed=None, *_):
        self.stop()
        self.out.close()
        if os.environ.get("KEEP") or (failed and issubclass(failed, Exception)):
            say(f"# kept: {self.run_dir}")
            return
        link = os.path.join(self.run_dir, "pg")
        if os.path.islink(link):
            shutil.rmtree(os.path.realpath(link), ignore_errors=True)
        shutil.rmtree(self.run_dir, ignore_errors=True)


class Goods:
    """What is for sale in this run: plenty, little, few that everybody wants, and last units; of two vendors."""

    def __init__(self, shop, run_dir, last=120, people=6):
        with open(os.path.join(run_dir, "demo.json")) as f:
            demo = json.load(f)
        admin_user = next(u for u in demo["users"] if u["role"] == "admin")
        self.logins = []  # (caller, how to log in again)
        self.admin = self.signed_in(lambda: shop.login(admin_user["email"], demo["password"], "admin"))
        self.vendors = [self.vendor(shop, i) for i in (1, 2)]
        one, two = self.vendors
        self.many = self.product(one, 4, 100000, 1999) + self.product(two, 4, 100000, 500)
        self.hot = self.product(one, 2, 100000, 700) + self.product(two, 2, 100000, 300)
        self.scarce = self.product(one, 2, 40, 900) + self.product(two, 2, 40, 450)
        self.last = queue.Queue()
        for variant in self.product(one, last // 2, 1, 2500) + self.product(two, last - last // 2, 1, 2500):
            self.last.put(variant)
        self.people = [self.person(shop, i) for i in range(people)]
        self.sessions = queue.Queue()
        for person in self.people:
            self.sessions.put(person)
        self.products = [p["id"] for p in shop.guest().get("/api/products?limit=50", expect=200)["data"]]

    def vendor(self, shop, i):
        email, password = f"vendor{i}@chaos.souk.example", "a-Test-password-1357"
        owner = shop.account(email, password, "Vera Vendor")
        made = owner.post("/api/vendors", {"name": f"Chaos {i}", "slug": f"chaos-{i}", "country": "US", "accept_terms": True,
                                           "description": "Made by a test."}, key=True, expect=201)
        self.admin.post(f"/api/admin/vendors/{made['id']}/approve", {"commission_bp": 1000}, expect=200)
        return self.signed_in(lambda: shop.vendor_login(email, password, made["id"]))

    def signed_in(self, login):
        caller = login()
        self.logins.append((caller, login))
        return caller

    def renew(self):
        """Access tokens live for 15 minutes. Raises when somebody could not log in."""
        for caller, login in self.logins:
            caller.token = login().token

    def person(self, shop, i):
        email, password = f"person{i}@chaos.souk.example", "a-Test-password-1357"
        shop.account(email, password, "Cora Chaos")
        reply = shop.guest().post("/api/auth/login", {"email": email, "password": password, "refresh_in_body": True}, expect=200)
        return Session(email, reply["refresh_token"])

    def product(self, vendor, variants, on_hand, price):
        """Variant ids, once inventory knows of them; at most 50 to a product."""
        out = []
        for at in range(0, variants, 50):
            tag = f"{random.randrange(1 << 40):x}"
            body = {"title": f"Thing {tag}", "description": "Made by a test.", "publish": True, "variants": [
                {"sku": f"{tag}-{i}", "title": f"Kind {i}", "options": {"kind": str(i)}, "weight_g": 500,
                 "price": {"amount": price, "currency": "USD"}, "on_hand": on_hand} for i in range(min(50, variants - at))]}
            made = vendor.post("/api/vendor/products", body, expect=201)
            for given in body["variants"]:
                until(lambda: vendor.get(f"/api/vendor/inventory/{given['sku']}", expect=200).get("on_hand") == on_hand, 30, (404,))
            out += [v["id"] for v in made["variants"]]
        return out


def probes(shop, goods):
    """One small question for each daemon that only it can answer."""
    buyer = Rest(shop.url, timeout=10)
    reply = buyer.post("/api/cart/items", {"variant_id": goods.many[0], "qty": 1}, expect=201)
    token, vendor = reply["cart_token"], goods.vendors[0]
    sku = goods.vendors[0].get("/api/vendor/products?limit=1", expect=200)["data"][0]["id"]

    def look(path, statuses, **how):
        rest = Rest(shop.url, timeout=1)
        rest.cart_token = how.get("cart_token")

        def once():
            rest.token = how["who"].token if "who" in how else None
            reply = rest.call(how.get("method", "GET"), path, how.get("body"))
            return reply.status in statuses
        return once

    return {"gateway": look("/readyz", (200,)), "catalog": look(f"/api/vendor/products/{sku}", (200,), who=vendor),
            "cart": look("/api/cart", (200,), cart_token=token), "inventory": look("/api/vendor/inventory?limit=1", (200,), who=vendor),
            "checkout": look("/api/vendor/orders?limit=1", (200,), who=vendor),
            "identity": look("/api/users/me", (200,), who=goods.admin),
            "search": look("/api/search?q=thing&limit=1", (200,)),
            "notify": look("/api/admin/notifications?limit=1", (200, 404), who=goods.admin)}


def without(stage, shop, goods, history, seed):
    """What is gone takes nothing with it that does not need it: buying goes on without search and recommendations, looking
    around and filling a cart without the payment provider, whose absence a checkout tells of at once (S33)."""
    out, rnd = [], random.Random(seed)
    load = Load(shop, goods, history, seed)
    helpers = [d for d in ("search", "reco") if d in stage.daemons()]
    for name, sig in [(d, s) for d in helpers for s in (signal.SIGSTOP, signal.SIGKILL)]:
        stage.send(name, sig)
        kind = f"without-{name}"
        bought = load.purchase(kind, time.monotonic(), rnd, [(rnd.choice(goods.many), 1)], certain=True)
        stage.send(name, signal.SIGCONT)
        if not bought or not bought.orders:
            out.append(f"{kind} ({sig.name}) nobody can buy: {vars(bought) if bought else 'no checkout'}")
    stage.send("sandbox", signal.SIGSTOP)
    try:
        rest = Rest(shop.url, timeout=20)
        for path in ("/api/products?limit=5", "/api/categories"):
            if (reply := rest.get(path)).status != 200:
                out.append(f"S33 {path} answers {reply.status} while the provider is away")
        caller, purchase = Caller(history, shop.url, timeout=20), Purchase("without-provider", "s33@chaos.souk.example")
        history.checkouts.append(purchase)
        if not load.fill(caller, purchase, purchase.kind, time.monotonic(), [(rnd.choice(goods.many), 1)]):
            out.append("S33 no cart can be filled while the provider is away")
        estimate = rest.get("/api/cart/estimate?" + HOME, headers={"X-Cart-Token": caller.cart_token}, expect=200)
        reply = caller.post("/api/checkout", load.body(estimate, purchase), key=True, if_match=load.tag(estimate))
        purchase.begin = history.outcome(reply)
        if reply.status not in (202, 503) or reply.status == 503 and not reply.header("Retry-After"):
            out.append(f"S33 a checkout without the provider is answered {reply.status} {reply.text[:200]}")
    finally:
        stage.send("sandbox", signal.SIGCONT)
    return out


def percentile(values, p):
    values = sorted(values)
    return values[min(int(len(values) * p), len(values) - 1)] * 1000 if values else 0.0


def report(history, chaos, probe, sold, settle):
    say("\n# clients: what they were told, by what they did")
    table = collections.defaultdict(collections.Counter)
    for _, _, kind, outcome, *_ in history.calls:
        table[kind][outcome] += 1
    for kind, n in sorted(table.items()):
        say(f"#   {kind:10} done {n['done']:6}  refused {n['refused']:5}  unknown {n['unknown']:5}")
    say("#   orders: " + ", ".join(f"{k} {n}" for k, n in sorted(sold.items())) + f"; checkouts begun {len(history.checkouts)}")
    whys = collections.Counter((kind, why) for _, _, kind, outcome, _, why in history.calls if outcome == "refused")
    say("#   refused: " + ", ".join(f"{k} {why} {n}" for (k, why), n in whys.most_common(12)))
    inside = [(b - 0.2, e + 1.0) for _, _, b, e in chaos.done]
    split = {"in faults": [], "out of faults": []}
    for begun, seconds, _, outcome, *_ in history.calls:
        if outcome != "unknown":
            split["in faults" if any(b <= begun + seconds and begun <= e for b, e in inside) else "out of faults"].append(seconds)
    for name, values in split.items():
        say(f"#   latency {name}: {len(values)} calls, p50 {percentile(values, .5):.0f} ms, p99 {percentile(values, .99):.0f} ms")
    say(f"# {len(chaos.done)} faults, by kind: how often, worst and mean outage of the daemon after it began (s)")
    kinds = collections.defaultdict(list)
    for kind, on, begun, _ in chaos.done:
        where = {"postgres": "checkout", "redis": "gateway", "sandbox": "checkout", "mail": "notify", "all": "notify"}.get(on, on)
        kinds[(kind, on)].append(probe.outage(where, begun))
    for (kind, on), outages in sorted(kinds.items()):
        say(f"#   {kind:18} {on:10} {len(outages):3}  worst {max(outages):5.2f}  mean {sum(outages) / len(outages):5.2f}")
    say(f"# everything settled {settle:.1f} s after the end" if settle is not None else "# not everything settled")


def expirer(stage, load):
    """Lets the abandoned checkouts run out, one after the other: short lives of reservations."""
    while True:
        checkout = load.expire.get()
        if checkout is None:
            return
        try:
            stage.sql("UPDATE checkout.checkout SET begun_at = begun_at - interval '1 hour', expires_at = now() - interval '1 second',"
                      f" next_at = now() WHERE id = '{checkout}' AND state = 'payment_pending'", 10)
        except (OSError, subprocess.SubprocessError):
            pass  # swept at the end


def made(check, *args):
    """What a check finds; one that cannot be made is a finding itself and takes no other with it."""
    try:
        return check(*args)
    except Exception as e:  # noqa: BLE001
        traceback.print_exc()
        return [f"{check.__name__} could not be made: {e!r}"[:600]]


def storm(args, platform, goods):
    shop, history = platform.shop, History()
    stage = Stage(platform.run_dir, shop)
    probe = Probe(shop, probes(shop, goods))
    load = Load(shop, goods, history, args.seed, rate=args.rate)
    chaos = Chaos(stage, args.seed, args.gap)
    for name in ("/api/products?limit=1",) * 5:
        Caller(history, shop.url).ask("browse", "GET", name)
    before = checks.usage(stage)
    sweep = threading.Thread(target=expirer, args=(stage, load), daemon=True)
    for part in (probe, load, sweep):
        (part.begin if part is load else part.start)()
    time.sleep(2)
    missed = without(stage, shop, goods, history, args.seed)
    chaos.start()
    end, renewed = time.monotonic() + args.seconds, time.monotonic()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(60, left))
        if time.monotonic() - renewed > 300:
            try:
                goods.renew()
                renewed = time.monotonic()
            except (*GONE, Failed) as e:  # in a fault; in a minute again
                say(f"# tokens not renewed: {e!r}"[:200])
        say(f"# {max(end - time.monotonic(), 0):.0f} s left, checkouts begun {len(history.checkouts)}, faults {len(chaos.done)}")
    chaos.heal()
    finished = load.end()
    load.expire.put(None)
    probe.halt.set()
    settle_begun = time.monotonic()
    for _ in range(60):
        try:
            checks.close_open(stage)
            break
        except OSError:
            time.sleep(0.5)
    settle = checks.quiesce(stage, 90)
    if settle is not None:
        settle = time.monotonic() - settle_begun
    found = missed + ([] if finished else ["a client's call never ended"])
    if settle is None:
        found.append(f"I7 still under way: {checks.pending(stage)}")
    say("# reading the books")
    # What settled events begin (a cart that is emptied, a mail) is over in a moment too.
    shop.sandbox, shop.mail = shop.sandbox.clone(), shop.mail.clone()
    sold = collections.Counter()
    found += made(checks.books, stage) + made(checks.events, stage) + made(checks.provider, stage, shop)
    found += made(checks.clients, stage, history, sold)
    found += made(checks.mails, stage, shop, any(on in ("mail", "notify", "postgres") for _, on, _, _ in chaos.done))
    one, two = goods.vendors
    for vendor in (one, two):
        vendor.close()
        vendor.patience = 30  # the gateway lets nobody in until it has heard of identity again
    found += made(goods.renew) or []
    found += made(checks.isolation, shop, one, two) + made(checks.isolation, shop, two, one)
    found += made(checks.sessions, shop, goods.people)
    found += checks.leaks(before, checks.usage(stage))
    report(history, chaos, probe, sold, settle)
    if not sum(sold.values()):
        found.append("nobody bought anything: this run proves nothing")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=10, help="buyers and readers a second")
    parser.add_argument("--gap", type=float, default=1.2, help="seconds between faults")
    args = parser.parse_args()
    say(f"# chaos: {args.seconds:g} s, seed {args.seed}")
    with Platform(args.build, CHAOS_PROXY="1") as platform:
        goods = Goods(platform.shop, platform.run_dir)
        found = storm(args, platform, goods)
    for line in found:
        say(f"FAIL chaos: {line}")
    if not found:
        say(f"ok chaos: the books are right (seed {args.seed})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
