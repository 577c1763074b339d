"""After the storm: what must be true of the books (tests/support/invariants.sql), and of what clients, the provider and the
mailbox say. A check answers with what is wrong, as text; nothing is the right answer."""

import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import invariants  # noqa: E402

TERMINAL = "('ordered', 'cancelled', 'expired', 'refunded')"
CANARIES = ["Cora Chaos", "chaos.souk.example", "1 Market Street"]  # what load.py's people type in
KEEPERS = ("traces", "mail", "store", "sandbox")  # stand-ins that keep all they were sent
PAGE = {"X-Requested-With": "XMLHttpRequest"}

# What is still under way; the books are checked when all are empty.
PENDING = {
    "checkouts": f"SELECT id, state FROM checkout.checkout WHERE state NOT IN {TERMINAL} AND state <> 'payment_pending'",
    "events of orders": """SELECT o.event_id FROM checkout.outbox o WHERE o.type = 'order.placed' AND NOT EXISTS (
            SELECT 1 FROM cart.inbox i WHERE i.source = 'checkout' AND i.event_id = o.event_id)""",
    "refunds": "SELECT id FROM checkout.refund WHERE state = 'pending' AND next_at IS NOT NULL",
    "provider events": "SELECT id FROM checkout.provider_event WHERE next_at IS NOT NULL",
    "restocks": "SELECT operation_id FROM checkout.restock WHERE next_at IS NOT NULL",
    "mails": "SELECT id, state FROM notify.message WHERE state IN ('queued', 'sending')",
    "orders without a mail": """SELECT o.id FROM checkout.orders o WHERE NOT EXISTS (
            SELECT 1 FROM notify.message m WHERE m.order_id = o.id AND m.kind = 'order_placed')""",
    "payments under way": f"""SELECT c.id FROM checkout.checkout c WHERE c.state = 'payment_pending' AND c.expires_at < now()""",
    "orphans": f"""SELECT r.id FROM inventory.reservation r WHERE r.state = 'active' AND NOT EXISTS (
            SELECT 1 FROM checkout.checkout c WHERE r.key LIKE c.id || '%' AND c.state NOT IN {TERMINAL})""",
}


def books(stage):
    return (invariants.broken(stage.rows, stage.schemas(), at_rest=True)
            + invariants.plaintext(stage.rows, stage.schemas(), CANARIES))


def events(stage):
    """I11: no consumer holds events that it cannot apply, and the orders' consumer has all of them."""
    return [f"I11 {schema} cannot apply {row['behind']} events of {row['source']}" for schema in stage.schemas()
            for row in stage.rows(f"SELECT source, behind FROM {schema}.inbox_cursor WHERE behind > 0")]


def pending(stage):
    found = {}
    retried = "\nUNION ALL ".join(f"SELECT event_id FROM {s}.dead_letter WHERE state = 'retrying'" for s in stage.schemas())
    for name, query in {**PENDING, "retried events": retried}.items():
        n = int(stage.sql(f"SELECT count(*) FROM ({query}) t"))
        if n:
            found[name] = n
    return found


def quiesce(stage, seconds=60):
    """Seconds until nothing is under way, or None."""
    begun, last = time.monotonic(), {}
    while time.monotonic() - begun < seconds:
        try:
            now = pending(stage)
            if not now:
                print(f"# waited for last: {', '.join(f'{k} {n}' for k, n in last.items()) or 'nothing'}", flush=True)
                return time.monotonic() - begun
            last = now
        except OSError:
            pass
        time.sleep(0.5)
    return None


def close_open(stage):
    """Checkouts that wait for a payment nobody makes: their time is over."""
    stage.sql("UPDATE checkout.checkout SET begun_at = begun_at - interval '1 hour', expires_at = now() - interval '1 second',"
              " next_at = now() WHERE state = 'payment_pending'")
    # Reservations whose checkout died before it was stored.
    stage.sql("UPDATE inventory.reservation r SET expires_at = now() - interval '1 day' WHERE state = 'active' AND NOT hold"
              " AND NOT EXISTS (SELECT 1 FROM checkout.checkout c WHERE r.key LIKE c.id || '%')")


def provider(stage, shop):
    """I4: what the provider has taken and given back is what the books say."""
    out, theirs, after = [], {}, ""
    while True:
        page = shop.sandbox.get("/_sandbox/ledger?limit=1000" + (f"&after={after}" if after else ""), expect=200).json
        theirs.update({x["id"]: x for x in page["data"]})
        after = page["next"]
        if not after:
            break
    ours = {r["pi_id"]: r for r in stage.rows("""
        SELECT p.pi_id, p.captured_minor, p.currency, coalesce(sum(r.amount_minor) FILTER (WHERE r.state = 'succeeded'), 0) AS back
          FROM checkout.payment p LEFT JOIN checkout.refund r ON r.payment_id = p.id GROUP BY 1, 2, 3""")}
    for pi, x in theirs.items():
        captured = sum(c["amount_captured"] for c in x["charges"])
        back = sum(c["amount_refunded"] for c in x["charges"])
        mine = ours.get(pi, {"captured_minor": 0, "back": 0})
        if (captured, back) != (mine["captured_minor"], mine["back"]):
            out.append(f"I4 {pi}: provider has {captured} and gave back {back}, the books say {mine}")
        if x["amount_capturable"] and pi not in ours:
            live = stage.rows(f"SELECT state FROM checkout.checkout WHERE pi_id = '{pi}'")
            out.append(f"I4 {pi}: {x['amount_capturable']} of a buyer is still held ({live})")
    out += [f"I4 {pi} is in the books and not at the provider" for pi in ours if pi not in theirs]
    return out


def mails(stage, shop, faulty):
    """I10: a confirmation for each order, for nothing else; two only where the mail server died over it."""
    out = []
    for row in stage.rows("""SELECT o.id, o.number, m.state, m.attempts,
            (SELECT count(*) FROM notify.delivery d WHERE d.message_id = m.id AND d.outcome = 'unknown') AS unknown
            FROM checkout.orders o LEFT JOIN notify.message m ON m.order_id = o.id AND m.kind = 'order_placed'"""):
        if row["state"] != "sent":
            out.append(f"I10 the mail of order {row['number']} is {row['state']}")
    if faulty:
        return out
    seen = {}
    for mail in shop.mail.get("/api/messages?limit=20000", expect=200)["data"]:
        key = (mail["headers"].get("Message-ID"), tuple(mail["to"]))
        seen[key] = seen.get(key, 0) + 1
    doubled = {k: n for k, n in seen.items() if n > 1}
    if doubled:
        out.append(f"I10 sent twice: {list(doubled)[:3]}")
    return out


def clients(stage, history, sold):
    """I5, I8, I9, I13: what clients were told is what is. Counts in sold, by kind, what became an order."""
    out = [f"client: {e}" for e in history.errors]
    orders = {r["id"]: r for r in stage.rows("SELECT id, checkout_id, total_minor, currency FROM checkout.orders")}
    by_checkout = {r["checkout_id"]: r for r in orders.values()}
    checkouts = {r["id"]: r for r in stage.rows("SELECT id, cart_id, state, captured, refunded FROM checkout.checkout")}
    by_cart = {}
    for c in checkouts.values():
        by_cart.setdefault(c["cart_id"], []).append(c)
    for p in history.checkouts:
        if p.begin == "done" and p.checkout_id not in checkouts:
            out.append(f"I8 checkout {p.checkout_id} was acknowledged and is lost")
        if p.begin == "refused" and not p.checkout_id and any(c["state"] not in ("expired", "cancelled") for c in
                                                              by_cart.get(p.cart_id, [])):
            out.append(f"I9 the checkout of cart {p.cart_id} was refused and exists")
        if len(p.orders) > 1:
            out.append(f"I5 checkout {p.checkout_id} was answered with the orders {p.orders}")
        for order in p.orders:
            if order not in orders:
                out.append(f"I8 order {order} was acknowledged and is lost")
            elif (orders[order]["total_minor"], orders[order]["currency"]) != p.total:
                out.append(f"I16 order {order} costs {orders[order]['total_minor']}, the buyer agreed to {p.total}")
        if p.checkout_id in by_checkout and p.paid in ("refused", None):
            out.append(f"I9 checkout {p.checkout_id} became an order and was never paid")
        if p.paid == "done" and p.checkout_id in checkouts:
            c = checkouts[p.checkout_id]
            if c["state"] == "payment_pending" or c["captured"] and p.checkout_id not in by_checkout and not c["refunded"]:
                out.append(f"I3 checkout {p.checkout_id} is paid and {c['state']}")
        sold[p.kind] += p.checkout_id in by_checkout
    if history.carts:
        ids = "', '".join(c for c, _ in history.carts)
        lines = {}
        for r in stage.rows(f"SELECT cart_id, variant_id, qty FROM cart.line WHERE cart_id IN ('{ids}')"):
            lines.setdefault(r["cart_id"], {})[r["variant_id"]] = r["qty"]
        for cart, expected in history.carts:
            expected = {k: v for k, v in expected.items() if v}
            if lines.get(cart, {}) != expected:
                out.append(f"I8 cart {cart} holds {lines.get(cart)}, its buyer was told {expected}")
    return out


def sessions(shop, people):
    """I15: a refresh token that was rotated away is good for nothing, and whoever shows it ends the session."""
    out, asked = [], 0
    rest = shop.guest()
    rest.patience = 30

    def refresh(token):
        return rest.post("/api/auth/refresh", {"refresh_token": token}, headers=PAGE)

    for person in people:
        if any(len(found) > 1 for found in person.successors.values()):
            out.append(f"I15 a refresh token of {person.email} has had two successors")
        if len(person.chain) < 3:
            continue
        asked += 1
        for old in person.chain[-3::-1][:3]:
            if (reply := refresh(old)).status != 401:
                out.append(f"I15 {reply.status} for a refresh token that {person.email} had rotated away")
        if (reply := refresh(person.chain[-1])).status != 401:
            out.append(f"I15 {reply.status} for the last token of {person.email}, whose old one was shown")
    if not asked:
        out.append("I15 nobody rotated a token twice: this run proves nothing of it")
    return out


def isolation(shop, one, other):
    """I14: with the token of one vendor, nothing of the other."""
    out = []
    page = other.get("/api/vendor/orders?limit=5", expect=200)["data"]
    for order in page:
        reply = one.get("/api/vendor/orders/" + urllib.parse.quote(order["id"]))
        if reply.status != 404:
            out.append(f"I14 {reply.status} for another vendor's order {order['id']}")
    return out


def leaks(before, after):
    """I17, of processes that lived through all of it: open files, threads and memory come back down."""
    out = []
    for name, (pid, fds, threads, rss) in before.items():
        if name in after and after[name][0] == pid:
            if after[name][1] > fds + 80 or after[name][2] > threads + 40 or \
                    after[name][3] > rss * 3 + 64 and name not in KEEPERS:
                out.append(f"I17 {name}: files {fds} → {after[name][1]}, threads {threads} → {after[name][2]},"
                           f" MiB {rss} → {after[name][3]}")
    return out


def usage(stage):
    out = {}
    for name, p in stage.state()["processes"].items():
        try:
            pid = p["pid"]
            with open(f"/proc/{pid}/status") as f:
                status = dict(line.split(":", 1) for line in f)
            out[name] = (pid, len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"]), int(status["VmRSS"].split()[0]) // 1024)
        except (OSError, KeyError):
            continue
    return out
