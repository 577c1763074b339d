"""More buyers than units, all at once. The large one is `make -f Makefile.ci flash-sale`."""
# runs alone

from support.buying import Buying

BUYERS, UNITS = 60, 6


class FlashSale(Buying):
    def test_as_many_orders_as_units(self):
        vendor = self.vendor()
        variant = self.product(vendor, on_hand=UNITS)["variants"][0]
        guests = [self.guest() for _ in range(BUYERS)]

        def estimated(guest):
            self.add(guest, variant)
            return self.estimate(guest)

        estimates = self.at_once([lambda g=g: estimated(g) for g in guests])

        def press(guest, estimate):
            reply = self.start(guest, estimate)
            if reply.status == 409:
                return reply.error[0]
            self.assertIn(reply.status, (200, 201, 202), reply.text)
            checkout = reply if reply.status != 202 else self.wait_state(guest, reply, "payment_pending")
            self.pay(checkout)
            return self.confirm(guest, checkout)["id"]

        told = self.at_once([lambda g=g, e=e: press(g, e) for g, e in zip(guests, estimates)])
        orders = [x for x in told if x.startswith("ord_")]
        self.assertEqual((len(orders), len(set(orders)), told.count("OUT_OF_STOCK")), (UNITS, UNITS, BUYERS - UNITS), told)
        level = self.stock(vendor, variant["sku"])
        self.assertEqual((level.get("on_hand", 0), level.get("reserved", 0)), (0, 0))
