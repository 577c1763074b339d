#!/usr/bin/python3
"""Loads the demo shop into a running platform, through REST alone; what is there already stays.

	load.py --run-dir .run --identity build/release/souk-identity [--scale 1000] [--seed 1]

The only thing that is not REST is the first administrator's one-time token, which souk-identity prints.
Says what it does in lines `demo: …`; writes <run-dir>/demo.json when complete.
"""

import argparse
import itertools
import json
import os
import shlex
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import generate
from rest import Failed
from shop import Shop, until

ADMIN = "admin@souk.example"
PEOPLE = [  # e-mail, name, role shown
    ("buyer@souk.example", "Bea Buyer", "buyer"),
    ("second.buyer@souk.example", "Sam Second", "buyer"),
    ("support@souk.example", "Sol Support", "support"),
]
STAFF = ("staff@harbour-goods.souk.example", "Stef Staff")
PASSWORD = generate.PASSWORD


def say(text):
    print(f"demo: {text}", flush=True)


def bootstrap(shop, args):
    """The first administrator's account, by the token that souk-identity prints once."""
    try:
        return shop.login(ADMIN, PASSWORD, "admin")
    except Failed as e:
        if e.reply.status not in (401, 403):
            raise
    env = {"PATH": os.environ["PATH"]}
    env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
    with open(os.path.join(args.run_dir, "env", "identity.env")) as f:
        env.update(word.split("=", 1) for word in shlex.split(f.read()))
    done = subprocess.run([args.identity, "--bootstrap-admin", ADMIN], env=env, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    words = done.stdout.split()
    if done.returncode or not words:
        raise RuntimeError(f"souk-identity --bootstrap-admin: {done.stderr.strip()[-300:]}")
    body = {"token": words[-1], "password": PASSWORD}
    if len(words) > 1:
        body["email"] = words[-2]
    shop.guest().post("/api/auth/password/reset", body, expect=(200, 204))
    return shop.login(ADMIN, PASSWORD, "admin")


def make_categories(admin):
    ids = {c["slug"]: c["id"] for c in admin.walk("/api/categories")}
    for slug, name, parent, position in generate.categories():
        if slug not in ids:
            body = {"name": name, "slug": slug, "position": position}
            if parent:
                body["parent_id"] = ids[parent]
            ids[slug] = admin.post("/api/admin/categories", body, expect=(200, 201))["id"]
    return ids


def make_vendor(shop, admin, vendor):
    """The owner's vendor-side caller of an approved vendor."""
    owner = shop.account(vendor["owner"], PASSWORD, vendor["name"])
    members = owner.get("/api/users/me", expect=200).get("memberships") or []
    if members and members[0].get("vendor_status") == "approved":
        return shop.vendor_login(vendor["owner"], PASSWORD, members[0]["vendor_id"])
    if members:
        vendor_id = members[0]["vendor_id"]
    else:
        made = owner.post("/api/vendors", {"name": vendor["name"], "slug": vendor["slug"], "country": vendor["country"],
                                           "description": vendor["description"], "accept_terms": True}, key=True)
        if made.status == 409:  # applied before, and the membership is still on its way
            vendor_id = owner.get(f"/api/vendors/{vendor['slug']}", expect=200)["id"]
        elif made.status in (200, 201):
            vendor_id = made["id"]
        else:
            raise Failed(made)
    approved = admin.post(f"/api/admin/vendors/{vendor_id}/approve", {"commission_bp": 1200})
    if approved.status not in (200, 409):
        raise Failed(approved)
    return shop.vendor_login(vendor["owner"], PASSWORD, vendor_id)


def row(product, category):
    """A line of the bulk import."""
    return {
        "key": product["slug"], "slug": product["slug"], "title": product["title"], "description": product["description"],
        "brand": product["brand"], "categories": [category], "attributes": product["attributes"],
        "variants": [
            {key: value for key, value in {
                "sku": v["sku"], "title": v["title"], "options": v["options"], "weight_g": v["weight_g"],
                "price": {"amount": v["price"], "currency": "USD"},
                "compare_at_price": {"amount": v["compare_at"], "currency": "USD"} if v["compare_at"] else None,
                "on_hand": v["on_hand"]}.items() if value is not None}
            for v in product["variants"]],
    }


def import_products(vendor, index, args):
    """One bulk import per vendor; its name says what it holds, so that a repetition is seen."""
    name = f"demo-{args.seed}-{args.scale}"
    for old in vendor.walk("/api/vendor/products/imports"):
        if old.get("name") == name and old["state"] == "done":
            return old
    lines = [json.dumps(row(p, p["category"]), ensure_ascii=False)
             for p in generate.products(args.seed, args.scale, index)]
    if not lines:
        return None
    query = f"format=jsonl&policy=reject_all&publish=true&currency=USD&name={name}"
    started = vendor.post(f"/api/vendor/products/import?{query}", data=("\n".join(lines) + "\n").encode(),
                          headers={"Content-Type": "application/x-ndjson"}, key=f"{name}-{index}", expect=(200, 201, 202))
    path = f"/api/vendor/products/imports/{started['id']}"

    def finished():
        state = vendor.get(path, expect=200).json
        return state if state["state"] in ("done", "rejected", "failed", "cancelled") else None

    state = until(finished, 600)
    if state["state"] != "done":
        errors = vendor.get(path + "/errors?limit=3").text
        raise RuntimeError(f"import {state['state']}: {state.get('message', '')} {errors[:600]}")
    return state


def make_people(shop, admin, first_vendor):
    users = []
    for email, name, role in PEOPLE:
        caller = shop.account(email, PASSWORD, name)
        if role == "support":
            granted = admin.post(f"/api/admin/users/{caller.user_id}/roles", {"role": "support"})
            if granted.status not in (200, 201, 204, 409):
                raise Failed(granted)
        elif not list(caller.walk("/api/users/me/addresses")):
            caller.post("/api/users/me/addresses", {
                "name": name, "line1": "1 Market Street", "city": "Springfield", "region": "IL", "postal_code": "62701",
                "country": "US", "is_default": True}, expect=(200, 201))
        users.append({"role": role, "email": email})
    shop.account(STAFF[0], PASSWORD, STAFF[1])
    added = first_vendor.post("/api/vendor/members", {"email": STAFF[0], "role": "vendor_staff"})
    if added.status not in (200, 201, 409):
        raise Failed(added)
    return users


def make_history(shop, admin, args):
    """Two months of invented visits and orders, so that there is something to recommend; once, where reco runs."""
    asking = admin.clone(admin.token)
    asking.patience = 20  # a build without it is not waited for
    if asking.get("/api/admin/reco/status").status != 200:
        say("no recommendations here: nobody has looked at anything yet")
        return
    category = {p["slug"]: p["category"] for i in range(len(generate.VENDORS))
                for p in generate.products(args.seed, min(args.scale, 2000), i)}
    cards = itertools.islice(shop.guest().walk("/api/products"), 3000)
    known = sorted((c["slug"], c["id"]) for c in cards if c["slug"] in category)
    now = int(time.time() * 1000)
    rows = generate.history(args.seed, [(product_id, category[slug]) for slug, product_id in known], now)
    for row in rows:
        row["occurred_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row["occurred_at"] / 1000))
    for at in range(0, len(rows), 2000):
        admin.post("/api/admin/reco/history", {"source": "demo", "rows": rows[at:at + 2000]}, expect=200)
    say(f"{len(rows)} visits, carts and orders of the last {generate.HISTORY_DAYS} days")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("--identity", required=True)
    parser.add_argument("--scale", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    begun = time.monotonic()
    shop = Shop.of_run_dir(args.run_dir, patience=120)

    admin = bootstrap(shop, args)
    ids = make_categories(admin)
    say(f"{len(ids)} categories")
    users = [{"role": "admin", "email": ADMIN}]
    callers = []
    for index, vendor in enumerate(generate.vendors()):
        caller = make_vendor(shop, admin, vendor)
        callers.append(caller)
        users.append({"role": "vendor", "email": vendor["owner"], "vendor_id": caller.vendor_id})
        done = import_products(caller, index, args)
        if done:
            say(f"{vendor['name']}: {done.get('rows_applied', 0)} products")
    users += make_people(shop, admin, callers[0])
    users.append({"role": "staff", "email": STAFF[0], "vendor_id": callers[0].vendor_id})
    wait_for_stock(shop)
    make_history(shop, admin, args)

    path = os.path.join(args.run_dir, "demo.json")
    with open(path + ".new", "w") as f:
        json.dump({"seed": args.seed, "scale": args.scale, "password": PASSWORD, "users": users}, f, indent=1)
    os.replace(path + ".new", path)
    say(f"loaded in {time.monotonic() - begun:.1f} s")
    return 0


def wait_for_stock(shop):
    """Stock travels from catalog to inventory and its availability back, by events."""
    guest = shop.guest()
    until(lambda: guest.get("/api/products?in_stock=true&limit=1", expect=200)["data"], 120)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, RuntimeError, TimeoutError, OSError) as e:
        print(f"demo: {e}", file=sys.stderr)
        sys.exit(1)
