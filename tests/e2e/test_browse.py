"""What everybody may look at: categories, lists, details, and the HTTP around them."""

import os
import time
import urllib.parse

from support.goods import Goods, until

ORIGIN = "https://pages.e2e.example"  # deploy/local/processes.py allows it while testing


class Settled(Goods):
    """After a kill a daemon's successor takes over its event log when the old lease ends (10 s); another test may have
    killed one just now. Waits until a change is told at once again; the tests then hold it to that."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        case = cls()
        vendor, guest = case.vendor(), case.guest()
        product = vendor.post("/api/vendor/products", case.product_body(), expect=201)

        def told():
            title = case.unique("Settling")
            guest.get(f"/api/products/{product['id']}", expect=200)  # cached from now on
            vendor.patch(f"/api/vendor/products/{product['id']}", {"title": title}, expect=200)
            try:
                return until(lambda: guest.get(f"/api/products/{product['id']}", expect=200)["title"] == title, 0.5)
            except TimeoutError:
                return False

        until(told, 30, (404, 503))


class Lists(Goods):
    def ids(self, path, limit):
        return [card["id"] for card in self.guest().walk(path, limit)]

    def test_walk_meets_every_product_once(self):
        vendor = self.new_vendor()
        made = [vendor.post("/api/vendor/products", self.product_body(price=1000 + 7 * (i % 3)), expect=201)["id"]
                for i in range(13)]
        for sort in ("newest", "price", "-price", "rating", "best_selling"):
            for limit in (1, 5, 100):
                with self.subTest(sort=sort, limit=limit):
                    seen = self.ids(f"/api/products?vendor={vendor.vendor_id}&sort={sort}", limit)
                    self.assertEqual(len(seen), len(set(seen)), "a product came twice")
                    self.assertEqual(set(seen), set(made))

    def test_walk_of_the_whole_shop(self):
        seen = self.ids("/api/products", 7)
        self.assertEqual(len(seen), len(set(seen)))
        self.assertGreaterEqual(len(seen), 20)

    def test_last_page_has_no_cursor(self):
        vendor = self.new_vendor()
        for _ in range(2):
            vendor.post("/api/vendor/products", self.product_body(), expect=201)
        page = self.guest().get(f"/api/products?vendor={vendor.vendor_id}&limit=2", expect=200)
        self.assertEqual(len(page["data"]), 2)
        self.assertNotIn("next_cursor", page.json)

    def test_sorts(self):
        vendor = self.new_vendor()
        prices = [500, 300, 900, 300]
        made = [vendor.post("/api/vendor/products", self.product_body(price=p), expect=201)["id"] for p in prices]
        at = f"/api/products?vendor={vendor.vendor_id}&limit=100"
        guest = self.guest()

        def amounts(sort):
            return [c["price"]["amount"] for c in guest.get(f"{at}&sort={sort}", expect=200)["data"]]

        self.assertEqual(amounts("price"), sorted(prices))
        self.assertEqual(amounts("-price"), sorted(prices, reverse=True))
        newest = [c["id"] for c in guest.get(f"{at}&sort=newest", expect=200)["data"]]
        self.assertEqual(newest, made[::-1])
        self.assertError(guest.get(f"{at}&sort=cheapest"), 400, "VALIDATION_ERROR", "sort")

    def test_filters(self):
        vendor = self.new_vendor()
        red = vendor.post("/api/vendor/products", self.product_body(
            price=500, brand="Reddish", attributes={"color": "red", "size": "L"}), expect=201)["id"]
        blue = vendor.post("/api/vendor/products", self.product_body(
            price=1500, brand="Bluish", attributes={"color": "blue", "size": "L"}), expect=201)["id"]
        at = f"/api/products?vendor={vendor.vendor_id}&"
        for query, wanted in (("attr=color:red", {red}), ("attr=size:L", {red, blue}),
                              ("attr=size:L&attr=color:blue", {blue}), ("brand=Reddish", {red}),
                              ("price_min=501", {blue}), ("price_max=500", {red}),
                              ("price_min=500&price_max=1500", {red, blue}), ("rating_min=5", set()),
                              ("attr=color:green", set())):
            with self.subTest(query=query):
                self.assertEqual(set(self.ids(at + query, 10)), wanted)

    def test_in_stock_filter_follows_stock(self):
        vendor = self.new_vendor()
        have = self.product(vendor, on_hand=4)["id"]
        none = self.product(vendor, on_hand=0)["id"]
        at = f"/api/products?vendor={vendor.vendor_id}"
        until(lambda: self.ids(at + "&in_stock=true", 10) == [have], 20)
        self.assertEqual(set(self.ids(at, 10)), {have, none})

    def test_category_filter_takes_children(self):
        guest, admin = self.guest(), self.admin()
        top = admin.post("/api/admin/categories", {"name": self.unique("top")}, expect=201).json
        child = admin.post("/api/admin/categories", {"name": self.unique("child"), "parent_id": top["id"]},
                           expect=201).json
        product = self.vendor().post("/api/vendor/products", self.product_body(category_ids=[child["id"]]),
                                     expect=201)["id"]
        for name in (top["id"], top["slug"], child["id"], child["slug"]):
            self.assertEqual(self.ids(f"/api/products?category={name}", 10), [product], name)
        one = until(lambda: guest.get(f"/api/categories/{child['slug']}", expect=200), 5, (404,))
        self.assertEqual(one["id"], child["id"])
        self.assertEqual(one["path"], [top["id"], child["id"]])
        self.assertEqual(one["depth"], 1)

    def test_a_renamed_category_is_seen_on_its_products_at_once(self):
        guest, admin = self.guest(), self.admin()
        category = admin.post("/api/admin/categories", {"name": self.unique("old")}, expect=201).json
        product = self.product(category_ids=[category["id"]])["id"]
        at = f"/api/admin/categories/{category['id']}"
        name = lambda: guest.get(f"/api/products/{product}", expect=200)["categories"][0]["name"]
        for _ in range(3):
            for _ in range(3):  # surely cached
                name()
            wanted = self.unique("new")
            admin.patch(at, {"name": wanted}, expect=200)
            until(lambda: name() == wanted, 1.5)
        self.assertEqual(self.ids(f"/api/products?category={category['slug']}", 10), [product])
        admin.patch(at, {"slug": self.unique("moved")}, expect=200)
        until(lambda: guest.get(f"/api/products?category={category['slug']}").status == 404, 1.5)

    def test_bad_filters(self):
        guest = self.guest()
        for query, field in (("limit=0", "limit"), ("limit=101", "limit"), ("limit=ten", "limit"),
                             ("price_min=-1", "price_min"), ("price_min=10&price_max=9", "price_max"),
                             ("rating_min=6", "rating_min"), ("attr=red", "attr"), ("attr=:red", "attr"),
                             ("in_stock=maybe", "in_stock"), ("colour=red", "colour"),
                             ("limit=5&limit=6", "limit"), ("price_max=99999999999999999999", "price_max")):
            with self.subTest(query=query):
                self.assertError(guest.get("/api/products?" + query), 400, "VALIDATION_ERROR", field)
        self.assertError(guest.get("/api/products?category=no-such-category"), 404, "NOT_FOUND")
        self.assertError(guest.get("/api/products?vendor=no-such-vendor"), 404, "NOT_FOUND")

    def test_cursor_is_bound_and_authenticated(self):
        guest = self.guest()
        cursor = guest.get("/api/products?limit=2&sort=price", expect=200)["next_cursor"]
        quoted = urllib.parse.quote(cursor)
        self.assertEqual(guest.get(f"/api/products?limit=3&sort=price&cursor={quoted}").status, 200)
        self.assertError(guest.get(f"/api/products?limit=2&sort=-price&cursor={quoted}"), 400, "VALIDATION_ERROR")
        self.assertError(guest.get(f"/api/products?limit=2&sort=price&in_stock=true&cursor={quoted}"), 400)
        self.assertError(guest.get(f"/api/categories?cursor={quoted}"), 400)
        middle = len(cursor) // 2
        forged = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1:]
        self.assertError(guest.get(f"/api/products?limit=2&sort=price&cursor={urllib.parse.quote(forged)}"), 400)
        for nonsense in ("x", "%20", "a" * 3000, "..", "%F0%9F%98%80"):
            self.assertError(guest.get(f"/api/products?cursor={nonsense}"), 400)

    def test_categories_tell_their_parents(self):
        every = list(self.guest().walk("/api/categories", 3))
        ids = [c["id"] for c in every]
        self.assertEqual(len(ids), len(set(ids)))
        known = {c["id"]: c for c in every}
        self.assertTrue(any(c.get("parent_id") for c in every))
        for c in every:
            self.assertEqual(c["path"][-1], c["id"])
            if c.get("parent_id"):
                self.assertEqual(known[c["parent_id"]].get("depth", 0) + 1, c["depth"])


class Detail(Settled):
    def test_by_id_and_slug(self):
        product = self.product(variants=2, price=2500)
        guest = self.guest()
        by_id = guest.get(f"/api/products/{product['id']}", expect=200).json
        by_slug = guest.get(f"/api/products/{product['slug']}", expect=200).json
        self.assertEqual(by_id, by_slug)
        self.assertEqual(by_id["title"], product["title"])
        self.assertEqual(by_id["price"], {"amount": 2500, "currency": "USD"})
        self.assertEqual([v["sku"] for v in by_id["variants"]], [v["sku"] for v in product["variants"]])
        self.assertEqual(by_id["attributes"], {"material": "steel"})
        self.assertFalse(by_id["variants"][0].get("prices"))  # the vendor's own view only

    def test_unknown(self):
        guest = self.guest()
        for name in ("prd_01jd000000000000000000000a", "no-such-slug", "prd_", "PRD_X", "%C3%A9"):
            self.assertError(guest.get(f"/api/products/{name}"), 404, "NOT_FOUND")

    def test_draft_is_hidden(self):
        draft = self.vendor().post("/api/vendor/products", self.product_body(publish=False), expect=201).json
        for name in (draft["id"], draft["slug"]):
            self.assertError(self.guest().get(f"/api/products/{name}"), 404)

    def test_unpublish_and_delete_take_effect(self):
        vendor = self.vendor()
        product = self.product(vendor)
        at, guest = f"/api/vendor/products/{product['id']}", self.guest()
        guest.get(f"/api/products/{product['id']}", expect=200)
        vendor.post(at + "/unpublish", expect=200)
        until(lambda: guest.get(f"/api/products/{product['id']}").status == 404, 1)
        vendor.post(at + "/publish", expect=200)
        until(lambda: guest.get(f"/api/products/{product['id']}").status == 200, 1)
        vendor.delete(at, expect=204)
        until(lambda: guest.get(f"/api/products/{product['id']}").status == 404, 1)

    def test_change_is_seen_within_a_second(self):
        """The public answer is cached, and the change drops it under the id and the slug."""
        vendor = self.vendor()
        product = self.product(vendor, price=1000)
        guest = self.guest()
        for turn in range(3):
            for name in (product["id"], product["slug"]):
                for _ in range(3):  # surely cached
                    guest.get(f"/api/products/{name}", expect=200)
            title, price = self.unique("Renamed"), 1001 + turn
            variant = product["variants"][0]["id"]
            vendor.patch(f"/api/vendor/products/{product['id']}", {"title": title}, expect=200)
            vendor.put(f"/api/vendor/products/{product['id']}/variants/{variant}/prices",
                       {"price": {"amount": price, "currency": "USD"}}, expect=200)
            begun = time.monotonic()
            for name in (product["id"], product["slug"]):
                until(lambda: [guest.get(f"/api/products/{name}", expect=200).json[k] for k in ("title", "price")]
                      == [title, {"amount": price, "currency": "USD"}], 1)
            self.assertLess(time.monotonic() - begun, 1.2)

    def test_new_product_appears_in_the_cached_list(self):
        vendor = self.new_vendor()
        guest, at = self.guest(), f"/api/products?vendor={vendor.vendor_id}"
        for _ in range(3):
            self.assertEqual(guest.get(at, expect=200)["data"], [])
        product = vendor.post("/api/vendor/products", self.product_body(), expect=201)["id"]
        until(lambda: [c["id"] for c in guest.get(at, expect=200)["data"]] == [product], 1)

    def test_currency(self):
        vendor = self.vendor()
        product = self.product(vendor, price=1000)
        variant = product["variants"][0]["id"]
        vendor.put(f"/api/vendor/products/{product['id']}/variants/{variant}/prices",
                   {"price": {"amount": 900, "currency": "EUR"}}, expect=200)
        guest = self.guest()
        until(lambda: guest.get(f"/api/products/{product['id']}?currency=EUR", expect=200).get("price")
              == {"amount": 900, "currency": "EUR"}, 2)
        self.assertEqual(guest.get(f"/api/products/{product['id']}", expect=200)["price"]["currency"], "USD")
        self.assertNotIn("price", guest.get(f"/api/products/{product['id']}?currency=CHF", expect=200).json)
        self.assertError(guest.get(f"/api/products/{product['id']}?currency=XXQ"), 400, "VALIDATION_ERROR", "currency")


class Http(Settled):
    def test_etag_and_304(self):
        product = self.product()
        guest, at = self.guest(), f"/api/products/{product['id']}"
        # Its stock is still on the way from inventory, which changes the answer once more.
        until(lambda: guest.get(at, expect=200).get("availability") == "in", 20)
        first = guest.get(at, expect=200)
        self.assertRegex(first.etag, r'^(W/)?"[^"]+"$')
        for match in (first.etag, f'"other", {first.etag}', "*"):
            again = guest.get(at, headers={"If-None-Match": match})
            self.assertEqual((again.status, again.body), (304, b""), match)
            self.assertEqual(again.etag, first.etag)
        self.assertEqual(guest.get(at, headers={"If-None-Match": '"other"'}).status, 200)
        self.vendor().patch(f"/api/vendor/products/{product['id']}", {"title": self.unique("New")}, expect=200)
        until(lambda: guest.get(at, headers={"If-None-Match": first.etag}).status == 200, 1)

    def test_head_is_get_without_body(self):
        guest = self.guest()
        for path in ("/api/products?limit=3", "/api/categories", "/healthz", "/api/openapi.json"):
            get, head = guest.get(path), guest.call("HEAD", path)
            self.assertEqual((head.status, head.body), (200, b""), path)
            for name in ("Content-Type", "ETag", "Content-Length", "Cache-Control"):
                self.assertEqual(head.header(name), get.header(name), f"{name} of {path}")
        self.assertEqual(guest.call("HEAD", "/api/products/no-such-slug").status, 404)

    def test_method_not_allowed(self):
        guest = self.guest()
        for method, path, allowed in (("PUT", "/api/cart", {"GET", "HEAD", "DELETE", "OPTIONS"}),
                                      ("POST", "/api/products", {"GET", "HEAD", "OPTIONS"}),
                                      ("GET", "/api/auth/login", {"POST", "OPTIONS"}),
                                      ("PATCH", "/api/products/some-slug", {"GET", "HEAD", "OPTIONS"})):
            reply = guest.call(method, path)
            self.assertError(reply, 405, "METHOD_NOT_ALLOWED")
            self.assertEqual({m.strip() for m in reply.header("Allow").split(",")}, allowed, path)

    def test_options(self):
        reply = self.guest().call("OPTIONS", "/api/cart")
        self.assertIn(reply.status, (200, 204))
        self.assertLessEqual({"GET", "DELETE"}, {m.strip() for m in reply.header("Allow").split(",")})
        self.assertIsNone(reply.header("Access-Control-Allow-Origin"))

    def test_cors(self):
        guest = self.guest()
        ask = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST",
               "Access-Control-Request-Headers": "content-type, idempotency-key"}
        reply = guest.call("OPTIONS", "/api/cart/items", headers=ask)
        self.assertIn(reply.status, (200, 204))
        self.assertEqual(reply.header("Access-Control-Allow-Origin"), ORIGIN)
        self.assertIn("POST", reply.header("Access-Control-Allow-Methods"))
        self.assertIn("idempotency-key", reply.header("Access-Control-Allow-Headers").lower())
        plain = guest.get("/api/products?limit=1", headers={"Origin": ORIGIN})
        self.assertEqual(plain.header("Access-Control-Allow-Origin"), ORIGIN)
        self.assertIn("ETag", plain.header("Access-Control-Expose-Headers"))
        self.assertIn("Origin", plain.header("Vary"))
        for origin in ("https://evil.example", "null", ORIGIN + ".evil.example", ORIGIN + ":8443",
                       ORIGIN.replace("https", "http"), "https://evil" + ORIGIN[8:]):
            for reply in (guest.get("/api/products?limit=1", headers={"Origin": origin}),
                          guest.call("OPTIONS", "/api/cart/items", headers={**ask, "Origin": origin})):
                self.assertIsNone(reply.header("Access-Control-Allow-Origin"), origin)

    def test_security_headers(self):
        guest = self.guest()
        for path in ("/api/products?limit=1", "/api/no-such-thing", "/healthz", "/api/docs"):
            reply = guest.get(path)
            self.assertEqual(reply.header("X-Content-Type-Options"), "nosniff", path)
            self.assertIn("max-age=", reply.header("Strict-Transport-Security"), path)
            self.assertIn("frame-ancestors 'none'", reply.header("Content-Security-Policy"), path)
            self.assertTrue(reply.header("Referrer-Policy"), path)
            self.assertTrue(reply.header("Cache-Control"), path)
            if not os.environ.get("SOUK_BEHIND_EDGE"):  # a proxy in front says who it is
                self.assertIsNone(reply.header("Server"), path)
            self.assertIsNone(reply.header("X-Powered-By"), path)

    def test_cache_control(self):
        guest, buyer = self.guest(), self.buyer()
        self.assertRegex(guest.get("/api/products?limit=1").header("Cache-Control"), r"public.*max-age=\d+")
        for reply in (guest.get("/api/cart"), buyer.get("/api/products?limit=1"), buyer.get("/api/users/me")):
            self.assertRegex(reply.header("Cache-Control"), r"private.*no-store|no-store", reply.path)

    def test_request_id(self):
        guest = self.guest()
        for given in ("abcdefgh", "A" * 64, "req_01-XYZ_9"):
            self.assertEqual(guest.get("/healthz", headers={"X-Request-Id": given}).header("X-Request-Id"), given)
        seen = set()
        for given in ("short", "A" * 65, "with blank in", "semi;colon123", "<script>alert1", "", None):
            headers = {"X-Request-Id": given} if given is not None else {}
            made = guest.get("/api/categories?limit=1", headers=headers).header("X-Request-Id")
            self.assertRegex(made, r"^req_[0-9a-z]{26}$")
            seen.add(made)
        self.assertEqual(len(seen), 7, "request ids repeat")

    def test_problem_json_when_asked(self):
        reply = self.guest().get("/api/products/no-such-slug", headers={"Accept": "application/problem+json"})
        self.assertEqual(reply.status, 404)
        self.assertTrue(reply.header("Content-Type").startswith("application/problem+json"))

    def test_unknown_query_parameter(self):
        guest, product = self.guest(), self.product()
        for path, field in (("/api/products?sortt=price", "sortt"), (f"/api/products/{product['id']}?x=1", "x"),
                            ("/api/categories?hdr_if_match=1", "hdr_if_match"), ("/api/cart?hdr_cart_token=x", "hdr_cart_token"),
                            (f"/api/products/{product['id']}?product_id=other", "product_id")):
            self.assertError(guest.get(path), 400, "VALIDATION_ERROR", field)

    def test_jwks(self):
        keys = self.guest().get("/.well-known/jwks.json", expect=200)["keys"]
        self.assertTrue(keys)
        for key in keys:
            self.assertEqual((key["kty"], key["crv"], key["alg"], key["use"]), ("OKP", "Ed25519", "EdDSA", "sig"))
            self.assertNotIn("d", key)
