"""Starts souk-sandbox on a free port, talks to it, and receives its webhooks. Standard library only."""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import subprocess
import threading
import time
import urllib.parse

SECRET_KEY = "sk_test_souk"
PUBLISHABLE_KEY = "pk_test_souk"
WEBHOOK_SECRET = "whsec_test"
OLD_SECRET = "whsec_test_old"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.raw = status, headers, body

    @property
    def json(self):
        return json.loads(self.raw)

    @property
    def error(self):
        return self.json["error"]


class Receiver:
    """Keeps every webhook: (time, headers, raw body). `answers` holds statuses to give first, then 200."""

    def __init__(self):
        self.got, self.answers, self.lock = [], [], threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    status = receiver.answers.pop(0) if receiver.answers else 200
                    receiver.got.append((time.time(), dict(self.headers), body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/hook" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def clear(self):
        with self.lock:
            self.got, self.answers = [], []

    def events(self):
        with self.lock:
            return [json.loads(body) for _, _, body in self.got]

    def types(self, object_id=None):
        return [e["type"] for e in self.events()
                if object_id in (None, e["data"]["object"]["id"], e["data"]["object"].get("payment_intent"))]

    def wait(self, n, seconds=5.0):
        """At least n deliveries, or as many as came."""
        end = time.time() + seconds
        while time.time() < end:
            with self.lock:
                if len(self.got) >= n:
                    return self.got[:]
            time.sleep(0.01)
        with self.lock:
            return self.got[:]


def signatures(header):
    """(t, [v1 …]) of a signature header."""
    parts = [p.split("=", 1) for p in header.split(",")]
    return int(dict(parts)["t"]), [v for k, v in parts if k == "v1"]


def expected(secret, t, body):
    return hmac.new(secret.encode(), b"%d." % t + body, hashlib.sha256).hexdigest()


class Sandbox:
    def __init__(self, **env):
        folder = os.environ.get("SOUK_BIN_DIR") or os.environ["SOUK_BUILD_DIR"]
        binary = pathlib.Path(folder) / "souk-sandbox"
        full = {k: v for k, v in os.environ.items() if not k.startswith("SANDBOX_")}
        full.update({"SANDBOX_LISTEN": "127.0.0.1:0", "SANDBOX_WEBHOOK_SECRET": WEBHOOK_SECRET,
                     "SANDBOX_WEBHOOK_OLD_SECRET": OLD_SECRET, "SANDBOX_ASYNC_MS": "50"})
        full.update(env)
        self.process = subprocess.Popen([str(binary)], env=full, stdout=subprocess.PIPE)
        line = self.process.stdout.readline().decode().split()
        if len(line) != 2 or line[0] != "listening":
            self.process.wait(20)
            self.process.stdout.close()
            raise RuntimeError("souk-sandbox did not start")
        self.host, port = line[1].split(":")
        self.port = int(port)

    def stop(self):
        self.process.terminate()
        code = self.process.wait(20)
        self.process.stdout.close()
        return code

    def kill(self):
        self.process.kill()
        self.process.wait(20)
        self.process.stdout.close()

    def request(self, method, path, body=None, key=SECRET_KEY, headers=None, timeout=10):
        conn = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        h = dict(headers or {})
        if key:
            h.setdefault("Authorization", "Basic " + base64.b64encode((key + ":").encode()).decode())
        if isinstance(body, (dict, list)) and path.startswith("/_sandbox"):
            body = json.dumps(body)
            h["Content-Type"] = "application/json"
        elif isinstance(body, (dict, list)):
            body = urllib.parse.urlencode(body)
            h["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            conn.request(method, path, body, h)
            r = conn.getresponse()
            return Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        finally:
            conn.close()

    def post(self, path, body=None, idem=None, **kw):
        if idem:
            kw.setdefault("headers", {})["Idempotency-Key"] = idem
        return self.request("POST", path, body if body is not None else {}, **kw)

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def create(self, amount=1000, idem=None, **params):
        params = {k.replace("__", "[") + ("]" if "__" in k else ""): v for k, v in params.items()}
        return self.post("/v1/payment_intents", {"amount": amount, "currency": "eur", **params}, idem)

    def confirm(self, pi, method="pm_card_visa", **kw):
        return self.post("/v1/payment_intents/%s/confirm" % pi, {"payment_method": method}, **kw)

    def paid(self, amount=1000, method="pm_card_visa"):
        """An intent that is paid and captured."""
        pi = self.create(amount).json["id"]
        self.confirm(pi, method)
        return pi

    def authorized(self, amount=1000, method="pm_card_visa"):
        pi = self.create(amount, capture_method="manual").json["id"]
        self.confirm(pi, method)
        return pi

    def status(self, pi):
        return self.get("/v1/payment_intents/" + pi).json["status"]

    def fault(self, operation, kind, **more):
        a = self.post("/_sandbox/faults", {"operation": operation, "kind": kind, **more})
        assert a.status == 200, a.raw
        return a.json["data"][0]["id"]

    def reset(self):
        assert self.post("/_sandbox/reset").status == 200

    def ledger(self):
        rows, after = [], ""
        while True:
            page = self.get("/_sandbox/ledger?limit=100" + ("&after=" + after if after else "")).json
            rows += page["data"]
            after = page["next"]
            if not after:
                return rows, page["totals"]

    def stats(self):
        return self.get("/_sandbox/stats").json
