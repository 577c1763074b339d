"""A small client of the REST surface, on the standard library. Knows no business; the demo loader and the tests use it."""

import http.client
import json
import time
import urllib.parse
import uuid


class Failed(Exception):
    """An answer that the caller did not ask for."""

    def __init__(self, reply):
        self.reply = reply
        super().__init__(f"{reply.method} {reply.path}: {reply.status} {reply.text[:400]}")


class Reply:
    def __init__(self, method, path, status, headers, body):
        self.method, self.path, self.status, self.body = method, path, status, body
        self.headers = headers
        self._json = None

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        if self._json is None:
            self._json = json.loads(self.body) if self.body else None
        return self._json

    def __getitem__(self, key):
        return self.json[key]

    def get(self, key, default=None):
        return (self.json or {}).get(key, default)

    def header(self, name):
        return self.headers.get(name)

    @property
    def etag(self):
        return self.headers.get("ETag")

    @property
    def error(self):
        """(code, reason) of an error body."""
        error = (self.json or {}).get("error", {})
        return error.get("code"), error.get("reason")


class Rest:
    """One caller: a base URL, a bearer token, a cart token. Not for use by several threads at once."""

    watch = None  # called with (base URL, reply) for every answer, when set on the class

    def __init__(self, url, token=None, timeout=30, patience=0):
        self.url = url
        split = urllib.parse.urlsplit(url)
        self.host, self.port = split.hostname, split.port
        self.token = token
        self.cart_token = None
        self.timeout = timeout
        self.patience = patience  # seconds to sit out 429 and 503 with Retry-After
        self.conn = None

    def clone(self, token=None):
        return Rest(self.url, token, self.timeout, self.patience)

    def call(self, method, path, body=None, headers=None, key=None, if_match=None, data=None, expect=None):
        """body: JSON value; data: bytes sent as they are; key: True makes an Idempotency-Key; expect: a status or a
        tuple of them, anything else raises Failed."""
        head = {"Accept": "application/json"}
        if self.token:
            head["Authorization"] = f"Bearer {self.token}"
        if self.cart_token:
            head["X-Cart-Token"] = self.cart_token
        if key:
            head["Idempotency-Key"] = str(uuid.uuid4()) if key is True else key
        if if_match:
            head["If-Match"] = if_match
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode()
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        deadline = time.monotonic() + self.patience
        while True:
            reply = self._once(method, path, data, head)
            if Rest.watch:
                Rest.watch(self.url, reply)
            wait = float(reply.header("Retry-After") or 1)
            if reply.status not in (429, 503) or time.monotonic() + wait > deadline:
                break
            time.sleep(wait)
        if expect is not None and reply.status not in (expect if isinstance(expect, tuple) else (expect,)):
            raise Failed(reply)
        return reply

    def _once(self, method, path, data, head):
        fresh = self.conn is None
        for attempt in (1, 2):
            if self.conn is None:
                self.conn = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
                fresh = True
            try:
                self.conn.request(method, path, body=data, headers=head)
                answer = self.conn.getresponse()
                body = answer.read()
                if answer.will_close:
                    self.close()
                return Reply(method, path, answer.status, answer.headers, body)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # A kept connection the server had closed meanwhile; a fresh one is a real failure.
                self.close()
                if fresh or attempt == 2:
                    raise
            except Exception:
                self.close()
                raise

    def close(self):
        if self.conn:
            self.conn.close()
            self.conn = None

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.call("POST", path, body, **kw)

    def put(self, path, body=None, **kw):
        return self.call("PUT", path, body, **kw)

    def patch(self, path, body=None, **kw):
        return self.call("PATCH", path, body, **kw)

    def delete(self, path, **kw):
        return self.call("DELETE", path, **kw)

    def walk(self, path, limit=100):
        """Every row of a list."""
        sep = "&" if "?" in path else "?"
        cursor = None
        while True:
            at = f"{path}{sep}limit={limit}" + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else "")
            page = self.get(at, expect=200)
            yield from page["data"]
            cursor = page.get("next_cursor")
            if not cursor:
                return
