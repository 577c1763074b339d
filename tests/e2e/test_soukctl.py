"""soukctl as an operator uses it: events and the audit log, with a password and with an API key."""

from support.goods import Goods, until


class Operate(Goods):
    def key(self, *perms):
        return self.admin().post("/api/admin/api-keys", {"name": self.unique("key"), "perms": perms}, expect=201)

    def test_events(self):
        key = self.key("admin.events")["token"]
        for how in ({}, {"key": key}):
            done = self.ctl("events", "lag", **how)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"(?m)^cart: \d+ events written, ")
            self.assertRegex(done.stdout, r"(?m)^  from inventory .* behind ")
            done = self.ctl("events", "dead-letters", "--service", "notify", **how)
            self.assertEqual((done.returncode, done.stdout.splitlines()[0]), (0, "notify: "), done.stderr)
        done = self.ctl("events", "replay", "--service", "cart", "--id", "dle_nothing", key=key)
        self.assertEqual(done.returncode, 1)
        self.assertIn("404 NOT_FOUND", done.stderr)

    def test_audit(self):
        product = self.product()
        made = self.key("admin.audit")
        words = ("audit", "--service", "catalog", "--table", "product", "--row", product["id"])
        done = self.ctl(*words, key=made["token"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, rf"(?m)^\S+ insert product {product['id']} by vendor:\S+, request \S+$")
        self.assertIn(product["title"], done.stdout)
        self.assertEqual(self.ctl(*words).stdout, done.stdout)
        self.assertIn("403", self.ctl("events", "lag", "--service", "cart", key=made["token"]).stderr)
        self.admin().delete(f"/api/admin/api-keys/{made['id']}", expect=204)
        until(lambda: "401" in self.ctl(*words, key=made["token"]).stderr, 20)

    def test_wrong_use(self):
        for words in (("events",), ("events", "lag", "--service", "../cart"), ("events", "replay", "--service", "cart"),
                      ("events", "replay", "--id", "x"), ("audit",), ("audit", "--service", "nobody"),
                      ("events", "dead-letters", "--id", "x"), ("events", "lag", "more")):
            with self.subTest(words=words):
                done = self.ctl(*words)
                self.assertEqual(done.returncode, 2)
                self.assertTrue(done.stderr.startswith("usage: soukctl "), done.stderr)
