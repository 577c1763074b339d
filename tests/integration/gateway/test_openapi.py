"""The OpenAPI document that the gateway makes of its table is valid, and the checker would notice if it were not."""

import copy
import json
import os
import subprocess
import sys
import unittest

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from support.openapi_check import check  # noqa: E402

BUILD = os.environ.get("SOUK_BUILD_DIR", os.path.join(ROOT, "build", "debug"))


class OpenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = subprocess.run([os.path.join(BUILD, "souk-gateway"), "--openapi"], capture_output=True, timeout=60, check=True)
        cls.doc = json.loads(made.stdout)

    def test_valid(self):
        self.assertEqual(check(self.doc), [])

    def test_says_what_it_must(self):
        schemas = self.doc["components"]["schemas"]
        money = schemas["common.v1.Money"]
        self.assertEqual(money["examples"], [{"amount": 1999, "currency": "USD"}])
        self.assertIn("VALIDATION_ERROR", schemas["Error"]["properties"]["error"]["properties"]["code"]["enum"])
        text = json.dumps(self.doc["paths"]) + json.dumps(schemas)
        for hidden in ("hdr_", "raw_body"):
            self.assertNotIn(hidden, text)
        item = self.doc["paths"]["/api/cart/items/{line_id}"]["patch"]
        self.assertIn("428", item["responses"])
        self.assertNotIn("line_id", item["requestBody"]["content"]["application/json"]["schema"]["properties"])
        reasons = {r["reason"]: r["status"] for r in self.doc["x-reasons"]}
        self.assertEqual(reasons["http.method_not_allowed"], 405)
        self.assertEqual(reasons["common.rate_limited"], 429)

    def test_faults_are_noticed(self):
        def broken(change):
            doc = copy.deepcopy(self.doc)
            change(doc)
            return check(doc)

        get = ("paths", "/api/cart", "get")

        def at(doc, *keys):
            for key in keys:
                doc = doc[key]
            return doc

        self.assertTrue(broken(lambda d: d.pop("info")))
        self.assertTrue(broken(lambda d: d.update(openapi="3.0.0")))
        self.assertTrue(broken(lambda d: at(d, *get).pop("responses")))
        self.assertTrue(broken(lambda d: at(d, *get).pop("operationId")))
        self.assertTrue(broken(lambda d: at(d, *get).update(security=[{"nobody": []}])))
        self.assertTrue(broken(lambda d: d["components"]["schemas"].pop("common.v1.Money")))
        self.assertTrue(broken(lambda d: at(d, "paths", "/api/cart/items/{line_id}", "patch").update(parameters=[])))
        self.assertTrue(broken(lambda d: d["components"]["schemas"]["common.v1.Money"].update(type="money")))
        self.assertTrue(broken(lambda d: d["components"]["schemas"]["common.v1.Money"].update(examples=[{"amount": "x"}])))
        self.assertTrue(broken(lambda d: d["paths"].update({"/api/cart/items/{id}": d["paths"]["/api/cart/items/{line_id}"]})))


if __name__ == "__main__":
    unittest.main()
