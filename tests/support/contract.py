"""Every answer that a test gets is held against the OpenAPI document of the gateway that gave it: the status is one the document
names for that route, and the body has the documented form, no field more."""

import re
import threading

import jsonschema

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


def closed(node):
    """The schema with no room for fields that it does not name."""
    if isinstance(node, dict):
        node = {k: closed(v) for k, v in node.items()}
        if isinstance(node.get("properties"), dict) and "additionalProperties" not in node:
            node["additionalProperties"] = False
        return node
    return [closed(v) for v in node] if isinstance(node, list) else node


class Contract:
    def __init__(self, document):
        self.document = closed(document)
        self.routes = []
        for path, item in document["paths"].items():
            pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$")
            methods = {m for m in item if m in METHODS}
            self.routes.append((path.count("{"), pattern, path, methods))
        self.routes.sort(key=lambda r: r[0])  # a literal segment before a variable one, as the router does
        self.validators = {}
        self.lock = threading.Lock()

    def resolve(self, node):
        while "$ref" in node:
            found = self.document
            for part in node["$ref"][2:].split("/"):
                found = found[part]
            node = found
        return node

    def route(self, method, path):
        return next((p for _, pattern, p, methods in self.routes if method in methods and pattern.match(path)), None)

    def validator(self, path, method, status, media):
        at = (path, method, status, media)
        with self.lock:
            if at not in self.validators:
                answers = self.document["paths"][path][method]["responses"]
                content = self.resolve(answers[status]).get("content", {})
                schema = content.get(media, {}).get("schema")
                self.validators[at] = schema and jsonschema.Draft202012Validator(
                    schema, resolver=jsonschema.RefResolver.from_schema(self.document))
            return self.validators[at]

    def problem(self, reply):
        """What the answer breaks, or None. Paths that are no route are none of the document's business."""
        method, path, status = reply.method.lower(), reply.path.split("?")[0], str(reply.status)
        route = self.route(method, path)
        if not route:
            return None
        named = self.document["paths"][route][method]["responses"]
        if status not in named:
            return f"{reply.method} {route} answers {status}, which is not documented ({' '.join(sorted(named))}): {reply.text[:300]}"
        media = (reply.header("Content-Type") or "").split(";")[0]
        validator = self.validator(route, method, status, media) if reply.body and media == "application/json" else None
        error = validator and next(validator.iter_errors(reply.json), None)
        if error:
            where = "/".join(str(p) for p in error.absolute_path)
            return f"{reply.method} {route} {status}: at \"{where}\" {error.message[:300]}"
        return None
