#!/usr/bin/python3
"""Browses and buys for a while through REST and says what came of it, as one JSON object on the last line.

	traffic.py --url http://127.0.0.1:8080 --sandbox http://127.0.0.1:8090 --seconds 60 --threads 4 [--buy 0.2]
	           [--key pk_test_… | SANDBOX_PUBLISHABLE_KEY] [--pause 0.02]

A request is lost when it has no answer, or an answer of 5xx without Retry-After; one with Retry-After is tried again, as
a client should, and counted as `retried`. Exit 1 when anything was lost or nothing was asked.
"""

import argparse
import http.client
import json
import os
import random
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from rest import Failed, Rest
from shop import Shop

ADDRESS = {"name": "Gus Guest", "line1": "1 Market Street", "city": "Springfield", "region": "IL", "postal_code": "62701",
           "country": "US"}


class Visitor(threading.Thread):
    """One client: mostly looks, sometimes buys."""

    def __init__(self, shop, args, seed):
        super().__init__()
        self.shop, self.args, self.rnd = shop, args, random.Random(seed)
        self.count = {"requests": 0, "purchases": 0, "retried": 0, "refused": 0}
        self.lost, self.times = [], []

    def ask(self, rest, method, path, **kw):
        """The answer, after as many tries as Retry-After asks for; None when it was lost."""
        if method != "GET":
            kw.setdefault("key", str(uuid.uuid4()))
        for _ in range(8):
            begun = time.monotonic()
            try:
                reply = rest.call(method, path, **kw)
            except (OSError, http.client.HTTPException) as e:
                self.lost.append(f"{method} {path.split('?')[0]}: {type(e).__name__} {e}")
                return None
            self.times.append(time.monotonic() - begun)
            self.count["requests"] += 1
            if reply.status in (429, 503) and reply.header("Retry-After"):
                self.count["retried"] += 1
                time.sleep(min(2.0, float(reply.header("Retry-After"))))
                continue
            if reply.status >= 500:
                self.lost.append(f"{method} {path.split('?')[0]}: {reply.status} {reply.text[:160]}")
                return None
            return reply
        self.lost.append(f"{method} {path.split('?')[0]}: still refused after 8 tries")
        return None

    def run(self):
        until = time.monotonic() + self.args.seconds
        while time.monotonic() < until and not (self.args.stop_file and os.path.exists(self.args.stop_file)):
            rest = Rest(self.args.url, timeout=15)
            try:
                self.visit(rest)
            except (KeyError, TypeError, Failed) as e:
                self.lost.append(f"unexpected answer: {type(e).__name__} {e}")
            if rest.conn:
                rest.conn.close()

    def visit(self, rest):
        page = self.ask(rest, "GET", "/api/products?in_stock=true&limit=20")
        if not page or page.status != 200 or not page["data"]:
            return
        for _ in range(5):
            card = self.rnd.choice(page["data"])
            detail = self.ask(rest, "GET", f"/api/products/{card['id']}")
            time.sleep(self.args.pause)
        if self.rnd.random() < self.args.buy and detail and detail.status == 200:
            found = [v for v in detail["variants"] if v.get("availability") in ("in", "low") and v.get("price")]
            if found:
                self.buy(rest, self.rnd.choice(found))

    def buy(self, rest, variant):
        # A cart that is yet to be made has no owner whom a key could belong to.
        added = self.ask(rest, "POST", "/api/cart/items", body={"variant_id": variant["id"], "qty": 1}, key=None)
        if not added or added.status != 201:
            self.count["refused"] += 1
            return
        rest.cart_token = added["cart_token"]
        seen = self.ask(rest, "GET", "/api/cart/estimate?country=US&region=IL&postal_code=62701")
        if not seen or seen.status != 200:
            return
        body = {"email": "guest@souk.example", "shipping_method": seen["shipping_method"], "address": ADDRESS,
                "expected_total": seen["totals"]["total"]}
        opened = self.ask(rest, "POST", "/api/checkout", body=body,
                          if_match=f"\"{seen['cart_id']}-{seen['cart_version']}\"")
        if not opened or opened.status not in (200, 201) or "client_secret" not in opened["payment"]:
            self.count["refused"] += 1
            return
        self.shop.pay(opened["payment"]["client_secret"])
        body = {"checkout_id": opened["id"]}
        key = str(uuid.uuid4())
        for _ in range(40):
            done = self.ask(rest, "POST", "/api/orders/confirm", body=body, key=key)
            if not done or done.status != 202:
                break
            time.sleep(0.25)
        if done and done.status in (200, 201) and done.get("number"):
            self.count["purchases"] += 1
        elif done:
            self.lost.append(f"paid and not ordered: {done.status} {done.text[:160]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--sandbox", required=True)
    parser.add_argument("--key", default=os.environ.get("SANDBOX_PUBLISHABLE_KEY"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--stop-file", help="ends early when this file exists")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--buy", type=float, default=0.2, help="share of visits that buy")
    parser.add_argument("--pause", type=float, default=0.02)
    args = parser.parse_args()
    visitors = [Visitor(Shop(args.url, args.url, args.sandbox, args.key), args, i) for i in range(args.threads)]
    for v in visitors:
        v.start()
    for v in visitors:
        v.join()
    total = {k: sum(v.count[k] for v in visitors) for k in visitors[0].count}
    lost = [x for v in visitors for x in v.lost]
    times = sorted(t for v in visitors for t in v.times)
    total["lost"] = len(lost)
    total["lost_examples"] = lost[:5]
    total["p50_ms"], total["p99_ms"] = (round(times[int(len(times) * q)] * 1000, 1) if times else 0 for q in (0.5, 0.99))
    print(json.dumps(total), flush=True)
    return 1 if lost or not times else 0


if __name__ == "__main__":
    sys.exit(main())
