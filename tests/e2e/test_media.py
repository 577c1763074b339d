"""Pictures: from a vendor's browser to the store, to a product, to everybody."""

import urllib.error
import urllib.request

from support.goods import Goods, until

PICTURE = b"\x89PNG\r\n\x1a\n" + b"not much of a picture" * 20


class Pictures(Goods):
    def ask(self, vendor, content_type="image/png", size=len(PICTURE), **how):
        return vendor.post("/api/vendor/media", {"content_type": content_type, "bytes": size}, **how)

    @staticmethod
    def send(upload, body=PICTURE, url=None, **change):
        """The store's status."""
        headers = {**{h["name"]: h["value"] for h in upload["headers"]}, **change}
        request = urllib.request.Request(url or upload["upload_url"], data=body, headers=headers, method=upload["method"])
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status
        except urllib.error.HTTPError as e:
            return e.code

    def test_upload_and_show(self):
        vendor, guest = self.vendor(), self.guest()
        product = self.product(vendor)
        upload = self.ask(vendor, expect=201)
        self.assertTrue(upload["key"].startswith(vendor.vendor_id + "/"))
        self.assertEqual(self.send(upload), 200)
        at = f"/api/vendor/products/{product['id']}/media"
        made = vendor.post(at, {"key": upload["key"], "alt": "A thing"}, expect=201)
        self.assertEqual(made["media"][0]["url"], upload["url"])

        def seen():
            media = guest.get(f"/api/products/{product['id']}", expect=200).get("media")
            return media and media[0]["url"]

        path = until(seen, 10)
        reply = guest.get(path)
        self.assertEqual(reply.status, 302)
        with urllib.request.urlopen(reply.header("Location"), timeout=20) as got:
            self.assertEqual(got.read(), PICTURE)
            self.assertEqual(got.headers["Content-Type"], "image/png")
            self.assertIn("immutable", got.headers["Cache-Control"])

    def test_only_what_was_signed(self):
        upload = self.ask(self.vendor(), expect=201)
        self.assertEqual(self.send(upload, PICTURE + b"more", **{"content-length": str(len(PICTURE) + 4)}), 403)
        self.assertEqual(self.send(upload, **{"content-type": "text/html"}), 403)
        self.assertEqual(self.send(upload, url=upload["upload_url"].replace("med_", "med_x")), 403)
        self.assertEqual(self.send(upload, url=upload["upload_url"].replace("X-Amz-Expires=900", "X-Amz-Expires=90000")), 403)
        self.assertEqual(self.send(upload, url=upload["upload_url"].partition("?")[0]), 403)
        self.assertEqual(self.send(upload), 200)

    def test_refused(self):
        vendor, rival = self.vendor(), self.new_vendor()
        self.assertError(self.ask(vendor, "text/html"), 400, "VALIDATION_ERROR", "content_type")
        self.assertError(self.ask(vendor, size=0), 400, "VALIDATION_ERROR", "bytes")
        self.assertError(self.ask(vendor, size=1 << 40), 400, "VALIDATION_ERROR", "bytes")
        self.assertError(self.ask(self.buyer()), 403)
        self.assertError(self.ask(self.guest()), 401)
        product = self.product(rival)
        upload = self.ask(vendor, expect=201)
        self.assertError(rival.post(f"/api/vendor/products/{product['id']}/media", {"key": upload["key"]}), 404)
        self.assertError(self.guest().get("/media/a%20b"), 404)
