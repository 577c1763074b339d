"""The real catalogue (SOUK_DATA, or ../shared/data beside the clone) through the bulk import as a vendor, then a look
at it as a buyer. Nothing of it is kept here."""

import json
import lzma
import os
import time
import unittest

from support.e2e import E2E, ROOT, until

DATA = os.environ.get("SOUK_DATA") or os.path.normpath(os.path.join(ROOT, "..", "shared", "data"))
FILE = os.path.join(DATA, "electronics", "products.jsonl.xz")


@unittest.skipUnless(os.path.exists(FILE), f"the real catalogue is not at {FILE}")
class RealCatalogue(E2E):
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

        # To be found by a buyer, with its texts whole.
        guest = self.guest()
        first = json.loads(self.text.split(b"\n", 1)[0])
        profile = vendor.get("/api/vendor/profile", expect=200)
        listed = guest.get(f"/api/products?vendor={profile['id']}&currency=EUR&limit=100", expect=200)["data"]
        self.assertEqual(len(listed), 100)
        own = vendor.get(f"/api/vendor/products?q={first['id']}", expect=200)["data"]
        self.assertTrue(own)
        product = guest.get(f"/api/products/{own[0]['id']}?currency=EUR", expect=200)
        self.assertEqual(product["title"], first["title"])
        self.assertEqual(product["price"], {"amount": first["price"], "currency": "EUR"})
        sku = product["variants"][0]["sku"]

        # Stock, a cart.
        until(lambda: vendor.put(f"/api/vendor/inventory/{sku}", {"on_hand": 5, "reason": "counted"}, expect=200), 60, (404,))
        line = {"variant_id": product["variants"][0]["id"], "qty": 2, "currency": "EUR"}
        cart = until(lambda: guest.post("/api/cart/items", line, expect=201), 30, (409, 422))
        self.assertEqual(cart["subtotal"], {"amount": 2 * first["price"], "currency": "EUR"})
