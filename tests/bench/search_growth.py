"""Search at 10^4, 10^5 and 10^6 made-up products: through the daemon's handlers (bench_search), then the same kinds of query
through REST on a platform that holds the same products. Every median is also a ratio to the plain AND query of the same run;
growth is drawn as build/search-scale.svg.

	make -f Makefile.ci search-scale		all three: 8 GB of disk, a quarter of an hour
	make -f Makefile.ci search-scale SCALE="10000 50000"

The figures of a platform of its own: nothing is kept but the drawing."""

import http.client
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from search_eval import ROOT, Shop, platform  # noqa: E402
from support.e2e import until  # noqa: E402

PLOT = os.path.join(ROOT, "build", "search-scale.svg")
ROW = re.compile(r"^(\S.{20}\S?) +([\d.]+) +([\d.]+) +([\d.]+) +[\d.]+ +[\d.]+ ")
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000", "#cc3311", "#009988",
           "#ee7733", "#0077bb")


def dsn_of(run_dir):
    with open(os.path.join(run_dir, "env", "search.env"), encoding="utf-8") as f:
        return re.search(r"SEARCH_PG_DSN='([^']*)'", f.read()).group(1).replace("user=souk_search", "user=postgres")


def daemon(run_dir, bench, products, paths):
    """Puts the products in, measures through the handlers; (p50, p95) in ms by kind of query."""
    env = dict(os.environ, TEST_PG_ADMIN=dsn_of(run_dir), TEST_PG_KEEP="souk", BENCH_REST=paths)
    done = subprocess.Popen([bench, str(products)], env=env, stdout=subprocess.PIPE, text=True)
    times = {}
    for line in done.stdout:
        print(line, end="", flush=True)
        row = ROW.match(line)
        if row:
            times[row.group(1).strip()] = (float(row.group(2)), float(row.group(3)))
    if done.wait():
        sys.exit("search-scale: bench_search failed")
    return times


def restarted(run_dir):
    """The search daemon learns the dictionary anew; its supervisor starts it again."""
    def process():
        with open(os.path.join(run_dir, "state.json"), encoding="utf-8") as f:
            return json.load(f)["processes"]["search"]
    before = process()["pid"]
    os.kill(before, signal.SIGTERM)
    until(lambda: process()["pid"] != before and process()["state"] == "ready", 120)


def rest(shop, paths):
    """(p50, p95) in ms by kind of query, over one connection, nothing cached."""
    where = shop.guest().url.split("//")[1]
    connection = http.client.HTTPConnection(where, timeout=60)
    times = {}
    with open(paths, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    for kind, path in rows:
        begun = time.perf_counter()
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            sys.exit(f"search-scale: {reply.status} for {path}")
        times.setdefault(kind, []).append((time.perf_counter() - begun) * 1000)
    return {kind: (sorted(v)[len(v) // 2], sorted(v)[len(v) * 95 // 100]) for kind, v in times.items()}


def draw(sizes, tables, path):
    """p95 by number of products, both on logarithmic scales: a line for each kind of query, dashed through REST."""
    high, wide, parts = 360, 460, []
    lines = [(kind, way) for way in ("daemon", "REST") for kind in tables[sizes[0]][way]]
    kinds = list(dict.fromkeys(kind for kind, _ in lines))

    def x(n):
        low, top = math.log10(sizes[0]), math.log10(sizes[-1])
        return 60 + (math.log10(n) - low) / ((top - low) or 1) * wide

    def y(ms):
        return 20 + high - (math.log10(min(max(ms, 0.1), 1000)) + 1) / 4 * high

    for ms in (0.1, 1, 10, 100, 1000):
        parts.append(f'<line x1="60" x2="{60 + wide}" y1="{y(ms):.1f}" y2="{y(ms):.1f}" stroke="#dddddd"/>'
                     f'<text x="4" y="{y(ms) + 4:.1f}">{ms} ms</text>')
    for n in sizes:
        parts.append(f'<text x="{x(n) - 20:.1f}" y="{high + 40}">{n}</text>')
    for kind, way in lines:
        points = " ".join(f"{x(n):.1f},{y(tables[n][way][kind][1]):.1f}" for n in sizes)
        dash = ' stroke-dasharray="4"' if way == "REST" else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[kinds.index(kind) % 12]}"{dash}/>')
    for i, kind in enumerate(kinds):
        parts.append(f'<text x="{wide + 80}" y="{30 + 18 * i}" fill="{COLOURS[i % 12]}">{kind}</text>')
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide + 260}" height="{high + 60}" font-family="sans-serif" '
                f'font-size="12"><text x="60" y="14">p95 by products; dashed: through REST</text>{"".join(parts)}</svg>\n')


def measured(bench, products):
    with platform(), tempfile.TemporaryDirectory() as folder:
        run_dir, paths = os.environ["SOUK_RUN_DIR"], os.path.join(folder, "paths")
        Shop.setUpClass()
        shop = Shop()
        table = {"daemon": daemon(run_dir, bench, products, paths)}
        restarted(run_dir)
        first = shop.guest()
        until(lambda: first.get("/api/search?q=works&facet=none", expect=200)["total"] > 100, 300)
        table["REST"] = rest(shop, paths)
    plain = table["daemon"]["plain AND, 24 rows"][0]
    print(f"{'ms through REST':<22} {'p50':>8} {'p95':>8} {'p50/AND':>8}")
    for kind, (p50, p95) in table["REST"].items():
        print(f"{kind:<22} {p50:8.2f} {p95:8.2f} {p50 / plain:8.1f}", flush=True)
    return table


def main():
    bench, sizes = sys.argv[1], sorted(int(n) for n in sys.argv[2:]) or [10000, 100000, 1000000]
    os.environ.update(SEARCH_CACHE_S="0", SEARCH_RECO_MS="0", LIMIT_ANONYMOUS="1000000", PG_SHARED_BUFFERS="1GB", SOUK_PG_FAST="1")
    tables = {}
    for n in sizes:
        print(f"# {n} products", flush=True)
        tables[n] = measured(bench, n)
    draw(sizes, tables, PLOT)
    print(f"drawn: {os.path.relpath(PLOT, ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
