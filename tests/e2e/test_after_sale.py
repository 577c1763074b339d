"""What follows a purchase: parts that ship one by one, returns, refunds in part, what vendors are owed, and who did it."""

from support.buying import Buying, until


class AfterSale(Buying):
    def sold(self, *vendors, qty=3, price=2000):
        """(buyer, order, products) of one order with `qty` units of each vendor."""
        buyer = self.buyer()
        products = [self.product(v, price=price, on_hand=10) for v in vendors]
        _, order = self.buy(buyer, *[(p["variants"][0], qty) for p in products])
        return buyer, order.json, products

    def part(self, vendor, order):
        return next(v for v in order["vendor_orders"] if v["vendor_id"] == vendor.vendor_id)

    def deliver(self, vendor, order):
        at = f"/api/vendor/orders/{self.part(vendor, order)['id']}"
        vendor.post(at + "/ship", {"carrier": "DHL", "tracking": "T1"}, expect=200)
        return vendor.post(at + "/deliver", expect=200)

    def see_order(self, buyer, order):
        return buyer.get(f"/api/orders/{order['id']}", expect=200)

    def wait_refund(self, buyer, order, status):
        return until(lambda: (r := self.see_order(buyer, order)) and r["payment_status"] == status and r, 30)


class Shipping(AfterSale):
    def test_parts_ship_one_by_one(self):
        first, second = self.vendor(), self.new_vendor()
        buyer, order, _ = self.sold(first, second, qty=1)
        self.assertEqual((order["status"], order["fulfilment_status"]), ("open", "unfulfilled"))
        at = f"/api/vendor/orders/{self.part(first, order)['id']}"
        shown = first.get(at, expect=200)
        self.assertError(second.get(at), 404)
        self.assertError(second.post(at + "/ship", {}), 404)
        self.assertError(first.post(at + "/deliver"), 409)
        shipped = first.post(at + "/ship", {"carrier": "DHL", "tracking": "00340"}, if_match=shown.etag, expect=200)
        self.assertEqual((shipped["status"], shipped["tracking"]), ("shipped", "00340"))
        self.assertError(first.post(at + "/ship", {}, if_match=shown.etag), 412)
        self.assertError(first.post(at + "/ship", {}), 409)
        seen = self.see_order(buyer, order)
        self.assertEqual(seen["fulfilment_status"], "partial")
        self.assertEqual({v["vendor_id"]: v["status"] for v in seen["vendor_orders"]},
                         {first.vendor_id: "shipped", second.vendor_id: self.part(second, order)["status"]})
        self.shop.wait_mail(buyer.email, "on its way")
        self.assertError(buyer.post(f"/api/orders/{order['id']}/cancel", {}, key=True), 409)  # a part is gone
        self.deliver(second, order)
        seen = self.see_order(buyer, order)
        self.assertEqual((seen["status"], seen["fulfilment_status"]), ("open", "shipped"))  # all of it, not all arrived
        first.post(at + "/deliver", expect=200)
        seen = self.see_order(buyer, order)
        self.assertEqual((seen["status"], seen["fulfilment_status"]), ("completed", "delivered"))
        self.shop.wait_mail(buyer.email, "has arrived")


class Returns(AfterSale):
    def test_return_is_refunded_and_restocked(self):
        vendor = self.new_vendor()
        buyer, order, (product,) = self.sold(vendor)
        variant = product["variants"][0]
        at = f"/api/orders/{order['id']}/returns"
        ask = {"lines": [{"variant_id": variant["id"], "qty": 2}], "reason": "Too small."}
        self.assertError(buyer.post(at, ask), 409)  # not delivered yet
        self.deliver(vendor, order)
        self.assertError(self.buyer().post(at, ask), 404)
        self.assertError(buyer.post(at, {**ask, "lines": [{"variant_id": variant["id"], "qty": 4}]}), 409)
        self.assertError(buyer.post(at, {"reason": "x"}), 400, "VALIDATION_ERROR", "lines")
        made = buyer.post(at, ask, key=True, expect=201)["data"][0]
        self.assertEqual(made["status"], "requested")
        self.assertError(buyer.post(at, ask), 409)  # 2 of 3 are asked for already
        self.assertIn(made["id"], [r["id"] for r in vendor.walk("/api/vendor/returns")])
        mine = f"/api/vendor/returns/{made['id']}"
        self.assertError(self.vendor().post(mine + "/approve"), 404)
        self.assertError(vendor.post(mine + "/receive"), 400, "VALIDATION_ERROR")  # it gives money back: not without a key
        self.assertError(vendor.post(mine + "/receive", key=True), 409)
        vendor.post(mine + "/approve", {"note": "Please send them."}, expect=200)
        before = self.stock(vendor, variant["sku"])["on_hand"]
        self.assertEqual(buyer.get(at, expect=200)["data"][0]["note"], "Please send them.")
        self.assertError(self.buyer().get(at), 404)
        key = f"receive-{made['id']}"
        received = vendor.post(mine + "/receive", key=key, expect=200)
        self.assertEqual(received["status"], "received")
        self.assertEqual([(r["id"], r["status"]) for r in buyer.get(at, expect=200)["data"]], [(made["id"], "received")])
        again = vendor.post(mine + "/receive", key=key, expect=200)
        self.assertEqual((again["refund_id"], again.header("Idempotent-Replayed")), (received["refund_id"], "true"))
        self.assertError(vendor.post(mine + "/receive", key=True), 409)
        seen = self.wait_refund(buyer, order, "partially_refunded")
        paid = order["totals"]["total"]["amount"]
        self.assertTrue(0 < seen["refunded"]["amount"] < paid, seen["refunded"])
        self.wait_stock(vendor, variant["sku"], before + 2)
        self.shop.wait_mail(buyer.email, "Refund")

    def test_rejected_return_changes_nothing(self):
        vendor = self.new_vendor()
        buyer, order, (product,) = self.sold(vendor, qty=1)
        self.deliver(vendor, order)
        made = buyer.post(f"/api/orders/{order['id']}/returns",
                          {"lines": [{"variant_id": product["variants"][0]["id"], "qty": 1}], "reason": "No."}, expect=201)
        mine = f"/api/vendor/returns/{made['data'][0]['id']}"
        self.assertEqual(vendor.post(mine + "/reject", {"note": "Worn."}, expect=200)["status"], "rejected")
        self.assertError(vendor.post(mine + "/approve"), 409)
        self.assertEqual(self.see_order(buyer, order)["payment_status"], "paid")


class Refunds(AfterSale):
    def refund(self, order, body, **how):
        return self.admin().post(f"/api/admin/orders/{order['id']}/refunds", {"reason": "Goodwill.", **body}, key=True, **how)

    def test_in_parts_and_never_more_than_paid(self):
        vendor = self.new_vendor()
        buyer, order, (product,) = self.sold(vendor)
        total = order["totals"]["total"]
        usd = {"currency": "USD"}
        self.assertError(self.refund(order, {"amount": {"amount": total["amount"] + 1, **usd}}), 422)
        self.assertError(self.refund(order, {"amount": {"amount": 0, **usd}}), 400)
        self.assertError(self.admin().post(f"/api/admin/orders/{order['id']}/refunds", {"reason": "x"}), 400)  # no key
        self.assertError(buyer.post(f"/api/admin/orders/{order['id']}/refunds", {"reason": "x"}, key=True), 403)
        made = self.refund(order, {"amount": {"amount": 500, **usd}}, expect=(201, 202))
        seen = self.wait_refund(buyer, order, "partially_refunded")
        self.assertEqual(seen["refunded"], {"amount": 500, **usd})
        variant = product["variants"][0]
        lines = {"lines": [{"variant_id": variant["id"], "qty": 1}], "restock": True}
        before = self.stock(vendor, variant["sku"])["on_hand"]
        self.refund(order, lines, expect=(201, 202))
        self.wait_stock(vendor, variant["sku"], before + 1)
        seen = until(lambda: (r := self.see_order(buyer, order)) and r["refunded"]["amount"] > 500 and r, 30)
        self.assertError(self.refund(order, {"amount": {"amount": total["amount"] - seen["refunded"]["amount"] + 1, **usd}}),
                         422)
        self.refund(order, {}, expect=(201, 202))  # all that is left
        seen = self.wait_refund(buyer, order, "refunded")
        self.assertEqual(seen["refunded"], total)
        self.assertError(self.refund(order, {}), 422)
        refunds = list(self.admin().walk(f"/api/admin/refunds?order_id={order['id']}"))
        self.assertEqual(len(refunds), 3)
        self.assertEqual(sum(r["amount"]["amount"] for r in refunds), total["amount"])
        self.assertEqual(self.admin().get(f"/api/admin/refunds/{made['id']}", expect=200)["amount"]["amount"], 500)

    def test_two_at_once_share_what_is_left(self):
        buyer, order, _ = self.sold(self.new_vendor(), qty=1)
        half = order["totals"]["total"]["amount"] * 2 // 3
        body = {"amount": {"amount": half, "currency": "USD"}}
        statuses = sorted(r.status for r in self.at_once([lambda: self.refund(order, body)] * 2))
        self.assertEqual(statuses[1], 422, statuses)
        self.assertIn(statuses[0], (201, 202))
        self.assertEqual(self.wait_refund(buyer, order, "partially_refunded")["refunded"]["amount"], half)


class Payouts(AfterSale):
    def owed(self, caller, at="/api/vendor/payouts/balance"):
        return sum(b["owed"]["amount"] for b in caller.get(at, expect=200)["data"])

    def test_what_a_vendor_is_owed(self):
        vendor, admin = self.new_vendor(), self.admin()
        self.assertEqual(self.owed(vendor), 0)
        buyer, order, _ = self.sold(vendor, qty=2)
        sale = vendor.get(f"/api/vendor/orders/{self.part(vendor, order)['id']}", expect=200)
        self.assertEqual(sale["commission"]["amount"], sale["subtotal"]["amount"] // 10)  # 1,000 basis points
        self.assertEqual(self.owed(vendor), sale["payable"]["amount"])
        at = f"/api/admin/vendors/{vendor.vendor_id}"
        self.assertEqual(self.owed(admin, at + "/balance"), sale["payable"]["amount"])
        changed = admin.patch(at + "/commission", {"commission_bp": 500}, expect=200)
        self.assertEqual(changed["commission_bp"], 500)
        for bad in (-1, 10001):
            self.assertError(admin.patch(at + "/commission", {"commission_bp": bad}), 400, "VALIDATION_ERROR", "commission_bp")
        self.assertError(vendor.patch(at + "/commission", {"commission_bp": 0}), 403)
        again = vendor.get(f"/api/vendor/orders/{self.part(vendor, order)['id']}", expect=200)
        self.assertEqual(again["commission"], sale["commission"])  # frozen at the sale
        body = {"amount": {"amount": 1000, "currency": "USD"}, "reference": self.unique("transfer")}
        self.assertError(admin.post(at + "/payouts", body), 400)  # no key
        self.assertError(vendor.post(at + "/payouts", body, key=True), 403)
        key = self.unique("key")
        made = admin.post(at + "/payouts", body, key=key, expect=201)
        self.assertEqual(made["amount"]["amount"], -1000)
        again = admin.post(at + "/payouts", body, key=key, expect=201)
        self.assertEqual((again["id"], again.header("Idempotent-Replayed")), (made["id"], "true"))
        self.assertError(admin.post(at + "/payouts", body, key=True), 409)  # the same transfer
        much = {"amount": {"amount": sale["payable"]["amount"], "currency": "USD"}, "reference": self.unique("transfer")}
        self.assertError(admin.post(at + "/payouts", much, key=True), 422)
        self.assertEqual(self.owed(vendor), sale["payable"]["amount"] - 1000)
        # A refund takes the vendor's part back, the commission with it.
        admin.post(f"/api/admin/orders/{order['id']}/refunds", {"reason": "Broken."}, key=True, expect=(201, 202))
        self.wait_refund(buyer, order, "refunded")
        until(lambda: self.owed(vendor) == -1000, 20)
        kinds = [e["kind"] for e in vendor.walk("/api/vendor/payouts")]
        self.assertEqual(sorted(kinds), ["commission", "commission_refund", "payout", "refund", "sale"])
        self.assertEqual(sum(e["amount"]["amount"] for e in admin.walk(at + "/ledger")), -1000)


class Reports(AfterSale):
    def test_sales_by_day(self):
        vendor, admin = self.new_vendor(), self.admin()
        buyer, order, (product,) = self.sold(vendor, qty=2)
        sale = vendor.get(f"/api/vendor/orders/{self.part(vendor, order)['id']}", expect=200)
        at = "/api/vendor/reports/"
        day = until(lambda: (r := vendor.get(at + "sales", expect=200)["data"]) and r[0], 40)
        self.assertEqual((day["orders"], day["units"]), (1, 2))
        self.assertEqual((day["total"], day["commission"]), (sale["total"], sale["commission"]))
        best = vendor.get(at + "products?currency=USD", expect=200)["data"]
        self.assertEqual([(p["product_id"], p["units"]) for p in best], [(product["id"], 2)])
        admin.post(f"/api/admin/orders/{order['id']}/refunds", {"reason": "Broken."}, key=True, expect=(201, 202))
        until(lambda: vendor.get(at + "sales", expect=200)["data"][0]["refunded"] == sale["total"], 40)
        everybody = admin.get(f"/api/admin/reports/sales?from={day['day']}&to={day['day']}&currency=USD", expect=200)["data"]
        self.assertGreaterEqual(everybody[0]["total"]["amount"], sale["total"]["amount"])
        vendors = admin.get("/api/admin/reports/vendors?currency=USD&limit=100", expect=200)["data"]
        self.assertIn(vendor.vendor_id, [v["vendor_id"] for v in vendors])

    def test_who_and_what(self):
        vendor, admin = self.vendor(), self.admin()
        self.assertError(self.buyer().get("/api/vendor/reports/sales"), 403)
        self.assertError(vendor.get("/api/admin/reports/sales"), 403)
        self.assertError(admin.get("/api/admin/reports/products"), 400, "VALIDATION_ERROR", "currency")
        for query, field in (("from=yesterday", "from"), ("to=2026-13-01", "to"), ("from=2020-01-01&to=2026-01-01", "from"),
                             ("currency=usd", "currency"), ("limit=0", "limit")):
            self.assertError(admin.get("/api/admin/reports/sales?" + query), 400, "VALIDATION_ERROR", field)


class Audit(AfterSale):
    def rows(self, service, query):
        return list(self.admin().walk(f"/api/admin/services/{service}/audit?{query}"))

    def test_who_did_what_by_which_request(self):
        vendor = self.vendor()
        made = vendor.post("/api/vendor/products", self.product_body(price=100), expect=201)
        reply = vendor.patch(f"/api/vendor/products/{made['id']}", {"title": "Another title"}, expect=200)
        request = reply.header("X-Request-Id")
        rows = [r for r in self.rows("catalog", f"request_id={request}") if r["table_name"] == "product"]
        who = f"vendor:{vendor.vendor_id}/{vendor.user_id}"
        self.assertEqual({(r["action"], r["row_id"], r["actor"]) for r in rows}, {("update", made["id"], who)})
        self.assertIn((made["title"], "Another title"), [(r["before"]["title"], r["after"]["title"]) for r in rows])
        history = self.rows("catalog", f"table_name=product&row_id={made['id']}")
        self.assertEqual({r["action"] for r in history}, {"insert", "update"})
        self.assertTrue(all(r["row_id"] == made["id"] for r in history))
        mine = self.rows("catalog", f"actor={who}&table_name=product&row_id={made['id']}")
        self.assertEqual({r["id"] for r in mine}, {r["id"] for r in history if r["actor"] == who})
        self.assertGreaterEqual({r["id"] for r in mine}, {r["id"] for r in rows})

    def test_money_leaves_a_trace_without_names(self):
        vendor = self.new_vendor()
        buyer, order, _ = self.sold(vendor, qty=1)
        admin = self.admin()
        reply = admin.post(f"/api/admin/orders/{order['id']}/refunds", {"reason": "Late."}, key=True, expect=(201, 202))
        rows = self.rows("checkout", f"request_id={reply.header('X-Request-Id')}")
        self.assertIn("refund", {r["table_name"] for r in rows})
        self.assertEqual({r["actor"] for r in rows}, {f"user:{admin.get('/api/users/me', expect=200)['id']}"})
        whole = admin.get(f"/api/admin/services/checkout/audit?table_name=orders&row_id={order['id']}", expect=200).text
        self.assertNotIn("Eve Example", whole)
        self.assertNotIn("Market Street", whole)

    def test_who_may_read_it(self):
        at = "/api/admin/services/catalog/audit"
        self.assertError(self.guest().get(at), 401)
        self.assertError(self.buyer().get(at), 403)
        self.assertError(self.vendor().get(at), 403)
        self.assertError(self.admin().get("/api/admin/services/nothing/audit"), 404)
        self.assertError(self.admin().get(at + "?limit=1000"), 400, "VALIDATION_ERROR", "limit")
