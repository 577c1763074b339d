"""What people do reaches the recommendations: pages' events, carts and orders, consent, a history from before."""

import json
import os
import tempfile
import time

from support.e2e import PASSWORD
from support.goods import until
from support.buying import Buying


class Behaviour(Buying):
    def send(self, caller, events, session=None, expect=202, **more):
        body = {"events": events, **({"session_id": session} if session else {}), **more}
        return caller.post("/api/events", body, expect=expect)

    def view(self, product, kind="view"):
        return {"id": self.unique("ev"), "type": kind, "product_id": product["id"]}

    def taken(self, caller, product, session):
        """Sent until reco knows the product, which it hears of by events."""
        return until(lambda: self.send(caller, [self.view(product)], session)["accepted"] == 1, 20)

    def counts(self, subject, product):
        """(views, carts, orders) of somebody and a product, as serving reads them."""
        row = self.sql("reco", "SELECT n_view, n_cart, n_buy FROM reco.user_item"
                               f" WHERE subject = '{subject}' AND product_id = '{product['id']}'")
        return tuple(int(x) for x in row.split("|")) if row else (0, 0, 0)

    def user_id(self, caller):
        return caller.get("/api/users/me", expect=200)["id"]

    def test_views_count_once_and_at_once(self):
        product, session = self.product(), self.unique("s")
        self.taken(self.guest(), product, session)
        self.assertEqual(self.counts(session, product), (1, 0, 0))
        event = self.view(product)
        begun = time.monotonic()
        self.assertEqual(self.send(self.guest(), [event, event], session).json, {"accepted": 1, "duplicates": 1, "dropped": 0})
        self.assertEqual(self.counts(session, product), (2, 0, 0))
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(self.send(self.guest(), [event], session)["duplicates"], 1)
        many = [self.view(product, "impression") for _ in range(500)]
        self.assertEqual(self.send(self.guest(), many, session)["accepted"], 500)
        self.assertError(self.send(self.guest(), many + [event], session, expect=400), 400, "VALIDATION_ERROR", "events")
        self.assertError(self.send(self.guest(), [event], expect=400), 400, "VALIDATION_ERROR", "session_id")
        self.assertError(self.send(self.guest(), [{**event, "type": "purchase"}], session, expect=400), 400,
                         "VALIDATION_ERROR", "events.0.type")

    def test_cart_and_order_are_heard(self):
        product, buyer = self.product(on_hand=5), self.buyer()
        me = self.user_id(buyer)
        self.taken(buyer, product, self.unique("s"))
        self.buy(buyer, (product["variants"][0], 1))
        until(lambda: self.counts(me, product) == (1, 1, 1), 20)

    def test_consent_taken_back(self):
        product, buyer, session = self.product(), self.buyer(), self.unique("s")
        me = self.user_id(buyer)
        self.taken(buyer, product, session)
        self.assertEqual(self.counts(me, product), (1, 0, 0))
        buyer.put("/api/users/me/consents/personalisation", {"granted": False, "version": "1"}, expect=200)
        until(lambda: self.counts(me, product) == (0, 0, 0), 20)
        self.assertEqual(self.send(buyer, [self.view(product)], session)["accepted"], 1)
        self.assertEqual(self.counts(me, product), (0, 0, 0))
        self.assertEqual(self.sql("reco", f"SELECT count(*) FROM reco.event WHERE user_id = '{me}'"
                                          f" OR session_id = '{session}'"), "0")

    def test_stock_and_hiding_are_heard(self):
        vendor = self.vendor()
        product = self.product(vendor, on_hand=3)
        sku = product["variants"][0]["sku"]

        def shown():
            return self.sql("reco", f"SELECT shown FROM reco.product WHERE product_id = '{product['id']}'") == "t"

        until(shown, 20)
        vendor.put(f"/api/vendor/inventory/{sku}", {"on_hand": 0, "reason": "count"},
                   if_match=self.stock_tag(vendor, sku), expect=200)
        until(lambda: not shown(), 20)
        vendor.put(f"/api/vendor/inventory/{sku}", {"on_hand": 2, "reason": "count"},
                   if_match=self.stock_tag(vendor, sku), expect=200)
        until(shown, 20)
        vendor.post(f"/api/vendor/products/{product['id']}/unpublish", expect=200)
        until(lambda: not shown(), 20)

    def stock_tag(self, vendor, sku):
        return vendor.get(f"/api/vendor/inventory/{sku}", expect=200).etag

    def test_history_from_before(self):
        tag = self.unique("h")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, f"{tag}.csv")
            day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400 * 40))
            with open(path, "w") as f:
                f.write("invoice,ts,customer,sku,qty,price\r\n")
                for i in range(6001):
                    f.write(f"{tag}-{i // 3},{day} 10:{i // 60 % 60:02d}:{i % 60:02d},{tag}-c{i % 50},{tag}-p{i % 7},2,9.95\r\n")
                f.write(f"{tag},{day} 10:00:00,,\"not, one\",1,1\r\n")
            said = [self.bring(path) for _ in range(2)]
        self.assertEqual(said[0], "6002 rows sent: 6001 taken, 0 known already, 1 refused")
        self.assertEqual(said[1], "6002 rows sent: 0 taken, 6001 known already, 1 refused")
        self.assertEqual(self.sql("reco", f"SELECT count(*) FROM reco.event WHERE left(product_id, {len(tag)}) = '{tag}'"
                                          " AND kind = 5 AND qty = 2"), "6001")
        self.assertEqual(self.guest().post("/api/admin/reco/history", {"source": "x", "rows": [{}]}).status, 401)
        status = self.admin().get("/api/admin/reco/status", expect=200).json
        self.assertGreater(status["products"], 0)
        self.assertIn("last_event_at", status)

    def bring(self, path):
        done = self.ctl("reco", "import", path)
        self.assertEqual(done.returncode, 1, done.stderr)  # a row was refused
        self.assertIn("the first row refused: \"product_id", done.stderr)
        return done.stdout.strip()
