"""The shop side: becoming a vendor, goods, prices, stock, other vendors, bulk import."""

import csv
import io
import json
import random
import string
import time
import urllib.parse

from support.goods import Goods, until


def rfc3339(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


class Application(Goods):
    def test_apply_approve_sell(self):
        owner, admin = self.buyer(), self.admin()
        slug = self.unique("vendor")
        body = {"name": "Fine Goods \u00c6", "slug": slug, "country": "DE", "description": "Fine.", "accept_terms": True}
        made = owner.post("/api/vendors", body, expect=201)
        self.assertEqual(made["status"], "applied")
        self.assertError(self.guest().get(f"/api/vendors/{slug}"), 404)  # not public yet
        login = {"email": owner.email, "password": "a-Test-password-1357", "audience": "vendor", "vendor_id": made["id"]}
        pending = until(lambda: (r := self.guest().post("/api/auth/login", login)).status == 409 and r, 20)
        self.assertError(pending, 409, "VENDOR_PENDING")
        self.assertIn(made["id"], [v["id"] for v in admin.walk("/api/admin/vendors?status=applied")])
        admin.post(f"/api/admin/vendors/{made['id']}/approve", {"commission_bp": 1000}, expect=200)
        vendor = self.shop.vendor_login(owner.email, "a-Test-password-1357", made["id"])
        self.assertEqual(vendor.get("/api/vendor/profile", expect=200)["status"], "approved")
        public = until(lambda: self.guest().get(f"/api/vendors/{slug}", expect=200), 5, (404,)).json
        self.assertEqual(public["name"], "Fine Goods \u00c6")
        self.assertFalse(public.keys() & {"status", "commission_bp", "owner_user_id"}, public)

    def test_refused_applications(self):
        owner = self.buyer()
        good = {"name": "Goods", "slug": self.unique("v"), "country": "US", "accept_terms": True}
        for change, field in (({"name": ""}, "name"), ({"accept_terms": False}, "accept_terms"),
                              ({"country": "ZZZ"}, "country"), ({"slug": "No Slug"}, "slug"), ({"status": "approved"}, "status"),
                              ({"commission_bp": 0}, "commission_bp")):
            self.assertError(owner.post("/api/vendors", {**good, **change}), 400, "VALIDATION_ERROR", field)
        self.assertError(self.guest().post("/api/vendors", good), 401)
        owner.post("/api/vendors", good, expect=201)
        self.assertError(owner.post("/api/vendors", {**good, "slug": self.unique("v")}), 409)
        self.assertError(self.buyer().post("/api/vendors", good), 409)  # the slug is taken

    def test_reject(self):
        owner, admin = self.buyer(), self.admin()
        made = owner.post("/api/vendors", {"name": "Bad", "slug": self.unique("v"), "country": "US", "accept_terms": True},
                          expect=201)
        at = f"/api/admin/vendors/{made['id']}"
        self.assertError(admin.post(at + "/reject", {}), 400, "VALIDATION_ERROR", "reason")
        self.assertEqual(admin.post(at + "/reject", {"reason": "No papers."}, expect=200)["status"], "rejected")
        self.assertError(owner.post(at + "/approve", {}), 403)

    def test_suspension_takes_the_goods_away(self):
        vendor = self.new_vendor()
        product, guest = self.product(vendor), self.guest()
        guest.get(f"/api/products/{product['id']}", expect=200)
        self.admin().post(f"/api/admin/vendors/{vendor.vendor_id}/suspend", {"reason": "Complaints."}, expect=200)
        until(lambda: guest.get(f"/api/products/{product['id']}").status == 404, 2)
        until(lambda: vendor.get("/api/vendor/products").status in (401, 403), 10)
        reply = guest.post("/api/cart/items", {"variant_id": product["variants"][0]["id"], "qty": 1})
        self.assertError(reply, 409, "NOT_SELLABLE")


class Products(Goods):
    def test_life_of_a_product(self):
        vendor, guest = self.vendor(), self.guest()
        body = self.product_body(publish=False, variants=2)
        made = vendor.post("/api/vendor/products", body, expect=201)
        at = f"/api/vendor/products/{made['id']}"
        self.assertEqual((made["status"], len(made["variants"])), ("draft", 2))
        self.assertIn(made["id"], [p["id"] for p in vendor.walk("/api/vendor/products?status=draft")])
        self.assertEqual(vendor.get(f"/api/vendor/products?q={body['variants'][1]['sku']}", expect=200)["data"][0]["id"],
                         made["id"])
        changed = vendor.patch(at, {"title": "Better", "attributes": {"a": [1, 2], "b": True}}, if_match=made.etag)
        self.assertError(changed, 400, "VALIDATION_ERROR", "attributes")  # a list holds texts
        changed = vendor.patch(at, {"title": "Better", "attributes": {"a": ["1"], "b": True, "c": 2.5}},
                               if_match=made.etag, expect=200)
        self.assertEqual(changed["attributes"], {"a": ["1"], "b": True, "c": 2.5})
        self.assertError(vendor.patch(at, {"title": "Late"}, if_match=made.etag), 412, "PRECONDITION_FAILED")
        added = vendor.post(at + "/variants", {"variant": {"sku": self.unique("extra"), "title": "Extra",
                                                           "price": {"amount": 1, "currency": "USD"}, "on_hand": 1}},
                            expect=201)
        self.assertEqual(len(added["variants"]), 3)
        extra = added["variants"][2]["id"]
        off = vendor.patch(f"{at}/variants/{extra}", {"active": False}, expect=200)
        self.assertFalse(next(v for v in off["variants"] if v["id"] == extra)["active"])
        self.assertEqual(vendor.post(at + "/publish", expect=200)["status"], "published")
        public = until(lambda: guest.get(f"/api/products/{made['id']}", expect=200), 2, (404,))
        self.assertEqual(len(public["variants"]), 2)
        vendor.delete(at, expect=204)
        self.assertError(vendor.get(at), 404)
        # The SKUs are free again.
        vendor.post("/api/vendor/products", {**body, "title": "Again"}, expect=201)

    def test_bad_products(self):
        vendor = self.vendor()
        good = self.product_body()
        variant = good["variants"][0]

        def with_variant(**change):
            return {**good, "variants": [{**variant, **change}]}

        for body, field in (({**good, "title": ""}, "title"), ({**good, "title": "x" * 301}, "title"),
                            ({**good, "title": "a\u0007b"}, "title"), ({**good, "variants": []}, "variants"),
                            ({**good, "tax_class": "luxury"}, "tax_class"), ({**good, "slug": "A B"}, "slug"),
                            ({**good, "vendor_id": "vnd_x"}, "vendor_id"), ({**good, "attributes": []}, "attributes"),
                            ({**good, "attributes": {"a": {"b": 1}}}, "attributes"),
                            (with_variant(price={"amount": -1, "currency": "USD"}), "price"),
                            (with_variant(price={"amount": 1, "currency": "XQX"}), "price"),
                            (with_variant(price={"amount": 10 ** 15, "currency": "USD"}), "price"),
                            (with_variant(on_hand=-1), "on_hand"), (with_variant(sku=""), "sku"),
                            (with_variant(colour="red"), "colour"), (with_variant(weight_g=-5), "weight_g")):
            with self.subTest(field=field):
                error = self.assertError(vendor.post("/api/vendor/products", body), 400, "VALIDATION_ERROR")
                self.assertTrue(any(field in d["field"] for d in error["details"]), error)
        self.assertError(vendor.post("/api/vendor/products", {**good, "category_ids": ["cat_01jd000000000000000000000a"]}),
                         404, "NOT_FOUND")
        no = {**good, "variants": [variant, variant]}
        self.assertError(vendor.post("/api/vendor/products", no), 409, "CONFLICT")
        vendor.post("/api/vendor/products", good, expect=201)  # and the good one was good

    def test_skus_are_a_vendors_own(self):
        one, two = self.vendor(), self.new_vendor()
        body = self.product_body(on_hand=5)
        sku = body["variants"][0]["sku"]
        one.post("/api/vendor/products", body, expect=201)
        self.assertError(one.post("/api/vendor/products", {**body, "title": "Twice"}), 409, "CONFLICT")
        two.post("/api/vendor/products", {**body, "variants": [{**body["variants"][0], "on_hand": 8}]}, expect=201)
        self.assertNotEqual(self.wait_stock(one, sku, 5)["variant_id"], self.wait_stock(two, sku, 8)["variant_id"])
        one.post(f"/api/vendor/inventory/{sku}/adjustments", {"delta": 1, "reason": "found"}, key=True, expect=201)
        self.assertEqual((self.stock(one, sku)["on_hand"], self.stock(two, sku)["on_hand"]), (6, 8))

    def test_sale_window(self):
        vendor, guest = self.vendor(), self.guest()
        product = self.product(vendor, price=1000)
        at = f"/api/vendor/products/{product['id']}/variants/{product['variants'][0]['id']}/prices"
        now = int(time.time() * 1000)

        def price():
            return guest.get(f"/api/products/{product['id']}", expect=200)["variants"][0]["price"]["amount"]

        vendor.put(at, {"price": {"amount": 500, "currency": "USD"}, "starts_at": rfc3339(now + 3600_000),
                        "ends_at": rfc3339(now + 7200_000)}, expect=200)
        self.assertEqual(price(), 1000)  # tomorrow's sale is not today's
        end = now + 4000
        seen = vendor.put(at, {"price": {"amount": 700, "currency": "USD"},
                               "compare_at_price": {"amount": 1000, "currency": "USD"},
                               "starts_at": rfc3339(now - 1000), "ends_at": rfc3339(end)}, expect=200)
        self.assertEqual(len(seen["variants"][0]["prices"]), 3)
        until(lambda: price() == 700, 1)
        variant = {"id": product["variants"][0]["id"]}
        self.assertEqual(self.add(guest, variant)["subtotal"]["amount"], 700)
        # The cached answer lives no longer than the sale.
        until(lambda: price() == 1000, 8)
        self.assertGreaterEqual(time.time() * 1000, end - 50)
        self.assertEqual(guest.get("/api/cart", expect=200)["subtotal"]["amount"], 1000)
        for body in ({"price": {"amount": 5, "currency": "USD"}, "starts_at": rfc3339(now + 5000), "ends_at": rfc3339(now)},
                     {"price": {"amount": 5, "currency": "USD"}, "starts_at": "yesterday", "ends_at": rfc3339(now)},
                     {"starts_at": rfc3339(now)}):
            self.assertError(vendor.put(at, body), 400, "VALIDATION_ERROR")

    def test_strangers_product_is_404(self):
        one, two = self.vendor(), self.new_vendor()
        product = self.product(one)
        at, variant = f"/api/vendor/products/{product['id']}", product["variants"][0]
        for method, path, body in (
                ("GET", at, None), ("PATCH", at, {"title": "Mine"}), ("DELETE", at, None), ("POST", at + "/publish", {}),
                ("POST", at + "/unpublish", {}), ("POST", at + "/variants", {"variant": {"sku": "x", "title": "x"}}),
                ("PATCH", f"{at}/variants/{variant['id']}", {"title": "x"}),
                ("PUT", f"{at}/variants/{variant['id']}/prices", {"price": {"amount": 1, "currency": "USD"}}),
                ("GET", f"/api/vendor/inventory/{variant['sku']}", None),
                ("GET", f"/api/vendor/inventory/{variant['sku']}/movements", None),
                ("PUT", f"/api/vendor/inventory/{variant['sku']}", {"on_hand": 0})):
            with self.subTest(method=method, path=path):
                self.assertError(two.call(method, path, body), 404, "NOT_FOUND")
        self.assertError(two.post(f"/api/vendor/inventory/{variant['sku']}/adjustments", {"delta": -1, "reason": "mine"},
                                  key=True), 404, "NOT_FOUND")
        self.assertNotIn(product["id"], two.get("/api/vendor/products", expect=200).text)
        self.assertEqual(two.get("/api/vendor/inventory", expect=200)["data"], [])
        self.assertEqual(one.get(at, expect=200)["title"], product["title"])
        # Somebody else's variant under an own product is not there either.
        own = self.product(two)
        self.assertError(two.patch(f"/api/vendor/products/{own['id']}/variants/{variant['id']}", {"title": "x"}), 404)

    def test_keyed_creation_happens_once(self):
        vendor, key, body = self.vendor(), self.unique("key"), self.product_body()
        one, two = (vendor.post("/api/vendor/products", body, key=key, expect=201) for _ in range(2))
        self.assertEqual(one["id"], two["id"])
        self.assertEqual(two.header("Idempotent-Replayed"), "true")


class Stock(Goods):
    def test_adjustments_and_ledger(self):
        vendor = self.vendor()
        sku = self.product(vendor, on_hand=10)["variants"][0]["sku"]
        at = f"/api/vendor/inventory/{sku}"
        self.assertError(vendor.post(at + "/adjustments", {"delta": 5, "reason": "found"}), 400, "VALIDATION_ERROR",
                         "Idempotency-Key")
        for body, field in (({"reason": "x"}, "delta"), ({"delta": 5}, "reason"), ({"delta": 0, "reason": "x"}, "delta"),
                            ({"delta": 5, "reason": ""}, "reason"), ({"delta": 1.5, "reason": "x"}, "delta")):
            self.assertError(vendor.post(at + "/adjustments", body, key=True), 400, "VALIDATION_ERROR", field)
        key = self.unique("key")
        for _ in range(3):
            reply = vendor.post(at + "/adjustments", {"delta": 5, "reason": "found behind the shelf"}, key=key, expect=201)
            self.assertEqual(reply["on_hand"], 15)
        self.assertError(vendor.post(at + "/adjustments", {"delta": 6, "reason": "found"}, key=key), 422)
        self.assertError(vendor.post(at + "/adjustments", {"delta": -16, "reason": "lost"}, key=True), 409, "CONFLICT")
        vendor.post(at + "/adjustments", {"delta": -3, "reason": "broken"}, key=True, expect=201)
        moves = list(vendor.walk(at + "/movements", 2))
        self.assertEqual([(m["kind"], m["delta"], m["on_hand_after"]) for m in moves][:2],
                         [("adjustment", -3, 12), ("receipt", 5, 15)])
        self.assertEqual(moves[1]["reason"], "found behind the shelf")
        self.assertTrue(moves[0]["actor"].endswith("/" + vendor.user_id), moves[0])
        self.assertEqual(sum(m["delta"] for m in moves), 12)

    def test_put_with_tag(self):
        vendor = self.vendor()
        sku = self.product(vendor, on_hand=10)["variants"][0]["sku"]
        at = f"/api/vendor/inventory/{sku}"
        level = vendor.get(at, expect=200)
        self.assertEqual((level["on_hand"], level["reserved"], level["available"]), (10, 0, 10))
        put = vendor.put(at, {"on_hand": 4, "low_stock_threshold": 5, "reason": "counted"}, if_match=level.etag, expect=200)
        self.assertEqual((put["on_hand"], put["availability"]), (4, "low"))
        self.assertError(vendor.put(at, {"on_hand": 9}, if_match=level.etag), 412, "PRECONDITION_FAILED")
        self.assertIn(sku, [s["sku"] for s in vendor.walk("/api/vendor/inventory?low_stock=true")])
        self.assertError(vendor.put(at, {"on_hand": -1}), 400, "VALIDATION_ERROR", "on_hand")

    def test_parallel_adjustments_add_up(self):
        vendor = self.vendor()
        sku = self.product(vendor, on_hand=0)["variants"][0]["sku"]

        def more():
            return vendor.clone(vendor.token).post(f"/api/vendor/inventory/{sku}/adjustments",
                                                   {"delta": 2, "reason": "delivery"}, key=True, expect=201)

        self.at_once([more] * 16)
        self.assertEqual(self.stock(vendor, sku)["on_hand"], 32)
        moves = list(vendor.walk(f"/api/vendor/inventory/{sku}/movements"))
        self.assertEqual(sorted(m["on_hand_after"] for m in moves if m["reason"] == "delivery"), list(range(2, 33, 2)))

    def test_availability_is_public(self):
        vendor, guest = self.vendor(), self.guest()
        product = self.product(vendor, on_hand=2)
        sku = product["variants"][0]["sku"]
        until(lambda: guest.get(f"/api/products/{product['id']}", expect=200).get("availability") in ("in", "low"), 20)
        vendor.post(f"/api/vendor/inventory/{sku}/adjustments", {"delta": -2, "reason": "fire"}, key=True, expect=201)
        until(lambda: guest.get(f"/api/products/{product['id']}", expect=200).get("availability") == "out", 20)


class Import(Goods):
    def begin(self, vendor, data, key=True, media="application/x-ndjson", **query):
        at = "/api/vendor/products/import?" + urllib.parse.urlencode(query)
        return vendor.post(at, data=data, headers={"Content-Type": media}, key=key)

    def finish(self, vendor, reply):
        self.assertEqual(reply.status, 202, reply.text)
        at = reply.header("Location")
        self.assertEqual(at, f"/api/vendor/products/imports/{reply['id']}")
        percents = []

        def done():
            state = vendor.get(at, expect=200).json
            percents.append(state["percent"])
            return state if state["state"] in ("done", "rejected", "failed", "cancelled") else None

        state = until(done, 60)
        self.assertEqual(percents, sorted(percents), "progress went back")
        self.assertEqual(percents[-1], 100)
        return state

    def errors(self, vendor, state, limit=2):
        return list(vendor.walk(f"/api/vendor/products/imports/{state['id']}/errors", limit))

    def rows(self, n, **more):
        tag = self.unique("imp")
        return [{"key": f"{tag}-{i}", "title": f"Imported {i} \u2014 \u00fc\U0001f525 {tag}", "sku": f"{tag}-{i}", "price": "12.50",
                 "on_hand": i + 1, "material": "wood", **more} for i in range(n)]

    @staticmethod
    def lines(rows):
        return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows).encode()

    @staticmethod
    def table(rows):
        out = io.StringIO()
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().encode()

    def test_json_lines(self):
        vendor = self.new_vendor()
        rows = self.rows(230)
        state = self.finish(vendor, self.begin(vendor, self.lines(rows), format="jsonl", publish="true", name="first"))
        self.assertEqual((state["state"], state["rows_read"], state["rows_bad"], state["rows_applied"],
                          state["products_created"]), ("done", 230, 0, 230, 230))
        guest = self.guest()
        seen = list(guest.walk(f"/api/products?vendor={vendor.vendor_id}"))
        self.assertEqual(sorted(c["title"] for c in seen), sorted(r["title"] for r in rows))
        self.assertEqual({c["price"]["amount"] for c in seen}, {1250})
        detail = guest.get(f"/api/products/{seen[0]['id']}", expect=200)
        self.assertEqual(detail["attributes"]["material"], "wood")
        self.wait_stock(vendor, rows[7]["sku"], 8, 30)
        self.assertIn("first", [i["name"] for i in vendor.walk("/api/vendor/products/imports")])

    def test_csv(self):
        vendor = self.new_vendor()
        rows = self.rows(40)
        rows[3]["title"] = 'Quoted "title", with\na line end'
        rows[4]["title"] = "A 5\" pipe's, end"
        for r in rows:
            r["attr:finish"], r["option:size"] = "matt", "L"
        state = self.finish(vendor, self.begin(vendor, self.table(rows), media="text/csv", publish="true"))
        self.assertEqual((state["format"], state["state"], state["rows_read"], state["products_created"]),
                         ("csv", "done", 40, 40), self.errors(vendor, state))
        cards = {c["title"]: c for c in self.guest().walk(f"/api/products?vendor={vendor.vendor_id}")}
        self.assertIn(rows[4]["title"], cards)
        product = self.guest().get(f"/api/products/{cards[rows[0]['title']]['id']}", expect=200)
        self.assertEqual((product["attributes"]["finish"], product["variants"][0]["options"]), ("matt", {"size": "L"}))

    def bad_rows(self):
        rows = self.rows(12)
        rows[2]["price"] = "twelve"
        rows[5].pop("title")
        rows[8]["on_hand"] = -4
        return rows

    def test_reject_bad_rows(self):
        for data, more in ((lambda rows: self.lines(rows) + b"{not json\n\xff\xfe\n", {"format": "jsonl"}),
                           (lambda rows: self.table([{**r, "title": r.get("title", "")} for r in rows])
                            + b"too,few\r\n\"open\r\n", {"format": "csv"})):
            with self.subTest(more):
                vendor, rows = self.new_vendor(), self.bad_rows()
                state = self.finish(vendor, self.begin(vendor, data(rows), policy="reject_bad_rows", publish="true", **more))
                self.assertEqual((state["state"], state["rows_read"], state["rows_bad"], state["products_created"]),
                                 ("done", 14, 5, 9), state)
                wrong = {(e["row"], e["field"]) for e in self.errors(vendor, state)}
                self.assertLessEqual({(3, "price"), (6, "title"), (9, "on_hand"), (13, "row"), (14, "row")}, wrong)
                self.assertEqual(len(list(vendor.walk("/api/vendor/products"))), 9)

    def test_reject_all(self):
        vendor = self.new_vendor()
        state = self.finish(vendor, self.begin(vendor, self.lines(self.bad_rows()), format="jsonl", policy="reject_all"))
        self.assertEqual((state["state"], state["rows_bad"], state["rows_applied"]), ("rejected", 3, 0), state)
        self.assertEqual({e["row"] for e in self.errors(vendor, state)}, {3, 6, 9})
        self.assertEqual(vendor.get("/api/vendor/products", expect=200)["data"], [])

    def test_repetition_changes_nothing(self):
        vendor = self.new_vendor()
        rows = self.rows(20)
        data = self.lines(rows)
        self.finish(vendor, self.begin(vendor, data, format="jsonl", publish="true"))
        self.wait_stock(vendor, rows[3]["sku"], 4)
        before = sorted((p["id"], p["version"]) for p in vendor.walk("/api/vendor/products"))
        state = self.finish(vendor, self.begin(vendor, data, format="jsonl", publish="true"))
        self.assertEqual((state["products_created"], state["products_updated"], state["products_unchanged"]), (0, 0, 20))
        self.assertEqual(sorted((p["id"], p["version"]) for p in vendor.walk("/api/vendor/products")), before)
        self.assertEqual(self.stock(vendor, rows[3]["sku"])["on_hand"], 4)
        rows[3]["title"] = "Another title"
        state = self.finish(vendor, self.begin(vendor, self.lines(rows), format="jsonl", publish="true"))
        self.assertEqual((state["products_created"], state["products_updated"], state["products_unchanged"]), (0, 1, 19))

    def test_same_key_is_the_same_import(self):
        vendor, key = self.new_vendor(), self.unique("key")
        data = self.lines(self.rows(30))
        one = self.begin(vendor, data, key=key, format="jsonl")
        two = self.begin(vendor, data, key=key, format="jsonl")
        self.assertEqual((one.status, two.status, one["id"]), (202, 202, two["id"]))
        self.assertEqual(self.finish(vendor, one)["products_created"], 30)
        three = self.begin(vendor, data, key=key, format="jsonl")
        self.assertEqual((three.status, three["id"]), (202, one["id"]))
        self.assertEqual(len(list(vendor.walk("/api/vendor/products/imports"))), 1)
        self.assertError(self.begin(vendor, data, key=key, format="jsonl", policy="reject_bad_rows"), 422,
                         "IDEMPOTENCY_KEY_REUSED")
        for other in (self.lines(self.rows(30)), self.lines(self.rows(2)), data + b" " * 300000):
            self.assertError(self.begin(vendor, other, key=key, format="jsonl"), 422, "IDEMPOTENCY_KEY_REUSED")

    def test_categories_of_other_alphabets_are_told_apart(self):
        vendor, rows = self.new_vendor(), self.rows(3)
        for row, kind in zip(rows, ("Кофе", "コーヒー", "Кофе")):
            row["product_type"] = kind
        state = self.finish(vendor, self.begin(vendor, self.lines(rows), format="jsonl", publish="true",
                                               category_attribute="product_type"))
        self.assertEqual((state["state"], state["products_created"]), ("done", 3))
        found = [[c["name"] for c in vendor.get(f"/api/vendor/products/{p['id']}", expect=200)["categories"]]
                 for p in vendor.walk("/api/vendor/products")]
        self.assertEqual(sorted(found), [["Кофе"], ["Кофе"], ["コーヒー"]])

    def test_a_bad_picture_is_a_bad_row_and_holds_nobody_up(self):
        vendor, other, rows = self.new_vendor(), self.new_vendor(), self.rows(3)
        rows[1]["media"] = ["".join(random.Random(1).choices(string.ascii_letters, k=4000))]
        state = self.finish(vendor, self.begin(vendor, self.lines(rows), format="jsonl", policy="reject_bad_rows"))
        self.assertEqual((state["state"], state["products_created"], state["rows_bad"]), ("done", 2, 1))
        self.assertEqual(self.finish(other, self.begin(other, self.lines(self.rows(2)), format="jsonl"))["state"], "done")

    def test_refusals(self):
        vendor = self.vendor()
        self.assertError(self.begin(vendor, b"{}\n", key=None, format="jsonl"), 400, "VALIDATION_ERROR", "Idempotency-Key")
        self.assertError(self.begin(vendor, b"{}\n", format="xml"), 400, "VALIDATION_ERROR", "format")
        self.assertError(self.begin(vendor, b"{}\n", format="jsonl", policy="some"), 400, "VALIDATION_ERROR", "policy")
        self.assertError(self.begin(vendor, b"{}\n", format="jsonl", colour="red"), 400, "VALIDATION_ERROR", "colour")
        self.assertError(self.begin(self.buyer(), b"{}\n", format="jsonl"), 403, "FORBIDDEN")
        self.assertError(self.begin(self.guest(), b"{}\n", format="jsonl"), 401)

    def test_empty_files(self):
        for media, data in (("application/x-ndjson", b""), ("application/x-ndjson", b"\n\n \n"), ("text/csv", b""),
                            ("text/csv", b"key,title\r\n")):
            with self.subTest(media=media, data=data):
                vendor = self.vendor()
                reply = self.begin(vendor, data, media=media)
                if reply.status == 202:
                    state = self.finish(vendor, reply)
                    self.assertEqual((state["rows_read"], state["products_created"]), (0, 0))
                else:
                    self.assertError(reply, 400)

    def test_strangers_import_is_404(self):
        one, two = self.vendor(), self.new_vendor()
        made = self.begin(one, self.lines(self.rows(2)), format="jsonl")
        at = f"/api/vendor/products/imports/{made['id']}"
        self.assertError(two.get(at), 404, "NOT_FOUND")
        self.assertError(two.get(at + "/errors"), 404, "NOT_FOUND")
        self.assertEqual(two.get("/api/vendor/products/imports", expect=200)["data"], [])
        self.finish(one, made)

    def test_category_from_an_attribute(self):
        vendor, kind = self.new_vendor(), self.unique("Kind of")
        rows = self.rows(3, product_type=kind)
        self.finish(vendor, self.begin(vendor, self.lines(rows), format="jsonl", publish="true",
                                       category_attribute="product_type"))
        slug = kind.lower().replace(" ", "-")
        found = until(lambda: self.guest().get(f"/api/products?category={slug}", expect=200), 5, (404,))
        self.assertEqual(len(found["data"]), 3)
