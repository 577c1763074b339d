#!/usr/bin/python3
"""Latency of GET /api/recommendations at 500 requests a second, on the platform that runs in SOUK_RUN_DIR.

	SOUK_RUN_DIR=.run tests/bench/reco_latency.py [folder of bench_recommend]

From the cache (the same questions again) and past it (each question for the first time: scored, counted and kept). When no
model answers one is trained and deployed first. BENCH_SECONDS (5) is the length of a measurement, BENCH_RATE (500) the rate.
A figure above what is promised is marked; the exit code says so too.
"""

import itertools
import json
import os
import random
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy", "demo"))
from shop import Shop, until  # noqa: E402

SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
RATE = int(os.environ.get("BENCH_RATE", "500"))
THREADS = 16


def deployed(shop, run_dir):
    """A model answers; the demo shop's past is enough to train one."""
    guest = shop.guest()
    if guest.get("/api/recommendations?type=trending", expect=200)["model_version"] != "none":
        return
    demo = json.load(open(os.path.join(run_dir, "demo.json")))
    admin = shop.login(next(u for u in demo["users"] if u["role"] == "admin")["email"], demo["password"], "admin")
    job = admin.post("/api/admin/reco/trainings", {}, expect=202)["id"]
    done = until(lambda: next((t for t in [admin.get(f"/api/admin/reco/trainings/{job}", expect=200).json]
                               if t["state"] not in ("queued", "running")), None), 120)
    model = f"/api/admin/reco/models/{done['model_id']}"
    if admin.get(model, expect=200)["state"] == "evaluated":
        admin.post(f"{model}/approve", {}, expect=200)
    if admin.get(model, expect=200)["state"] == "approved":
        admin.post(f"{model}/deploy", {}, expect=200)
    until(lambda: guest.get("/api/recommendations?type=trending", expect=200)["model_version"] != "none", 20)


def measure(program, name, promised_ms, urls, seconds=SECONDS):
    out = subprocess.run([program, str(RATE), str(seconds), str(THREADS)], input="\n".join(urls), text=True,
                         capture_output=True).stdout
    r = json.loads(out)
    good = r["p99_ms"] <= promised_ms and r["failed"] == 0
    if name:
        print(f"  {name:<32}{RATE:>6}/s  p50 {r['p50_ms']:>7.2f} ms  p99 {r['p99_ms']:>7.2f} ms (promised {promised_ms})"
              f"  max {r['max_ms']:>7.2f} ms, sent up to {r['late_p99_ms']:.2f} ms late (p99){'' if good else '  MISSED'}{'  ' + str(r['failed']) + ' failed' if r['failed'] else ''}",
              flush=True)
    return good


def main():
    run_dir = os.environ.get("SOUK_RUN_DIR") or os.path.join(ROOT, ".run")
    program = os.path.join(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build", "release"), "bench_recommend")
    shop = Shop.of_run_dir(run_dir, patience=30)
    deployed(shop, run_dir)
    base = f"{shop.url}/api/recommendations?limit=12&type="
    guest = shop.guest()
    products = [p["id"] for p in itertools.islice(guest.walk("/api/products"), 400)]
    pairs = [f"{base}bought_together&product_id={a}&cart={b}" for a in products for b in products if a != b]
    random.Random(1).shuffle(pairs)
    if len(pairs) < RATE * SECONDS:
        print(f"only {len(pairs)} questions: the last ones come from the cache", flush=True)
    same = [f"{base}{t}&product_id={p}" for p in products[:40] for t in ("related", "bought_together", "also_viewed")]
    same += [f"{base}trending", f"{base}personal&session_id=nobody"]
    measure(program, None, 1e9, same, seconds=1)  # warm
    good = measure(program, "recommendations, from the cache", 5, same)
    good = measure(program, "recommendations, past the cache", 25, pairs) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
