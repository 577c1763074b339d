"""What end-to-end tests share: the running platform (SOUK_RUN_DIR), its demo shop, fresh buyers and vendors.

	from support.e2e import E2E
	class Purchase(E2E):
	    def test_x(self):
	        buyer = self.buyer()            a signed-in caller with an account of its own
	        variant = self.variant()        a demo variant that is in stock
"""

import json
import os
import subprocess
import sys
import unittest
import uuid

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy", "demo"))

from rest import Failed, Rest  # noqa: F401  (for the tests)
from support.contract import Contract
from shop import Shop, token_of, until  # noqa: F401

PASSWORD = "a-Test-password-1357"


class E2E(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.run_dir = os.environ.get("SOUK_RUN_DIR") or os.path.join(ROOT, ".run")
        if not os.path.exists(os.path.join(cls.run_dir, "state.json")):
            raise unittest.SkipTest(f"no platform runs in {cls.run_dir}")
        cls.shop = Shop.of_run_dir(cls.run_dir, patience=30)
        E2E.hold_to_contract(cls.shop)
        path = os.path.join(cls.run_dir, "demo.json")
        cls.demo = json.load(open(path)) if os.path.exists(path) else {"users": [], "password": None}

    contract = None

    @staticmethod
    def hold_to_contract(shop):
        """From now on an answer of the gateway that its own document does not foresee is a failure where it is got."""
        if not E2E.contract:
            E2E.contract = Contract(shop.guest().get("/api/openapi.json", expect=200).json)

        def watch(url, reply):
            problem = E2E.contract.problem(reply) if url == shop.url else None
            if problem:
                raise AssertionError(problem)

        Rest.watch = watch

    def state(self):
        with open(os.path.join(self.run_dir, "state.json")) as f:
            return json.load(f)

    @staticmethod
    def unique(prefix="e2e"):
        return f"{prefix}-{uuid.uuid4().hex[:12]}"

    def email(self):
        return f"{self.unique()}@e2e.souk.example"

    def guest(self):
        return self.shop.guest()

    def buyer(self):
        email = self.email()
        # Not shop.account(): its first try to sign in would count as a guess of this address.
        self.shop.register(email, PASSWORD, "Eve Example")
        caller = self.shop.login(email, PASSWORD)
        caller.email = email
        return caller

    def demo_user(self, role):
        return next(u for u in self.demo["users"] if u["role"] == role)

    def ctl(self, *words, key=None, **env):
        """soukctl, as the demo shop's administrator, or with an API key."""
        program = os.path.join(os.environ.get("SOUK_BUILD_DIR", os.path.join(ROOT, "build", "debug")), "soukctl")
        if not os.path.exists(program):
            self.skipTest("no soukctl here")
        known = {"SOUK_API_KEY": key} if key else {"SOUK_PASSWORD": self.demo["password"]}
        who = [] if key else ["--email", self.demo_user("admin")["email"]]
        return subprocess.run([program, *words, "--url", self.shop.url, *who], text=True, capture_output=True, timeout=240,
                              env={**os.environ, **known, **env})

    def admin(self):
        return self.shop.login(self.demo_user("admin")["email"], self.demo["password"], "admin")

    def demo_vendor(self):
        user = self.demo_user("vendor")
        return self.shop.vendor_login(user["email"], self.demo["password"], user["vendor_id"])

    def variant(self, least=1):
        """A demo product's variant that can be bought."""
        rest = self.guest()
        for card in rest.walk("/api/products?in_stock=true"):
            product = rest.get(f"/api/products/{card['id']}", expect=200)
            for variant in product["variants"]:
                if variant.get("availability") == "in" and variant.get("price"):
                    return variant
        self.fail("no demo variant is in stock")

    def new_vendor(self):
        """An approved vendor of this test alone: the owner's vendor-side caller."""
        owner = self.buyer()
        slug = self.unique("vendor")
        vendor = owner.post("/api/vendors", {"name": slug, "slug": slug, "country": "US", "accept_terms": True,
                                             "description": "Made by a test."}, key=True, expect=201)
        self.admin().post(f"/api/admin/vendors/{vendor['id']}/approve", {"commission_bp": 1000}, expect=200)
        caller = self.shop.vendor_login(owner.email, PASSWORD, vendor["id"])
        caller.email = owner.email
        return caller

    def assertError(self, reply, status, code=None, field=None):
        """The one error body (requirements F2)."""
        self.assertEqual(reply.status, status, reply.text)
        self.assertTrue((reply.header("Content-Type") or "").startswith(("application/json", "application/problem+json")))
        error = reply.json["error"]
        self.assertLessEqual({"code", "message", "request_id", "timestamp"}, set(error), error)
        self.assertEqual(error["request_id"], reply.header("X-Request-Id"))
        if code:
            self.assertEqual(error["code"], code, error)
        if field:
            self.assertIn(field, [d.get("field") for d in error.get("details", [])], error)
        return error
