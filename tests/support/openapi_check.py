#!/usr/bin/python3
"""Is this JSON an OpenAPI 3.1 document whose parts fit together? Prints each fault; exit status 1 when there is one.

    openapi_check.py FILE        (- for standard input)

Checks what OpenAPI 3.1.0 demands of the objects we use: fields and their types, references that lead somewhere, path variables
declared once and required, unique operation ids, security schemes that exist, schemas in the JSON Schema 2020-12 words that
occur here, and examples that fit their schema.
"""

import json
import re
import sys

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
SCHEMA_WORDS = {"$ref", "type", "format", "enum", "properties", "required", "additionalProperties", "items", "description",
                "examples", "minimum", "maximum", "contentEncoding", "title"}
OPERATION_WORDS = {"operationId", "summary", "description", "tags", "security", "parameters", "requestBody", "responses",
                   "deprecated"}
COMPONENT_NAME = re.compile(r"^[a-zA-Z0-9._-]+$")


class Checker:
    def __init__(self, doc):
        self.doc = doc
        self.faults = []
        self.ids = {}

    def fault(self, where, what):
        self.faults.append(f"{where}: {what}")

    def want(self, node, kind, where):
        good = isinstance(node, kind) and not (kind is int and isinstance(node, bool))
        if not good:
            self.fault(where, f"is not a {getattr(kind, '__name__', kind)}")
        return good

    def resolve(self, node, where):
        """The object a reference stands for; what is no reference stands for itself."""
        if not isinstance(node, dict) or "$ref" not in node:
            return node
        ref = node["$ref"]
        target = self.doc
        if not isinstance(ref, str) or not ref.startswith("#/"):
            self.fault(where, f"reference {ref!r} leads out of the document")
            return None
        for part in ref[2:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or part not in target:
                self.fault(where, f"reference {ref} leads nowhere")
                return None
            target = target[part]
        return target

    # ---- schemas ----

    def schema(self, node, where):
        if isinstance(node, bool) or not self.want(node, dict, where):
            return
        for word in node:
            if word not in SCHEMA_WORDS and not word.startswith("x-"):
                self.fault(where, f"unknown schema word {word}")
        if "$ref" in node:
            self.resolve(node, where)
        kind = node.get("type")
        if kind is not None and kind not in TYPES:
            self.fault(where, f"unknown type {kind!r}")
        if "properties" in node and self.want(node["properties"], dict, where):
            for name, sub in node["properties"].items():
                self.schema(sub, f"{where}.{name}")
        missing = set(node.get("required", [])) - set(node.get("properties", {}))
        if missing:
            self.fault(where, f"required but no property: {sorted(missing)}")
        if kind == "array" and "items" not in node:
            self.fault(where, "array without items")
        if "items" in node:
            self.schema(node["items"], where + "[]")
        if isinstance(node.get("additionalProperties"), dict):
            self.schema(node["additionalProperties"], where + ".*")
        if "enum" in node and (not node["enum"] or len(set(node["enum"])) != len(node["enum"])):
            self.fault(where, "empty or repeating enum")
        for example in node.get("examples", []):
            self.fits(example, node, where + " example")

    def fits(self, value, schema, where):
        schema = self.resolve(schema, where) or {}
        kind = schema.get("type")
        if kind in TYPES and (not isinstance(value, TYPES[kind]) or (kind == "integer" and isinstance(value, bool))):
            self.fault(where, f"{value!r} is no {kind}")
            return
        if "enum" in schema and value not in schema["enum"]:
            self.fault(where, f"{value!r} is none of the words")
        if kind == "object":
            for name in schema.get("required", []):
                if name not in value:
                    self.fault(where, f"lacks {name}")
            for name, part in value.items():
                if name in schema.get("properties", {}):
                    self.fits(part, schema["properties"][name], f"{where}.{name}")

    # ---- parts of an operation ----

    def content(self, node, where):
        if not self.want(node, dict, where):
            return
        for mime, media in node.items():
            if "/" not in mime:
                self.fault(where, f"{mime!r} is no media type")
            if self.want(media, dict, where) and "schema" in media:
                self.schema(media["schema"], f"{where} {mime}")

    def parameter(self, node, where):
        node = self.resolve(node, where)
        if not isinstance(node, dict):
            return None
        if node.get("in") not in {"path", "query", "header", "cookie"}:
            self.fault(where, f"parameter in {node.get('in')!r}")
        if not isinstance(node.get("name"), str):
            self.fault(where, "parameter without a name")
        if node.get("in") == "path" and node.get("required") is not True:
            self.fault(where, f"path variable {node.get('name')} is not required")
        if "schema" not in node and "content" not in node:
            self.fault(where, f"parameter {node.get('name')} without a schema")
        self.schema(node.get("schema", {}), f"{where} {node.get('name')}")
        return node.get("in"), node.get("name")

    def response(self, node, where):
        node = self.resolve(node, where)
        if not isinstance(node, dict):
            return
        if not isinstance(node.get("description"), str):
            self.fault(where, "response without a description")
        for name, header in node.get("headers", {}).items():
            header = self.resolve(header, where) or {}
            self.schema(header.get("schema", {}), f"{where} header {name}")
        if "content" in node:
            self.content(node["content"], where)

    def security(self, node, where):
        schemes = self.doc.get("components", {}).get("securitySchemes", {})
        if not self.want(node, list, where):
            return
        for one in node:
            for name in one:
                if name not in schemes:
                    self.fault(where, f"unknown security scheme {name}")

    def operation(self, path, method, node):
        where = f"{method.upper()} {path}"
        if not self.want(node, dict, where):
            return
        for word in node:
            if word not in OPERATION_WORDS and not word.startswith("x-"):
                self.fault(where, f"unknown word {word}")
        name = node.get("operationId")
        if not isinstance(name, str):
            self.fault(where, "no operationId")
        elif name in self.ids:
            self.fault(where, f"operationId {name} is that of {self.ids[name]}")
        self.ids[name] = where
        seen = [self.parameter(p, where) for p in node.get("parameters", [])]
        if len(set(seen)) != len(seen):
            self.fault(where, "a parameter is declared twice")
        declared = {n for i, n in filter(None, seen) if i == "path"}
        wanted = set(re.findall(r"{([^}]*)}", path))
        if declared != wanted:
            self.fault(where, f"path variables {sorted(wanted)}, declared {sorted(declared)}")
        if "requestBody" in node:
            body = self.resolve(node["requestBody"], where) or {}
            if not body.get("content"):
                self.fault(where, "requestBody without content")
            self.content(body.get("content", {}), where + " body")
        self.security(node.get("security", []), where)
        if not node.get("responses"):
            self.fault(where, "no responses")
        for code, response in node.get("responses", {}).items():
            if not re.fullmatch(r"[1-5](\d\d|XX)|default", code):
                self.fault(where, f"response code {code}")
            self.response(response, f"{where} {code}")
        if not any(c[0] in "23" for c in node.get("responses", {})):
            self.fault(where, "no answer that is not a refusal")

    # ---- the document ----

    def paths(self):
        shapes = {}
        for path, item in self.doc.get("paths", {}).items():
            if not path.startswith("/"):
                self.fault(path, "does not begin with /")
            shape = re.sub(r"{[^}]*}", "{}", path)
            if shape in shapes:
                self.fault(path, f"is the same place as {shapes[shape]}")
            shapes[shape] = path
            for method, operation in item.items():
                if method in METHODS:
                    self.operation(path, method, operation)
                elif method not in {"summary", "description", "parameters", "servers"}:
                    self.fault(path, f"unknown word {method}")

    def components(self):
        parts = self.doc.get("components", {})
        for kind, entries in parts.items():
            if kind not in {"schemas", "responses", "parameters", "examples", "requestBodies", "headers", "securitySchemes",
                            "links", "callbacks", "pathItems"}:
                self.fault("components", f"unknown word {kind}")
            for name in entries:
                if not COMPONENT_NAME.match(name):
                    self.fault(f"components.{kind}", f"name {name!r}")
        for name, schema in parts.get("schemas", {}).items():
            self.schema(schema, f"schema {name}")
        for name, response in parts.get("responses", {}).items():
            self.response(response, f"response {name}")
        for name, parameter in parts.get("parameters", {}).items():
            self.parameter(parameter, f"parameter {name}")
        for name, scheme in parts.get("securitySchemes", {}).items():
            if scheme.get("type") not in {"apiKey", "http", "mutualTLS", "oauth2", "openIdConnect"}:
                self.fault(f"security scheme {name}", f"type {scheme.get('type')!r}")

    def check(self):
        if not self.want(self.doc, dict, "document"):
            return self.faults
        if not re.fullmatch(r"3\.1\.\d+", str(self.doc.get("openapi"))):
            self.fault("openapi", f"version {self.doc.get('openapi')!r}")
        info = self.doc.get("info", {})
        for word in ("title", "version"):
            if not isinstance(info.get(word), str):
                self.fault("info", f"no {word}")
        for word in self.doc:
            if word not in {"openapi", "info", "servers", "paths", "components", "tags", "security", "webhooks",
                            "jsonSchemaDialect", "externalDocs"} and not word.startswith("x-"):
                self.fault("document", f"unknown word {word}")
        if not self.doc.get("paths"):
            self.fault("document", "no paths")
        self.paths()
        self.components()
        return self.faults


def check(doc):
    """The faults of a document, as sentences."""
    return Checker(doc).check()


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with (sys.stdin if sys.argv[1] == "-" else open(sys.argv[1], encoding="utf-8")) as f:
        doc = json.load(f)
    faults = check(doc)
    for fault in faults:
        print(fault)
    operations = sum(len(METHODS & set(item)) for item in doc.get("paths", {}).values())
    print(f"{len(doc.get('paths', {}))} paths, {operations} operations, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
