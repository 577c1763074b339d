# Runs in a container of the mesh, by compose_test.sh's `observe`, which puts before it: DAEMONS, and PANELS as (title, expression)
# of every dashboard. Prints `ok NAME` or `FAIL NAME`.
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PROMETHEUS, COLLECTOR, GATEWAY = "http://prometheus:9090", "http://collector:4318", "http://gateway:8080"
# A quiet shop without faults has nothing to show in these.
MAY_BE_EMPTY = {"Checkouts under way", "Checkouts: age of the oldest", "RPC not OK"}
FAILED = []


def get(url, headers=None):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=10) as answer:
        return json.loads(answer.read().decode())


def prometheus(path, **query):
    return get(f"{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(query)}")["data"]


def until(found, seconds):
    """What found() gives once it is true, or the last of it."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = found()
        except (OSError, ValueError) as e:
            value, why = None, e
        if value or time.monotonic() > end:
            return value
        time.sleep(0.5)


def judge(good, name, why=""):
    print(f"ok {name}" if good else f"FAIL  {name}: {why}", flush=True)
    if not good:
        FAILED.append(name)


def targets():
    """{service: how its scrape went} of our processes, once each goes well."""
    found = {t["labels"]["service"]: t["health"] + " " + t["lastError"]
             for t in prometheus("targets", state="active")["activeTargets"] if t["labels"]["job"] == "souk"}
    targets.last = found
    return sorted(found) == sorted(DAEMONS) and all(h.startswith("up") for h in found.values())


def rules():
    """Every rule was evaluated, and none failed."""
    rules.last = [(r["name"], r["health"], r.get("lastError", ""))
                  for g in prometheus("rules")["groups"] for r in g["rules"] if r["health"] != "ok"]
    return not rules.last


def panels():
    """Every expression of the dashboards is understood, and shows something where a working shop has something to show."""
    panels.last = [title for title, expression in PANELS
                   if not prometheus("query", query=expression)["result"] and title not in MAY_BE_EMPTY]
    return not panels.last


def one_trace():
    """A request is one trace: the client's step, below it the edge's, below it the daemon's."""
    trace, mine = f"{time.time_ns():032x}", "00000000000000a1"
    try:  # a product that no cache can have
        get(f"{GATEWAY}/api/products/none-{time.time_ns()}", {"traceparent": f"00-{trace}-{mine}-01"})
    except urllib.error.HTTPError as e:
        if e.code != 404:
            return False

    def chain():
        spans = get(f"{COLLECTOR}/api/spans?trace={trace}")["data"]
        edge = [s for s in spans if s["service"] == "souk-gateway" and s["parent"] == mine]
        return edge and [s for s in spans if s["service"] == "souk-catalog" and s["parent"] == edge[0]["span"]]
    return until(chain, 30)


def across_events():
    """A purchase of the traffic before: its confirmation and its mail are steps of the same trace."""
    services = {}
    for s in get(f"{COLLECTOR}/api/spans")["data"]:
        services.setdefault(s["trace"], set()).add((s["service"], s["name"]))
    return any({("souk-notify", "order.placed"), ("souk-cart", "order.placed")} <= found
               and {"souk-gateway", "souk-checkout"} <= {service for service, _ in found} for found in services.values())


judge(until(targets, 60), "Prometheus finds every process and reads its figures", getattr(targets, "last", "it does not answer"))
judge(until(rules, 40), "every alert rule is evaluated", getattr(rules, "last", ""))
judge(until(panels, 60), "every panel of the dashboards has its figures", getattr(panels, "last", ""))
judge(one_trace(), "a request is one trace from the edge to the daemon")
judge(until(across_events, 30), "a purchase is one trace as far as its mail")
sys.exit(1 if FAILED else 0)
