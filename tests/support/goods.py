"""Goods to test with: vendors' products that nobody else touches, and what buyers do with them.

	from support.goods import Goods
	class Cart(Goods):
	    def test_x(self):
	        product = self.product(on_hand=3, price=1999)      published, its stock known to inventory
	        variant = product["variants"][0]
"""

import threading

from support.e2e import E2E, until

ADDRESS = {"name": "Eve Example", "line1": "1 Market Street", "city": "Springfield", "region": "IL",
           "postal_code": "62701", "country": "US"}


class Goods(E2E):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._vendor = None

    def vendor(self):
        """One vendor for all tests of a class; who needs it alone takes new_vendor()."""
        if not type(self)._vendor:
            type(self)._vendor = self.new_vendor()
        caller = type(self)._vendor
        fresh = caller.clone(caller.token)
        fresh.vendor_id, fresh.user_id, fresh.email = caller.vendor_id, caller.user_id, caller.email
        return fresh

    def product_body(self, price=1999, on_hand=10, variants=1, currency="USD", **more):
        tag = self.unique("sku")
        return {"title": self.unique("Thing"), "description": "Made by a test.", "brand": "Testware",
                "attributes": {"material": "steel"}, "publish": True, **more,
                "variants": [{"sku": f"{tag}-{i}", "title": f"Kind {i}", "options": {"kind": str(i)}, "weight_g": 500,
                              "price": {"amount": price, "currency": currency}, "on_hand": on_hand}
                             for i in range(variants)]}

    def product(self, vendor=None, **how):
        """A product that buyers see and inventory knows."""
        vendor = vendor or self.vendor()
        body = self.product_body(**how)
        made = vendor.post("/api/vendor/products", body, expect=201).json
        for given in body["variants"]:
            self.wait_stock(vendor, given["sku"], given["on_hand"])
        return made

    def wait_stock(self, vendor, sku, on_hand, seconds=20):
        """Inventory hears of goods by events."""
        return until(lambda: self._stock_is(vendor, sku, on_hand), seconds, (404,))

    @staticmethod
    def _stock_is(vendor, sku, on_hand):
        level = vendor.get(f"/api/vendor/inventory/{sku}", expect=200).json
        return level if level.get("on_hand", 0) == on_hand else None

    def stock(self, vendor, sku):
        return vendor.get(f"/api/vendor/inventory/{sku}", expect=200).json

    @staticmethod
    def add(caller, variant, qty=1, **how):
        """Puts it into the caller's cart; a guest keeps the token."""
        reply = caller.post("/api/cart/items", {"variant_id": variant["id"], "qty": qty}, expect=201, **how)
        caller.cart_token = reply.get("cart_token") or caller.cart_token
        return reply

    @staticmethod
    def at_once(functions):
        """Runs them in threads that start together; their results in order. An exception of one is raised."""
        barrier = threading.Barrier(len(functions))
        results, errors = [None] * len(functions), []

        def run(i):
            try:
                barrier.wait(30)
                results[i] = functions[i]()
            except Exception as e:  # noqa: BLE001 (raised again below)
                errors.append(e)

        threads = [threading.Thread(target=run, args=(i,)) for i in range(len(functions))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        if errors:
            raise errors[0]
        return results
