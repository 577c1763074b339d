#!/usr/bin/python3
"""A flash sale through REST: many buyers, few units, one SKU. As many orders as units, everybody else cleanly refused,
nothing unknown.

	flash_sale.py --build build/release [--buyers 10000] [--units 100] [--clients 64]

Buyers have a filled cart before the sale begins, as they do; then all press the button. Prints `ok` / `FAIL` lines.
"""

import argparse
import collections
import multiprocessing
import os
import queue
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
sys.path[0:0] = [HERE, os.path.join(ROOT, "deploy", "demo")]

import checks  # noqa: E402
from chaos import Goods, Platform, percentile, say  # noqa: E402
from faults import Stage  # noqa: E402
from load import History, Load, Purchase, ok  # noqa: E402


def buyers(shop, variant, number, clients, name, results, ready, go):
    """One process of buyers; tells (outcome, seconds) of each."""
    history, out = History(), queue.Queue()
    load = Load(shop, None, history, number, workers=0)
    todo, carts = queue.Queue(), queue.Queue()
    for i in range(number):
        todo.put(i)

    def fill():
        while True:
            try:
                i = todo.get_nowait()
            except queue.Empty:
                return
            caller = load.reader()
            caller.cart_token = None
            reply = caller.ask("cart", "POST", "/api/cart/items", {"variant_id": variant, "qty": 1})
            carts.put((f"{name}-{i}", reply.get("cart_token") if ok(reply) else None))

    def press():
        while True:
            try:
                who, token = carts.get_nowait()
            except queue.Empty:
                return
            begun = time.monotonic()
            out.put((buy(load, variant, who, token), time.monotonic() - begun))

    for step in (fill, press):
        threads = [threading.Thread(target=step) for _ in range(clients)]
        if step is press:
            ready.wait()
            go.wait()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    results.put([out.get() for _ in range(out.qsize())])


def buy(load, variant, who, token):
    """`order <id>`, or how it ended."""
    if not token:
        return "no cart"
    caller = load.reader()
    caller.cart_token = token
    estimate = caller.ask("estimate", "GET", "/api/cart/estimate?country=US&region=IL&postal_code=62701", tries=5)
    if not ok(estimate):
        return refusal(estimate)
    body = {"shipping_method": estimate["shipping_method"], "expected_total": estimate["totals"]["total"],
            "address": {"name": "Fay Flash", "line1": "1 Market Street", "city": "Springfield", "region": "IL",
                        "postal_code": "62701", "country": "US"}, "email": f"{who}@flash.souk.example"}
    reply = caller.ask("checkout", "POST", "/api/checkout", body, tries=8, key=f"flash-{who}-checkout",
                       if_match=f'"{estimate["cart_id"]}-{estimate["cart_version"]}"')
    for _ in range(60):
        if reply is None or reply.status != 202:
            break
        time.sleep(0.5)
        reply = caller.ask("checkout", "POST", "/api/checkout", body, tries=8, key=f"flash-{who}-checkout",
                           if_match=f'"{estimate["cart_id"]}-{estimate["cart_version"]}"')
    if not ok(reply):
        return refusal(reply)
    purchase = Purchase("flash", None)
    purchase.checkout_id, purchase.intent = reply["id"], reply["payment"]["payment_intent_id"]
    purchase.secret = reply["payment"]["client_secret"]
    load.pay(purchase)
    order = caller.ask("confirm", "POST", "/api/orders/confirm", {"checkout_id": reply["id"]}, tries=20, key=f"flash-{who}-confirm")
    return "order " + order["id"] if ok(order) else f"paid, and {order.status if order else 'no answer'}"


def refusal(reply):
    if reply is None or reply.status >= 500 or reply.status == 202:
        return f"unknown ({reply.status if reply is not None else 'no answer'})"
    return f"{reply.status} {reply.error[0]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--buyers", type=int, default=10000)
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--clients", type=int, default=64)
    args = parser.parse_args()
    processes = 2
    with Platform(args.build, CHAOS_PROXY="") as platform:
        shop = platform.shop
        goods = Goods(shop, platform.run_dir, last=2, people=0)
        variant = goods.product(goods.vendors[0], 1, args.units, 1999)[0]
        results, go = multiprocessing.Queue(), multiprocessing.Event()
        ready = multiprocessing.Barrier(processes + 1)
        each = [args.buyers // processes] * processes
        each[0] += args.buyers - sum(each)
        running = [multiprocessing.Process(target=buyers, args=(shop, variant, n, args.clients // processes, f"b{i}", results, ready, go))
                   for i, n in enumerate(each)]
        for p in running:
            p.start()
        ready.wait(900)
        begun = time.monotonic()
        go.set()
        told = [row for _ in running for row in results.get(timeout=900)]
        took = time.monotonic() - begun
        for p in running:
            p.join()
        found = verdict(args, platform, told, took)
    for line in found:
        say(f"FAIL flash sale: {line}")
    if not found:
        say(f"ok flash sale: {args.units} orders, {args.buyers - args.units} refusals, nothing unknown")
    return 1 if found else 0


def verdict(args, platform, told, took):
    kinds = collections.Counter(k.split()[0] if k.startswith("order") else k for k, _ in told)
    say(f"# {len(told)} buyers in {took:.1f} s ({len(told) / took:.0f}/s), p50 {percentile([s for _, s in told], .5):.0f} ms,"
        f" p99 {percentile([s for _, s in told], .99):.0f} ms: " + ", ".join(f"{k} {n}" for k, n in kinds.most_common()))
    orders = [k for k, _ in told if k.startswith("order ")]
    found = []
    if len(orders) != args.units or len(set(orders)) != args.units:
        found.append(f"{len(orders)} orders of {args.units} units ({len(set(orders))} different)")
    clean = kinds["409 OUT_OF_STOCK"]
    if clean != args.buyers - args.units:
        found.append(f"{clean} clean refusals instead of {args.buyers - args.units}")
    stage = Stage(platform.run_dir, platform.shop)
    if checks.quiesce(stage, 60) is None:
        found.append(f"still under way: {checks.pending(stage)}")
    return found + checks.books(stage) + checks.provider(stage, platform.shop)


if __name__ == "__main__":
    sys.exit(main())
