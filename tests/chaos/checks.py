"""After the storm: what must be true of the books (I1 to I17), in SQL, and against what clients, the provider and the mailbox
say. A check answers with what is wrong, as text; nothing is the right answer."""

import os
import time
import urllib.parse

TERMINAL = "('ordered', 'cancelled', 'expired', 'refunded')"
SCHEMAS = ["identity", "catalog", "inventory", "cart", "checkout", "notify"]

# name -> query whose rows are violations
SQL = {
    "I1 on hand = movements": """
        SELECT s.variant_id, s.on_hand, m.sum FROM inventory.stock s
          LEFT JOIN (SELECT variant_id, sum(delta) FROM inventory.movement GROUP BY 1) m USING (variant_id)
         WHERE s.on_hand <> coalesce(m.sum, 0)""",
    "I1 reserved = active lines": """
        SELECT s.variant_id, s.reserved, r.sum FROM inventory.stock s
          LEFT JOIN (SELECT l.variant_id, sum(l.qty) FROM inventory.reservation_line l
                       JOIN inventory.reservation r ON r.id = l.reservation_id AND r.state = 'active' GROUP BY 1) r
            ON r.variant_id = s.variant_id
         WHERE s.reserved <> coalesce(r.sum, 0) OR s.reserved < 0 OR NOT s.backorder AND s.reserved > s.on_hand""",
    "I1 levels add up": """
        SELECT s.variant_id, s.on_hand, l.sum FROM inventory.stock s
          LEFT JOIN (SELECT variant_id, sum(on_hand) FROM inventory.level GROUP BY 1) l USING (variant_id)
         WHERE s.on_hand <> coalesce(l.sum, 0)""",
    "I2 sold = ordered": """
        SELECT coalesce(o.order_id, m.order_id) AS order_id, coalesce(o.variant_id, m.variant_id) AS variant_id, o.qty, m.sold
          FROM (SELECT l.order_id, l.variant_id, l.qty FROM checkout.order_line l) o
          FULL JOIN (SELECT order_id, variant_id, -sum(delta) AS sold FROM inventory.movement
                      WHERE kind IN ('sale', 'restock') AND order_id IS NOT NULL GROUP BY 1, 2) m
            ON m.order_id = o.order_id AND m.variant_id = o.variant_id
         WHERE coalesce(o.qty, 0) <> coalesce(m.sold, 0)""",
    "I3 an order has one payment of its amount": """
        SELECT o.id FROM checkout.orders o
          LEFT JOIN checkout.payment p ON p.checkout_id = o.checkout_id AND p.currency = o.currency
           AND p.captured_minor = o.total_minor AND p.pi_id = o.payment_intent_id
         WHERE o.total_minor > 0 GROUP BY o.id HAVING count(p.id) <> 1""",
    "I3 a payment has an order or is given back": """
        SELECT p.id, p.pi_id FROM checkout.payment p
          LEFT JOIN checkout.orders o ON o.checkout_id = p.checkout_id AND o.payment_intent_id = p.pi_id
         WHERE o.id IS NULL AND p.captured_minor <> (SELECT coalesce(sum(r.amount_minor), 0) FROM checkout.refund r
                                                      WHERE r.payment_id = p.id AND r.state = 'succeeded')""",
    "I5 one order a checkout": "SELECT checkout_id FROM checkout.orders GROUP BY 1 HAVING count(*) > 1",
    "I6 no reservation without a checkout": f"""
        SELECT r.id, r.key, r.state, r.expires_at FROM inventory.reservation r
         WHERE r.state = 'active' AND NOT EXISTS (SELECT 1 FROM checkout.checkout c
               WHERE r.key LIKE c.id || '%' AND c.state NOT IN {TERMINAL})""",
    "I7 no checkout in the middle": f"""
        SELECT id, state, why, tries, next_at FROM checkout.checkout
         WHERE state NOT IN {TERMINAL} AND state <> 'payment_pending'""",
    "I11 no dead letters": "\nUNION ALL ".join(
        f"SELECT '{s}' AS at, source, type, error FROM {s}.dead_letter" for s in SCHEMAS),
    "I12 mutations are audited": """
        SELECT o.id FROM checkout.orders o WHERE NOT EXISTS (
               SELECT 1 FROM checkout.audit_log a WHERE a.table_name = 'orders' AND a.row_id = o.id AND a.action = 'insert')""",
    "I14 vendor orders are the order": """
        SELECT o.id FROM checkout.orders o WHERE o.subtotal_minor <> (SELECT sum(l.subtotal_minor) FROM checkout.order_line l
               JOIN checkout.vendor_order v ON v.id = l.vendor_order_id AND v.order_id = o.id WHERE l.order_id = o.id)""",
    "I16 promotions within their limits": """
        SELECT p.id FROM checkout.promotion p WHERE p.uses > coalesce(p.max_uses, p.uses) OR p.uses <>
               (SELECT count(*) FROM checkout.redemption r WHERE r.promotion_id = p.id AND r.state <> 'released')""",
    "I16 paid = frozen": """
        SELECT o.id FROM checkout.orders o JOIN checkout.checkout c ON c.id = o.checkout_id
         WHERE (o.total_minor, o.currency) <> (c.total_minor, c.currency)""",
}

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
    "retried events": "\nUNION ALL ".join(f"SELECT event_id FROM {s}.dead_letter WHERE state = 'retrying'" for s in SCHEMAS),
    "payments under way": f"""SELECT c.id FROM checkout.checkout c WHERE c.state = 'payment_pending' AND c.expires_at < now()""",
    "orphans": f"""SELECT r.id FROM inventory.reservation r WHERE r.state = 'active' AND NOT EXISTS (
            SELECT 1 FROM checkout.checkout c WHERE r.key LIKE c.id || '%' AND c.state NOT IN {TERMINAL})""",
}


def books(stage):
    out = []
    for name, query in SQL.items():
        rows = stage.rows(query)
        if rows:
            out.append(f"{name}: {len(rows)} rows, such as {rows[:3]}")
    for schema in SCHEMAS:
        if (bad := stage.sql(f"SELECT {schema}.audit_verify()")) != "":
            out.append(f"I12 the audit chain of {schema} is broken at {bad}")
    return out


def events(stage):
    """I11: no consumer holds events that it cannot apply, and the orders' consumer has all of them."""
    return [f"I11 {schema} cannot apply {row['behind']} events of {row['source']}" for schema in SCHEMAS
            for row in stage.rows(f"SELECT source, behind FROM {schema}.inbox_cursor WHERE behind > 0")]


def pending(stage):
    found = {}
    for name, query in PENDING.items():
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
    seen = {}
    for mail in shop.mail.get("/api/messages?limit=20000", expect=200)["data"]:
        key = (mail["headers"].get("Message-ID"), tuple(mail["to"]))
        seen[key] = seen.get(key, 0) + 1
    doubled = {k: n for k, n in seen.items() if n > 1}
    if doubled and not faulty:
        out.append(f"I10 sent twice: {list(doubled)[:3]}")
    return out


def clients(stage, history):
    """I5, I8, I9, I13: what clients were told is what is."""
    out = [f"client: {e}" for e in history.errors]
    orders = {r["id"]: r for r in stage.rows("SELECT id, checkout_id, total_minor, currency FROM checkout.orders")}
    by_checkout = {r["checkout_id"]: r for r in orders.values()}
    checkouts = {r["id"]: r for r in stage.rows("SELECT id, cart_id, state, captured, refunded FROM checkout.checkout")}
    by_cart = {}
    for c in checkouts.values():
        by_cart.setdefault(c["cart_id"], []).append(c)
    sold = {}
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
        sold[p.kind] = sold.get(p.kind, 0) + (p.checkout_id in by_checkout)
    if history.carts:
        ids = "', '".join(c for c, _ in history.carts)
        lines = {}
        for r in stage.rows(f"SELECT cart_id, variant_id, qty FROM cart.line WHERE cart_id IN ('{ids}')"):
            lines.setdefault(r["cart_id"], {})[r["variant_id"]] = r["qty"]
        for cart, expected in history.carts:
            expected = {k: v for k, v in expected.items() if v}
            if lines.get(cart, {}) != expected:
                out.append(f"I8 cart {cart} holds {lines.get(cart)}, its buyer was told {expected}")
    return out, sold


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
    """I17, of processes that lived through all of it: open files and threads come back down."""
    out = []
    for name, (pid, fds, threads, rss) in before.items():
        if name in after and after[name][0] == pid:
            if after[name][1] > fds + 80 or after[name][2] > threads + 40 or after[name][3] > rss * 3 + 64:
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
