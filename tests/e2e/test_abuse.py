"""Abuse of HTTP, JSON and the daemons' ports: an answer or a closed connection, never a hang, a 500 or a dead process."""

import json
import os
import random
import socket
import time
import urllib.parse

from support.goods import Goods, until

DAEMONS = ["identity", "catalog", "inventory", "cart", "checkout", "notify"]
SECONDS = 8  # a refusal must come well within


class Raw(Goods):
    def setUp(self):
        split = urllib.parse.urlsplit(self.shop.url)
        self.at = (split.hostname, split.port)
        self.host = f"{split.hostname}:{split.port}".encode()

    def talk(self, data, seconds=SECONDS, half_close=False):
        """(everything that came back, whether the server closed)"""
        got = b""
        deadline = time.monotonic() + seconds
        with socket.create_connection(self.at, timeout=seconds) as s:
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all was sent, or closed before our half was
            while time.monotonic() < deadline:
                s.settimeout(max(deadline - time.monotonic(), 0.01))
                try:
                    part = s.recv(65536)
                except socket.timeout:
                    return got, False
                except ConnectionResetError:
                    return got, True
                if not part:
                    return got, True
                got += part
        return got, False

    def refused(self, data, statuses=(400,), **how):
        got, closed = self.talk(data, **how)
        self.assertTrue(closed, f"still open after {SECONDS} s: {data[:80]!r}")
        head, _, body = got.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 "), (data[:80], got[:200]))
        self.assertIn(int(head.split()[1]), statuses, (data[:80], got[:300]))
        self.assertEqual(got.count(b"HTTP/1.1 "), 1, f"two answers to {data[:80]!r}")
        fields = {line.split(b":")[0].lower(): line.split(b":", 1)[1].strip() for line in head.split(b"\r\n")[1:]}
        self.assertEqual(fields[b"connection"].lower(), b"close")
        self.assertEqual(int(fields[b"content-length"]), len(body))
        error = json.loads(body)["error"]
        self.assertLessEqual({"code", "message", "request_id", "timestamp"}, set(error))
        self.assertEqual(error["request_id"].encode(), fields[b"x-request-id"])
        self.assertEqual(fields[b"x-content-type-options"], b"nosniff")

    def get(self, *lines, target=b"/healthz", version=b"HTTP/1.1", host=True, body=b""):
        head = [b"GET " + target + b" " + version] + ([b"Host: " + self.host] if host else []) + list(lines)
        return b"\r\n".join(head) + b"\r\n\r\n" + body

    def post(self, *lines, body=b"", target=b"/api/cart/items"):
        head = [b"POST " + target + b" HTTP/1.1", b"Host: " + self.host, b"Content-Type: application/json", *lines]
        return b"\r\n".join(head) + b"\r\n\r\n" + body


class Framing(Raw):
    def test_honest_requests_pass(self):
        """What the cases below vary is accepted as it stands."""
        got, _ = self.talk(self.get(b"Connection: close"))
        self.assertTrue(got.startswith(b"HTTP/1.1 200 "), got[:100])
        got, _ = self.talk(self.post(b"Content-Length: 2", b"Connection: close", body=b"{}"))
        self.assertTrue(got.startswith(b"HTTP/1.1 400 "), got[:100])
        self.assertIn(b"variant_id", got)
        got, _ = self.talk(self.post(b"Transfer-Encoding: chunked", b"Connection: close", body=b"2\r\n{}\r\n0\r\n\r\n"))
        self.assertIn(b"variant_id", got)

    def test_lengths(self):
        smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        for lines, body in (([b"Content-Length: 2", b"Transfer-Encoding: chunked"], b"2\r\n{}\r\n0\r\n\r\n"),
                            ([b"Transfer-Encoding: chunked", b"Content-Length: 5"], b"0\r\n\r\n" + smuggled),
                            ([b"Content-Length: 2", b"Content-Length: 2"], b"{}"),
                            ([b"Content-Length: 2", b"Content-Length: 35"], b"{}" + smuggled),
                            ([b"Content-Length: 2, 2"], b"{}"), ([b"Content-Length: +2"], b"{}"),
                            ([b"Content-Length: -1"], b"{}"), ([b"Content-Length: 2abc"], b"{}"),
                            ([b"Content-Length: 0x2"], b"{}"), ([b"Content-Length: "], b"{}"),
                            ([b"Content-Length: 99999999999999999999999"], b"{}"),
                            ([b"Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
                            ([b"Transfer-Encoding: chunked, chunked"], b"0\r\n\r\n"),
                            ([b"Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n"),
                            ([b"Transfer-Encoding: identity"], b"{}"),
                            ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], b"0\r\n\r\n"),
                            ([b"Transfer-Encoding : chunked"], b"0\r\n\r\n" + smuggled),
                            ([b"Content-Length : 2"], b"{}")):
            with self.subTest(lines=lines):
                self.refused(self.post(*lines, body=body), (400, 411, 413, 501))

    def test_broken_chunks(self):
        for body in (b"xyz\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n{}\r\n",
                     b"2\r\n{}XX0\r\n\r\n", b"2;" + b"x" * 20000 + b"\r\n{}\r\n0\r\n\r\n"):
            with self.subTest(body=body[:40]):
                self.refused(self.post(b"Transfer-Encoding: chunked", body=body), (400, 413, 431), half_close=True)

    def test_hosts(self):
        self.refused(self.get(host=False))
        self.refused(self.get(b"Host: other.example"))
        self.refused(self.get(b"Host: ", host=False))
        self.refused(self.get(b"Host: a b", host=False))
        self.refused(self.get(b"Host: " + b"a" * 300, host=False))

    def test_header_shapes(self):
        for lines in ([b"Bad Name: x"], [b"X-Fold: a\r\n b"], [b": empty"], [b"NoColon"], [b"X\x01Y: x"], [b"X-Nul: a\0b"],
                      [b"Authorization: Bearer a", b"Authorization: Bearer b"],
                      [b"If-Match: \"a\"", b"If-Match: \"b\""], [b"Idempotency-Key: a", b"Idempotency-Key: b"],
                      [b"X-Cart-Token: a", b"X-Cart-Token: b"]):
            with self.subTest(lines=lines):
                self.refused(self.get(*lines))

    def test_bare_line_feeds(self):
        self.refused(b"GET /healthz HTTP/1.1\nHost: " + self.host + b"\n\n")
        self.refused(b"GET /healthz HTTP/1.1\r\nHost: " + self.host + b"\nX: y\r\n\r\n")

    def test_too_many_and_too_long_headers(self):
        self.refused(self.get(*[b"X-%d: y" % i for i in range(70)]), (431,))
        self.refused(self.get(*[b"X-%d: y" % i for i in range(64)], b"Content-Length: 5", body=b"12345"), (431,))
        self.refused(self.get(b"X-Long: " + b"y" * 20000), (431, 400))
        self.refused(self.get(target=b"/" + b"a" * 20000), (414, 431, 400))
        self.refused(self.get(target=b"/api/products?brand=" + b"a" * 1_000_000), (414, 431, 400))

    def test_targets(self):
        for target in (b"/a%00b", b"/healthz%00", b"/api/products/%2e%2e/cart", b"/api/products/..%2fcart", b"/api/../healthz",
                       b"/api//cart", b"/api/./cart", b"/api/products/a%2Fb", b"/api/products/%", b"/api/products/%zz",
                       b"/api/products/%0d%0aX:y", b"/api/products/a\\b", b"/api/products/\x7f", b"/api/products/\xc3\xa9",
                       b"healthz", b"/healthz#x", b"/api/products?x=%0a",
                       b"/api/products?brand=%00", b"/api/products?brand=\xff"):
            with self.subTest(target=target):
                self.refused(self.get(target=target))

    def test_targets_of_proxies(self):
        for target in (b"*", b"http://other.example/healthz", b"other.example:443"):
            got, closed = self.talk(self.get(target=target))
            self.assertTrue(closed, target)
            self.assertRegex(got[:13], rb"^(HTTP/1.1 4\d\d |)$")

    def test_request_lines(self):
        for line in (b"GET /healthz", b"GET  /healthz HTTP/1.1", b"/healthz HTTP/1.1", b"GET /healthz HTTP/1.1 x", b"G\0T / HTTP/1.1",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0", b"GET /healthz HTTP/9.9",
                     b"BREW /healthz HTTP/1.1"):
            with self.subTest(line=line):
                got, closed = self.talk(line + b"\r\nHost: " + self.host + b"\r\n\r\n", half_close=True)
                self.assertTrue(closed)
                self.assertRegex(got[:13], rb"^(HTTP/1.1 (4\d\d|50[15]) |)$")

    def test_bodies_beyond_the_limit(self):
        self.refused(self.post(b"Content-Length: 9999999999"), (413,))
        self.refused(self.post(b"Content-Length: 70000", body=b"x" * 70000), (413,))
        endless = b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(40))
        self.refused(self.post(b"Transfer-Encoding: chunked", body=endless), (413,))

    def test_encodings_and_expectations(self):
        for lines, statuses in (([b"Content-Encoding: gzip", b"Content-Length: 2"], (415,)),
                                ([b"Expect: 200-maybe", b"Content-Length: 2"], (417,))):
            got, _ = self.talk(self.post(*lines, b"Connection: close", body=b"{}"))
            self.assertIn(int(got.split()[1]), statuses)
        for media in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"x"):
            got, _ = self.talk(b"POST /api/cart/items HTTP/1.1\r\nHost: " + self.host + b"\r\nContent-Type: " + media
                               + b"\r\nContent-Length: 3\r\nConnection: close\r\n\r\na\0b")
            self.assertEqual(int(got.split()[1]), 415, media)

    def test_slow_request_is_cut(self):
        """Half a header, then silence: the server does not wait for ever (GATEWAY_HEADER_MS, GATEWAY_BODY_MS)."""
        begun = time.monotonic()
        _, closed = self.talk(b"GET /healthz HTTP/1.1\r\nHo", seconds=20)
        self.assertTrue(closed)
        got, closed = self.talk(self.post(b"Content-Length: 100", body=b"{"), seconds=20)
        self.assertTrue(closed)
        self.assertRegex(got[:13], rb"^(HTTP/1.1 408 |)")
        self.assertLess(time.monotonic() - begun, 30)

    def test_others_are_served_beside_slow_ones(self):
        slow = []
        try:
            for _ in range(60):
                s = socket.create_connection(self.at, timeout=5)
                s.sendall(b"GET /healthz HTTP/1.1\r\nHo")
                slow.append(s)
            begun = time.monotonic()
            for _ in range(20):
                self.guest().get("/api/products?limit=1", expect=200)
            self.assertLess(time.monotonic() - begun, 5)
        finally:
            for s in slow:
                s.close()

    def test_random_bytes(self):
        rng = random.Random(42)
        for turn in range(60):
            data = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 3000)))
            if turn % 2:  # a good beginning
                data = self.get(b"X: " + bytes(rng.randrange(256) for _ in range(50)))[:-4] + data
            _, closed = self.talk(data, half_close=True)
            self.assertTrue(closed, data[:60])
        self.assertEqual(self.guest().get("/healthz").status, 200)


class Json(Goods):
    def post(self, body, path="/api/cart/items", **headers):
        return self.guest().post(path, data=body if isinstance(body, bytes) else body.encode(),
                                 headers={"Content-Type": "application/json", **headers})

    def test_broken_documents(self):
        good = '"variant_id":"var_01jd000000000000000000000a"'
        for body in ("", "{", "}", "[]", "null", "5", '"x"', "{" + good + ',"qty":1', "{" + good + ',"qty":1}}', "{" + good + ',"qty":1} x',
                     "{" + good + ',"qty":1,}', "{'qty':1}", "{" + good + ',"qty":01}', "{" + good + ',"qty":+1}', "{" + good + ',"qty":NaN}',
                     "{" + good + ',"qty":1e400}', "{" + good + ',"qty":Infinity}', "\ufeff{" + good + ',"qty":1}',
                     "{" + good + ',"qty":1,"qty":2}', '{"variant_id":"a","variant_id":"b","qty":1}',
                     "{" + good + ',"qty":1}\0', '{"variant_id":"a\\u0000b","qty":1}', '{"variant_id":"\\ud800","qty":1}',
                     '{"variant_id":"a\tb","qty":1}', '{"variant_id":"\\x41","qty":1}', "[" * 30000, '{"a":' * 5000,
                     '{"qty":' + "[" * 40 + "]" * 40 + "}", "{/* x */}", '{"qty":' + "9" * 60000 + "}"):
            with self.subTest(body=body[:60]):
                self.assertError(self.post(body), 400, "VALIDATION_ERROR")
        for body in (b'{"variant_id":"\xff\xfe","qty":1}', b'{"variant_id":"\xc0\x80","qty":1}', b'{"variant_id":"\xed\xa0\x80","qty":1}',
                     b'{"variant_id":"\xf4\x90\x80\x80","qty":1}', b'{"\xff":1}', b'\xff\xfe{\x00}\x00'):
            with self.subTest(body=body):
                self.assertError(self.post(body), 400, "VALIDATION_ERROR")

    def test_fields_are_named(self):
        for body, field in (('{"qty":1,"variant_id":"var_01jd000000000000000000000a","colour":1}', "colour"),
                            ('{"qty":"1","variant_id":"var_01jd000000000000000000000a"}', "qty"),
                            ('{"qty":null,"variant_id":"var_01jd000000000000000000000a"}', "qty"),
                            ('{"qty":1.5,"variant_id":"var_01jd000000000000000000000a"}', "qty"),
                            ('{"qty":9223372036854775807,"variant_id":"var_01jd000000000000000000000a"}', "qty"),
                            ('{"qty":1,"variant_id":["x"]}', "variant_id"), ('{"qty":1,"variant_id":{}}', "variant_id"),
                            ('{"variant_id":"var_01jd000000000000000000000a"}', "qty"), ('{"hdr_etag":"x"}', "hdr_etag")):
            with self.subTest(body=body):
                self.assertError(self.post(body), 400, "VALIDATION_ERROR", field)

    def test_nested_field_is_named_with_its_path(self):
        reply = self.vendor().post("/api/vendor/products", {**self.product_body(), "variants": [
            {"sku": "a", "title": "t", "price": {"amount": "12", "currency": "USD"}}]})
        error = self.assertError(reply, 400, "VALIDATION_ERROR")
        self.assertRegex(error["details"][0]["field"], r"^variants(\.0|\[0\])\.price\.amount$")

    def test_many_items(self):
        body = {**self.product_body(), "category_ids": ["cat_01jd000000000000000000000a"] * 10000}
        self.assertIn(self.vendor().post("/api/vendor/products", body).status, (400, 413))
        body["category_ids"] = body["category_ids"][:1000]
        self.assertError(self.vendor().post("/api/vendor/products", body), 400, "VALIDATION_ERROR", "category_ids")
        query = "&".join(f"attr=a:{i}" for i in range(400))
        self.assertIn(self.guest().get("/api/products?" + query).status, (400, 414, 431))

    def test_odd_texts_are_only_texts(self):
        """SQL, format strings, markup, mail headers: kept as they are or refused, never understood."""
        buyer = self.buyer()
        for text in ("Robert'); DROP TABLE identity.account;--", "%n%s%x%p" * 20, "<script>alert(1)</script>", "${jndi:ldap://x}",
                     "' OR 1=1 --", "../../etc/passwd", "{{7*7}}", "\u202eabc", "a" * 100, "\U0001f9fa\u0301\u200d"):
            reply = buyer.patch("/api/users/me", {"name": text})
            self.assertIn(reply.status, (200, 400), text)
            if reply.status == 200:
                self.assertEqual(buyer.get("/api/users/me")["name"], text)
            listed = self.guest().get("/api/products?brand=" + urllib.parse.quote(text))
            self.assertIn(listed.status, (200, 400), text)
            self.assertEqual(listed.get("data") or [], [], text)
            for path in ("/api/products/", "/api/categories/", "/api/vendors/"):
                self.assertIn(self.guest().get(path + urllib.parse.quote(text, safe="")).status, (400, 404), text)
        for text in ("a\r\nBcc: x@y.example", "a\nb", "a\0b", "\x1b[31m"):
            self.assertError(buyer.patch("/api/users/me", {"name": text}), 400)


class Ports(Goods):
    """The daemons' own ports: only our daemons talk there, but garbage must not hurt."""

    def pid(self, name):
        process = self.state()["processes"].get(name)
        if not process or process.get("state") != "ready":
            self.skipTest(f"{name} does not run")
        return process["pid"], process.get("restarts")

    def ports(self):
        with open(os.path.join(self.run_dir, "ports.json")) as f:
            return json.load(f)["ports"]

    def throw(self, port, data):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            try:
                s.sendall(data)
                s.settimeout(0.3)
                s.recv(4096)
            except OSError:
                pass

    def test_garbage_leaves_daemons_alive(self):
        rng = random.Random(7)
        hello = bytes.fromhex("00535000") + (0x30).to_bytes(2, "big") + b"\0\0"  # the transport's greeting, as a requester

        def message(body):
            return len(body).to_bytes(8, "big") + body

        request = (0x80000001).to_bytes(4, "big")
        throws = [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 4096, bytes(rng.randrange(256) for _ in range(4096)), hello,
                  hello + (1 << 62).to_bytes(8, "big"), hello + message(b""), hello + message(request),
                  hello + message(request + b"\xff" * 200), hello + message(request + bytes(rng.randrange(256) for _ in range(500))),
                  hello + message(request + b"\x0a\xff\xff\xff\xff\x0f"), hello + message(b"\0\0\0\1" + b"x" * 100),
                  hello + (100).to_bytes(8, "big") + b"half",
                  bytes.fromhex("00535000") + (0x10).to_bytes(2, "big") + b"\0\0" + message(b"x" * 50)]
        throws += [hello + message(request + bytes([8, i, 18, 3]) + b"abc" + bytes(rng.randrange(256) for _ in range(60)))
                   for i in range(20)]
        ports = self.ports()
        for name in DAEMONS:
            with self.subTest(daemon=name):
                before = self.pid(name)
                for data in throws:
                    self.throw(ports[name], data)
                for data in throws[:8]:
                    self.throw(ports[name + "_bell"], data)
                self.assertEqual(self.pid(name), before)
        guest = self.guest()
        until(lambda: guest.get("/api/products?limit=1", expect=200), 5, (503,))
        buyer = self.buyer()
        self.assertEqual(buyer.get("/api/cart").status, 200)

    def test_admin_ports_do_not_tell_secrets(self):
        ports = self.ports()
        for name in DAEMONS + ["gateway"]:
            if name != "gateway":
                self.pid(name)
            with socket.create_connection(("127.0.0.1", ports[name + "_admin"]), timeout=5) as s:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                text = b""
                while part := s.recv(65536):
                    text += part
            self.assertIn(b"200", text[:20])
            for word in (b"souk_" + name.encode() + b"_key", b"sk_test_", b"whsec_", b"BEGIN "):
                self.assertNotIn(word, text, name)
