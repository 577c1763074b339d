#!/usr/bin/python3
"""Rolling restarts: two of each daemon, one after the other asked to stop and started again, buyers all the time. No request
may fail.

	rolling.py --build build/release [--rounds 20] [--only cart,checkout] [--rate 8]
"""

import argparse
import collections
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
sys.path[0:0] = [HERE, os.path.join(ROOT, "deploy", "demo")]

import checks  # noqa: E402
from chaos import Goods, Platform, percentile, say  # noqa: E402
from faults import DAEMONS, Stage  # noqa: E402
from load import History, Load  # noqa: E402


def restart(stage, name, seconds=60):
    """One process is asked to stop, and is ready again."""
    old = stage.send(name, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        p = stage.state()["processes"][name]
        if p["pid"] not in (None, old) and p["state"] == "ready":
            return True
        time.sleep(0.1)
    return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default=",".join(DAEMONS))
    parser.add_argument("--rate", type=float, default=8)
    parser.add_argument("--settle", type=float, default=2.5, help="seconds between restarts: the drain and resolver times")
    args = parser.parse_args()
    found = []
    with Platform(args.build, CHAOS_PROXY="", CHAOS_REPLICAS="2") as platform:
        stage = Stage(platform.run_dir, platform.shop)
        goods = Goods(platform.shop, platform.run_dir)
        history = History()
        load = Load(platform.shop, goods, history, 1, rate=args.rate)
        load.begin()
        time.sleep(3)
        for round_no in range(args.rounds):
            for name in args.only.split(","):
                which = name if round_no % 2 == 0 else name + "-2"
                if not restart(stage, which):
                    found.append(f"{which} did not come back")
                time.sleep(args.settle)
        if not load.end():
            found.append("a client's call never ended")
        failed = [c for c in history.calls if c[4] is None or c[4] >= 500]
        say(f"# {args.rounds} restarts of each of {args.only}: {len(history.calls)} requests, {len(failed)} failed,"
            f" p50 {percentile([c[1] for c in history.calls], .5):.0f} ms, p99 {percentile([c[1] for c in history.calls], .99):.0f} ms")
        if failed:
            found.append(f"{len(failed)} of {len(history.calls)} requests failed: "
                         f"{collections.Counter((c[2], c[4]) for c in failed).most_common(5)}")
        checks.close_open(stage)
        if checks.quiesce(stage, 90) is None:
            found.append(f"still under way: {checks.pending(stage)}")
        found += checks.books(stage) + checks.provider(stage, platform.shop) + checks.clients(stage, history, collections.Counter())
    for line in found:
        say(f"FAIL rolling restarts: {line}")
    if not found:
        say(f"ok rolling restarts: {args.rounds} of each, no request failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
