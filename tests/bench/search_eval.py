"""The judged queries on the running platform (SOUK_RUN_DIR): the real catalogue is imported once, every query goes through
GET /api/search, the run is scored by the data's own script. Nothing of the data is kept here but figures.

	make -f Makefile.ci search-eval
	/usr/bin/python3 tests/bench/search_eval.py [--record] [--data DIR]

Fails where nDCG@10 is more than 0.01 under the recorded figures (tests/golden/search_eval.json)."""

import argparse
import json
import lzma
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")))
from support.e2e import ROOT, until  # noqa: E402
from support.goods import Goods  # noqa: E402

GOLDEN = os.path.join(ROOT, "tests", "golden", "search_eval.json")
DROP = 0.01
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


def score(data, queries, run):
    script = os.path.join(data, "tools", "search_eval.py")
    electronics = os.path.join(data, "electronics")
    done = subprocess.run([sys.executable, script, os.path.join(electronics, "qrels.tsv"), run, "--queries",
                           os.path.join(electronics, queries)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def indexed(shop, admin_wanted):
    admin = shop.admin()
    until(lambda: admin.get("/api/admin/search/reindex", expect=200).get("documents", 0) >= admin_wanted, 1800)


def figures(table):
    """The one line of the table: value by column."""
    head, line = [row.split("\t") for row in table.splitlines()[:2]]
    return dict(zip(head, line))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", default=os.environ.get("SOUK_DATA") or
                      os.path.normpath(os.path.join(ROOT, "..", "shared", "data")))
    args.add_argument("--record", action="store_true")
    args.add_argument("--vendor", help="of an import that was made before")
    args = args.parse_args()
    if not os.path.isdir(os.path.join(args.data, "electronics")):
        print(f"search-eval: not run, the judged queries are not at {args.data}")
        return 0
    Shop.setUpClass()
    shop = Shop()
    vendor_id = args.vendor or imported(shop, args.data)
    run_dir = os.environ.get("SOUK_RUN_DIR") or os.path.join(ROOT, ".run")
    by_id = numbers(run_dir, vendor_id)
    print(f"# {len(by_id)} products", flush=True)
    indexed(shop, len(by_id))
    result = {}
    for name in ("queries.tsv", "queries_typo.tsv"):
        with open(os.path.join(args.data, "electronics", name), encoding="utf-8") as f:
            queries = [line for line in f if line.strip()]
        with tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False) as out:
            run_queries(shop, queries, vendor_id, by_id, out)
        table = score(args.data, name, out.name)
        os.unlink(out.name)
        print(f"== {name}\n{table}")
        result[name] = float(figures(table)["ndcg"])
    print("Others on all queries of the set (nDCG@10, condensed, recall@100):")
    for name, *values in BASELINES:
        print(f"  {name:36}" + "  ".join(f"{v:.3f}" for v in values))
    return verdict(result, args.record)


def verdict(result, record):
    recorded = {}
    if os.path.exists(GOLDEN):
        with open(GOLDEN, encoding="utf-8") as f:
            recorded = json.load(f)
    bad = [name for name, value in result.items() if value < recorded.get(name, 0) - DROP]
    for name, value in result.items():
        print(f"{name}: nDCG@10 {value:.3f}, recorded {recorded.get(name, 0):.3f}" + (" WORSE" if name in bad else ""))
    if record:
        with open(GOLDEN, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1, sort_keys=True)
            f.write("\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
