"""The real catalogue (SOUK_DATA, or ../shared/data beside the clone) through the bulk import as a vendor, then a
purchase of some of it. Nothing of it is kept here."""

import json
import lzma
import os
import time
import unittest

from support.buying import Buying
from support.e2e import ROOT, until

DATA = os.environ.get("SOUK_DATA") or os.path.normpath(os.path.join(ROOT, "..", "shared", "data"))
FILE = os.path.join(DATA, "electronics", "products.jsonl.xz")
BERLIN = {"name": "Eve Example", "line1": "Hauptstraße 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}


@unittest.skipUnless(os.path.exists(FILE), f"the real catalogue is not at {FILE}")
class RealCatalogue(Buying):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with lzma.open(FILE) as f:
            cls.text = f.read()
        cls.rows = cls.text.count(b"\n")

    def send(self, vendor, text, name, policy="reject_bad_rows"):
        started = vendor.post(f"/api/vendor/products/import?format=jsonl&policy={policy}&publish=true&currency=EUR"
                              f"&category_attribute=product_type&name={name}", data=text, key=True, expect=(200, 201, 202),
                              headers={"Content-Type": "application/x-ndjson"})
        path = f"/api/vendor/products/imports/{started['id']}"
        seen = set()

        def ended():
            state = vendor.get(path, expect=200).json
            seen.add(state.get("percent"))
            return state if state["state"] in ("done", "rejected", "failed", "cancelled") else None

        state = until(ended, 900)
        self.assertEqual(state["state"], "done", state)
        return path, state, seen

    def test_import_and_buy(self):
        vendor = self.new_vendor()
        begun = time.monotonic()
        path, state, seen = self.send(vendor, self.text, "real")
        took = time.monotonic() - begun
        print(f"# {self.rows} rows in {took:.0f} s: {json.dumps(state)[:300]}", flush=True)
        self.assertEqual(state["rows_read"], self.rows)
        self.assertGreater(len(seen), 3, "progress was not to be seen")
        bad = list(vendor.walk(path + "/errors"))
        self.assertEqual(len({e["row"] for e in bad}), state["rows_bad"])
        for e in bad:
            self.assertTrue(e["message"])
        self.assertLess(state["rows_bad"], self.rows // 100, bad[:5])
        self.assertEqual(state["rows_bad"] + state["rows_applied"], self.rows)

        # Safe to repeat: nothing new.
        _, again, _ = self.send(vendor, self.text, "real-again")
        self.assertEqual((again["products_created"], again["products_updated"]), (0, 0))

        # To be found by a buyer, with its texts whole; the first row, the longest title, one beyond ASCII.
        guest = self.guest()
        profile = vendor.get("/api/vendor/profile", expect=200)
        listed = guest.get(f"/api/products?vendor={profile['id']}&currency=EUR&limit=100", expect=200)["data"]
        self.assertEqual(len(listed), 100)
        bad_rows = {e["row"] for e in bad}
        rows = [json.loads(x) for i, x in enumerate(self.text.splitlines(), 1) if i not in bad_rows]
        rows = [r for r in rows if r.get("price", 0) > 0 and len(r["title"]) <= 300 and r["title"].isprintable()]
        wanted = [rows[0], max(rows, key=lambda r: len(r["title"])), next(r for r in rows if not r["title"].isascii())]
        bought = []
        for row in wanted:
            own = vendor.get(f"/api/vendor/products?q={row['id']}", expect=200)["data"]
            self.assertTrue(own, row["id"])
            product = guest.get(f"/api/products/{own[0]['id']}?currency=EUR", expect=200)
            self.assertEqual(product["title"].split(), row["title"].split())
            self.assertEqual(product["price"], {"amount": row["price"], "currency": "EUR"})
            variant = product["variants"][0]
            until(lambda: vendor.put(f"/api/vendor/inventory/{variant['sku']}", {"on_hand": 5, "reason": "counted"},
                                     expect=200), 60, (404,))
            bought.append((row, variant))

        # And bought: a cart in euros, paid at the sandbox, confirmed, told by mail, stock deducted.
        for row, variant in bought:
            reply = until(lambda: guest.post("/api/cart/items", {"variant_id": variant["id"], "qty": 2, "currency": "EUR"},
                                             expect=201), 30, (409, 422))
            guest.cart_token = reply.get("cart_token") or guest.cart_token
        cart = guest.get("/api/cart", expect=200)
        self.assertEqual(cart["subtotal"], {"amount": sum(2 * r["price"] for r, _ in bought), "currency": "EUR"})
        estimate = self.estimate(guest, "country=DE&postal_code=10115")
        checkout = self.start(guest, estimate, address=BERLIN)
        self.assertEqual((checkout.status, checkout["state"]), (201, "payment_pending"), checkout.text)
        self.pay(checkout)
        order = self.confirm(guest, checkout)
        self.assertEqual(order["totals"]["total"], estimate["totals"]["total"])
        for row, variant in bought:
            level = self.stock(vendor, variant["sku"])
            self.assertEqual((level["on_hand"], level["reserved"]), (3, 0))
        mail = self.shop.wait_mail(guest.email)
        self.assertIn(order["number"], mail["subject"] + mail["text"])
        mine = list(vendor.walk("/api/vendor/orders"))
        self.assertEqual([v["order_id"] for v in mine], [order["id"]])
