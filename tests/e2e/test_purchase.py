"""Buying, by REST alone: the whole way, and every way it can end."""

import threading

from support.buying import ADDRESS, Buying, until


class Purchase(Buying):
    def test_user_buys(self):
        vendor = self.vendor()
        product = self.product(vendor, price=1999, on_hand=10)
        variant = product["variants"][0]
        buyer = self.buyer()
        since = self.shop.newest_mail(buyer.email)
        self.add(buyer, variant, 2)
        estimate = self.estimate(buyer)
        totals = {k: v["amount"] for k, v in estimate["totals"].items()}
        self.assertEqual(totals["subtotal"], 3998)
        self.assertEqual(totals["total"], totals["subtotal"] - totals["discount"] + totals["shipping"] + totals["tax_added"])
        started = self.start(buyer, estimate)
        self.assertEqual((started.status, started["state"]), (201, "payment_pending"), started.text)
        self.assertEqual(started.header("Location"), f"/api/checkout/{started['id']}")
        self.assertEqual(started["totals"], estimate["totals"])
        self.assertTrue(started["payment"]["client_secret"].startswith(started["payment"]["payment_intent_id"]))
        level = self.stock(vendor, variant["sku"])
        self.assertEqual((level["on_hand"], level["reserved"], level["available"]), (10, 2, 8))
        self.pay(started)
        order = self.confirm(buyer, started)
        self.assertEqual((order["status"], order["payment_status"], order["fulfilment_status"]), ("open", "paid", "unfulfilled"))
        self.assertEqual(order["totals"], estimate["totals"])
        self.assertEqual(order["address"]["line1"], ADDRESS["line1"])
        self.assertTrue(order["number"])
        # stock deducted, with a line in the ledger
        level = self.stock(vendor, variant["sku"])
        self.assertEqual((level["on_hand"], level["reserved"], level["available"]), (8, 0, 8))
        sales = [m for m in self.movements(vendor, variant["sku"]) if m["kind"] == "sale"]
        self.assertEqual([(m["delta"], m["on_hand_after"], m["order_id"]) for m in sales], [(-2, 8, order["id"])])
        # cart empty, history, mail
        self.wait_cart(buyer, 0)
        self.assertEqual([o["id"] for o in buyer.walk("/api/orders")], [order["id"]])
        again = buyer.get(f"/api/orders/{order['id']}", expect=200)
        self.assertEqual((again["number"], len(again["vendor_orders"])), (order["number"], 1))
        mail = self.shop.wait_mail(buyer.email, since=since)
        self.assertIn(order["number"], mail["subject"] + mail["text"])
        self.assertIn(product["title"], mail["text"])
        self.assertEqual(self.see(buyer, started)["order_id"], order["id"])
        # the secret is gone once it is paid
        self.assertNotIn("client_secret", self.see(buyer, started)["payment"])

    def test_guest_buys(self):
        guest = self.guest()
        checkout, order = self.buy(guest, (self.product()["variants"][0], 1))
        self.assertEqual(checkout["email"], guest.email)
        token = order["order_token"]
        stranger = self.guest()
        at = f"/api/orders/{order['id']}"
        self.assertError(stranger.get(at), 404, "NOT_FOUND")
        self.assertError(stranger.get(at, headers={"X-Order-Token": token[:-1] + "x"}), 404, "NOT_FOUND")
        self.assertEqual(stranger.get(at, headers={"X-Order-Token": token}, expect=200)["number"], order["number"])
        self.assertError(stranger.get("/api/orders"), 401)
        mail = self.shop.wait_mail(guest.email)
        self.assertIn(order["number"], mail["subject"] + mail["text"])

    def test_two_vendors_one_order(self):
        one, two = self.vendor(), self.new_vendor()
        a = self.product(one, price=1000)["variants"][0]
        b = self.product(two, price=500)["variants"][0]
        buyer = self.buyer()
        _, order = self.buy(buyer, (a, 2), (b, 3))
        parts = {p["vendor_id"]: p for p in order["vendor_orders"]}
        self.assertEqual(set(parts), {one.vendor_id, two.vendor_id})
        self.assertEqual([(x["sku"], x["qty"]) for x in parts[one.vendor_id]["lines"]], [(a["sku"], 2)])
        self.assertEqual([(x["sku"], x["qty"]) for x in parts[two.vendor_id]["lines"]], [(b["sku"], 3)])
        self.assertEqual(sum(p["total"]["amount"] for p in parts.values()), order["totals"]["total"]["amount"])
        for vendor, other, sku in ((one, two, a["sku"]), (two, one, b["sku"])):
            mine = [v for v in vendor.walk("/api/vendor/orders") if v["order_id"] == order["id"]]
            self.assertEqual([v["id"] for v in mine], [parts[vendor.vendor_id]["id"]])
            detail = vendor.get(f"/api/vendor/orders/{mine[0]['id']}", expect=200)
            self.assertEqual([x["sku"] for x in detail["lines"]], [sku])
            self.assertEqual(detail["payable"]["amount"], detail["total"]["amount"] - detail["commission"]["amount"])
            self.assertError(other.get(f"/api/vendor/orders/{mine[0]['id']}"), 404, "NOT_FOUND")
            self.assertError(other.post(f"/api/vendor/orders/{mine[0]['id']}/ship", {"carrier": "X", "tracking": "1"}), 404)
            self.assertError(buyer.get(f"/api/vendor/orders/{mine[0]['id']}"), 403)

    def test_same_sku_of_two_vendors(self):
        one, two, buyer = self.vendor(), self.new_vendor(), self.buyer()
        body = self.product_body(on_hand=5)
        sku = body["variants"][0]["sku"]
        a, b = (v.post("/api/vendor/products", body, expect=201)["variants"][0] for v in (one, two))
        for vendor in (one, two):
            self.wait_stock(vendor, sku, 5)
        self.buy(buyer, (a, 2), (b, 3))
        self.assertEqual((self.stock(one, sku)["on_hand"], self.stock(two, sku)["on_hand"]), (3, 2))

    def test_webhook_alone_completes(self):
        """The client pays and never comes back."""
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=5)["variants"][0]
        since = self.shop.newest_mail(buyer.email)
        self.add(buyer, variant, 2)
        checkout = self.checkout(buyer)
        self.pay(checkout)
        orders = until(lambda: buyer.get("/api/orders", expect=200)["data"], 30)
        self.assertEqual(len(orders), 1)
        self.assertEqual(self.stock(vendor, variant["sku"])["on_hand"], 3)
        self.wait_cart(buyer, 0)
        self.shop.wait_mail(buyer.email, since=since)
        # Coming back late finds the same order.
        self.assertEqual(self.confirm(buyer, checkout)["id"], orders[0]["id"])

    def test_webhook_and_confirm_make_one_order(self):
        buyer = self.buyer()
        self.add(buyer, self.product(on_hand=5)["variants"][0], 1)
        checkout = self.checkout(buyer)
        self.fault(checkout, operation="webhook", kind="duplicate", n=5, count=0)
        self.pay(checkout)
        self.confirm(buyer, checkout)
        self.wait_cart(buyer, 0)
        self.assertEqual(len(list(buyer.walk("/api/orders"))), 1)

    def test_lost_webhook(self):
        buyer = self.buyer()
        self.add(buyer, self.product()["variants"][0])
        checkout = self.checkout(buyer)
        self.fault(checkout, operation="webhook", kind="drop", count=0)
        self.pay(checkout)
        self.assertEqual(self.confirm(buyer, checkout)["payment_status"], "paid")

    def test_forged_webhook(self):
        buyer = self.buyer()
        self.add(buyer, self.product()["variants"][0])
        checkout = self.checkout(buyer)
        body = b'{"id":"evt_1","type":"payment_intent.succeeded","data":{"object":{"id":"%s","object":"payment_intent"}}}' \
            % checkout["payment"]["payment_intent_id"].encode()
        for signature in (None, "", "t=1,v1=" + "0" * 64, "v1=abc", "t=99999999999,v0=" + "0" * 64, "x" * 5000):
            headers = {"Content-Type": "application/json"}
            if signature is not None:
                headers["Stripe-Signature"] = signature
            reply = self.guest().post("/api/webhooks/stripe", data=body, headers=headers)
            self.assertIn(reply.status, (400, 431), reply.text)
        self.assertEqual(self.see(buyer, checkout)["state"], "payment_pending")

    def test_lines_added_meanwhile_stay(self):
        buyer = self.buyer()
        one, two = self.product(variants=2, on_hand=9)["variants"]
        self.add(buyer, one, 1)
        checkout = self.checkout(buyer)
        self.add(buyer, one, 2)
        self.add(buyer, two, 1)
        self.pay(checkout)
        order = self.confirm(buyer, checkout)
        self.assertEqual([(x["variant_id"], x["qty"]) for x in order["vendor_orders"][0]["lines"]], [(one["id"], 1)])
        cart = self.wait_cart(buyer, 3)
        self.assertEqual({x["variant_id"]: x["qty"] for x in cart["lines"]}, {one["id"]: 2, two["id"]: 1})

    def test_stored_address(self):
        buyer = self.buyer()
        address = buyer.post("/api/users/me/addresses", {**ADDRESS, "city": "Peoria"}, expect=201)
        self.add(buyer, self.product()["variants"][0])
        estimate = self.estimate(buyer)
        body = self.body(buyer, estimate, address_id=address["id"])
        del body["address"]
        reply = buyer.post("/api/checkout", body, if_match=self.cart_tag(estimate), key=True, expect=201)
        self.assertEqual(reply["address"]["city"], "Peoria")
        other = self.buyer()
        self.add(other, self.product()["variants"][0])
        estimate = self.estimate(other)
        body["expected_total"] = estimate["totals"]["total"]
        self.assertError(other.post("/api/checkout", body, if_match=self.cart_tag(estimate), key=True), 404, "NOT_FOUND")

    def test_ship_and_deliver(self):
        vendor, buyer = self.vendor(), self.buyer()
        _, order = self.buy(buyer, (self.product(vendor)["variants"][0], 1))
        at = f"/api/vendor/orders/{order['vendor_orders'][0]['id']}"
        self.assertEqual(vendor.post(at + "/ship", {"carrier": "UPS", "tracking": "1Z999"}, expect=200)["status"], "shipped")
        seen = buyer.get(f"/api/orders/{order['id']}", expect=200)
        self.assertEqual((seen["fulfilment_status"], seen["vendor_orders"][0]["tracking"]), ("shipped", "1Z999"))
        self.assertEqual(vendor.post(at + "/deliver", {}, expect=200)["status"], "delivered")
        self.assertEqual(buyer.get(f"/api/orders/{order['id']}")["fulfilment_status"], "delivered")
        self.assertIn(buyer.post(f"/api/orders/{order['id']}/cancel", {"reason": "Too late."}, key=True).status, (409, 422))

    def test_invoice(self):
        buyer = self.buyer()
        _, order = self.buy(buyer, (self.product()["variants"][0], 2))
        invoice = buyer.get(f"/api/orders/{order['id']}/invoice", expect=200)
        self.assertEqual((invoice["order_number"], invoice["totals"]), (order["number"], order["totals"]))
        self.assertError(self.buyer().get(f"/api/orders/{order['id']}/invoice"), 404)


class Refusals(Buying):
    def test_out_of_stock_names_the_lines(self):
        vendor, buyer = self.vendor(), self.buyer()
        enough, short = self.product(vendor, variants=2, on_hand=5)["variants"]
        self.add(buyer, enough, 1)
        self.add(buyer, short, 5)
        estimate = self.estimate(buyer)
        vendor.post(f"/api/vendor/inventory/{short['sku']}/adjustments", {"delta": -3, "reason": "broken"}, key=True, expect=201)
        reply = self.start(buyer, estimate)
        error = self.assertError(reply, 409, "OUT_OF_STOCK")
        named = [d for d in error["details"] if short["id"] in d["field"]]
        self.assertEqual([d.get("value") for d in named], ["2"], error)
        self.assertFalse([d for d in error["details"] if enough["id"] in d["field"]], error)
        for variant in (enough, short):  # nothing is held
            self.assertEqual(self.stock(vendor, variant["sku"])["reserved"], 0)
        # Fewer of them can be bought.
        cart = buyer.get("/api/cart", expect=200)
        line = next(x["id"] for x in cart["lines"] if x["variant_id"] == short["id"])
        buyer.patch(f"/api/cart/items/{line}", {"qty": 2}, if_match=cart.etag, expect=200)
        checkout = self.checkout(buyer)
        self.pay(checkout)
        self.confirm(buyer, checkout)
        self.assertEqual(self.stock(vendor, short["sku"])["on_hand"], 0)

    def test_last_unit_is_sold_once(self):
        vendor = self.vendor()
        variant = self.product(vendor, on_hand=1)["variants"][0]
        guests = [self.guest() for _ in range(8)]
        estimates = []
        for guest in guests:
            self.add(guest, variant)
            self.guest_email(guest)
            estimates.append(self.estimate(guest))
        replies = self.at_once([lambda g=g, e=e: self.start(g, e) for g, e in zip(guests, estimates)])
        won = [i for i, r in enumerate(replies) if r.status in (201, 202)]
        self.assertEqual(len(won), 1, [r.status for r in replies])
        for i, reply in enumerate(replies):
            if i not in won:
                self.assertError(reply, 409, "OUT_OF_STOCK")
        checkout = self.see(guests[won[0]], replies[won[0]])
        self.pay(checkout)
        self.confirm(guests[won[0]], checkout)
        level = self.stock(vendor, variant["sku"])
        self.assertEqual((level["on_hand"], level["reserved"]), (0, 0))

    def test_declined_then_another_card(self):
        buyer = self.buyer()
        self.add(buyer, self.product()["variants"][0])
        checkout = self.checkout(buyer)
        self.assertEqual(self.pay(checkout, "pm_card_chargeDeclined", expect=402)["error"]["code"], "card_declined")
        reply = buyer.post("/api/orders/confirm", {"checkout_id": checkout["id"]}, key=True)
        error = self.assertError(reply, 409, "PAYMENT_DECLINED")
        self.assertEqual((error["details"][0]["field"], error["details"][0]["value"]), ("payment", "generic_decline"))
        self.assertEqual(list(buyer.walk("/api/orders")), [])
        self.assertEqual(self.see(buyer, checkout)["state"], "payment_pending")
        self.pay(checkout)
        self.assertEqual(self.confirm(buyer, checkout)["payment_status"], "paid")

    def test_unpaid_is_said(self):
        buyer = self.buyer()
        self.add(buyer, self.product()["variants"][0])
        checkout = self.checkout(buyer)
        self.assertError(buyer.post("/api/orders/confirm", {"checkout_id": checkout["id"]}, key=True), 409, "PAYMENT_REQUIRED")

    def test_bank_asks_first(self):
        buyer = self.buyer()
        self.add(buyer, self.product()["variants"][0])
        checkout = self.checkout(buyer)
        self.assertEqual(self.pay(checkout, "pm_card_authenticationRequired")["status"], "requires_action")
        self.assertError(buyer.post("/api/orders/confirm", {"checkout_id": checkout["id"]}, key=True), 409, "PAYMENT_REQUIRED")
        intent = checkout["payment"]["payment_intent_id"]
        form = f"outcome=succeed&client_secret={checkout['payment']['client_secret']}".encode()
        self.shop.sandbox.call("POST", f"/v1/payment_intents/{intent}/_authenticate", data=form, expect=200, headers={
            "Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Bearer {self.shop.publishable_key}"})
        self.assertEqual(self.confirm(buyer, checkout)["payment_status"], "paid")

    def test_price_changed(self):
        vendor, buyer = self.vendor(), self.buyer()
        product = self.product(vendor, price=1000)
        variant = product["variants"][0]
        self.add(buyer, variant, 2)
        estimate = self.estimate(buyer)
        vendor.put(f"/api/vendor/products/{product['id']}/variants/{variant['id']}/prices",
                   {"price": {"amount": 1500, "currency": "USD"}}, expect=200)
        reply = self.start(buyer, estimate)
        error = self.assertError(reply, 409, "PRICE_CHANGED", "expected_total")
        now = self.estimate(buyer)
        self.assertEqual(int(error["details"][0]["value"]), now["totals"]["total"]["amount"])
        self.assertEqual(now["totals"]["subtotal"]["amount"], 3000)
        self.assertEqual(self.stock(vendor, variant["sku"])["reserved"], 0)
        self.assertEqual(self.start(buyer, now).status, 201)

    def test_price_is_frozen_at_checkout(self):
        vendor, buyer = self.vendor(), self.buyer()
        product = self.product(vendor, price=1000)
        variant = product["variants"][0]
        self.add(buyer, variant)
        checkout = self.checkout(buyer)
        vendor.put(f"/api/vendor/products/{product['id']}/variants/{variant['id']}/prices",
                   {"price": {"amount": 9000, "currency": "USD"}}, expect=200)
        self.pay(checkout)
        self.assertEqual(self.confirm(buyer, checkout)["totals"], checkout["totals"])

    def test_bad_input(self):
        buyer, guest = self.buyer(), self.guest()
        self.add(buyer, self.product()["variants"][0])
        self.add(guest, self.product()["variants"][0])
        estimate = self.estimate(buyer)
        good = self.body(buyer, estimate)
        tag = self.cart_tag(estimate)

        def post(body, **how):
            return buyer.post("/api/checkout", body, **{"if_match": tag, "key": True, **how})

        for change, field in (({"shipping_method": ""}, "shipping_method"), ({"expected_total": {"amount": -1, "currency": "USD"}}, "expected_total"),
                              ({"expected_total": {"amount": 1}}, "expected_total"), ({"address": {**ADDRESS, "country": "Germany"}}, "address.country"),
                              ({"address": {**ADDRESS, "name": ""}}, "address.name"), ({"address": {**ADDRESS, "zip": "1"}}, "zip"),
                              ({"total": 1}, "total"), ({"hdr_cart_token": "x"}, "hdr_cart_token"), ({"email": "x"}, "email")):
            with self.subTest(change=change):
                error = self.assertError(post({**good, **change}), 400, "VALIDATION_ERROR")
                self.assertTrue(any(field in d["field"] for d in error["details"]), error)
        self.assertError(post(good, key=None), 400, "VALIDATION_ERROR", "Idempotency-Key")
        self.assertError(post(good, if_match=None), 428, "PRECONDITION_REQUIRED")
        self.assertError(post(good, if_match=f'"{estimate["cart_id"]}-99"'), 412, "PRECONDITION_FAILED")
        self.assertError(post({**good, "shipping_method": "teleport"}), 422)
        nothing = self.buyer()
        reply = nothing.post("/api/checkout", good, if_match='"crt_01jd000000000000000000000a-1"', key=True)
        self.assertIn(reply.status, (404, 412, 422), reply.text)
        body = self.body(guest, self.estimate(guest))
        del body["email"]
        self.assertError(guest.post("/api/checkout", body, if_match=self.cart_tag(self.estimate(guest)), key=True), 400,
                         "VALIDATION_ERROR", "email")
        for path in ("chk_01jd000000000000000000000a", "x", "%20"):
            self.assertError(buyer.get(f"/api/checkout/{path}"), 404, "NOT_FOUND")
            self.assertIn(buyer.post("/api/orders/confirm", {"checkout_id": path}, key=True).status, (400, 404))
            self.assertError(buyer.get(f"/api/orders/{path}"), 404, "NOT_FOUND")

    def test_strangers_checkout_is_404(self):
        buyer, stranger, guest = self.buyer(), self.buyer(), self.guest()
        self.add(buyer, self.product()["variants"][0])
        checkout = self.checkout(buyer)
        self.add(guest, self.product()["variants"][0])
        for caller in (stranger, guest, self.guest()):
            self.assertError(caller.get(f"/api/checkout/{checkout['id']}"), 404, "NOT_FOUND")
            self.assertError(caller.delete(f"/api/checkout/{checkout['id']}"), 404, "NOT_FOUND")
        for caller in (stranger, guest):
            self.assertError(caller.post("/api/orders/confirm", {"checkout_id": checkout["id"]}, key=True), 404, "NOT_FOUND")
        self.pay(checkout)
        order = self.confirm(buyer, checkout)
        self.assertError(stranger.get(f"/api/orders/{order['id']}"), 404, "NOT_FOUND")
        self.assertError(stranger.post(f"/api/orders/{order['id']}/cancel", {"reason": "Mine"}, key=True), 404, "NOT_FOUND")


class Repeats(Buying):
    def test_second_checkout_is_the_live_one(self):
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=5)["variants"][0]
        self.add(buyer, variant, 2)
        estimate = self.estimate(buyer)
        one, two = self.start(buyer, estimate), self.start(buyer, estimate)
        self.assertEqual((one.status, two.status, one["id"]), (201, 200, two["id"]))
        self.assertEqual(one["payment"], two["payment"])
        self.assertEqual(self.stock(vendor, variant["sku"])["reserved"], 2)

    def test_same_key_is_answered_again(self):
        buyer, key = self.buyer(), self.unique("key")
        self.add(buyer, self.product()["variants"][0])
        estimate = self.estimate(buyer)
        one, two = self.start(buyer, estimate, key=key), self.start(buyer, estimate, key=key)
        self.assertEqual((one.status, two.status, one["id"]), (201, 201, two["id"]))
        self.assertEqual(two.header("Idempotent-Replayed"), "true")
        other = self.start(buyer, estimate, key=key, address={**ADDRESS, "city": "Chicago"})
        self.assertError(other, 422, "IDEMPOTENCY_KEY_REUSED")

    def test_double_click_on_checkout(self):
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=50)["variants"][0]
        self.add(buyer, variant, 2)
        estimate = self.estimate(buyer)
        replies = self.at_once([lambda: self.start(buyer_clone(buyer), estimate) for _ in range(8)])
        self.assertLessEqual({r.status for r in replies}, {200, 201, 202, 409, 503}, [r.text for r in replies if r.status >= 400])
        ids = {r["id"] for r in replies if r.status < 300}
        self.assertEqual(len(ids), 1, [r.status for r in replies])
        until(lambda: self.stock(vendor, variant["sku"])["reserved"] == 2, 10)

    def test_double_click_on_confirm(self):
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=50)["variants"][0]
        self.add(buyer, variant, 3)
        checkout = self.checkout(buyer)
        self.pay(checkout)
        replies = self.at_once([lambda: self.confirm(buyer_clone(buyer), checkout) for _ in range(16)])
        self.assertEqual(len({r["id"] for r in replies}), 1)
        self.assertEqual(len({r["number"] for r in replies}), 1)
        self.assertEqual(len(list(buyer.walk("/api/orders"))), 1)
        self.assertEqual(self.stock(vendor, variant["sku"])["on_hand"], 47)
        self.assertEqual(len([m for m in self.movements(vendor, variant["sku"]) if m["kind"] == "sale"]), 1)

    def test_cart_that_was_bought(self):
        buyer = self.buyer()
        self.add(buyer, self.product()["variants"][0])
        estimate = self.estimate(buyer)
        checkout = self.start(buyer, estimate)
        self.pay(checkout)
        order = self.confirm(buyer, checkout)
        reply = self.start(buyer, estimate)
        if reply.status < 300:  # the very same request: told that it is bought
            self.assertEqual((reply["id"], reply["order_id"]), (checkout["id"], order["id"]))
        else:
            self.assertIn(reply.status, (409, 412))
        self.assertEqual(len(list(buyer.walk("/api/orders"))), 1)

    def test_changed_cart_ends_the_old_checkout(self):
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=9)["variants"][0]
        self.add(buyer, variant, 2)
        old = self.checkout(buyer)
        self.add(buyer, variant, 1)
        new = self.checkout(buyer)
        self.assertNotEqual(old["id"], new["id"])
        self.assertEqual(self.see(buyer, old)["state"], "expired")
        self.assertEqual(self.stock(vendor, variant["sku"])["reserved"], 3)
        self.shop.pay(old["payment"]["client_secret"], expect=(400, 402))  # cannot be paid any more
        self.pay(new)
        self.confirm(buyer, new)
        self.assertEqual(self.stock(vendor, variant["sku"])["on_hand"], 6)

    def test_change_of_the_checkout(self):
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=9)["variants"][0]
        self.add(buyer, variant, 2)
        estimate = self.estimate(buyer)
        options = estimate["shipping_options"]
        checkout = self.start(buyer, estimate)
        dearer = next(o for o in options if o["id"] != estimate["shipping_method"])
        again = self.estimate(buyer, f"country=US&region=IL&postal_code=62701&shipping_method={dearer['id']}")
        at = f"/api/checkout/{checkout['id']}"
        body = {"shipping_method": dearer["id"], "expected_total": again["totals"]["total"]}
        self.assertError(buyer.patch(at, body), 428)
        changed = buyer.patch(at, body, if_match=self.see(buyer, checkout).etag, expect=(200, 202))
        self.assertEqual(changed["totals"]["total"], again["totals"]["total"])
        self.assertNotEqual(changed["payment"]["payment_intent_id"], checkout["payment"]["payment_intent_id"])
        self.shop.pay(checkout["payment"]["client_secret"], expect=(400, 402))
        self.pay(changed)
        self.assertEqual(self.confirm(buyer, changed)["totals"]["total"], again["totals"]["total"])
        self.assertEqual(self.stock(vendor, variant["sku"])["on_hand"], 7)


class Promotions(Buying):
    def promotion(self, **more):
        code = self.unique("P").upper()
        return self.admin().post("/api/admin/promotions", {"code": code, "title": "Ten percent", "kind": "percent",
                                                           "percent_bp": 1000, "active": True, **more}, expect=201)

    def enter(self, caller, code):
        caller.post(f"/api/cart/coupons/{code}", {}, if_match=caller.get("/api/cart", expect=200).etag, expect=200)

    def test_code_lowers_the_total(self):
        promotion, buyer = self.promotion(), self.buyer()
        self.add(buyer, self.product(price=1000)["variants"][0], 2)
        before = self.estimate(buyer)
        self.enter(buyer, promotion["code"])
        after = self.estimate(buyer)
        self.assertEqual(after["totals"]["discount"]["amount"], 200)
        self.assertLess(after["totals"]["total"]["amount"], before["totals"]["total"]["amount"])
        checkout = self.checkout(buyer)
        self.pay(checkout)
        order = self.confirm(buyer, checkout)
        self.assertEqual(order["totals"], after["totals"])
        self.assertEqual([d["code"] for d in order["discounts"]], [promotion["code"]])
        self.assertEqual(self.admin().get(f"/api/admin/promotions/{promotion['id']}", expect=200)["uses"], 1)
        self.assertEqual(self.wait_cart(buyer, 0)["coupon_codes"], [])

    def test_codes_that_do_nothing_say_why(self):
        buyer = self.buyer()
        self.add(buyer, self.product(price=1000)["variants"][0])
        wanted = {"NO-SUCH-CODE": "UNKNOWN", self.promotion(min_subtotal={"amount": 5000, "currency": "USD"})["code"]: "MINIMUM"}
        for code in wanted:
            self.enter(buyer, code)
        estimate = self.estimate(buyer)
        self.assertEqual({p["code"]: p["reason"] for p in estimate["coupon_problems"]}, wanted)
        self.assertEqual(estimate["totals"]["discount"]["amount"], 0)

    def test_last_use_is_given_once(self):
        """One use, eight buyers at once: one of them has it, whatever the order."""
        promotion = self.promotion(max_uses=1)
        variant = self.product(on_hand=50)["variants"][0]
        guests = [self.guest() for _ in range(8)]
        estimates = []
        for guest in guests:
            self.guest_email(guest)
            self.add(guest, variant)
            self.enter(guest, promotion["code"])
            estimates.append(self.estimate(guest))
        replies = self.at_once([lambda g=g, e=e: self.start(g, e) for g, e in zip(guests, estimates)])
        self.assertEqual(sorted(r.status for r in replies), [201] + [409] * 7, [r.text for r in replies])
        for reply in replies:
            if reply.status == 409:
                self.assertError(reply, 409, "PRICE_CHANGED")


class Ends(Buying):
    def test_cancel(self):
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=4)["variants"][0]
        self.add(buyer, variant, 4)
        checkout = self.checkout(buyer)
        ended = buyer.delete(f"/api/checkout/{checkout['id']}", expect=(200, 202))
        if ended.status == 202:
            ended = self.wait_state(buyer, checkout, "expired", "cancelled")
        self.assertIn(ended["state"], ("expired", "cancelled"))
        self.assertEqual(ended["reason"], "abandoned")
        level = self.stock(vendor, variant["sku"])
        self.assertEqual((level["on_hand"], level["reserved"]), (4, 0))
        self.shop.pay(checkout["payment"]["client_secret"], expect=(400, 402))
        reply = buyer.post("/api/orders/confirm", {"checkout_id": checkout["id"]}, key=True)
        self.assertError(reply, 410, "GONE")
        self.assertEqual(buyer.get("/api/cart", expect=200)["item_count"], 4)
        self.assertEqual(self.start(buyer).status, 201)  # and once more

    def test_expiry(self):
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=4)["variants"][0]
        self.add(buyer, variant, 3)
        checkout = self.checkout(buyer)
        self.expire(checkout)
        ended = self.wait_state(buyer, checkout, "expired")
        self.assertIn(ended["reason"], ("timeout", "expired"))
        until(lambda: self.stock(vendor, variant["sku"])["reserved"] == 0, 10)
        self.shop.pay(checkout["payment"]["client_secret"], expect=(400, 402))
        self.assertError(buyer.post("/api/orders/confirm", {"checkout_id": checkout["id"]}, key=True), 410, "GONE")
        self.assertEqual(list(buyer.walk("/api/orders")), [])

    def test_payment_beats_expiry(self):
        """Paid in the last moment, the webhook lost: the ending finds the payment and settles it."""
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=4)["variants"][0]
        self.add(buyer, variant, 1)
        checkout = self.checkout(buyer)
        self.fault(checkout, operation="webhook", kind="drop", count=0)
        self.pay(checkout)
        self.expire(checkout)
        self.wait_state(buyer, checkout, "ordered")
        self.assertEqual(len(list(buyer.walk("/api/orders"))), 1)
        until(lambda: (level := self.stock(vendor, variant["sku"])) and (level["on_hand"], level["reserved"]) == (3, 0), 20)

    def test_capture_fails(self):
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=4)["variants"][0]
        self.add(buyer, variant, 2)
        checkout = self.checkout(buyer)
        self.pay(checkout, "pm_sandbox_capture_fails")
        reply = buyer.post("/api/orders/confirm", {"checkout_id": checkout["id"]}, key=True)
        if reply.status == 202:
            self.wait_state(buyer, checkout, "cancelled")
        else:
            self.assertError(reply, 409, "PAYMENT_FAILED")
        until(lambda: (s := self.stock(vendor, variant["sku"])) and (s["on_hand"], s["reserved"]) == (4, 0), 20)
        self.assertEqual(list(buyer.walk("/api/orders")), [])

    def test_cancelled_order_is_refunded(self):
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=4)["variants"][0]
        _, order = self.buy(buyer, (variant, 3))
        at = f"/api/orders/{order['id']}"
        cancelled = buyer.post(at + "/cancel", {"reason": "Changed my mind."}, key=True, expect=(200, 202))
        self.assertEqual(cancelled["status"], "cancelled")
        until(lambda: (o := buyer.get(at, expect=200)) and o["payment_status"] == "refunded"
              and o["refunded"] == order["totals"]["total"], 30)
        until(lambda: self.stock(vendor, variant["sku"])["on_hand"] == 4, 20)
        self.assertIn("restock", [m["kind"] for m in self.movements(vendor, variant["sku"])])

    def test_provider_is_away_for_a_moment(self):
        """The provider does not answer for a while: settled when it does."""
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=4)["variants"][0]
        self.add(buyer, variant, 2)
        checkout = self.checkout(buyer)
        self.fault(checkout, operation="retrieve", kind="close_before", count=3)
        self.pay(checkout)
        self.assertEqual(self.confirm(buyer, checkout)["payment_status"], "paid")

    def test_answers_lost_after_the_effect(self):
        """Captured, and the answer lost: settled all the same, and once."""
        vendor, buyer = self.vendor(), self.buyer()
        variant = self.product(vendor, on_hand=4)["variants"][0]
        self.add(buyer, variant, 1)
        checkout = self.checkout(buyer)
        self.fault(checkout, operation="capture", kind="close_after", count=2)
        self.pay(checkout)
        order = self.confirm(buyer, checkout)
        self.assertEqual(order["payment_status"], "paid")
        self.assertEqual(self.stock(vendor, variant["sku"])["on_hand"], 3)


def buyer_clone(buyer):
    fresh = buyer.clone(buyer.token)
    fresh.cart_token = buyer.cart_token
    fresh.email = getattr(buyer, "email", None)
    return fresh


class Many(Buying):
    def test_parallel_purchases_add_up(self):
        """Twelve buyers of one article at once: each gets an order, the stock is exact."""
        vendor = self.vendor()
        variant = self.product(vendor, on_hand=40)["variants"][0]
        guests = [self.guest() for _ in range(12)]
        for guest in guests:
            self.guest_email(guest)
        lock, numbers = threading.Lock(), []

        def buy(guest):
            _, order = self.buy(guest, (variant, 2))
            with lock:
                numbers.append(order["number"])

        self.at_once([lambda g=g: buy(g) for g in guests])
        self.assertEqual(len(set(numbers)), 12)
        level = self.stock(vendor, variant["sku"])
        self.assertEqual((level["on_hand"], level["reserved"]), (16, 0))
        for guest in guests:
            self.assertEqual(len(self.shop.mails(guest.email, count=1, wait_ms=20000)), 1)
