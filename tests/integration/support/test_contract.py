"""What holds the end-to-end tests' answers against the OpenAPI document: it must see what is wrong."""

import json
import unittest

from support.contract import Contract

THING = {"type": "object", "required": ["id"], "properties": {
    "id": {"type": "string"}, "price": {"$ref": "#/components/schemas/Money"}, "free": {"type": "object", "additionalProperties": True}}}
DOCUMENT = {
    "paths": {"/api/things/{id}": {"get": {"responses": {
        "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
        "404": {"$ref": "#/components/responses/E404"}}}},
        "/api/things/first": {"get": {"responses": {"204": {}}}}},
    "components": {
        "schemas": {"Thing": THING, "Money": {"type": "object", "properties": {"amount": {"type": "integer"}}},
                    "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}},
        "responses": {"E404": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}}}}


class Answer:
    def __init__(self, status, body=None, path="/api/things/t1?x=1", method="GET", media="application/json; charset=utf-8"):
        self.method, self.path, self.status, self.json, self.media = method, path, status, body, media
        self.text = json.dumps(body)
        self.body = self.text.encode() if body is not None else b""

    def header(self, _name):
        return self.media


class Holds(unittest.TestCase):
    def problem(self, *args, **kw):
        return Contract(DOCUMENT).problem(Answer(*args, **kw))

    def test_what_is_right(self):
        for answer in ((200, {"id": "t1", "price": {"amount": 5}, "free": {"any": 1}}), (404, {"error": "x"})):
            self.assertIsNone(self.problem(*answer))
        self.assertIsNone(self.problem(204, path="/api/things/first"))
        self.assertIsNone(self.problem(418, path="/api/nothing"))
        self.assertIsNone(self.problem(405, method="PUT"))

    def test_what_is_wrong(self):
        for status, body, says in ((500, {}, "answers 500"), (200, {"id": 5}, "at \"id\""), (200, {}, "'id' is a required"),
                                   (200, {"id": "t1", "more": 1}, "'more' was unexpected"), (404, {"id": "t1"}, "'error' is a required"),
                                   (200, {"id": "t1", "price": {"amount": 1.5}}, "at \"price/amount\""),
                                   (200, {"id": "t1", "price": {"amount": 1, "cents": 2}}, "'cents' was unexpected")):
            with self.subTest(status=status, body=body):
                self.assertIn(says, self.problem(status, body))
        self.assertIn("answers 200", self.problem(200, {"id": "t1"}, path="/api/things/first"))


if __name__ == "__main__":
    unittest.main()
