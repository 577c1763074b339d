"""Reviews: a signed-in buyer judges once, an administrator lets it be seen, the rating follows."""

from support.buying import Buying, until


class Reviews(Buying):
    def judged(self, status):
        return [r["id"] for r in self.admin().walk(f"/api/admin/reviews?status={status}")]

    def test_life_of_a_review(self):
        vendor, buyer, admin, guest = self.vendor(), self.buyer(), self.admin(), self.guest()
        product = self.product(vendor)
        at = f"/api/products/{product['id']}/reviews"
        review = {"rating": 4, "title": "Good \U0001f44d", "body": "It does what it says."}
        self.assertError(guest.post(at, review), 401)
        made = buyer.post(at, review, expect=201)
        self.assertEqual((made["status"], made["rating"], made["title"]), ("pending", 4, review["title"]))
        self.assertError(buyer.post(at, review), 409)
        self.assertEqual(guest.get(at, expect=200)["data"], [])
        self.assertIn(made["id"], self.judged("pending"))
        self.buy(buyer, (product["variants"][0], 1))
        until(lambda: [r["verified_purchase"] for r in admin.walk("/api/admin/reviews?status=pending") if r["id"] == made["id"]] == [True], 10)
        mine = f"/api/admin/reviews/{made['id']}"
        self.assertError(vendor.patch(mine, {"status": "approved"}), 403)
        self.assertError(admin.patch(mine, {"status": "splendid"}), 400, "VALIDATION_ERROR", "status")
        self.assertEqual(admin.patch(mine, {"status": "approved"}, expect=200)["status"], "approved")
        shown = until(lambda: guest.get(at, expect=200)["data"], 5)
        self.assertEqual([(r["id"], r["rating"], r["body"], r["verified_purchase"]) for r in shown],
                         [(made["id"], 4, review["body"], True)])
        until(lambda: guest.get(f"/api/products/{product['id']}", expect=200).json.get("rating_count") == 1, 5)
        self.assertEqual(self.rated(vendor, product, 4), [product["id"]])
        admin.patch(mine, {"status": "rejected"}, expect=200)
        until(lambda: guest.get(at, expect=200)["data"] == [], 5)
        self.assertEqual(self.rated(vendor, product, 0), [])
        self.assertNotIn(made["id"], self.judged("approved"))

    def rated(self, vendor, product, least):
        """The products of a vendor that buyers rate so well or better."""
        at = f"/api/products?vendor={vendor.vendor_id}&rating_min={least or 1}"
        until(lambda: (product["id"] in [p["id"] for p in self.guest().walk(at)]) == bool(least), 5)
        return [p["id"] for p in self.guest().walk(at) if p["id"] == product["id"]]

    def test_bad_input(self):
        buyer = self.buyer()
        product = self.product()
        at = f"/api/products/{product['id']}/reviews"
        for change, field in (({"rating": 0}, "rating"), ({"rating": 6}, "rating"), ({"rating": "5"}, "rating"),
                              ({"rating": 5, "title": "x" * 10000}, "title"), ({}, "rating")):
            with self.subTest(change=change):
                self.assertError(buyer.post(at, change), 400, "VALIDATION_ERROR", field)
        self.assertError(buyer.post("/api/products/prd_0000000000000000000000000a/reviews", {"rating": 5}), 404)
        self.assertError(self.admin().patch("/api/admin/reviews/rev_0000000000000000000000000a", {"status": "approved"}), 404)
        self.assertError(buyer.get("/api/admin/reviews"), 403)
