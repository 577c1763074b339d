"""Open-loop load with a memory: buyers that arrive when they arrive, and what every one of them was told.

An answer counts as done (2xx), refused (4xx: there must be no effect) or unknown (5xx, 202, no answer, or that the same request is
still under way: fully done or not at all, seen afterwards). Latency counts from the arrival, so that a stalled platform is not measured by its silence.
"""

import http.client
import queue
import random
import socket
import threading
import time
import urllib.parse
import uuid
import zlib

from rest import Rest

ADDRESS = {"name": "Cora Chaos", "line1": "1 Market Street", "city": "Springfield", "region": "IL", "postal_code": "62701",
           "country": "US"}
HOME = "country=US&region=IL&postal_code=62701"
GONE = (OSError, http.client.HTTPException, ValueError)  # no answer, or half of one


class History:
    """What clients saw. Filled by many threads; appending to a list is atomic."""

    def __init__(self):
        self.calls = []      # (begun, seconds, kind, outcome, status)
        self.carts = []      # of each cart that one client alone changed: what it must hold
        self.checkouts = []  # every purchase begun: Purchase
        self.errors = []     # what a client saw that must never be: text

    @staticmethod
    def outcome(reply):
        if reply is None or reply.status >= 500 or reply.status == 202 or reply.status == 409 and reply.error[1] == "idem.in_flight":
            return "unknown"
        return "done" if reply.status < 400 else "refused"

    def note(self, begun, kind, reply):
        why = reply.error[1] if reply is not None and reply.status >= 400 else None
        self.calls.append((begun, time.monotonic() - begun, kind, self.outcome(reply), reply.status if reply else None, why))


class Purchase:
    """One cart on its way to an order, as its buyer knows it."""

    def __init__(self, kind, email):
        self.kind, self.email = kind, email
        self.cart_id = None
        self.checkout_id = None
        self.intent = None
        self.secret = None
        self.total = None
        self.begin = None    # outcome of POST /api/checkout
        self.paid = None     # outcome at the provider
        self.orders = set()  # ids that confirm answered
        self.confirmed = []  # outcomes of confirm
        self.token = None
        self.abandoned = False


class Session:
    """Somebody signed in, who rotates the refresh token and keeps the old ones in mind."""

    def __init__(self, email, token):
        self.email, self.chain = email, [token]
        self.successors = {}  # token -> what was answered for it
        self.alive, self.doubt = True, False  # doubt: an answer was lost, so the last token may be an old one


class Caller(Rest):
    """One client. Never raises for what the network does: status None is no answer."""

    def __init__(self, history, url, timeout=8):
        super().__init__(url, timeout=timeout)
        self.history = history

    def ask(self, kind, method, path, body=None, begun=None, tries=1, **how):
        begun = begun or time.monotonic()
        reply = None
        for n in range(tries):
            if n:
                time.sleep(0.3 * n)
            try:
                reply = self.call(method, path, body, **how)
            except GONE:
                self.close()
                reply = None
            self.history.note(begun, kind, reply)
            if self.history.outcome(reply) != "unknown" and reply.status != 429:
                break
            begun = time.monotonic()
        return reply


def ok(reply):
    return reply is not None and reply.status < 300 and reply.status != 202


class Load:
    def __init__(self, shop, goods, history, seed, workers=64, rate=12.0):
        self.shop, self.goods, self.history = shop, goods, history
        self.random = random.Random(seed)
        self.rate = rate
        self.jobs = queue.Queue()
        self.stop = threading.Event()
        self.expire = queue.Queue()  # checkouts that nobody will pay
        self.local = threading.local()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(workers)]
        self.arrivals = threading.Thread(target=self.arrive, daemon=True)
        self.mix = [(self.browse, 40), (self.buy_one, 18), (self.buy_overlap, 10), (self.abandon, 8), (self.change_cart, 10),
                    (self.duel, 4), (self.storm, 3), (self.refresh, 6)]

    def begin(self):
        for t in self.threads + [self.arrivals]:
            t.start()

    def end(self, seconds=60):
        """No more arrivals; those who came finish."""
        self.stop.set()
        self.arrivals.join()
        for _ in self.threads:
            self.jobs.put(None)
        deadline = time.monotonic() + seconds
        for t in self.threads:
            t.join(max(deadline - time.monotonic(), 0.1))
        return not any(t.is_alive() for t in self.threads)

    def arrive(self):
        flows, weights = zip(*self.mix)
        at = time.monotonic()
        while not self.stop.is_set():
            at += self.random.expovariate(self.rate)
            self.stop.wait(max(at - time.monotonic(), 0))
            self.jobs.put((self.random.choices(flows, weights)[0], at, self.random.randrange(1 << 60)))

    def work(self):
        while (job := self.jobs.get()) is not None:
            flow, at, seed = job
            try:
                flow(at, random.Random(seed))
            except Exception as e:  # noqa: BLE001 (a client that cannot cope is a finding)
                self.history.errors.append(f"client of {flow.__name__}: {type(e).__name__}: {e}")

    # ---- who comes ------------------------------------------------------------------------------------------------

    def caller(self):
        return Caller(self.history, self.shop.url)

    def reader(self):
        """A kept connection per worker, as browsers have."""
        if not hasattr(self.local, "reader"):
            self.local.reader = self.caller()
        return self.local.reader

    def browse(self, at, rnd):
        reader = self.reader()
        product = rnd.choice(self.goods.products)
        path = rnd.choice(["/api/products?limit=20", "/api/categories", f"/api/products/{product}",
                           f"/api/products/{product}"])
        reader.ask("browse", "GET", path, begun=at)

    def buy_one(self, at, rnd):
        self.purchase("buy", at, rnd, [(rnd.choice(self.goods.many), rnd.randint(1, 3))])

    def buy_overlap(self, at, rnd):
        """Lines of the same few goods, in any order: whoever locks in another order meets a deadlock."""
        lines = [(v, rnd.randint(1, 2)) for v in rnd.sample(self.goods.hot, rnd.randint(2, len(self.goods.hot)))]
        self.purchase("overlap", at, rnd, lines)

    def abandon(self, at, rnd):
        got = self.open("abandon", at, rnd, [(rnd.choice(self.goods.scarce), rnd.randint(1, 2))])
        if got:
            got[1].abandoned = True
            self.expire.put(got[1].checkout_id)

    def duel(self, at, rnd):
        """Four want the last unit."""
        try:
            unit = self.goods.last.get_nowait()
        except queue.Empty:
            return self.buy_one(at, rnd)
        self.together([lambda: self.purchase("duel", at, random.Random(rnd.random()), [(unit, 1)]) for _ in range(4)])

    def storm(self, at, rnd):
        """One paid cart, confirmed from 32 connections, while the provider tells of it five times."""
        got = self.open("storm", at, rnd, [(rnd.choice(self.goods.many), 1)])
        if not got:
            return
        caller, purchase = got
        try:
            self.shop.sandbox.clone().post("/_sandbox/faults", {"object": purchase.intent, "operation": "webhook",
                                                                "kind": "duplicate", "n": 5, "count": 3})
        except GONE:
            pass
        self.pay(purchase)
        if purchase.paid == "refused":
            return

        def one():
            mine = self.caller()
            mine.cart_token = caller.cart_token
            self.confirm(mine, purchase, tries=4)
            mine.close()

        self.together([one] * 32)
        caller.close()

    def refresh(self, at, rnd):
        """A page that comes back after a while. Asking twice within the grace has one answer."""
        try:
            session = self.goods.sessions.get_nowait()
        except queue.Empty:
            return self.browse(at, rnd)
        caller, token = self.caller(), session.chain[-1]
        how = {"body": {"refresh_token": token}, "headers": {"X-Requested-With": "XMLHttpRequest"}}
        for n in range(6):
            reply = caller.ask("refresh", "POST", "/api/auth/refresh", begun=None if n else at, **how)
            status = reply.status if reply is not None else None
            if self.history.outcome(reply) == "unknown":
                session.doubt = True
            elif status != 429:
                break
            time.sleep(0.3 * (n + 1))
        if ok(reply):
            session.doubt = False
            session.chain.append(reply["refresh_token"])
            session.successors.setdefault(token, set()).add(reply["refresh_token"])
            again = caller.ask("refresh", "POST", "/api/auth/refresh", **how) if rnd.random() < 0.3 else None
            if ok(again):
                session.successors[token].add(again["refresh_token"])
            elif again is not None and again.status == 401:
                session.alive = False  # the grace was over by then: that ended the session
        elif status == 401:
            session.alive = False
            if not session.doubt:
                self.history.errors.append(f"I15: the newest refresh token of {session.email} was refused")
        caller.close()
        if session.alive:
            self.goods.sessions.put(session)

    @staticmethod
    def together(jobs):
        threads = [threading.Thread(target=job, daemon=True) for job in jobs]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    # ---- what they do ---------------------------------------------------------------------------------------------

    def fill(self, caller, purchase, kind, at, lines):
        """Every line is in the cart, for certain; else the buyer leaves."""
        for i, (variant, qty) in enumerate(lines):
            how = {"key": True} if caller.cart_token else {}
            reply = caller.ask("cart", "POST", "/api/cart/items", {"variant_id": variant, "qty": qty},
                               begun=at if i == 0 else None, tries=3 if how else 1, **({"key": str(uuid.uuid4())} if how else {}))
            if not ok(reply):
                return False
            caller.cart_token = caller.cart_token or reply.get("cart_token")
            purchase.cart_id = purchase.cart_id or reply.get("id") or reply.get("cart_id")
        return True

    @staticmethod
    def body(estimate, purchase):
        return {"shipping_method": estimate["shipping_method"], "expected_total": estimate["totals"]["total"],
                "address": ADDRESS, "email": purchase.email}

    @staticmethod
    def tag(estimate):
        return f'"{estimate["cart_id"]}-{estimate["cart_version"]}"'

    def open(self, kind, at, rnd, lines):
        """(caller, purchase) with a checkout that waits for its payment, or None."""
        caller = self.caller()
        purchase = Purchase(kind, f"{kind}-{rnd.randrange(1 << 48):x}@chaos.souk.example")
        self.history.checkouts.append(purchase)
        if not self.fill(caller, purchase, kind, at, lines):
            return None
        estimate = caller.ask("estimate", "GET", "/api/cart/estimate?" + HOME, tries=3)
        if not ok(estimate):
            return None
        purchase.cart_id = estimate["cart_id"]
        purchase.token = caller.cart_token
        body, how = self.body(estimate, purchase), {"key": str(uuid.uuid4()), "if_match": self.tag(estimate)}
        reply = caller.ask("checkout", "POST", "/api/checkout", body, tries=5, **how)
        if ok(reply) and rnd.random() < 0.2:
            again = caller.ask("checkout", "POST", "/api/checkout", body, **how)
            if ok(again) and again.body != reply.body:
                self.history.errors.append(f"I5: the same key for cart {estimate['cart_id']} was answered with"
                                           f" {reply.text[:300]} and then with {again.text[:300]}")
        purchase.begin = self.history.outcome(reply)
        for _ in range(20):  # 202: it is being made
            if reply is None or reply.status != 202 or not reply.get("id"):
                break
            purchase.checkout_id = reply["id"]
            time.sleep(0.5)
            seen = caller.ask("checkout", "GET", f"/api/checkout/{reply['id']}")
            if ok(seen) and seen["state"] not in ("open", "reserving", "reserved", "pi_creating"):
                reply = seen
        if not ok(reply) or reply.get("state") != "payment_pending" or not reply.get("payment"):
            return None
        purchase.checkout_id = reply["id"]
        purchase.intent = reply["payment"]["payment_intent_id"]
        purchase.total = (reply["totals"]["total"]["amount"], reply["totals"]["total"]["currency"])
        if purchase.begin == "done" and reply["totals"]["total"] != estimate["totals"]["total"]:
            self.history.errors.append(f"I16: checkout {reply['id']} has another total than was agreed to")
        purchase.secret = reply["payment"]["client_secret"]
        return caller, purchase

    def pay(self, purchase, card="pm_card_visa"):
        bank = self.shop.sandbox.clone()
        bank.timeout = 8
        form = urllib.parse.urlencode({"payment_method": card, "client_secret": purchase.secret}).encode()
        lost = False  # an answer was: a later refusal may mean that it is paid already
        for n in range(4):
            try:
                reply = bank.call("POST", f"/v1/payment_intents/{purchase.intent}/confirm", data=form, headers={
                    "Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Bearer {self.shop.publishable_key}"})
                status = reply.status
            except GONE:
                bank.close()
                reply = status = None
            purchase.paid = self.history.outcome(reply)
            if lost and purchase.paid == "refused":
                purchase.paid = "unknown"
                break
            lost = lost or purchase.paid == "unknown"
            if purchase.paid != "unknown" and status not in (409, 429):
                break
            time.sleep(0.3)
        bank.close()

    def confirm(self, caller, purchase, tries=8):
        key = str(uuid.uuid4())
        reply = caller.ask("confirm", "POST", "/api/orders/confirm", {"checkout_id": purchase.checkout_id}, tries=tries, key=key)
        if ok(reply) and zlib.crc32(key.encode()) % 4 == 0:
            again = caller.ask("confirm", "POST", "/api/orders/confirm", {"checkout_id": purchase.checkout_id}, key=key)
            if ok(again) and again.body != reply.body:
                self.history.errors.append(f"I5: the same key for checkout {purchase.checkout_id} was answered with"
                                           f" {reply.text[:300]} and then with {again.text[:300]}")
        purchase.confirmed.append(self.history.outcome(reply))
        if ok(reply):
            purchase.orders.add(reply["id"])
        return reply

    def purchase(self, kind, at, rnd, lines, certain=False):
        """certain: a good card, and a buyer who waits for the order. The purchase, if it got as far as its payment."""
        got = self.open(kind, at, rnd, lines)
        if not got:
            return None
        caller, purchase = got
        self.pay(purchase, "pm_card_chargeDeclined" if not certain and rnd.random() < 0.05 else "pm_card_visa")
        if not certain and rnd.random() < 0.15:
            caller.close()  # never comes back: the webhook has to do
            return purchase
        self.confirm(caller, purchase)
        caller.close()
        return purchase

    def change_cart(self, at, rnd):
        """One client, one cart: what it was told it holds must be what it holds."""
        caller = self.caller()
        variants = rnd.sample(self.goods.many, 2)
        expected, certain, version = {}, True, 0
        reply = caller.ask("cart", "POST", "/api/cart/items", {"variant_id": variants[0], "qty": 1}, begun=at)
        if not ok(reply):
            return
        caller.cart_token, cart_id = reply["cart_token"], reply["id"]
        expected[variants[0]] = 1
        for _ in range(rnd.randint(1, 4)):
            before = reply
            line = next((x for x in before["lines"] if x["variant_id"] == variants[0]), None)
            what = rnd.choice(["add", "set", "drop"]) if line else "add"
            if what == "add":
                reply = caller.ask("cart", "POST", "/api/cart/items", {"variant_id": variants[0], "qty": 2}, tries=3, key=str(uuid.uuid4()))
                after = expected.get(variants[0], 0) + 2
            elif what == "set":
                after = rnd.randint(1, 9)
                reply = caller.ask("cart", "PATCH", f"/api/cart/items/{line['id']}", {"qty": after}, tries=3,
                                   key=str(uuid.uuid4()), if_match=before.etag)
            else:
                reply = caller.ask("cart", "DELETE", f"/api/cart/items/{line['id']}", tries=3, key=str(uuid.uuid4()), if_match=before.etag)
                after = 0
            if not ok(reply):
                certain = self.history.outcome(reply) == "refused"
                break
            expected[variants[0]] = after
            if reply.json is None or "version" not in reply.json:
                reply = caller.ask("cart", "GET", "/api/cart", tries=3)
                if not ok(reply):
                    break
            if reply.get("version", 0) <= version:
                self.history.errors.append(f"I13: cart {reply.get('id')} went from version {version} to {reply.get('version')}")
            version = reply.get("version", 0)
        if certain:
            self.history.carts.append((cart_id, expected))
        caller.close()
