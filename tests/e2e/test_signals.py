"""What the platform tells about itself: which process emits which figures, which step of a trace is below which, and that
nothing of what it says holds a secret or a person."""
# runs alone

import glob
import json
import os
import re
import shlex
import subprocess
import urllib.request
import uuid

from support.buying import Buying
from support.e2e import PASSWORD, Rest, until

# The card of a person who typed it where no card belongs.
PAN = "4012888888881881"

EVERY = ["souk_ready", "souk_process_pss_bytes", "souk_log_lines_dropped_total", "souk_trace_spans_sent_total",
         "souk_rpc_client_requests_total"]
DAEMON = ["souk_rpc_server_seconds_bucket", "souk_rpc_server_in_flight",
          "souk_pg_pool_wait_seconds_bucket", "souk_pg_tx_seconds_bucket", "souk_pg_statement_seconds_bucket",
          "souk_pg_connections_in_use", "souk_job_seconds_bucket", "souk_outbox_pending_rows",
          "souk_outbox_oldest_seconds"]
OWN = {
    "gateway": ["souk_http_requests_total", "souk_http_request_seconds_bucket", "souk_gateway_cache_total",
                "souk_gateway_shed_total"],
    "identity": ["souk_identity_hash_waiting", "souk_inbox_lag_seconds"],
    "catalog": ["souk_rpc_server_requests_total", "souk_inbox_lag_seconds", "souk_inbox_events_total"],
    "inventory": ["souk_rpc_server_requests_total", "souk_reserve_requests_total", "souk_reserve_batches_total",
                  "souk_inbox_lag_seconds"],
    "cart": ["souk_rpc_server_requests_total", "souk_inbox_lag_seconds"],
    "checkout": ["souk_rpc_server_requests_total", "souk_checkout_pay_seconds_bucket", "souk_checkout_pay_unknown_total",
                 "souk_checkout_sagas", "souk_checkout_saga_oldest_seconds"],
    "notify": ["souk_notify_mails_total", "souk_notify_mails_waiting", "souk_inbox_lag_seconds", "souk_inbox_dead_letters",
               "souk_inbox_parked"],
}


class Traced(Rest):
    """A caller whose every request is a step of one trace."""

    def call(self, method, path, body=None, headers=None, **kw):
        return super().call(method, path, body, {**(headers or {}), "traceparent": self.traceparent}, **kw)


class Signals(Buying):
    def ports(self):
        with open(os.path.join(self.run_dir, "ports.json")) as f:
            return json.load(f)["ports"]

    def metrics(self, name):
        url = f"http://127.0.0.1:{self.ports()[name + '_admin']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()

    def purchase(self, caller):
        self.add(caller, self.variant())
        checkout = self.checkout(caller)
        self.pay(checkout)
        return checkout, self.confirm(caller, checkout)

    def spans(self, trace, wanted, calls=(), root=None):
        """The spans of a trace, once all the wanted (service, name) and calls (caller, callee) have come, each below one that
        came too or below the root. Every process sends its own when it likes."""
        traces = Rest(f"http://127.0.0.1:{self.ports()['traces']}")

        def missing():
            self.found = traces.get(f"/api/spans?trace={trace}", expect=200)["data"]
            by_id = {s["span"]: s for s in self.found}
            names = {(s["service"], s["name"]) for s in self.found}
            called = {(by_id[s["parent"]]["service"], s["service"]) for s in self.found if s["parent"] in by_id}
            orphans = [s for s in self.found if root and s["parent"] != root and s["parent"] not in by_id]
            return (wanted - names) | (set(calls) - called) | {(s["service"], s["name"]) for s in orphans}

        try:
            until(lambda: not missing(), 40)
        except TimeoutError:
            self.fail(f"missing, or below nobody: {missing()} of {self.found}")
        return self.found

    def test_each_process_emits_its_figures(self):
        self.purchase(self.guest())
        for name, own in OWN.items():
            wanted = {*EVERY, *own, *(DAEMON if name != "gateway" else [])}

            def missing():
                return wanted - set(re.findall(r"^(souk_\w+)", self.metrics(name), re.M))

            try:  # a figure appears with the first thing it counts, a mail perhaps
                until(lambda: not missing(), 20)
            except TimeoutError:
                self.fail(f"{name} does not tell {missing()}")

    def test_one_trace_from_the_edge_across_events(self):
        trace, mine = uuid.uuid4().hex, uuid.uuid4().hex[:16]
        buyer = Traced(self.shop.url, patience=30)
        buyer.traceparent = f"00-{trace}-{mine}-01"
        self.purchase(buyer)
        steps = [  # (what, below what)
            (("souk-gateway", "POST /api/checkout"), None),
            (("souk-checkout", "checkout.v1.Checkout/StartCheckout"), ("souk-gateway", "POST /api/checkout")),
            (("souk-gateway", "POST /api/orders/confirm"), None),
            (("souk-notify", "order.placed"), ("souk-checkout", "*")),
            (("souk-cart", "order.placed"), ("souk-checkout", "*")),
        ]
        # An RPC's parent is the step of whoever called: the edge, or another daemon's handling.
        calls = (("souk-gateway", "souk-cart"), ("souk-gateway", "souk-checkout"), ("souk-checkout", "souk-inventory"),
                 ("souk-checkout", "souk-cart"), ("souk-cart", "souk-catalog"))
        found = self.spans(trace, {what for what, _ in steps}, calls, mine)
        by_id = {s["span"]: s for s in found}
        for (service, name), below in steps:
            own = [s for s in found if (s["service"], s["name"]) == (service, name)]
            if below is None:
                self.assertEqual({s["parent"] for s in own}, {mine}, name)
                continue
            for s in own:
                parent = by_id[s["parent"]]
                self.assertEqual(parent["service"], below[0], s)
                self.assertIn(below[1], ("*", parent["name"]), s)

    def test_a_trace_nobody_asked_for_is_not_recorded(self):
        trace = uuid.uuid4().hex
        self.guest().get("/api/products?limit=1", headers={"traceparent": f"00-{trace}-{uuid.uuid4().hex[:16]}-00"},
                         expect=200)
        recorded = uuid.uuid4().hex
        self.guest().get("/api/products?limit=1", headers={"traceparent": f"00-{recorded}-{uuid.uuid4().hex[:16]}-01"},
                         expect=200)
        self.spans(recorded, {("souk-gateway", "GET /api/products")})
        traces = Rest(f"http://127.0.0.1:{self.ports()['traces']}")
        self.assertEqual(traces.get(f"/api/spans?trace={trace}", expect=200)["data"], [])

    # ---- nothing secret, nobody's name ----

    def redis_text(self):
        with open(os.path.join(self.run_dir, "env", "cart.env")) as f:
            url = dict(word.split("=", 1) for word in shlex.split(f.read()))["REDIS_URL"]
        where = ["-s", url[len("unix://"):]] if url.startswith("unix://") else ["-u", url]

        def cli(*words, stdin=None):
            return subprocess.run(["redis-cli", *where, *words], input=stdin, stdout=subprocess.PIPE, timeout=60).stdout

        keys = cli("--scan").decode("utf-8", "replace").split("\n")
        text = "\n".join(keys)
        script = ("local t = redis.call('TYPE', KEYS[1]).ok; if t == 'string' then return redis.call('GET', KEYS[1]) "
                  "elseif t == 'hash' then return redis.call('HGETALL', KEYS[1]) "
                  "elseif t == 'set' then return redis.call('SMEMBERS', KEYS[1]) "
                  "elseif t == 'zset' then return redis.call('ZRANGE', KEYS[1], 0, -1) "
                  "elseif t == 'list' then return redis.call('LRANGE', KEYS[1], 0, -1) end return ''")
        for key in filter(None, keys):
            text += cli("--raw", "EVAL", script, "1", key).decode("utf-8", "replace")
        self.assertGreater(len(keys), 1)
        return text

    def logs_text(self):
        text = ""
        for path in glob.glob(os.path.join(self.run_dir, "logs", "*.log")):
            # The mail catcher and the sandbox are other people's machines; all.log repeats everybody's.
            if os.path.basename(path) not in ("all.log", "mail.log", "sandbox.log"):
                with open(path, encoding="utf-8", errors="replace") as f:
                    text += f.read()
        self.assertGreater(len(text), 1000)
        return text

    def test_no_secret_and_nobody_in_any_signal(self):
        tag = uuid.uuid4().hex[:10]
        password, wrong = f"{PASSWORD}-{tag}", f"Wrong-Horse-{tag}"
        name, street, phone = f"Canary{tag} Person", f"{tag} Canary Street", f"+1555{int(tag, 16) % 10**7:07d}"
        email = f"canary-{tag}@e2e.souk.example"
        self.shop.register(email, password, name)
        self.assertError(self.guest().post("/api/auth/login", {"email": email, "password": wrong}), 401)
        login = self.guest().post("/api/auth/login", {"email": email, "password": password, "refresh_in_body": True})
        if login.status != 200:
            login = self.guest().post("/api/auth/login", {"email": email, "password": password}, expect=200)
        cookie = re.search(r"souk_rt=([^;]+)", login.header("Set-Cookie") or "")
        buyer = self.guest()
        buyer.token = login["access_token"]
        address = {"name": name, "line1": street, "city": "Springfield", "region": "IL", "postal_code": "62701",
                   "country": "US", "phone": phone}
        buyer.post("/api/users/me/addresses", address, expect=(200, 201))
        guest = self.guest()
        guest.email = f"guest-{email}"
        self.add(guest, self.variant())
        checkout = self.checkout(guest, address=address)
        self.pay(checkout)
        order = self.confirm(guest, checkout)
        errors = [guest.post("/api/checkout", {"card_number": PAN, "address": address}, if_match='"x"'),
                  guest.post("/api/cart/items", {"variant_id": PAN, "qty": 1}),
                  guest.get(f"/api/products/{PAN}"), guest.get(f"/api/products?cursor={PAN}"),
                  self.guest().post("/api/auth/password/reset", {"token": wrong, "password": password})]
        canaries = {
            "password": password, "wrong password": wrong, "name": name, "street": street, "phone": phone, "e-mail": email,
            "access token": buyer.token, "signature of the access token": buyer.token.rsplit(".", 1)[1],
            "cart token": guest.cart_token, "client secret": checkout["payment"]["client_secret"],
            "refresh token": cookie and cookie.group(1) or login.get("refresh_token"),
            "order token": order.get("order_token"),
        }
        canaries = {what: text for what, text in canaries.items() if text}
        self.assertIn("refresh token", canaries)
        until(lambda: self.shop.mails(guest.email, count=1, wait_ms=1000), 30)
        self.assertTrue(self.spans_seen())
        seen = {"logs": self.logs_text(), "metrics": "".join(self.metrics(n) for n in OWN),
                "traces": self.all_spans(), "Redis": self.redis_text()}
        for where, text in seen.items():
            for what, canary in canaries.items():
                self.assertFalse(canary in text, f"{what} in {where}")
        # A card number typed into the path is part of the path, which no error repeats.
        for reply in errors:
            self.assertGreaterEqual(reply.status, 400)
            for what, canary in {**canaries, "card number": PAN}.items():
                self.assertFalse(canary in reply.text, f"{what} in the answer {reply.status} of {reply.path}")
        for where in ("metrics", "traces", "Redis"):
            self.assertFalse(PAN in seen[where], f"card number in {where}")
        self.assertFalse(re.search(r"card_number\W+" + PAN, seen["logs"]), "card number in logs")

    def all_spans(self):
        return Rest(f"http://127.0.0.1:{self.ports()['traces']}").get("/api/spans", expect=200).text

    def spans_seen(self):
        return until(lambda: '"souk-checkout"' in self.all_spans(), 20)
