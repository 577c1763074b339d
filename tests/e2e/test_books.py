"""The books of the running platform, while the other tests buy, cancel, refund and sell: what holds in any snapshot."""

import json
import os
import shlex
import subprocess
import unittest

from support import invariants
from support.buying import Buying
from support.e2e import until

SCHEMAS = ["identity", "catalog", "inventory", "cart", "checkout", "search", "reco", "notify"]


class Books(Buying):
    def rows(self, query):
        """As the superuser of the platform's own PostgreSQL; one statement is one snapshot."""
        path = os.path.join(self.run_dir, "env", "cart.env")
        if not os.path.exists(path):
            self.skipTest("the platform's database is out of reach: it does not run on this machine itself")
        with open(path) as f:
            env = dict(word.split("=", 1) for word in shlex.split(f.read()))
        done = subprocess.run(["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c",
                               f"SELECT coalesce(json_agg(t), '[]') FROM ({query}\n) t",
                               env["CART_PG_DSN"].replace("user=souk_cart", "user=postgres")],
                              text=True, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def schemas(self):
        names = "', '".join(SCHEMAS)
        return [r["name"] for r in self.rows("SELECT n.nspname AS name FROM pg_namespace n JOIN pg_class c ON"
                                             " c.relnamespace = n.oid WHERE c.relname = 'dead_letter'"
                                             f" AND n.nspname IN ('{names}')")]

    def test_books_hold(self):
        vendor, buyer = self.vendor(), self.buyer()
        variants = self.product(vendor, on_hand=9, variants=2)["variants"]
        _, order = self.buy(buyer, (variants[0], 2), (variants[1], 1))
        schemas = self.schemas()
        self.assertGreaterEqual(set(schemas), {"identity", "catalog", "inventory", "cart", "checkout", "notify"})
        self.assertEqual(invariants.broken(self.rows, schemas, at_rest=False), [])
        buyer.post(f"/api/orders/{order['id']}/cancel", {"reason": "Changed my mind."}, key=True, expect=(200, 202))
        until(lambda: buyer.get(f"/api/orders/{order['id']}", expect=200)["payment_status"] == "refunded", 30)
        until(lambda: self.stock(vendor, variants[0]["sku"])["on_hand"] == 9, 30)
        self.assertEqual(invariants.broken(self.rows, schemas, at_rest=False), [])

    def test_nobody_is_named_in_audits(self):
        buyer = self.buyer()
        self.buy(buyer, (self.product()["variants"][0], 1))
        self.assertEqual(invariants.plaintext(self.rows, self.schemas(), ["Eve Example", buyer.email]), [])


if __name__ == "__main__":
    unittest.main()
