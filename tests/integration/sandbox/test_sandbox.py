"""The payment sandbox keeps the provider's promises, and breaks them exactly as scripted."""

import http.client
import json
import pathlib
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox_client import (OLD_SECRET, PUBLISHABLE_KEY, WEBHOOK_SECRET, Receiver, Sandbox,  # noqa: E402
                            expected, signatures)

PIS = "/v1/payment_intents"
BROKEN = (http.client.HTTPException, ConnectionError, TimeoutError, OSError)


class Case(unittest.TestCase):
    env = {}

    @classmethod
    def setUpClass(cls):
        cls.hooks = Receiver()
        cls.sb = Sandbox(SANDBOX_WEBHOOK_URL=cls.hooks.url, SANDBOX_WEBHOOK_RETRY_MS="20,40,80", **cls.env)

    @classmethod
    def tearDownClass(cls):
        code = cls.sb.stop()
        cls.hooks.close()
        assert code == 0, "exit status %s" % code

    def setUp(self):
        self.sb.reset()
        time.sleep(0.02)
        self.hooks.clear()

    def refused(self, a, status, code=None):
        self.assertEqual(a.status, status, a.raw)
        if code:
            self.assertEqual(a.error.get("code"), code, a.raw)
        return a.error


class StateMachine(Case):
    def test_automatic_capture(self):
        pi = self.sb.create(1234, metadata__checkout_id="chk_1", description="Order é").json
        self.assertEqual((pi["status"], pi["amount"], pi["currency"]), ("requires_payment_method", 1234, "eur"))
        self.assertEqual((pi["metadata"], pi["description"]), ({"checkout_id": "chk_1"}, "Order é"))
        done = self.sb.confirm(pi["id"]).json
        self.assertEqual((done["status"], done["amount_received"]), ("succeeded", 1234))
        self.assertTrue(done["latest_charge"].startswith("ch_"))

    def test_manual_capture(self):
        pi = self.sb.authorized(900)
        held = self.sb.get(f"{PIS}/{pi}").json
        self.assertEqual((held["status"], held["amount_capturable"], held["amount_received"]),
                         ("requires_capture", 900, 0))
        self.refused(self.sb.post(f"{PIS}/{pi}/capture", {"amount_to_capture": 901}), 400, "amount_too_large")
        done = self.sb.post(f"{PIS}/{pi}/capture").json
        self.assertEqual((done["status"], done["amount_capturable"], done["amount_received"]), ("succeeded", 0, 900))
        error = self.refused(self.sb.post(f"{PIS}/{pi}/capture"), 400, "payment_intent_unexpected_state")
        self.assertEqual(error["payment_intent"]["status"], "succeeded")

    def test_partial_capture_releases_the_rest(self):
        pi = self.sb.authorized(900)
        self.assertEqual(self.sb.post(f"{PIS}/{pi}/capture", {"amount_to_capture": 400}).json["amount_received"], 400)
        charge = self.sb.get(f"/v1/charges?payment_intent={pi}").json["data"][0]
        self.assertEqual((charge["amount_captured"], charge["amount_refunded"]), (400, 500))

    def test_capture_before_payment(self):
        pi = self.sb.create().json["id"]
        self.refused(self.sb.post(f"{PIS}/{pi}/capture"), 400, "payment_intent_unexpected_state")

    def test_refused_capture(self):
        pi = self.sb.authorized(500, "pm_sandbox_capture_fails")
        self.refused(self.sb.post(f"{PIS}/{pi}/capture"), 400, "charge_expired_for_capture")
        self.assertEqual(self.sb.post(f"{PIS}/{pi}/cancel").json["status"], "canceled")

    def test_cancel(self):
        for pi in (self.sb.create().json["id"], self.sb.authorized()):
            done = self.sb.post(f"{PIS}/{pi}/cancel", {"cancellation_reason": "abandoned"}).json
            self.assertEqual((done["status"], done["cancellation_reason"], done["amount_capturable"]),
                             ("canceled", "abandoned", 0))
            self.refused(self.sb.post(f"{PIS}/{pi}/cancel"), 400, "payment_intent_unexpected_state")
            self.refused(self.sb.confirm(pi), 400, "payment_intent_unexpected_state")

    def test_cancel_after_success_says_who_won(self):
        pi = self.sb.paid()
        error = self.refused(self.sb.post(f"{PIS}/{pi}/cancel"), 400, "payment_intent_unexpected_state")
        self.assertEqual(error["payment_intent"]["status"], "succeeded")

    def test_expired_authorisation(self):
        pi = self.sb.authorized()
        self.assertEqual(self.sb.post(f"/_sandbox/intents/{pi}/expire").json["status"], "canceled")
        self.refused(self.sb.post(f"{PIS}/{pi}/capture"), 400, "payment_intent_unexpected_state")

    def test_declines_and_retry_on_the_same_intent(self):
        for method, decline in (("pm_card_chargeDeclined", "generic_decline"),
                                ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds")):
            pi = self.sb.create().json["id"]
            error = self.refused(self.sb.confirm(pi, method), 402, "card_declined")
            self.assertEqual((error["type"], error["decline_code"]), ("card_error", decline))
            self.assertEqual(error["payment_intent"]["status"], "requires_payment_method")
            self.assertEqual(self.sb.get(f"{PIS}/{pi}").json["last_payment_error"]["code"], "card_declined")
            done = self.sb.confirm(pi).json
            self.assertEqual((done["status"], done["last_payment_error"]), ("succeeded", None))

    def test_card_number(self):
        pi = self.sb.create().json["id"]
        a = self.sb.post(f"{PIS}/{pi}/confirm", {"payment_method_data[type]": "card",
                                                "payment_method_data[card][number]": "4000 0000 0000 9995"})
        self.assertEqual(self.refused(a, 402, "card_declined")["decline_code"], "insufficient_funds")
        a = self.sb.post(f"{PIS}/{pi}/confirm", {"payment_method_data[card][number]": "1111"})
        self.refused(a, 402, "incorrect_number")

    def test_three_d_secure(self):
        for outcome, status in (("succeed", "succeeded"), ("fail", "requires_payment_method")):
            pi = self.sb.create().json
            a = self.sb.confirm(pi["id"], "pm_card_authenticationRequired").json
            self.assertEqual((a["status"], a["next_action"]["type"]), ("requires_action", "redirect_to_url"))
            self.assertIn(pi["client_secret"], a["next_action"]["redirect_to_url"]["url"])
            body = {"outcome": outcome, "client_secret": pi["client_secret"]}
            self.refused(self.sb.post(f"{PIS}/{pi['id']}/_authenticate", {"outcome": outcome}, key=None), 401)
            a = self.sb.post(f"{PIS}/{pi['id']}/_authenticate", body, key=None).json
            self.assertEqual(a["status"], status)
            self.refused(self.sb.post(f"{PIS}/{pi['id']}/_authenticate", body), 400, "payment_intent_unexpected_state")

    def test_three_d_secure_can_be_cancelled(self):
        pi = self.sb.create().json["id"]
        self.sb.confirm(pi, "pm_card_authenticationRequired")
        self.assertEqual(self.sb.post(f"{PIS}/{pi}/cancel").json["status"], "canceled")

    def test_async(self):
        for method, status in (("pm_sandbox_async", "succeeded"), ("pm_sandbox_async_fail", "requires_payment_method")):
            pi = self.sb.create().json["id"]
            self.assertEqual(self.sb.confirm(pi, method).json["status"], "processing")
            self.refused(self.sb.post(f"{PIS}/{pi}/cancel"), 400, "payment_intent_unexpected_state")
            end = time.time() + 5
            while self.sb.status(pi) == "processing" and time.time() < end:
                time.sleep(0.01)
            self.assertEqual(self.sb.status(pi), status)

    def test_parameters(self):
        post = self.sb.post
        self.refused(post(PIS, {"currency": "eur"}), 400, "parameter_missing")
        self.refused(post(PIS, {"amount": 100}), 400, "parameter_missing")
        self.refused(post(PIS, {"amount": "1e3", "currency": "eur"}), 400, "parameter_invalid_integer")
        self.refused(post(PIS, {"amount": "99999999999999999999", "currency": "eur"}), 400)
        self.refused(post(PIS, {"amount": 1, "currency": "eur"}), 400, "amount_too_small")
        self.refused(post(PIS, {"amount": 100, "currency": "xxx"}), 400)
        self.assertEqual(self.refused(post(PIS, {"amount": 100, "currency": "eur", "nope": 1}), 400,
                                      "parameter_unknown")["param"], "nope")
        self.refused(post(PIS, {"amount": 100, "currency": "eur", "metadata[" + "k" * 41 + "]": 1}), 400)
        self.refused(post(PIS, "amount=100&currency=eur&metadata[a=1"), 400)
        self.refused(post(PIS, "amount=100&currency=eur&expand[0=x"), 400)
        self.refused(post(PIS, "amount=100&currency=eur&description=%zz"), 400)
        self.refused(post(PIS, "amount=100&currency=eur&description=a%00b"), 400)
        self.refused(post(PIS, "&".join("metadata[%d]=x" % i for i in range(300))), 400)
        self.refused(post(PIS, "description=" + "x" * 70000), 413)
        self.refused(self.sb.get(f"{PIS}/pi_unknown"), 404, "resource_missing")
        self.assertEqual(self.sb.ledger()[1]["intents"], 0)

    def test_keys(self):
        self.refused(self.sb.get(PIS, key="sk_test_wrong"), 401)
        self.refused(self.sb.get(PIS, key=None), 401)
        self.refused(self.sb.get(PIS, key=PUBLISHABLE_KEY), 401)
        bearer = {"Authorization": "Bearer sk_test_souk"}
        self.assertEqual(self.sb.get(PIS, key=None, headers=bearer).status, 200)

    def test_browser_needs_the_client_secret(self):
        pi = self.sb.create(metadata__checkout_id="c").json
        path = f"{PIS}/{pi['id']}"
        self.refused(self.sb.get(path, key=PUBLISHABLE_KEY), 401)
        self.refused(self.sb.get(path + "?client_secret=wrong", key=PUBLISHABLE_KEY), 400)
        seen = self.sb.get(f"{path}?client_secret={pi['client_secret']}", key=PUBLISHABLE_KEY)
        self.assertEqual((seen.status, "metadata" in seen.json), (200, False))
        body = {"payment_method": "pm_card_visa", "client_secret": pi["client_secret"], "key": PUBLISHABLE_KEY}
        self.assertEqual(self.sb.post(path + "/confirm", body, key=None).json["status"], "succeeded")
        self.refused(self.sb.post(path + "/capture", {"client_secret": pi["client_secret"]}, key=PUBLISHABLE_KEY), 401)

    def test_lists_page_newest_first(self):
        ids = [self.sb.create(1000 + i).json["id"] for i in range(7)][::-1]
        first = self.sb.get(PIS + "?limit=3").json
        self.assertEqual(([p["id"] for p in first["data"]], first["has_more"]), (ids[:3], True))
        rest = self.sb.get(f"{PIS}?limit=100&starting_after={ids[2]}").json
        self.assertEqual(([p["id"] for p in rest["data"]], rest["has_more"]), (ids[3:], False))
        back = self.sb.get(f"{PIS}?limit=2&ending_before={ids[4]}").json
        self.assertEqual(([p["id"] for p in back["data"]], back["has_more"]), (ids[2:4], True))
        now = int(time.time())
        self.assertEqual(len(self.sb.get(f"{PIS}?created[gte]={now - 100}").json["data"]), 7)
        self.assertEqual(len(self.sb.get(f"{PIS}?created%5Bgte%5D={now + 100}").json["data"]), 0)
        self.refused(self.sb.get(PIS + "?limit=101"), 400)
        self.refused(self.sb.get(PIS + "?starting_after=pi_none"), 400)

    def test_pages(self):
        pi = self.sb.create(123456, description="<b>shoes</b>", return_url="http://shop.test/done?x=1").json
        path = f"/pay/{pi['id']}"
        page = self.sb.get(f"{path}?client_secret={pi['client_secret']}", key=None)
        text = page.raw.decode()
        self.assertIn("1234.56 EUR", text)
        self.assertIn("&lt;b&gt;shoes", text)
        self.assertNotIn("<b>shoes", text)
        self.refused(self.sb.get(path, key=None), 400)
        form = {"client_secret": pi["client_secret"], "payment_method": "pm_card_authenticationRequired"}
        a = self.sb.post(path, form, key=None)
        self.assertEqual((a.status, a.headers["location"].split("?")[0]), (303, f"/3ds/{pi['id']}"))
        self.assertIn("Is this you".lower(), self.sb.get(a.headers["location"], key=None).raw.decode().lower())
        form = {"client_secret": pi["client_secret"], "outcome": "succeed"}
        a = self.sb.post(f"/3ds/{pi['id']}", form, key=None)
        self.assertTrue(a.headers["location"].startswith("http://shop.test/done?x=1&payment_intent=" + pi["id"]))
        self.assertEqual(self.sb.status(pi["id"]), "succeeded")
        self.assertIn(pi["id"], self.sb.get("/", key=None).raw.decode())


class Idempotency(Case):
    def test_replay_is_byte_identical(self):
        a = self.sb.create(1000, idem="k1", metadata__a="1")
        b = self.sb.create(1000, idem="k1", metadata__a="1")
        self.assertEqual((a.status, a.raw), (b.status, b.raw))
        self.assertNotIn("idempotent-replayed", a.headers)
        self.assertEqual(b.headers["idempotent-replayed"], "true")
        self.assertNotEqual(a.headers["request-id"], b.headers["request-id"])
        self.assertEqual(self.sb.ledger()[1]["intents"], 1)

    def test_order_of_parameters_does_not_matter(self):
        a = self.sb.post(PIS, [("amount", 700), ("currency", "eur"), ("metadata[x]", "y")], "k")
        b = self.sb.post(PIS, [("metadata[x]", "y"), ("currency", "eur"), ("amount", 700)], "k")
        self.assertEqual(a.raw, b.raw)

    def test_other_parameters_are_refused(self):
        self.sb.create(1000, idem="k")
        self.assertEqual(self.refused(self.sb.create(1001, idem="k"), 400)["type"], "idempotency_error")
        pi = self.sb.authorized()
        self.assertEqual(self.refused(self.sb.post(f"{PIS}/{pi}/cancel", idem="k"), 400)["type"], "idempotency_error")
        self.assertEqual(self.sb.status(pi), "requires_capture")

    def test_refusals_are_kept_but_validation_is_not(self):
        pi = self.sb.create().json["id"]
        a = self.sb.confirm(pi, "pm_card_chargeDeclined", idem="d")
        b = self.sb.confirm(pi, "pm_card_chargeDeclined", idem="d")
        self.assertEqual((a.status, a.raw, b.headers["idempotent-replayed"]), (402, b.raw, "true"))
        self.refused(self.sb.post(PIS, {"amount": 100}, "v"), 400)
        self.assertEqual(self.sb.create(100, idem="v").status, 200)

    def test_in_flight_is_409(self):
        self.sb.fault("create", "delay_ms", delay_ms=500)
        got = []
        t = threading.Thread(target=lambda: got.append(self.sb.create(1000, idem="k")))
        t.start()
        time.sleep(0.15)
        a = self.sb.create(1000, idem="k")
        self.refused(a, 409, "idempotency_key_in_use")
        self.assertEqual(a.headers["stripe-should-retry"], "true")
        t.join()
        b = self.sb.create(1000, idem="k")
        self.assertEqual((b.status, b.raw), (200, got[0].raw))
        self.assertEqual(self.sb.ledger()[1]["intents"], 1)

    def test_many_at_once_make_one(self):
        got, start = [], threading.Barrier(16)

        def one():
            start.wait()
            got.append(self.sb.create(1000, idem="same"))

        threads = [threading.Thread(target=one) for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len({a.raw for a in got if a.status == 200}), 1)
        self.assertLessEqual({a.status for a in got}, {200, 409})
        self.assertEqual(self.sb.ledger()[1]["intents"], 1)

    def test_bad_keys(self):
        self.refused(self.sb.create(idem="x" * 256), 400)
        self.assertEqual(self.sb.create(idem="x" * 255).status, 200)


class Refunds(Case):
    def refund(self, pi, amount=None, **kw):
        return self.sb.post("/v1/refunds", {"payment_intent": pi, **({"amount": amount} if amount else {})}, **kw)

    def test_cumulative_limit(self):
        pi = self.sb.paid(1000)
        self.assertEqual(self.refund(pi, 400).json["status"], "succeeded")
        self.assertEqual(self.refused(self.refund(pi, 601), 400)["param"], "amount")
        self.assertEqual(self.refund(pi, 600).json["amount"], 600)
        self.refused(self.refund(pi, 1), 400, "charge_already_refunded")
        rows, totals = self.sb.ledger()
        self.assertEqual((totals["captured"], totals["refunded"]), (1000, 1000))
        self.assertEqual([r["amount"] for r in rows[0]["refunds"]], [600, 400])

    def test_concurrent_refunds_never_exceed(self):
        pi, got, start = self.sb.paid(1000), [], threading.Barrier(8)

        def one():
            start.wait()
            got.append(self.refund(pi, 300).status)

        threads = [threading.Thread(target=one) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(got), [200] * 3 + [400] * 5)
        self.assertEqual(self.sb.ledger()[1]["refunded"], 900)

    def test_default_is_the_rest(self):
        pi = self.sb.paid(1000)
        self.refund(pi, 250)
        self.assertEqual(self.refund(pi).json["amount"], 750)

    def test_nothing_captured(self):
        self.refused(self.refund(self.sb.create().json["id"]), 400)
        self.refused(self.refund(self.sb.authorized()), 400)
        self.refused(self.refund("pi_none"), 404, "resource_missing")

    def test_key(self):
        pi = self.sb.paid(1000)
        a, b = self.refund(pi, 100, idem="r"), self.refund(pi, 100, idem="r")
        self.assertEqual(a.raw, b.raw)
        self.assertEqual(self.sb.ledger()[1]["refunded"], 100)
        self.assertEqual(self.sb.get("/v1/refunds/" + a.json["id"]).json["status"], "succeeded")

    def test_failed_refund_returns_the_money(self):
        pi = self.sb.paid(1000, "pm_card_refundFail")
        re = self.refund(pi).json["id"]
        end = time.time() + 5
        while self.sb.get("/v1/refunds/" + re).json["status"] != "failed" and time.time() < end:
            time.sleep(0.01)
        self.assertEqual(self.sb.ledger()[1]["refunded"], 0)
        self.hooks.wait(6)
        self.assertIn("refund.failed", self.hooks.types(pi))

    def test_pending_refund(self):
        pi = self.sb.paid(1000, "pm_card_pendingRefund")
        self.assertEqual(self.refund(pi, 500).json["status"], "pending")
        self.refused(self.refund(pi, 501), 400)
        self.hooks.wait(5)
        self.assertIn("refund.updated", self.hooks.types(pi))

    def test_dispute(self):
        pi = self.sb.paid()
        self.assertTrue(self.sb.post("/_sandbox/disputes", {"payment_intent": pi}).json["disputed"])
        self.refused(self.refund(pi), 400, "charge_disputed")
        self.hooks.wait(3)
        self.assertIn("charge.dispute.created", self.hooks.types(pi))


class Webhooks(Case):
    def test_every_step_has_its_event(self):
        pi = self.sb.authorized()
        self.sb.post(f"{PIS}/{pi}/capture")
        self.sb.post("/v1/refunds", {"payment_intent": pi})
        self.hooks.wait(5)
        self.assertEqual(self.hooks.types(pi), ["payment_intent.created", "payment_intent.amount_capturable_updated",
                                                "payment_intent.succeeded", "refund.created", "charge.refunded"])
        self.hooks.clear()
        pi = self.sb.create().json["id"]
        self.sb.confirm(pi, "pm_card_authenticationRequired")
        self.sb.post(f"{PIS}/{pi}/_authenticate", {"outcome": "fail"})
        self.sb.post(f"{PIS}/{pi}/cancel")
        self.hooks.wait(4)
        self.assertEqual(self.hooks.types(pi), ["payment_intent.created", "payment_intent.requires_action",
                                                "payment_intent.payment_failed", "payment_intent.canceled"])
        self.hooks.clear()
        pi = self.sb.create().json["id"]
        self.sb.confirm(pi, "pm_sandbox_async")
        self.hooks.wait(3)
        self.assertEqual(self.hooks.types(pi)[1:], ["payment_intent.processing", "payment_intent.succeeded"])

    def test_signature(self):
        self.sb.create(metadata__note="ünïcode")
        _, headers, body = self.hooks.wait(1)[0]
        t, v1 = signatures(headers["Stripe-Signature"])
        self.assertEqual(v1, [expected(WEBHOOK_SECRET, t, body)])
        self.assertLess(abs(t - time.time()), 10)
        event = json.loads(body)
        self.assertEqual((event["object"], event["livemode"]), ("event", False))
        listed = self.sb.get("/v1/events/" + event["id"])
        self.assertEqual(listed.json, event)

    def test_retries_until_taken(self):
        self.hooks.answers = [500, 302]
        self.sb.create()
        got = self.hooks.wait(3)
        self.assertEqual(len({json.loads(b)["id"] for _, _, b in got}), 1)
        self.assertEqual(len(got), 3)
        time.sleep(0.3)
        self.assertEqual(len(self.hooks.got), 3)
        self.assertEqual(self.sb.stats()["webhooks"]["retried"], 2)

    def test_gives_up(self):
        self.hooks.answers = [500] * 10
        self.sb.create()
        self.assertEqual(len(self.hooks.wait(4)), 4)
        time.sleep(0.3)
        self.assertEqual(len(self.hooks.got), 4)
        self.assertEqual(self.sb.stats()["webhooks"]["given_up"], 1)
        self.assertEqual(len(self.sb.get("/v1/events").json["data"]), 1)

    def test_drop(self):
        self.sb.fault("webhook", "drop", type="payment_intent.succeeded")
        pi = self.sb.paid()
        self.hooks.wait(2, 0.4)
        self.assertEqual(self.hooks.types(pi), ["payment_intent.created"])
        listed = [e["type"] for e in self.sb.get("/v1/events?types[]=payment_intent.succeeded").json["data"]]
        self.assertEqual(listed, ["payment_intent.succeeded"])

    def test_drop_then_retry(self):
        self.sb.fault("webhook", "drop", retry_ms=200)
        began = time.time()
        self.sb.create()
        self.assertGreaterEqual(self.hooks.wait(1)[0][0] - began, 0.19)

    def test_duplicate(self):
        self.sb.fault("webhook", "duplicate", n=5)
        self.sb.create()
        self.hooks.wait(5)
        time.sleep(0.1)
        self.assertEqual((len(self.hooks.got), len({e["id"] for e in self.hooks.events()})), (5, 1))

    def test_reorder(self):
        self.sb.fault("webhook", "reorder", type="payment_intent.created", hold_ms=60000)
        pi = self.sb.paid()
        self.hooks.wait(2)
        self.assertEqual(self.hooks.types(pi), ["payment_intent.succeeded", "payment_intent.created"])

    def test_reorder_does_not_hold_for_ever(self):
        self.sb.fault("webhook", "reorder", hold_ms=150)
        self.sb.create()
        self.assertEqual(len(self.hooks.wait(1)), 1)

    def test_delay(self):
        self.sb.fault("webhook", "delay_ms", delay_ms=300)
        began = time.time()
        self.sb.create()
        self.assertGreaterEqual(self.hooks.wait(1)[0][0] - began, 0.29)

    def spoilt(self, kind, **more):
        """The spoilt first delivery of one event, and the honest one that follows its refusal."""
        self.hooks.answers = [400]
        self.sb.fault("webhook", kind, **more)
        self.sb.create()
        got = self.hooks.wait(2)
        _, headers, body = got[1]
        t, v1 = signatures(headers["Stripe-Signature"])
        self.assertEqual(v1, [expected(WEBHOOK_SECRET, t, body)])
        return got[0][1], got[0][2], body

    def test_bad_signature(self):
        headers, body, _ = self.spoilt("bad_signature")
        t, v1 = signatures(headers["Stripe-Signature"])
        self.assertNotEqual(v1, [expected(WEBHOOK_SECRET, t, body)])

    def test_old_and_future_timestamps(self):
        for kind, shift in (("old_timestamp", -301), ("future_timestamp", 301)):
            self.setUp()
            headers, body, _ = self.spoilt(kind, seconds=301)
            t, v1 = signatures(headers["Stripe-Signature"])
            self.assertLess(abs(t - time.time() - shift), 5)
            self.assertEqual(v1, [expected(WEBHOOK_SECRET, t, body)])

    def test_two_secrets(self):
        headers, body, _ = self.spoilt("two_secrets")
        t, v1 = signatures(headers["Stripe-Signature"])
        self.assertEqual(v1, [expected(OLD_SECRET, t, body), expected(WEBHOOK_SECRET, t, body)])

    def test_wrong_livemode(self):
        headers, body, honest = self.spoilt("wrong_livemode")
        t, v1 = signatures(headers["Stripe-Signature"])
        self.assertEqual(v1, [expected(WEBHOOK_SECRET, t, body)])
        self.assertEqual((json.loads(body)["livemode"], json.loads(honest)["livemode"]), (True, False))

    def test_no_signature_v0_only_bit_flip(self):
        headers, _, _ = self.spoilt("no_signature")
        self.assertNotIn("Stripe-Signature", headers)
        self.setUp()
        headers, _, _ = self.spoilt("v0_only")
        self.assertIn("v0=", headers["Stripe-Signature"])
        self.assertEqual(signatures(headers["Stripe-Signature"])[1], [])
        self.setUp()
        headers, body, honest = self.spoilt("bit_flip")
        t, v1 = signatures(headers["Stripe-Signature"])
        self.assertEqual(v1, [expected(WEBHOOK_SECRET, t, honest)])
        self.assertEqual(sum(a != b for a, b in zip(body, honest)), 1)

    def test_spoilt_for_ever(self):
        self.sb.fault("webhook", "bad_signature", attempts=-1)
        self.hooks.answers = [400] * 4
        self.sb.create()
        for _, headers, body in self.hooks.wait(4):
            t, v1 = signatures(headers["Stripe-Signature"])
            self.assertNotEqual(v1, [expected(WEBHOOK_SECRET, t, body)])

    def test_by_hand(self):
        a = self.sb.post("/_sandbox/events", {"type": "payment_intent.succeeded", "object": {"id": "pi_unknown"}})
        self.hooks.wait(1)
        self.assertEqual(self.hooks.types("pi_unknown"), ["payment_intent.succeeded"])
        self.sb.post("/_sandbox/events/%s/deliver" % a.json["id"], {"times": 4})
        self.assertEqual(len(self.hooks.wait(5)), 5)


class Faults(Case):
    def done(self):
        """Intents that came to be."""
        return self.sb.ledger()[1]["intents"]

    def test_close_before(self):
        for reset in (False, True):
            self.sb.fault("create", "close_before", reset=reset)
            with self.assertRaises(BROKEN):
                self.sb.create(idem="k")
        self.assertEqual(self.done(), 0)
        self.assertNotIn("idempotent-replayed", self.sb.create(idem="k").headers)
        self.assertEqual(self.sb.stats()["faults"], {"fired": 2, "closed": 2})

    def test_close_after(self):
        for n, reset in enumerate((False, True)):
            self.sb.fault("create", "close_after", reset=reset)
            with self.assertRaises(BROKEN):
                self.sb.create(idem="k%d" % n)
            self.assertEqual(self.done(), n + 1)
            self.assertEqual(self.sb.create(idem="k%d" % n).headers["idempotent-replayed"], "true")
            self.assertEqual(self.done(), n + 1)

    def test_close_after_capture_cancel_refund(self):
        pi = self.sb.authorized()
        self.sb.fault("capture", "close_after")
        with self.assertRaises(BROKEN):
            self.sb.post(f"{PIS}/{pi}/capture", idem="c")
        self.assertEqual(self.sb.status(pi), "succeeded")
        self.sb.fault("refund", "close_after", object=pi)
        with self.assertRaises(BROKEN):
            self.sb.post("/v1/refunds", {"payment_intent": pi}, idem="r")
        self.assertEqual(self.sb.ledger()[1]["refunded"], 1000)
        self.assertEqual(self.sb.post("/v1/refunds", {"payment_intent": pi}, idem="r").json["amount"], 1000)
        other = self.sb.authorized()
        self.sb.fault("cancel", "close_before", object=other)
        with self.assertRaises(BROKEN):
            self.sb.post(f"{PIS}/{other}/cancel")
        self.assertEqual(self.sb.status(other), "requires_capture")

    def test_delay(self):
        self.sb.fault("create", "delay_ms", delay_ms=300)
        began = time.time()
        self.sb.create()
        self.assertGreaterEqual(time.time() - began, 0.3)

    def test_timeout_before_and_after(self):
        self.sb.fault("create", "delay_ms", delay_ms=400, after=True)
        with self.assertRaises(BROKEN):
            self.sb.post(PIS, {"amount": 100, "currency": "eur"}, timeout=0.15)
        self.assertEqual(self.done(), 1)
        self.sb.fault("create", "close_before", delay_ms=400)
        with self.assertRaises(BROKEN):
            self.sb.post(PIS, {"amount": 100, "currency": "eur"}, timeout=0.15)
        time.sleep(0.4)
        self.assertEqual(self.done(), 1)

    def test_429(self):
        self.sb.fault("create", "status_429", retry_after=7)
        a = self.sb.create(idem="k")
        self.refused(a, 429, "rate_limit")
        self.assertEqual(a.headers["retry-after"], "7")
        self.assertEqual(self.sb.create(idem="k").status, 200)

    def test_500_stored(self):
        self.sb.fault("create", "error_500_stored")
        first = self.sb.create(idem="k")
        self.assertEqual(self.refused(first, 500)["type"], "api_error")
        for _ in range(5):
            a = self.sb.create(idem="k")
            self.assertEqual((a.status, a.raw, a.headers["idempotent-replayed"]), (500, first.raw, "true"))
        self.assertEqual(self.done(), 0)
        self.sb.fault("create", "error_500_stored", processed=True)
        self.refused(self.sb.create(idem="k2"), 500)
        self.refused(self.sb.create(idem="k2"), 500)
        self.assertEqual(self.done(), 1)

    def test_500_unstored(self):
        self.sb.fault("create", "error_500_unstored")
        self.refused(self.sb.create(idem="k"), 500)
        self.assertEqual(self.done(), 0)
        self.assertEqual(self.sb.create(idem="k").status, 200)
        self.sb.fault("create", "error_500_unstored", processed=True)
        self.refused(self.sb.create(idem="k2"), 500)
        self.assertEqual(self.done(), 2)
        self.assertEqual(self.sb.create(idem="k2").headers["idempotent-replayed"], "true")

    def test_409(self):
        self.sb.fault("create", "conflict_409", count=2)
        for _ in range(2):
            self.refused(self.sb.create(idem="k"), 409, "idempotency_key_in_use")
        self.assertEqual((self.sb.create(idem="k").status, self.done()), (200, 1))

    def test_truncated_body(self):
        self.sb.fault("create", "truncate_body", bytes=20)
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.sb.create(idem="k")
        self.assertEqual(len(caught.exception.partial), 20)
        self.assertEqual(self.sb.create(idem="k").headers["idempotent-replayed"], "true")

    def test_invalid_json(self):
        self.sb.fault("create", "invalid_json")
        a = self.sb.create(idem="k")
        self.assertEqual(a.status, 200)
        with self.assertRaises(ValueError):
            a.json
        self.assertEqual(self.sb.create(idem="k").json["amount"], 1000)

    def test_wrong_amount(self):
        pi = self.sb.create(1000).json["id"]
        self.sb.fault("retrieve", "wrong_amount", amount_delta=-1)
        self.assertEqual(self.sb.get(f"{PIS}/{pi}").json["amount"], 999)
        self.assertEqual(self.sb.get(f"{PIS}/{pi}").json["amount"], 1000)

    def test_tampered_intent(self):
        pi = self.sb.create(1000).json["id"]
        a = self.sb.post(f"/_sandbox/intents/{pi}/tamper", {"amount": 1, "currency": "usd", "metadata": {"x": "y"}})
        self.assertEqual(a.status, 200)
        seen = self.sb.get(f"{PIS}/{pi}").json
        self.assertEqual((seen["amount"], seen["currency"], seen["metadata"]), (1, "usd", {"x": "y"}))

    def test_slow_drip(self):
        self.sb.fault("create", "slow_drip", delay_ms=1)
        began = time.time()
        a = self.sb.create()
        self.assertEqual(a.json["amount"], 1000)
        self.assertGreater(time.time() - began, 0.3)

    def test_huge_body(self):
        self.sb.fault("create", "huge_body", bytes=3 << 20)
        a = self.sb.create()
        self.assertGreaterEqual(len(a.raw), 3 << 20)
        self.assertEqual(a.json["amount"], 1000)

    def test_nth_and_count(self):
        self.sb.fault("create", "error_500_unstored", nth=3, count=2)
        self.assertEqual([self.sb.create().status for _ in range(6)], [200, 200, 500, 500, 200, 200])

    def test_probability_replays_from_its_seed(self):
        runs = []
        for _ in range(2):
            self.sb.reset()
            self.sb.fault("create", "error_500_unstored", count=0, probability=0.5, seed=42)
            runs.append([self.sb.create().status for _ in range(40)])
        self.assertEqual(runs[0], runs[1])
        self.assertTrue(10 <= runs[0].count(500) <= 30, runs[0])

    def test_object_and_other_operations_are_left_alone(self):
        a, b = self.sb.authorized(), self.sb.authorized()
        self.sb.fault("capture", "error_500_unstored", object=b, count=0)
        self.assertEqual(self.sb.post(f"{PIS}/{a}/capture").status, 200)
        self.assertEqual(self.sb.post(f"{PIS}/{b}/capture").status, 500)
        self.assertEqual(self.sb.create().status, 200)

    def test_script_is_checked_listed_deleted(self):
        for bad in ({"operation": "create"}, {"operation": "walk", "kind": "drop"}, {"operation": "create", "kind": "drop"},
                    {"operation": "webhook", "kind": "status_429"}, {"operation": "create", "kind": "delay_ms", "nth": 0},
                    {"operation": "create", "kind": "delay_ms", "sleep": 1}, {"faults": []},
                    {"faults": [{"operation": "create", "kind": "delay_ms"}, {"operation": "x", "kind": "y"}]}):
            self.refused(self.sb.post("/_sandbox/faults", bad), 400, "fault_invalid")
        self.assertEqual(self.sb.get("/_sandbox/faults").json["data"], [])
        one = self.sb.fault("create", "close_before")
        self.sb.fault("create", "status_429")
        self.assertEqual(self.sb.request("DELETE", "/_sandbox/faults/%d" % one).status, 200)
        self.assertEqual([f["kind"] for f in self.sb.get("/_sandbox/faults").json["data"]], ["status_429"])
        self.sb.request("DELETE", "/_sandbox/faults")
        self.assertEqual(self.sb.create().status, 200)


class State(unittest.TestCase):
    def books(self, sb):
        return sb.ledger(), sb.get("/v1/events?limit=100").json["data"]

    def test_killed_and_started_again(self):
        with tempfile.TemporaryDirectory() as folder:
            env = {"SANDBOX_STATE_FILE": folder + "/state", "SANDBOX_SEED": "7", "SANDBOX_ASYNC_MS": "400"}
            sb = Sandbox(**env)
            sb.create(idem="k", metadata__checkout_id="c")
            paid = sb.paid(2000)
            sb.post("/v1/refunds", {"payment_intent": paid, "amount": 500, "metadata[x]": "y"})
            held = sb.authorized(700)
            first = sb.create(idem="k", metadata__checkout_id="c").raw
            waits = sb.create().json["id"]
            sb.confirm(waits, "pm_sandbox_async")
            before = self.books(sb)
            sb.kill()
            with open(folder + "/state", "a") as f:
                f.write('{"k":"intent","o":{"id":"pi_torn')  # a write cut short

            for _ in range(2):
                sb = Sandbox(**env)
                self.assertEqual(self.books(sb)[0][0][:3], before[0][0][:3])
                self.assertEqual(self.books(sb)[1][-len(before[1]):], before[1])
                again = sb.create(idem="k", metadata__checkout_id="c")
                self.assertEqual((again.raw, again.headers["idempotent-replayed"]), (first, "true"))
                end = time.time() + 5
                while sb.status(waits) == "processing" and time.time() < end:
                    time.sleep(0.02)
                self.assertEqual(sb.status(waits), "succeeded")
                before = self.books(sb)
                self.assertEqual(sb.stop(), 0)
            sb = Sandbox(**env)
            self.assertEqual(sb.post(f"{PIS}/{held}/capture").json["status"], "succeeded")
            self.assertEqual(sb.post("/v1/refunds", {"payment_intent": paid, "amount": 1501}).status, 400)
            self.assertEqual(sb.stop(), 0)

    def test_waiting_webhooks_survive(self):
        hooks = Receiver()
        with tempfile.TemporaryDirectory() as folder:
            env = {"SANDBOX_STATE_FILE": folder + "/state", "SANDBOX_WEBHOOK_URL": hooks.url}
            sb = Sandbox(**env)
            pi = sb.create().json["id"]
            hooks.wait(1)
            time.sleep(0.1)
            sb.fault("webhook", "delay_ms", delay_ms=60000)
            sb.confirm(pi)
            sb.kill()
            self.assertEqual(hooks.types(pi), ["payment_intent.created"])
            sb = Sandbox(**env)
            hooks.wait(2)
            self.assertEqual(hooks.types(pi), ["payment_intent.created", "payment_intent.succeeded"])
            self.assertEqual(sb.stop(), 0)
        hooks.close()

    def test_only_subscribed_events_are_sent(self):
        hooks = Receiver()
        sb = Sandbox(SANDBOX_WEBHOOK_URL=hooks.url,
                     SANDBOX_WEBHOOK_EVENTS="payment_intent.succeeded,payment_intent.created.not,refund.failed")
        pi = sb.create().json["id"]
        sb.confirm(pi)
        hooks.wait(1)
        self.assertEqual(hooks.types(pi), ["payment_intent.succeeded"])
        self.assertEqual(sb.stop(), 0)
        hooks.close()

    def test_seed_repeats_ids(self):
        runs = []
        for _ in range(2):
            sb = Sandbox(SANDBOX_SEED="99")
            runs.append([sb.create().json["id"] for _ in range(3)])
            sb.stop()
        self.assertEqual(runs[0], runs[1])

    def test_bad_configuration_is_refused(self):
        with self.assertRaises(RuntimeError):
            Sandbox(SANDBOX_THREADS="none")

    def test_stops_while_requests_wait(self):
        sb = Sandbox()
        sb.fault("create", "delay_ms", delay_ms=60000)
        t = threading.Thread(target=lambda: self.swallow(sb))
        t.start()
        time.sleep(0.2)
        began = time.time()
        self.assertEqual(sb.stop(), 0)
        self.assertLess(time.time() - began, 5)
        t.join()

    def swallow(self, sb):
        try:
            sb.create()
        except BROKEN:
            pass


if __name__ == "__main__":
    unittest.main()
