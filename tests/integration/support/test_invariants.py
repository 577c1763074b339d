"""Who checks the checker: on the migrated schemas of all daemons every invariant of tests/support/invariants.sql holds, and a
violation planted behind the backs of triggers and constraints is found by the invariant that is there for it."""

import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0:0] = [os.path.join(HERE, "..", "deploy"), os.path.join(HERE, "..", "..", "support")]

import invariants  # noqa: E402
import test_schemas  # noqa: E402  (the module: its tests are not ours)

CHECKOUT = {"id": "chk_1", "cart_id": "crt_1", "cart_version": 1, "user_id": "usr_1", "buyer": "usr_1", "order_id": "ord_1",
            "request_hash": "x", "currency": "USD", "total_minor": 100, "frozen": "x", "state": "ordered", "attempt": 1, "pi_n": 1,
            "key_n": 1, "tries": 0, "begun_at": "now", "expires_at": "now", "free": False, "reserved": True, "rereserved": False,
            "sold": True, "has_pi": True, "pi_maybe": False, "pi_dead": False, "captured": True, "refunded": False, "ending": False,
            "pi_id": "pi_1"}
ORDER = {"id": "ord_1", "number": "1", "checkout_id": "chk_1", "payment_intent_id": "pi_1", "reservation_key": "chk_1.1",
         "user_id": "usr_1", "currency": "USD", "subtotal_minor": 100, "discount_minor": 0, "shipping_minor": 0, "tax_minor": 0,
         "tax_added_minor": 0, "total_minor": 100, "item_count": 2, "discounts": "", "locale": "en", "shipping_name": "x",
         "payment_status": "paid"}
VENDOR_ORDER = {"id": "vor_1", "order_id": "ord_1", "vendor_id": "vnd_1", "vendor_name": "x", "currency": "USD",
                "subtotal_minor": 100, "discount_minor": 0, "shipping_minor": 0, "tax_minor": 0, "tax_added_minor": 0,
                "total_minor": 100, "commission_minor": 10}
PAYMENT = {"id": "pay_1", "checkout_id": "chk_1", "pi_id": "pi_1", "currency": "USD", "captured_minor": 100}
REFUND = {"id": "rfd_1", "payment_id": "pay_1", "checkout_id": "chk_1", "order_id": "ord_1", "currency": "USD",
          "amount_minor": 40, "state": "succeeded"}
STOCK = {"variant_id": "var_1", "vendor_id": "vnd_1", "sku": "x", "on_hand": 5, "reserved": 2}
RESERVATION = {"id": "rsv_1", "key": "chk_1.1", "state": "sold", "expires_at": "now", "order_id": "ord_1", "ended_at": "now"}
SESSION = {"id": "ses_1", "user_id": "usr_1", "audience": "shop", "token_hash": "a", "expires_at": "now", "absolute_at": "now"}


def insert(table, row, **change):
    row = {k: v for k, v in {**row, **change}.items() if v is not None}
    values = ", ".join(f"'{v}'" if isinstance(v, str) else str(v) for v in row.values())
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values});"


def checkout(**change):
    return insert("checkout.checkout", CHECKOUT, **change)


def order(**change):
    return insert("checkout.orders", ORDER, **change)


def payment(**change):
    return insert("checkout.payment", PAYMENT, **change)


def unconstrained(table, name):
    return f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE;"


def dead_letter(schema):
    return (f"INSERT INTO {schema}.dead_letter (id, source, event_id, type, agg_type, agg_id, agg_version, payload, occurred_at, state)"
            " VALUES ('x', 'x', 'x', 'x', 'x', 'x', 1, '', now(), 'dead');")


def movement(kind, delta, **more):
    return insert("inventory.movement", {"variant_id": "var_1", "location_id": "loc_1", "kind": kind, "delta": delta,
                                         "on_hand_after": 0, **more})


# what the invariant says -> what breaks it
PLANTED = [
    ("on hand is the sum of its movements", insert("inventory.stock", STOCK)),
    ("reserved is the sum of the lines", insert("inventory.stock", STOCK)),
    ("never more than there is", unconstrained("inventory.stock", "stock_not_oversold") + insert("inventory.stock", STOCK, reserved=6)
     + insert("inventory.reservation", RESERVATION, state="active", ended_at=None)
     + "INSERT INTO inventory.reservation_line (reservation_id, variant_id, qty) VALUES ('rsv_1', 'var_1', 6);"),
    ("the places of an article add up", insert("inventory.stock", STOCK)),
    ("belongs to sold reservations", movement("sale", -2, reservation_id="rsv_1")),
    ("belongs to sold reservations", insert("inventory.reservation", RESERVATION)
     + "INSERT INTO inventory.reservation_line (reservation_id, variant_id, qty) VALUES ('rsv_1', 'var_1', 2);"),
    ("is what was ordered", movement("sale", -2, order_id="ord_1")),
    ("an order has one payment", checkout() + order()),
    ("an order has one payment", checkout() + order() + payment(captured_minor=99)),
    ("an order has one payment", checkout() + order() + payment(currency="EUR")),
    ("a payment has one order, or is given back whole", checkout(state="refunded", refunded=True) + payment()
     + insert("checkout.refund", REFUND, order_id=None)),
    ("an order's checkout says so", checkout()),
    ("an order's checkout says so", checkout(state="expired", captured=False) + order()),
    ("no more is given back than was taken", payment() + insert("checkout.refund", REFUND)),
    ("no more is given back than was taken", unconstrained("checkout.payment", "payment_refund_limit") + payment(refunding_minor=101)
     + insert("checkout.refund", REFUND, amount_minor=101)),
    ("an order knows what of it was given back", checkout() + order() + insert("checkout.refund", REFUND)),
    ("vendors are owed", insert("checkout.vendor_order", VENDOR_ORDER)),
    ("one order for a checkout", unconstrained("checkout.orders", "orders_checkout_id_key") + order()
     + order(id="ord_2", number="2", payment_intent_id="pi_2", reservation_key="y")),
    ("one order for a checkout", unconstrained("checkout.orders", "orders_payment_intent_id_key") + order()
     + order(id="ord_2", number="2", checkout_id="chk_2", reservation_key="y")),
    ("one order for a checkout", order() + order(id="ord_2", number="2", checkout_id="chk_2", payment_intent_id="pi_2")),
    ("one live checkout of a cart", "DROP INDEX checkout.checkout_live;"
     + "".join(checkout(id=f"chk_{n}", order_id=f"ord_{n}", pi_id=f"pi_{n}", state="payment_pending", next_at="now", captured=False)
               for n in (1, 2))),
    ("an intent belongs to one attempt", checkout() + "INSERT INTO checkout.payment_attempt (checkout_id, n, idem_key, params, pi_id)"
     " VALUES ('chk_2', 1, 'x', 'x', 'pi_1');"),
    ("nothing is held for nobody", insert("inventory.reservation", RESERVATION, state="active", ended_at=None)),
    ("no checkout in the middle", checkout(state="capturing", next_at="now")),
    ("driven by the clock", unconstrained("checkout.checkout", "checkout_driven") + checkout(state="capturing")),
    ("an order is told of once", checkout() + order()),
    ("known to the cart it came from", "INSERT INTO checkout.outbox (epoch, event_id, agg_type, agg_id, agg_version, type, payload)"
     " VALUES (1, 'e', 'order', 'ord_1', 1, 'order.placed', '');"),
    ("as it stands: orders", checkout() + order()),
    ("as it stands: payments", payment()),
    ("as it stands: refunds", insert("checkout.refund", REFUND)),
    ("as it stands: checkouts", checkout()),
    ("hides what is a person's", "INSERT INTO checkout.audit_log (epoch, actor, request_id, action, table_name, row_id, after)"
     " VALUES (1, 'x', '', 'insert', 'orders', 'ord_1', '{\"person\": \"Ada\"}');"),
    ("the vendors' parts are the order", checkout() + order()),
    ("the vendors' parts are the order", checkout() + order() + insert("checkout.vendor_order", VENDOR_ORDER)),
    ("no refresh token belongs to two sessions", insert("identity.session", SESSION) + insert("identity.session", SESSION, id="ses_2")),
    ("no refresh token belongs to two sessions", insert("identity.session", SESSION, prev_hash="a", generation=1, rotated_at="now")),
    ("remembers what it came from", insert("identity.session", SESSION, generation=1)),
    ("promotions within their limits", "INSERT INTO checkout.promotion (id, title, kind, percent_bp, uses) VALUES"
     " ('prm_1', 'x', 'percent', 500, 3);"),
    ("what is paid is what was frozen", checkout(total_minor=90) + order()),
]


@unittest.skipUnless(os.environ.get("TEST_PG_ADMIN"), "TEST_PG_ADMIN names no server")
class Checker(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        world = test_schemas.Schemas
        world.setUpClass()
        cls.addClassCleanup(world.doClassCleanups)
        cls.dsn = world.owner

    def after(self, planted, queries):
        """The rows that each query yields once `planted` is there; undone afterwards."""
        text = f"BEGIN; SET LOCAL session_replication_role = replica;\n{planted}\n"
        text += "".join(f"SELECT coalesce(json_agg(t), '[]') FROM ({q}\n) t;\n" for q in queries) + "ROLLBACK;"
        return [json.loads(line) for line in self.one_a_line(test_schemas.psql(self.dsn, text), len(queries))]

    def one_a_line(self, text, n):
        # json_agg breaks its lines between the elements
        lines = text.replace(", \n", ", ").splitlines()
        self.assertEqual(len(lines), n, text)
        return lines

    def test_new_schemas_break_none(self):
        asked = invariants.asked(test_schemas.BUILT, at_rest=True)
        found = self.after("", [i.query for i in asked])
        self.assertEqual([i.text for i, rows in zip(asked, found) if rows], [])
        self.assertGreaterEqual(len(asked), 40)

    def test_each_violation_is_found(self):
        all_of_them = invariants.load()
        for words, planted in PLANTED:
            with self.subTest(invariant=words, planted=planted[:120]):
                those = [i for i in all_of_them if words in i.text]
                self.assertEqual(len(those), 1, words)
                self.assertTrue(self.after(planted, [those[0].query])[0], "not found")

    def test_dead_letters_and_broken_chains_are_found(self):
        for schema in test_schemas.BUILT:
            for words, planted in (("no dead letters", dead_letter(schema)),
                                   ("the audit chain is whole", f"UPDATE {schema}.audit_head SET hash = 'x';")):
                those = [i for i in invariants.load() if i.schemas == [schema] and words in i.text]
                self.assertEqual(len(those), 1, f"{schema}: {words}")
                self.assertTrue(self.after(planted, [those[0].query])[0], f"{schema}: {words}")

    def test_every_invariant_has_a_violation(self):
        missing = [i.text for i in invariants.load() if not any(words in i.text for words, _ in PLANTED)
                   and i.text not in ("no dead letters", "the audit chain is whole")]
        self.assertEqual(missing, [])

    def test_nobodys_words_are_found(self):
        def rows(query):
            return self.after("INSERT INTO cart.audit_log (epoch, actor, request_id, action, table_name, row_id, after)"
                              " VALUES (1, 'x', '', 'insert', 'cart', 'c', '{\"a\": \"Ada Canary\"}');", [query])[0]

        self.assertEqual(len(invariants.plaintext(rows, ["cart", "checkout"], ["ada canary"])), 1)
        self.assertEqual(invariants.plaintext(rows, ["cart"], ["Bob Canary"]), [])


if __name__ == "__main__":
    unittest.main()
