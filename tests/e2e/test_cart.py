"""Carts of guests and users: lines, tags, races, merging, codes, keys."""

from support.goods import Goods, until


class Cart(Goods):
    def line_of(self, cart, variant):
        return next(line for line in cart["lines"] if line["variant_id"] == variant["id"])

    # ---- a guest's ----

    def test_guest_cart(self):
        product = self.product(variants=2, price=1999, on_hand=9)
        one, two = product["variants"]
        guest = self.guest()
        empty = guest.get("/api/cart", expect=200)
        self.assertNotIn("id", empty.json)
        made = self.add(guest, one, 2)
        token = made["cart_token"]
        self.assertGreaterEqual(len(token), 22)
        self.assertEqual(made.status, 201)
        self.assertEqual(made["item_count"], 2)
        self.assertEqual(made["subtotal"], {"amount": 3998, "currency": "USD"})
        self.assertEqual(made.etag, f'"{made["id"]}-{made["version"]}"')
        second = self.add(guest, two, 1)
        self.assertNotIn("cart_token", second.json)  # shown once
        self.assertEqual(second["id"], made["id"])
        again = self.add(guest, one, 3)  # the same article: one line
        self.assertEqual([(line["qty"], line["line_total"]["amount"]) for line in again["lines"]],
                         [(5, 9995), (1, 1999)])
        self.assertEqual((again["subtotal"]["amount"], again["problems"]), (11994, []))
        line = self.line_of(again, one)
        self.assertEqual((line["title"], line["sku"], line["availability"]), (product["title"], one["sku"], "in"))

    def test_token_is_the_proof(self):
        guest, stranger = self.guest(), self.guest()
        cart = self.add(guest, self.product()["variants"][0])
        self.assertNotIn(cart["id"], stranger.get("/api/cart", expect=200).text)
        for token in (cart["id"], guest.cart_token[:-1], "x", guest.cart_token.swapcase(), guest.cart_token + "A"):
            stranger.cart_token = token
            self.assertError(stranger.get("/api/cart"), 404, "NOT_FOUND")
        line = cart["lines"][0]["id"]
        stranger.cart_token = None
        self.assertError(stranger.patch(f"/api/cart/items/{line}", {"qty": 1}, if_match=cart.etag), 404)
        self.assertError(self.buyer().patch(f"/api/cart/items/{line}", {"qty": 1}, if_match=cart.etag), 404)

    def test_set_and_remove(self):
        guest = self.guest()
        one, two = self.product(variants=2, on_hand=9)["variants"]
        self.add(guest, one)
        cart = self.add(guest, two)
        at = "/api/cart/items/" + self.line_of(cart, one)["id"]
        cart = guest.patch(at, {"qty": 4}, if_match=cart.etag, expect=200)
        self.assertEqual(self.line_of(cart, one)["qty"], 4)  # set, not added
        same = guest.patch(at, {"qty": 4}, if_match=cart.etag, expect=200)
        self.assertEqual(self.line_of(same, one)["qty"], 4)
        cart = guest.patch(at, {"qty": 0}, if_match=same.etag, expect=200)
        self.assertEqual([line["variant_id"] for line in cart["lines"]], [two["id"]])
        self.assertError(guest.patch(at, {"qty": 1}, if_match=cart.etag), 404, "NOT_FOUND")
        cart = guest.delete("/api/cart/items/" + cart["lines"][0]["id"], if_match=cart.etag, expect=200)
        self.assertEqual((cart["lines"], cart["item_count"]), ([], 0))

    def test_clear(self):
        guest = self.guest()
        cart = self.add(guest, self.product()["variants"][0])
        self.assertError(guest.delete("/api/cart"), 428, "PRECONDITION_REQUIRED")
        cleared = guest.delete("/api/cart", if_match=cart.etag, expect=200)
        self.assertEqual(cleared["lines"], [])
        self.assertEqual(guest.get("/api/cart", expect=200)["lines"], [])

    def test_bad_input(self):
        guest, variant = self.guest(), self.product()["variants"][0]
        good = {"variant_id": variant["id"], "qty": 1}
        for body, field in (({"qty": 1}, "variant_id"), ({"variant_id": variant["id"]}, "qty"),
                            ({**good, "qty": 0}, "qty"), ({**good, "qty": -1}, "qty"), ({**good, "qty": 1000}, "qty"),
                            ({**good, "qty": 1.0}, "qty"), ({**good, "qty": "1"}, "qty"), ({**good, "qty": 2 ** 31}, "qty"),
                            ({**good, "qty": 2 ** 63}, "qty"), ({**good, "variant_id": "prd_x"}, "variant_id"),
                            ({**good, "variant_id": variant["id"].upper()}, "variant_id"),
                            ({**good, "currency": "usd"}, "currency"), ({**good, "price": 1}, "price"),
                            ({**good, "hdr_cart_token": "x"}, "hdr_cart_token")):
            with self.subTest(body=body):
                self.assertError(guest.post("/api/cart/items", body), 400, "VALIDATION_ERROR", field)
        self.assertError(guest.post("/api/cart/items", {**good, "variant_id": "var_01jd000000000000000000000a"}), 404,
                         "NOT_FOUND")
        cart = self.add(guest, variant)
        at = "/api/cart/items/" + cart["lines"][0]["id"]
        for qty in (-1, 1000, None, "2", True, 1e3, []):
            self.assertError(guest.patch(at, {"qty": qty}, if_match=cart.etag), 400, "VALIDATION_ERROR", "qty")
        self.assertError(guest.patch(at, {}, if_match=cart.etag), 400, "VALIDATION_ERROR", "qty")
        self.assertEqual(guest.get("/api/cart")["version"], cart["version"])

    # ---- stock, price, sellability ----

    def test_out_of_stock(self):
        variant = self.product(on_hand=3)["variants"][0]
        guest = self.guest()
        self.assertError(guest.post("/api/cart/items", {"variant_id": variant["id"], "qty": 4}), 409, "OUT_OF_STOCK", "qty")
        self.add(guest, variant, 2)
        reply = guest.post("/api/cart/items", {"variant_id": variant["id"], "qty": 2})  # four in all
        detail = self.assertError(reply, 409, "OUT_OF_STOCK")["details"][0]
        self.assertEqual(detail["value"], "3")
        cart = guest.get("/api/cart", expect=200)
        self.assertEqual(cart["lines"][0]["qty"], 2)
        reply = guest.patch("/api/cart/items/" + cart["lines"][0]["id"], {"qty": 4}, if_match=cart.etag)
        self.assertError(reply, 409, "OUT_OF_STOCK")

    def test_sold_out_meanwhile_is_shown(self):
        vendor = self.vendor()
        variant = self.product(vendor, on_hand=3)["variants"][0]
        guest = self.guest()
        self.add(guest, variant, 3)
        vendor.post(f"/api/vendor/inventory/{variant['sku']}/adjustments", {"delta": -2, "reason": "broken"}, key=True,
                    expect=201)
        problem = guest.get("/api/cart", expect=200)["problems"][0]
        self.assertEqual((problem["code"], problem["available"], problem["blocking"]), ("OUT_OF_STOCK", 1, True))

    def test_price_change_is_shown(self):
        vendor = self.vendor()
        product = self.product(vendor, price=1000)
        variant = product["variants"][0]
        guest = self.guest()
        self.add(guest, variant, 2)
        vendor.put(f"/api/vendor/products/{product['id']}/variants/{variant['id']}/prices",
                   {"price": {"amount": 1200, "currency": "USD"}}, expect=200)
        cart = guest.get("/api/cart", expect=200)
        self.assertEqual(cart["subtotal"]["amount"], 2400)
        problem = cart["problems"][0]
        self.assertEqual((problem["code"], problem["previous_price"]["amount"], problem.get("blocking", False)),
                         ("PRICE_CHANGED", 1000, False))

    def test_unpublished_is_not_sellable(self):
        vendor = self.vendor()
        product = self.product(vendor)
        guest = self.guest()
        self.add(guest, product["variants"][0])
        vendor.post(f"/api/vendor/products/{product['id']}/unpublish", expect=200)
        cart = guest.get("/api/cart", expect=200)
        self.assertEqual([(p["code"], p["blocking"]) for p in cart["problems"]], [("NOT_SELLABLE", True)])
        reply = self.guest().post("/api/cart/items", {"variant_id": product["variants"][0]["id"], "qty": 1})
        self.assertError(reply, 409, "NOT_SELLABLE")

    def test_one_currency(self):
        vendor = self.vendor()
        dollars = self.product(vendor)["variants"][0]
        product = self.product(vendor)
        euros = product["variants"][0]
        vendor.put(f"/api/vendor/products/{product['id']}/variants/{euros['id']}/prices",
                   {"price": {"amount": 700, "currency": "EUR"}}, expect=200)
        guest = self.guest()
        made = guest.post("/api/cart/items", {"variant_id": euros["id"], "qty": 1, "currency": "EUR"}, expect=201)
        guest.cart_token = made["cart_token"]
        self.assertEqual((made["currency"], made["subtotal"]["amount"]), ("EUR", 700))
        reply = guest.post("/api/cart/items", {"variant_id": dollars["id"], "qty": 1, "currency": "USD"})
        self.assertError(reply, 409, "CONFLICT")
        self.assertEqual(reply.error[1], "cart.currency_mix")
        self.assertError(guest.post("/api/cart/items", {"variant_id": dollars["id"], "qty": 1}), 409, "NOT_SELLABLE")
        cart = guest.get("/api/cart")
        guest.delete("/api/cart", if_match=cart.etag, expect=200)  # empty again: any currency
        self.assertEqual(self.add(guest, dollars)["currency"], "USD")

    # ---- tags ----

    def test_missing_and_stale_tags(self):
        guest = self.guest()
        first = self.add(guest, self.product()["variants"][0])
        cart = self.add(guest, self.product()["variants"][0])
        at = "/api/cart/items/" + cart["lines"][0]["id"]
        for method, path, body in (("PATCH", at, {"qty": 2}), ("DELETE", at, None), ("DELETE", "/api/cart", None),
                                   ("POST", "/api/cart/coupons/SAVE10", {}), ("DELETE", "/api/cart/coupons/SAVE10", None)):
            with self.subTest(method=method, path=path):
                missing = guest.call(method, path, body)
                self.assertError(missing, 428, "PRECONDITION_REQUIRED")
                for tag in (first.etag, '"none"', '"crt_01jd000000000000000000000a-1"', '"x"',
                            f'"{cart["id"]}-99"', f'"{cart["id"]}-0{cart["version"]}"'):
                    stale = guest.call(method, path, body, if_match=tag)
                    self.assertError(stale, 412, "PRECONDITION_FAILED")
                    self.assertEqual(stale.etag or f'"{stale.json["error"]["details"][0]["value"]}"', cart.etag)
        self.assertEqual(guest.get("/api/cart").etag, cart.etag)
        self.assertError(guest.post("/api/cart/items", {"variant_id": cart["lines"][0]["variant_id"], "qty": 1},
                                    if_match=first.etag), 412)  # optional on add, but then it counts

    def test_one_of_many_wins(self):
        """32 changes with the same tag at once: exactly one is made."""
        guest = self.guest()
        cart = self.add(guest, self.product(on_hand=100)["variants"][0])
        at = "/api/cart/items/" + cart["lines"][0]["id"]

        def change(qty):
            caller = self.guest()
            caller.cart_token = guest.cart_token
            return caller.patch(at, {"qty": qty}, if_match=cart.etag)

        replies = self.at_once([lambda i=i: change(i + 2) for i in range(32)])
        statuses = [r.status for r in replies]
        self.assertEqual(sorted(statuses), [200] + [412] * 31)
        now = guest.get("/api/cart", expect=200)
        self.assertEqual(now["version"], cart["version"] + 1)
        self.assertEqual(now["lines"][0]["qty"], statuses.index(200) + 2)

    def test_parallel_adds_are_all_kept(self):
        guest = self.guest()
        variant = self.product(on_hand=100)["variants"][0]
        self.add(guest, variant)

        def add():
            caller = self.guest()
            caller.cart_token = guest.cart_token
            return caller.post("/api/cart/items", {"variant_id": variant["id"], "qty": 1}, expect=201)

        self.at_once([add] * 16)
        self.assertEqual(guest.get("/api/cart")["lines"][0]["qty"], 17)

    def test_first_adds_at_once_make_one_cart(self):
        buyer = self.buyer()
        variants = self.product(variants=8)["variants"]

        def add(variant):
            return buyer.clone(buyer.token).post("/api/cart/items", {"variant_id": variant["id"], "qty": 1}, expect=201)

        carts = {r["id"] for r in self.at_once([lambda v=v: add(v) for v in variants])}
        self.assertEqual(len(carts), 1)
        self.assertEqual(buyer.get("/api/cart")["item_count"], 8)

    # ---- merging ----

    def merge(self, policy, user_qty, guest_qty):
        variants = self.product(variants=3, on_hand=50)["variants"]
        buyer, guest = self.buyer(), self.guest()
        if user_qty:
            self.add(buyer, variants[0], user_qty)
            self.add(buyer, variants[1], 1)
        self.add(guest, variants[0], guest_qty)
        self.add(guest, variants[2], 7)
        tag = buyer.get("/api/cart", expect=200).etag
        body = {"policy": policy} if policy else {}
        merged = buyer.post("/api/cart/merge", body, if_match=tag, headers={"X-Cart-Token": guest.cart_token}, expect=200)
        return buyer, guest, variants, merged

    def test_merge_policies(self):
        for policy, wanted in ((None, 5), ("sum", 5), ("keep_user", 2), ("keep_guest", 3)):
            with self.subTest(policy=policy):
                _, _, variants, merged = self.merge(policy, 2, 3)
                qty = {line["variant_id"]: line["qty"] for line in merged["lines"]}
                self.assertEqual(qty, {variants[0]["id"]: wanted, variants[1]["id"]: 1, variants[2]["id"]: 7})

    def test_merge_into_no_cart(self):
        _, _, _, merged = self.merge("keep_user", 0, 3)
        self.assertEqual(sorted(line["qty"] for line in merged["lines"]), [3, 7])

    def test_merge_twice_changes_nothing(self):
        buyer, guest, _, merged = self.merge("sum", 2, 3)
        again = buyer.post("/api/cart/merge", {}, if_match=merged.etag, headers={"X-Cart-Token": guest.cart_token},
                           expect=200)
        self.assertEqual([line["qty"] for line in again["lines"]], [line["qty"] for line in merged["lines"]])
        self.assertError(guest.get("/api/cart"), 404)  # the guest's cart is closed

    def test_merge_is_for_one(self):
        _, guest, _, _ = self.merge("sum", 1, 1)
        thief = self.buyer()
        reply = thief.post("/api/cart/merge", {}, if_match='"none"', headers={"X-Cart-Token": guest.cart_token})
        self.assertError(reply, 404, "NOT_FOUND")
        self.assertNotIn("id", thief.get("/api/cart", expect=200).json)

    def test_merge_refusals(self):
        buyer, guest = self.buyer(), self.guest()
        self.add(guest, self.product()["variants"][0])
        token = {"X-Cart-Token": guest.cart_token}
        self.assertError(guest.post("/api/cart/merge", {}, if_match='"none"'), 401)
        self.assertError(buyer.post("/api/cart/merge", {}, headers=token), 428)
        self.assertError(buyer.post("/api/cart/merge", {}, if_match='"none"'), 400, "VALIDATION_ERROR", "X-Cart-Token")
        self.assertError(buyer.post("/api/cart/merge", {"policy": "mine"}, if_match='"none"', headers=token), 400,
                         "VALIDATION_ERROR", "policy")
        self.assertError(buyer.post("/api/cart/merge", {}, if_match='"none"', headers={"X-Cart-Token": "nonsense"}), 404)
        self.add(buyer, self.product()["variants"][0])
        self.assertError(buyer.post("/api/cart/merge", {}, if_match='"none"', headers=token), 412)

    def test_parallel_merges_count_once(self):
        variant = self.product(on_hand=50)["variants"][0]
        buyer, guest = self.buyer(), self.guest()
        tag = self.add(buyer, variant, 1).etag
        self.add(guest, variant, 4)

        def merge():
            return buyer.clone(buyer.token).post("/api/cart/merge", {}, if_match=tag,
                                                 headers={"X-Cart-Token": guest.cart_token}).status

        self.assertEqual(sorted(self.at_once([merge] * 8)), [200] + [412] * 7)
        self.assertEqual(buyer.get("/api/cart")["lines"][0]["qty"], 5)

    # ---- codes ----

    def test_coupon_codes(self):
        guest = self.guest()
        cart = self.add(guest, self.product()["variants"][0])
        cart = guest.post("/api/cart/coupons/save10", {}, if_match=cart.etag, expect=200)
        self.assertEqual(cart["coupon_codes"], ["SAVE10"])
        cart = guest.post("/api/cart/coupons/SAVE10", {}, if_match=cart.etag, expect=200)
        self.assertEqual(cart["coupon_codes"], ["SAVE10"])
        for i in range(4):
            cart = guest.post(f"/api/cart/coupons/CODE-{i}", {}, if_match=cart.etag, expect=200)
        self.assertError(guest.post("/api/cart/coupons/ONEMORE", {}, if_match=cart.etag), 422)
        cart = guest.delete("/api/cart/coupons/Save10", if_match=cart.etag, expect=200)
        self.assertNotIn("SAVE10", cart["coupon_codes"])
        self.assertError(guest.delete("/api/cart/coupons/SAVE10", if_match=cart.etag), 404)
        for code in ("ab", "x" * 33, "a%20b", "caf%C3%A9", "a%27b"):
            self.assertError(guest.post(f"/api/cart/coupons/{code}", {}, if_match=cart.etag), 400, "VALIDATION_ERROR", "code")

    # ---- keys ----

    def test_replay(self):
        buyer, key = self.buyer(), self.unique("key")
        variant = self.product(on_hand=9)["variants"][0]
        body = {"variant_id": variant["id"], "qty": 2}
        one = buyer.post("/api/cart/items", body, key=key, expect=201)
        two = buyer.post("/api/cart/items", body, key=key, expect=201)
        self.assertIsNone(one.header("Idempotent-Replayed"))
        self.assertEqual(two.header("Idempotent-Replayed"), "true")
        self.assertEqual(one.json, two.json)
        self.assertEqual(buyer.get("/api/cart")["lines"][0]["qty"], 2)
        self.assertError(buyer.post("/api/cart/items", {**body, "qty": 3}, key=key), 422, "IDEMPOTENCY_KEY_REUSED")
        # The key is looked up before the tag: a retry of a change that was made is answered, not refused.
        at, tag = "/api/cart/items/" + one["lines"][0]["id"], one.etag
        first = buyer.patch(at, {"qty": 5}, if_match=tag, key=key + "-p", expect=200)
        retry = buyer.patch(at, {"qty": 5}, if_match=tag, key=key + "-p", expect=200)
        self.assertEqual(first.json, retry.json)
        self.assertEqual(retry.header("Idempotent-Replayed"), "true")

    def test_parallel_replays_add_once(self):
        buyer, key = self.buyer(), self.unique("key")
        variant = self.product(on_hand=50)["variants"][0]

        def add():
            return buyer.clone(buyer.token).post("/api/cart/items", {"variant_id": variant["id"], "qty": 1}, key=key)

        statuses = {r.status for r in self.at_once([add] * 16)}
        self.assertLessEqual(statuses, {201, 409})
        self.assertIn(201, statuses)
        until(lambda: add().status == 201, 10)
        self.assertEqual(buyer.get("/api/cart")["lines"][0]["qty"], 1)

    def test_bad_keys(self):
        buyer, guest = self.buyer(), self.guest()
        body = {"variant_id": self.product()["variants"][0]["id"], "qty": 1}
        for key in ("x" * 256, "caf\u00e9"):
            self.assertError(buyer.post("/api/cart/items", body, headers={"Idempotency-Key": key.encode("utf-8")}), 400)
        self.assertError(guest.post("/api/cart/items", body, key=True), 400)  # nobody to keep it for yet
        guest.cart_token = guest.post("/api/cart/items", body, expect=201)["cart_token"]
        key = self.unique("key")
        for _ in range(2):
            guest.post("/api/cart/items", body, key=key, expect=201)
        self.assertEqual(guest.get("/api/cart")["lines"][0]["qty"], 2)
