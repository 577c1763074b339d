"""The judged queries on the real catalogue: it is imported, every query goes through GET /api/search, the run is scored by
the data's own script. Nothing of the data is kept here but figures.

	make -f Makefile.ci search-eval			on a platform of its own, from nothing to the verdict
	SOUK_RUN_DIR=dir make -f Makefile.ci search-eval	on the one that runs there
	/usr/bin/python3 tests/bench/search_eval.py --record	takes the figures as those to keep

Engine pg is measured first, then engine opensearch on the node that OPENSEARCH_URL names or on one of its own, where its jars
can be had (tests/support/search_node.sh); it may be 0.02 of nDCG@10 away. Prints intervals, and the paired differences against the recorded run (tests/golden/search_eval.json); draws nDCG per query,
before and now, as build/search-eval.svg. Fails where a mean is more than 0.01 under the recorded one."""

import argparse
import contextlib
import importlib.util
import json
import lzma
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")))
from support.e2e import ROOT, until  # noqa: E402
from support.goods import Goods  # noqa: E402

GOLDEN = os.path.join(ROOT, "tests", "golden", "search_eval.json")
PLOT = os.path.join(ROOT, "build", "search-eval.svg")
APART = 0.02  # of nDCG@10, the engines
DROP = 0.01
MEANS = {"ndcg": 1, "cndcg": 1, "recall": 1, "zero": -1}  # -1: less is better
# All queries of the set, measured before this daemon was built; what is scored here is the half that is given.
BASELINES = [("PostgreSQL, all words, ts_rank_cd", 0.719, 0.778, 0.833), ("prefixes of all words", 0.654, 0.734, 0.778),
             ("staged retrieval, BM25F", 0.794, 0.845, 0.929)]


class Shop(Goods):
    def runTest(self):
        pass


def imported(shop, data):
    """Product id by the catalogue's own number."""
    with lzma.open(os.path.join(data, "electronics", "products.jsonl.xz")) as f:
        text = f.read()
    vendor = shop.new_vendor()
    started = vendor.post("/api/vendor/products/import?format=jsonl&policy=reject_bad_rows&publish=true&currency=EUR"
                          "&category_attribute=product_type&name=judged", data=text, key=True, expect=(200, 201, 202),
                          headers={"Content-Type": "application/x-ndjson"})
    path = f"/api/vendor/products/imports/{started['id']}"

    def ended():
        state = vendor.get(path, expect=200)
        return state.json if state["state"] in ("done", "rejected", "failed", "cancelled") else None

    state = until(ended, 1800)
    if state["state"] != "done":
        sys.exit(f"search-eval: the import is {state['state']}: {state}")
    return vendor.vendor_id


def numbers(run_dir, vendor_id):
    with open(os.path.join(run_dir, "env", "catalog.env")) as f:
        dsn = re.search(r"CATALOG_PG_DSN='([^']*)'", f.read()).group(1)
    sql = f"SELECT id, import_key FROM catalog.product WHERE vendor_id = '{vendor_id}' AND import_key IS NOT NULL"
    out = subprocess.run(["psql", "-tA", "-F", "\t", "-d", dsn, "-c", sql], check=True, capture_output=True, text=True)
    return dict(line.split("\t") for line in out.stdout.splitlines())


def run_queries(shop, queries, vendor_id, by_id, out):
    guest = shop.guest()
    for line in queries:
        number, text = line.rstrip("\n").split("\t", 1)
        query = urllib.parse.urlencode({"q": text, "vendor": vendor_id, "limit": 100, "facet": "none"})
        hits = guest.get(f"/api/search?{query}", expect=200)["data"]
        for rank, hit in enumerate(hits, 1):
            out.write(f"{number}\t{by_id.get(hit['id'], hit['id'])}\t{rank}\n")


def indexed(shop, admin_wanted):
    admin = shop.admin()
    until(lambda: admin.get("/api/admin/search/reindex", expect=200).get("documents", 0) >= admin_wanted, 1800)


def script_of(data):
    spec = importlib.util.spec_from_file_location("judge", os.path.join(data, "tools", "search_eval.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def score(data, queries, run):
    """Means, the interval of nDCG@10, and nDCG@10 by query."""
    judge = script_of(data)
    folder = os.path.join(data, "electronics")
    only = {row[0] for row in judge.rows(os.path.join(folder, queries))}
    per = judge.evaluate(judge.load_qrels(os.path.join(folder, "qrels.tsv")), judge.load_run(run), only=only)
    result = {key: round(judge.mean(per, key), 4) for key in MEANS}
    result["ndcg95"] = [round(v, 3) for v in judge.boot(per, "ndcg", 1000)]
    result["queries"] = {number: round(m["ndcg"], 4) for number, m in per.items() if m["ndcg"] is not None}
    return result


def paired(before, now):
    """Mean difference of the queries in both and its interval."""
    both = [now[q] - before[q] for q in now if q in before]
    if not both:
        return None
    rnd = random.Random(7)
    means = sorted(sum(rnd.choices(both, k=len(both))) / len(both) for _ in range(1000))
    return sum(both) / len(both), means[25], means[975]


def draw(result, recorded, path):
    """Bars of nDCG@10 per query, worst first; a line where the recorded run was."""
    high, wide, parts, top = 120, 9, [], 0
    for name, r in result.items():
        before = recorded.get(name, {}).get("queries", {})
        parts.append(f'<text x="0" y="{top + 14}">{name}: nDCG@10 {r["ndcg"]:.3f} per query, line: recorded</text>')
        for i, (number, v) in enumerate(sorted(r["queries"].items(), key=lambda x: x[1])):
            x, base = i * wide, top + 24 + high
            parts.append(f'<rect x="{x}" y="{base - v * high:.1f}" width="{wide - 2}" height="{v * high:.1f}" fill="#4477aa">'
                         f'<title>{number}: {v:.3f}</title></rect>')
            if number in before:
                y = base - before[number] * high
                parts.append(f'<line x1="{x}" x2="{x + wide - 2}" y1="{y:.1f}" y2="{y:.1f}" stroke="#cc3311"/>')
        top += high + 50
    width = max(len(r["queries"]) for r in result.values()) * wide
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{max(width, 420)}" height="{top}" font-family="sans-serif" '
                f'font-size="12">{"".join(parts)}</svg>\n')


def verdict(result, recorded):
    """Prints the table; the means that fell."""
    worse = []
    print("\t".join(["queries", "n", *MEANS, "nDCG 95 %", "against the recorded run (paired, 95 %)"]))
    for name, r in result.items():
        before = recorded.get(name, {})
        delta = paired(before.get("queries", {}), r["queries"])
        print("\t".join([name, str(len(r["queries"])), *(f"{r[k]:.4f}" for k in MEANS), "{}-{}".format(*r["ndcg95"]),
                         "{:+.4f} [{:+.4f}, {:+.4f}]".format(*delta) if delta else "nothing recorded"]))
        for key, sign in MEANS.items():
            if key in before and sign * (r[key] - before[key]) < -DROP:
                worse.append(f"{name}: {key} {r[key]:.4f}, recorded {before[key]:.4f}")
    print("Others on all queries of the set (nDCG@10, condensed, recall@100):")
    for name, *values in BASELINES:
        print(f"  {name:36}" + "  ".join(f"{v:.3f}" for v in values))
    return worse


@contextlib.contextmanager
def platform():
    """The one that SOUK_RUN_DIR names, or one of its own, which is gone afterwards."""
    if os.environ.get("SOUK_RUN_DIR"):
        yield
        return
    folder = tempfile.mkdtemp(prefix="souk-eval-")
    os.environ.update(SOUK_RUN_DIR=folder, SOUK_PORT_BASE="auto", DETACH="1", DEMO_SCALE="20")
    local = [sys.executable, os.path.join(ROOT, "deploy", "local", "local.py")]
    try:
        with open(os.path.join(folder, "up.log"), "w", encoding="utf-8") as log:
            if subprocess.run([os.path.join(ROOT, "deploy", "local", "up.sh")], stdout=log, stderr=log).returncode:
                with open(log.name, encoding="utf-8") as f:
                    sys.exit("search-eval: the platform did not start\n" + f.read()[-4000:])
        yield
    finally:
        subprocess.run([*local, "down"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pg = os.path.join(folder, "pg")
        if os.path.islink(pg):
            shutil.rmtree(os.readlink(pg), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        del os.environ["SOUK_RUN_DIR"]


@contextlib.contextmanager
def node():
    """The URL of a node, or None where there is none."""
    if os.environ.get("OPENSEARCH_URL"):
        yield os.environ["OPENSEARCH_URL"]
        return
    script = os.path.join(ROOT, "tests", "support", "search_node.sh")
    folder = tempfile.mkdtemp(prefix="souk-node-")
    os.chmod(folder, 0o711)
    try:
        done = subprocess.run([script, "start", "opensearch", os.path.join(folder, "node")], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode:
            print(f"search-eval: engine opensearch: {done.stderr.strip().splitlines()[-1]}")
        yield done.stdout.strip() if done.returncode == 0 else None
    finally:
        subprocess.run([script, "stop", os.path.join(folder, "node")])
        shutil.rmtree(folder, ignore_errors=True)


def fed(url, wanted):
    """Until the node has everything; before, pg answers in its place."""
    def count():
        try:
            with urllib.request.urlopen(f"{url}/souk-products/_count", timeout=10) as reply:
                return json.load(reply)["count"] >= wanted
        except OSError:
            return False
    until(count, 1800)


def on_node(data):
    """The figures of engine opensearch, by names of their own; none without a node."""
    with node() as url:
        if not url:
            return {}
        os.environ.update(SEARCH_ENGINE="opensearch", OPENSEARCH_URL=url, OPENSEARCH_TIMEOUT_MS="10000")
        with platform():
            return {f"{name} (opensearch)": r for name, r in measured(data, None, url).items()}


def apart(result):
    """Where the engines differ by more than they may."""
    worse = []
    for name, r in result.items():
        other = result.get(f"{name} (opensearch)")
        if other and abs(other["ndcg"] - r["ndcg"]) > APART:
            worse.append(f"{name}: ndcg {r['ndcg']:.4f} by pg, {other['ndcg']:.4f} by opensearch")
    return worse


def measured(data, vendor_id, node_url=None):
    Shop.setUpClass()
    shop = Shop()
    vendor_id = vendor_id or imported(shop, data)
    by_id = numbers(os.environ["SOUK_RUN_DIR"], vendor_id)
    print(f"# {len(by_id)} products", flush=True)
    indexed(shop, len(by_id))
    if node_url:
        fed(node_url, len(by_id))
    result = {}
    for name in ("queries.tsv", "queries_typo.tsv"):
        with open(os.path.join(data, "electronics", name), encoding="utf-8") as f:
            queries = [line for line in f if line.strip()]
        with tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False) as out:
            run_queries(shop, queries, vendor_id, by_id, out)
        result[name] = score(data, name, out.name)
        os.unlink(out.name)
    return result


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", default=os.environ.get("SOUK_DATA") or
                      os.path.normpath(os.path.join(ROOT, "..", "shared", "data")))
    args.add_argument("--record", action="store_true", help="take the figures as those to keep")
    args.add_argument("--vendor", help="of an import that was made before, with SOUK_RUN_DIR")
    args = args.parse_args()
    if not os.path.isdir(os.path.join(args.data, "electronics")):
        print(f"search-eval: not run, the judged queries are not at {args.data}")
        return 0
    recorded = {}
    if os.path.exists(GOLDEN):
        with open(GOLDEN, encoding="utf-8") as f:
            recorded = json.load(f)
    own = not os.environ.get("SOUK_RUN_DIR")
    with platform():
        result = measured(args.data, args.vendor)
    if own:
        result.update(on_node(args.data))
    worse = verdict(result, recorded) + apart(result)
    draw(result, recorded, PLOT)
    print(f"drawn: {os.path.relpath(PLOT, ROOT)}")
    for line in worse:
        print(f"WORSE {line}")
    if args.record:
        with open(GOLDEN, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1, sort_keys=True)
            f.write("\n")
        return 0
    print("search-eval: " + ("FAILED" if worse else "ok"))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
