"""What administrators set and see: taxes, ways of shipping, orders, what vendors are owed, people, mail, pins, synonyms."""

from support.e2e import PASSWORD, until
from support.buying import Buying

ICELAND = "country=IS&postal_code=101"  # no other test sends anything there


class Rules(Buying):
    def test_a_tax_applies_at_once(self):
        admin, guest = self.admin(), self.guest()
        self.add(guest, self.product(price=10000)["variants"][0])
        self.assertEqual(self.estimate(guest, ICELAND)["totals"]["tax"]["amount"], 0)
        body = {"country": "IS", "rate_bp": 2400, "included": False, "name": "VSK"}
        self.assertError(admin.post("/api/admin/tax-rates", {**body, "rate_bp": -1}), 400, "VALIDATION_ERROR", "rate_bp")
        self.assertError(admin.post("/api/admin/tax-rates", {**body, "country": "Iceland"}), 400, "VALIDATION_ERROR", "country")
        self.assertError(self.vendor().post("/api/admin/tax-rates", body), 403)
        made = admin.post("/api/admin/tax-rates", body, expect=201)
        at = f"/api/admin/tax-rates/{made['id']}"
        self.addCleanup(admin.delete, at)
        self.assertError(admin.post("/api/admin/tax-rates", body), 409)
        self.assertEqual([r["id"] for r in admin.walk("/api/admin/tax-rates?country=IS")], [made["id"]])
        until(lambda: self.estimate(guest, ICELAND)["totals"]["tax"]["amount"] >= 2400, 5)
        admin.patch(at, {"rate_bp": 0}, expect=200)
        until(lambda: self.estimate(guest, ICELAND)["totals"]["tax"]["amount"] == 0, 5)
        admin.delete(at, expect=204)
        self.assertError(admin.patch(at, {"rate_bp": 1}), 404)

    def test_a_way_of_shipping(self):
        admin, guest = self.admin(), self.guest()
        self.add(guest, self.product(price=1000)["variants"][0], 2)  # a kilogramme
        body = {"zone": "Iceland", "name": self.unique("Ferry"), "countries": ["IS"], "min_days": 5, "max_days": 9,
                "prices": [{"currency": "USD", "flat": 700, "per_kg": 100, "free_from": 100000}], "active": True, "priority": 1}
        for change, field in (({"countries": ["Nowhere"]}, "countries"), ({"prices": [{"currency": "USD", "flat": -1}]}, "prices.flat"),
                              ({"min_days": 9, "max_days": 5}, None), ({"name": ""}, "name")):
            with self.subTest(change=change):
                self.assertError(admin.post("/api/admin/shipping-methods", {**body, **change}), 400, "VALIDATION_ERROR", field)
        self.assertError(self.buyer().post("/api/admin/shipping-methods", body), 403)
        made = admin.post("/api/admin/shipping-methods", body, expect=201)
        at = f"/api/admin/shipping-methods/{made['id']}"
        self.addCleanup(admin.delete, at)
        self.assertIn(made["id"], [m["id"] for m in admin.walk("/api/admin/shipping-methods")])
        offered = lambda where: {o["id"]: o["price"]["amount"] for o in self.estimate(guest, where)["shipping_options"]}
        until(lambda: made["id"] in offered(ICELAND), 5)
        self.assertEqual(offered(ICELAND)[made["id"]], 800)
        self.assertNotIn(made["id"], offered("country=US&region=IL&postal_code=62701"))
        checkout = self.checkout(guest)
        options = guest.get(f"/api/checkout/{checkout['id']}/shipping-options", expect=200)["data"]
        self.assertGreater(len(options), 1)
        self.assertTrue(all(o["price"]["currency"] == "USD" for o in options), options)
        self.assertError(self.buyer().get(f"/api/checkout/{checkout['id']}/shipping-options"), 404)
        admin.patch(at, {"active": False}, expect=200)
        until(lambda: made["id"] not in offered(ICELAND), 5)
        admin.delete(at, expect=204)
        self.assertError(admin.patch(at, {"active": True}), 404)


class Orders(Buying):
    def test_found_and_cancelled(self):
        vendor, buyer, admin = self.new_vendor(), self.buyer(), self.admin()
        variant = self.product(vendor, on_hand=3)["variants"][0]
        _, order = self.buy(buyer, (variant, 2))
        for query in (f"number={order['number']}", f"user_id={buyer.user_id}", f"user_id={buyer.user_id}&status=open"):
            with self.subTest(query=query):
                self.assertEqual([o["id"] for o in admin.walk("/api/admin/orders?" + query)], [order["id"]])
        self.assertError(buyer.get("/api/admin/orders"), 403)
        self.assertError(vendor.get(f"/api/admin/orders/{order['id']}"), 403)
        at = f"/api/admin/orders/{order['id']}"
        self.assertEqual(admin.get(at, expect=200)["user_id"], buyer.user_id)
        self.assertEqual(admin.post(at + "/cancel", {"reason": "Fraud."}, key=True, expect=200)["status"], "cancelled")
        until(lambda: admin.get(at, expect=200)["payment_status"] == "refunded", 30)
        self.wait_stock(vendor, variant["sku"], 3)
        self.assertEqual(admin.get(at, expect=200)["refunded"], order["totals"]["total"])
        self.assertError(admin.get("/api/admin/orders/ord_none"), 404)

    def test_vendors_are_paid_what_they_are_owed(self):
        vendor, admin = self.new_vendor(), self.admin()
        at = f"/api/admin/vendors/{vendor.vendor_id}"
        self.assertEqual(admin.patch(at + "/commission", {"commission_bp": 2000}, expect=200)["commission_bp"], 2000)
        self.assertError(admin.patch(at + "/commission", {"commission_bp": 10001}), 400, "VALIDATION_ERROR", "commission_bp")
        product = self.product(vendor, price=5000)
        # Checkout hears of the share by an event.
        until(lambda: self.sold_with(vendor, product) == 2000, 30)
        owed = until(lambda: admin.get(at + "/balance", expect=200)["data"], 20)[0]["owed"]
        booked = list(admin.walk(at + "/ledger"))
        self.assertEqual(sum(row["amount"]["amount"] for row in booked), owed["amount"])
        pay = {"amount": {"amount": 1000, "currency": "USD"}, "reference": self.unique("bank")}
        self.assertError(admin.post(at + "/payouts", {**pay, "amount": {"amount": owed["amount"] + 1, "currency": "USD"}},
                                    key=True), 422)
        self.assertError(admin.post(at + "/payouts", {**pay, "amount": {"amount": 0, "currency": "USD"}}, key=True), 400)
        self.assertError(vendor.post(at + "/payouts", pay, key=True), 403)
        key = self.unique("payout")
        made = admin.post(at + "/payouts", pay, key=key, expect=201)
        self.assertEqual(admin.post(at + "/payouts", pay, key=key, expect=201)["id"], made["id"])
        left = admin.get(at + "/balance", expect=200)["data"][0]["owed"]
        self.assertEqual(left["amount"], owed["amount"] - 1000)
        self.assertEqual([r["reference"] for r in admin.walk(at + "/ledger") if r["kind"] == made["kind"]], [pay["reference"]])
        sold = until(lambda: vendor.get("/api/vendor/reports/products?currency=USD", expect=200)["data"], 30)
        self.assertEqual([(r["product_id"], r["title"]) for r in sold], [(product["id"], product["title"])])

    def sold_with(self, vendor, product):
        """The vendor's commission of a new order, in hundredths of a percent of the goods."""
        _, order = self.buy(self.buyer(), (product["variants"][0], 1))
        part = vendor.get(f"/api/vendor/orders/{order['vendor_orders'][0]['id']}", expect=200)
        return part["commission"]["amount"] * 10000 // part["subtotal"]["amount"]


class People(Buying):
    def test_a_refused_vendor_learns_why(self):
        owner, slug = self.buyer(), self.unique("vendor")
        made = owner.post("/api/vendors", {"name": slug, "slug": slug, "country": "US", "accept_terms": True,
                                           "description": "x"}, key=True, expect=201)
        at = f"/api/admin/vendors/{made['id']}/reject"
        self.assertError(self.admin().post(at, {}), 400, "VALIDATION_ERROR", "reason")
        self.assertError(owner.post(at, {"reason": "x"}), 403)
        self.assertEqual(self.admin().post(at, {"reason": "No such firm."}, expect=200)["status"], "rejected")
        self.assertError(self.shop.guest().post("/api/auth/login", {"email": owner.email, "password": PASSWORD,
                                                                    "audience": "vendor", "vendor_id": made["id"]}), 403)
        self.shop.wait_mail(owner.email, "application")
        until(lambda: owner.get("/api/users/me").status == 401, 10)  # a decision about a vendor ends its people's sessions
        owner, mine = self.shop.login(owner.email, PASSWORD), "/api/users/me/vendors"
        self.assertEqual([(v["id"], v["status"], v["status_reason"]) for v in owner.walk(mine)],
                         [(made["id"], "rejected", "No such firm.")])
        again = owner.post("/api/vendors", {"name": slug, "country": "US", "accept_terms": True}, key=True, expect=201)
        self.assertEqual([v["id"] for v in owner.walk(mine, limit=1)], [again["id"], made["id"]])
        self.assertEqual(list(self.buyer().walk(mine)), [])
        self.assertError(self.guest().get(mine), 401)

    def test_a_disabled_account(self):
        buyer, admin = self.buyer(), self.admin()
        at = f"/api/admin/users/{buyer.user_id}"
        self.assertEqual(admin.get(at, expect=200)["email"], buyer.email)
        self.assertEqual([u["id"] for u in admin.walk(f"/api/admin/users?email={buyer.email}")], [buyer.user_id])
        self.assertEqual(len(list(admin.walk(at + "/sessions"))), 1)
        self.assertError(buyer.get(at), 403)
        self.assertEqual(admin.post(at + "/disable", {"reason": "Abuse."}, expect=200)["status"], "disabled")
        until(lambda: buyer.get("/api/users/me").status == 401, 10)
        self.assertError(self.guest().post("/api/auth/login", {"email": buyer.email, "password": PASSWORD}), 403)
        admin.post(at + "/enable", {}, expect=200)
        again = self.shop.login(buyer.email, PASSWORD)
        self.assertEqual(admin.delete(at + "/sessions", expect=200)["revoked"], 1)
        until(lambda: again.get("/api/users/me").status == 401, 10)
        self.assertError(admin.get("/api/admin/users/usr_none"), 404)

    def test_roles(self):
        person, admin = self.buyer(), self.admin()
        roles = {r["name"]: r for r in admin.get("/api/admin/roles", expect=200)["data"]}
        name = "support"
        self.assertIn("admin.users", roles[name]["perms"])
        self.assertNotIn("admin.roles", roles[name]["perms"])
        at = f"/api/admin/users/{person.user_id}/roles"
        self.assertError(self.guest().post("/api/auth/login", {"email": person.email, "password": PASSWORD,
                                                               "audience": "admin"}), 403)
        self.assertIn(name, [r["role"] for r in admin.post(at, {"role": name}, expect=200)["data"]])
        self.assertError(admin.post(at, {"role": "emperor"}), 400, "VALIDATION_ERROR", "role")
        helper = self.shop.login(person.email, PASSWORD, "admin")
        self.assertError(helper.post(at, {"role": "administrator"}), 403)  # nobody makes himself an administrator
        self.assertIn(name, [r["role"] for r in admin.get(at, expect=200)["data"]])
        admin.delete(f"{at}/{name}", expect=204)
        self.assertError(admin.delete(f"{at}/{name}"), 404)
        until(lambda: helper.get("/api/admin/roles").status in (401, 403), 10)


class Mail(Buying):
    def test_messages_and_sending_again(self):
        buyer, admin = self.buyer(), self.admin()
        _, order = self.buy(buyer, (self.product()["variants"][0], 1))
        self.shop.wait_mail(buyer.email, order["number"])
        sent = until(lambda: [m for m in admin.walk(f"/api/admin/notify/messages?order_id={order['id']}") if m["state"] == "sent"], 20)
        at = f"/api/admin/notify/messages/{sent[0]['id']}"
        self.assertEqual([d["outcome"] for d in admin.get(at, expect=200)["deliveries"]], ["sent"])
        self.assertNotIn(buyer.email, admin.get(at).text)
        newest = self.shop.newest_mail(buyer.email)
        admin.post(at + "/resend", key=True, expect=202)
        self.shop.wait_mail(buyer.email, order["number"], since=newest)
        self.assertError(buyer.get(at), 403)
        self.assertError(admin.get("/api/admin/notify/messages/msg_none"), 404)

    def test_templates(self):
        admin = self.admin()
        found = admin.get("/api/admin/notify/templates?lang=en", expect=200)["data"]
        at = f"/api/admin/notify/templates/{next(t['kind'] for t in found if not t['custom'])}/en"
        one = admin.get(at, expect=200)
        bad = admin.post(at + "/preview", {"subject": "{{no_such_thing}}", "text": "x", "html": "x"})
        self.assertError(bad, 400, "VALIDATION_ERROR")
        seen = admin.post(at + "/preview", {"subject": "Hello <b>", "text": one["text"], "html": one["html"]}, expect=200)
        self.assertEqual(seen["subject"], "Hello <b>")
        self.assertNotIn("{{", seen["text"])
        self.assertEqual(admin.get(at, expect=200)["custom"], False)  # looked at, not changed

    def test_preferences(self):
        buyer, at = self.buyer(), "/api/users/me/preferences"
        self.assertEqual(buyer.get(at, expect=200)["order_mail"], True)
        buyer.put(at, {"order_mail": True, "marketing_mail": True, "cart_reminder": False}, expect=200)
        now = buyer.get(at, expect=200)
        self.assertEqual((now["marketing_mail"], now["cart_reminder"]), (True, False))
        self.assertError(buyer.put(at, {"order_mail": "yes"}), 400, "VALIDATION_ERROR", "order_mail")
        self.assertError(self.guest().get(at), 401)

    def test_webhooks(self):
        admin = self.admin()
        body = {"url": "https://hooks.shop.example/souk", "events": ["order.placed"], "description": "Made by a test."}
        for change, field in (({"url": "ftp://x.example"}, "url"), ({"url": "https://"}, "url"),
                              ({"events": ["no.such"]}, "events"), ({"events": []}, "events")):
            with self.subTest(change=change):
                self.assertError(admin.post("/api/admin/webhooks", {**body, **change}), 400, "VALIDATION_ERROR", field)
        made = admin.post("/api/admin/webhooks", body, expect=201)
        at = f"/api/admin/webhooks/{made['id']}"
        self.addCleanup(admin.delete, at)
        self.assertTrue(made["secret"])
        self.assertNotIn(made["secret"], admin.get(at, expect=200).text)
        self.assertIn(made["id"], [w["id"] for w in admin.walk("/api/admin/webhooks")])
        self.assertNotEqual(admin.post(at + "/secret", expect=200)["secret"], made["secret"])
        self.assertEqual(admin.patch(at, {"active": False}, expect=200).json.get("active", False), False)
        self.assertError(self.buyer().get(at), 403)
        admin.delete(at, expect=204)
        self.assertError(admin.get(at), 404)


class Shown(Buying):
    def test_a_pin_is_recommended(self):
        admin, product = self.admin(), self.product()
        body = {"placement": "trending", "product_id": product["id"], "position": 1}
        self.assertError(admin.post("/api/admin/reco/pins", {**body, "position": 0}), 400, "VALIDATION_ERROR", "position")
        self.assertError(self.vendor().post("/api/admin/reco/pins", body), 403)
        made = admin.post("/api/admin/reco/pins", body, expect=201)
        at = f"/api/admin/reco/pins/{made['id']}"
        self.addCleanup(admin.delete, at)
        self.assertIn(made["id"], [p["id"] for p in admin.walk("/api/admin/reco/pins?placement=trending")])
        shown = lambda: [r["product_id"] for r in self.guest().get("/api/recommendations?type=trending&placement=trending&limit=50",
                                                                   expect=200)["data"]]
        until(lambda: product["id"] in shown(), 20)
        admin.delete(at, expect=204)
        until(lambda: product["id"] not in [p["product_id"] for p in admin.walk("/api/admin/reco/pins")], 5)
        self.assertError(admin.delete(at), 404)

    def test_a_synonym_finds(self):
        admin, vendor = self.admin(), self.vendor()
        letters = "".join(c for c in self.unique("") if c.isalpha())
        typed, meant = f"zx{letters}q", f"qv{letters}w"
        product = self.product(vendor, title=f"Lamp {meant}")
        found = lambda: [h["id"] for h in self.guest().get(f"/api/search?q={typed}", expect=200)["data"]]
        made = admin.post("/api/admin/search/synonyms", {"words": [typed, meant]}, expect=201)
        at = f"/api/admin/search/synonyms/{made['id']}"
        self.addCleanup(admin.delete, at)
        self.assertIn(made["id"], [s["id"] for s in admin.walk("/api/admin/search/synonyms")])
        until(lambda: product["id"] in found(), 20)
        self.assertError(admin.post("/api/admin/search/synonyms", {"words": ["one"]}), 400, "VALIDATION_ERROR", "words")
        self.assertError(vendor.get("/api/admin/search/synonyms"), 403)
        admin.delete(at, expect=204)
        self.assertError(admin.delete(at), 404)

    def test_health_of_a_daemon(self):
        admin = self.admin()
        for name in ("identity", "catalog", "inventory", "cart", "checkout", "search", "reco", "notify"):
            seen = admin.get(f"/api/admin/services/{name}/health", expect=200)
            self.assertEqual((seen["service"], seen["draining"]), (name, False))
        self.assertError(admin.get("/api/admin/services/nobody/health"), 404)
        self.assertError(self.buyer().get("/api/admin/services/cart/health"), 403)


class Locations(Buying):
    def test_a_warehouse(self):
        vendor, rival = self.new_vendor(), self.vendor()
        body = {"code": "north", "name": "North", "country": "IS", "priority": 2}
        made = vendor.post("/api/vendor/locations", body, expect=201)
        self.assertError(vendor.post("/api/vendor/locations", body), 409)
        self.assertError(vendor.post("/api/vendor/locations", {**body, "code": "South Pole!"}), 400, "VALIDATION_ERROR", "code")
        self.assertIn(made["id"], [l["id"] for l in vendor.walk("/api/vendor/locations")])
        self.assertNotIn(made["id"], [l["id"] for l in rival.walk("/api/vendor/locations")])
        self.assertError(self.buyer().get("/api/vendor/locations"), 403)
