"""A purchase step by step, for tests.

	from support.buying import Buying
	class Purchase(Buying):
	    def test_x(self):
	        buyer, variant = self.buyer(), self.product()["variants"][0]
	        self.add(buyer, variant)
	        checkout = self.checkout(buyer)         stock reserved, payment begun
	        self.pay(checkout)                      as the browser does
	        order = self.confirm(buyer, checkout)
"""

import copy
import os
import shlex
import subprocess

from support.goods import ADDRESS, Goods, until

HOME = "country=US&region=IL&postal_code=62701"


class Buying(Goods):
    def estimate(self, caller, query=HOME):
        return caller.get("/api/cart/estimate?" + query, expect=200)

    def body(self, caller, estimate, **change):
        body = {"shipping_method": estimate["shipping_method"], "expected_total": estimate["totals"]["total"],
                "address": ADDRESS, **change}
        if not caller.token:
            body.setdefault("email", self.guest_email(caller))
        return body

    def guest_email(self, caller):
        if not getattr(caller, "email", None):
            caller.email = self.email()
        return caller.email

    @staticmethod
    def cart_tag(estimate):
        return f'"{estimate["cart_id"]}-{estimate["cart_version"]}"'

    def start(self, caller, estimate=None, key=True, **change):
        """POST /api/checkout, whatever the answer."""
        estimate = estimate or self.estimate(caller)
        return caller.post("/api/checkout", self.body(caller, estimate, **change), if_match=self.cart_tag(estimate), key=key)

    def checkout(self, caller, **change):
        """A checkout that waits for the payment."""
        reply = self.start(caller, **change)
        self.assertIn(reply.status, (200, 201, 202), reply.text)
        if reply.status == 202:
            return until(lambda: (r := self.see(caller, reply)) and r["state"] == "payment_pending" and r, 20)
        self.assertEqual(reply["state"], "payment_pending", reply.text)
        return reply

    @staticmethod
    def see(caller, checkout):
        return caller.get(f"/api/checkout/{checkout['id']}", expect=200)

    def pay(self, checkout, card="pm_card_visa", expect=200):
        shop = copy.copy(self.shop)
        shop.sandbox = self.shop.sandbox.clone()  # tests pay from several threads
        return shop.pay(checkout["payment"]["client_secret"], card, expect)

    def confirm(self, caller, checkout, key=True):
        """The order. 202 means that the outcome is not known yet: asked again."""
        def once():
            reply = caller.post("/api/orders/confirm", {"checkout_id": checkout["id"]}, key=key, expect=(200, 202))
            return reply if reply.status == 200 else None

        return until(once, 20)

    def buy(self, caller, *wanted):
        """(checkout, order) of these (variant, quantity) pairs."""
        for variant, qty in wanted:
            self.add(caller, variant, qty)
        checkout = self.checkout(caller)
        self.pay(checkout)
        return checkout, self.confirm(caller, checkout)

    def wait_state(self, caller, checkout, *states, seconds=30):
        return until(lambda: (r := self.see(caller, checkout)) and r["state"] in states and r, seconds)

    def wait_cart(self, caller, count):
        """Bought lines leave the cart by an event."""
        return until(lambda: (r := caller.get("/api/cart", expect=200)) and r.get("item_count", 0) == count and r, 20)

    def movements(self, vendor, sku):
        return list(vendor.walk(f"/api/vendor/inventory/{sku}/movements"))

    def fault(self, checkout, **fault):
        """A fault of the sandbox for this payment alone; gone with the test."""
        made = self.shop.sandbox.post("/_sandbox/faults", {"object": checkout["payment"]["payment_intent_id"], **fault},
                                      expect=(200, 201))
        self.addCleanup(lambda: made.get("id") and self.shop.sandbox.delete(f"/_sandbox/faults/{made['id']}"))

    def sql(self, daemon, statement):
        """For what no client can bring about, such as the passing of time."""
        path = os.path.join(self.run_dir, "env", daemon + ".env")
        if not os.path.exists(path):
            self.skipTest("the platform's database is out of reach: it does not run on this machine itself")
        with open(path) as f:
            env = dict(word.split("=", 1) for word in shlex.split(f.read()))
        done = subprocess.run(["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement,
                               env[daemon.upper() + "_PG_DSN"]], text=True, capture_output=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def expire(self, checkout):
        """Its time to pay is over."""
        self.sql("checkout", "UPDATE checkout.checkout SET begun_at = begun_at - interval '1 hour',"
                 " expires_at = now() - interval '1 second', next_at = now()"
                 f" WHERE id = '{checkout['id']}'")
