"""A model's life as an administrator leads it, by soukctl: trained, judged, approved, tried on some, deployed, rolled back."""

import json
import random
import re
import time

from support.buying import Buying
from support.goods import until

CIRCLE = 10  # products of a taste; who buys of one buys nothing of the other


class RecoModels(Buying):
    def command(self, *words, expect=0):
        while True:
            done = self.ctl("reco", *words)
            if words[0] != "train" or expect != 0 or "409 CONFLICT" not in done.stderr:
                break
            self.until_idle()  # the daemon's own first training
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout if expect == 0 else done.stderr

    def shop_with_a_past(self):
        """Two circles of taste among the products that are shown, and forty days of orders within them."""
        tag, rng, rows, now = self.unique("past"), random.Random(5), [], time.time()
        shown = until(lambda: self.ids("trending", limit=50)[:2 * CIRCLE][2 * CIRCLE - 1:] and
                      self.ids("trending", limit=50)[:2 * CIRCLE], 60, ())
        for day in range(40, 0, -1):
            for n in range(16):
                person = rng.randrange(160)
                circle = shown[:CIRCLE] if person % 2 else shown[CIRCLE:]
                at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(now - 86400 * day + 60 * n))
                for product in rng.sample(circle, 2):
                    rows.append({"type": "purchase", "user_id": f"{tag}-{person}", "order_id": f"{tag}-{day}-{n}",
                                 "product_id": product, "occurred_at": at})
        taken = self.admin().post("/api/admin/reco/history", {"source": tag, "rows": rows}, expect=200).json
        self.assertEqual(taken["accepted"], len(rows))
        return shown[:CIRCLE]

    def answer(self, kind, **query):
        return self.guest().get(f"/api/recommendations?type={kind}&" + "&".join(f"{k}={v}" for k, v in query.items()),
                                expect=200).json

    def ids(self, kind, **query):
        return [r["product_id"] for r in self.answer(kind, **query).get("data", [])]

    def train(self, *how):
        """The model's id and version. Its parameters are nobody's before: so it is no routine retrain, and waits."""
        said = self.command("train", "--params", json.dumps({"ridge": round(random.uniform(9, 12), 4)}), *how)
        self.assertRegex(said, r"NDCG@20 0\.\d+, over popular [+-]")
        self.assertIn("better than popular", said)
        model, state = re.match(r"(mdl_\w+) is (\w+), version b\w+\n", said).groups()
        self.assertEqual(state, "evaluated", said)
        return model, self.admin().get(f"/api/admin/reco/models/{model}", expect=200)["version"]

    def until_idle(self):
        def idle():
            last = self.admin().get("/api/admin/reco/status", expect=200).json.get("training", {})
            return last.get("state") not in ("queued", "running")

        until(idle, 180)

    def until_answered_by(self, product, version):
        until(lambda: self.answer("bought_together", product_id=product)["model_version"] == version, 60)
        for _ in range(5):  # what was kept of the model before is never met again
            found = self.answer("bought_together", product_id=product, limit=50)
            self.assertEqual((found["model_version"], found["variant"], found["fallback"]), (version, "main", False))
        return [r["product_id"] for r in found["data"]]

    def test_from_training_to_rollback(self):
        circle = self.shop_with_a_past()
        if len(self.admin().get("/api/admin/reco/status", expect=200).json.get("deployments", [])) == 2:
            self.command("rollback")  # of an earlier run
        first, version = self.train()
        self.assertIn("409 CONFLICT", self.command("deploy", first, expect=1))
        self.assertIn(f"{first} is approved", self.command("approve", first, "--why", "the first"))
        self.assertIn(f"{first} is deployed", self.command("deploy", first))
        found = self.until_answered_by(circle[0], version)
        self.assertGreaterEqual(len(set(found) & set(circle)), CIRCLE // 2)  # the demo shop's own past is there as well

        second, other = self.train("--seed", "7")
        self.command("approve", second)
        self.command("deploy", second, "--share", "40")
        self.assertRegex(self.command("status"), rf"canary  {second} version {other}, 40 % of the visitors")
        until(lambda: {self.answer("related", product_id=circle[0], session_id=f"s{i}")["model_version"]
                       for i in range(20)} == {version, other}, 60)
        said = self.command("deploy", second)
        self.assertIn(f"{second} is deployed", said)
        self.until_answered_by(circle[0], other)
        self.assertRegex(self.command("models", "--state", "retired"), rf"(?m)^{first} +retired +-")

        self.assertIn(f"{first} is deployed", self.command("rollback", "--why", "a test"))
        self.until_answered_by(circle[0], version)
        self.assertRegex(self.command("models", second), r"retired    by user:usr_\w+: a test")
        self.assertIn("409 CONFLICT", self.command("rollback", expect=1))
        audit = self.sql("reco", "SELECT count(*) FROM reco.audit_log WHERE table_name = 'deployment'")
        self.assertGreaterEqual(int(audit), 4)

    def test_cancel_and_wrong_use(self):
        self.until_idle()
        training = self.command("train", "--no-wait").strip()
        self.assertIn("409 CONFLICT", self.command("train", expect=1))
        self.admin().post(f"/api/admin/reco/trainings/{training}/cancel", {}, expect=200)
        self.until_idle()
        state = self.admin().get(f"/api/admin/reco/trainings/{training}", expect=200)["state"]
        self.assertIn(state, ("cancelled", "done", "failed"))  # it may have been quicker, or had nothing to learn
        self.assertIn("409 CONFLICT", self.command("cancel", training, expect=1))
        self.assertIn("404 NOT_FOUND", self.command("approve", "mdl_01jd0000000000000000000001", expect=1))
        said = self.command("train", "--params", '{"rigde": 1}', expect=1)
        self.assertIn("400 VALIDATION_ERROR", said)
        self.assertIn("params: rigde is not known", said)
        self.assertIn("usage:", self.command("approve", expect=2))
        self.assertIn("usage:", self.command("deploy", "mdl_1", "--share", "x", expect=2))
        for caller, status in ((self.guest(), 401), (self.buyer(), 403)):
            self.assertEqual(caller.post("/api/admin/reco/rollback", {}).status, status)
            self.assertEqual(caller.post("/api/admin/reco/trainings", {}).status, status)
            self.assertEqual(caller.get("/api/admin/reco/models").status, status)
