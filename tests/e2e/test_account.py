"""A person's account: registering, signing in, staying signed in, leaving; addresses; who may go where."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import tempfile
from http.cookies import SimpleCookie

from support.e2e import E2E, PASSWORD, Failed, token_of, until
from support.goods import ADDRESS, Goods

PAGE = {"X-Requested-With": "XMLHttpRequest"}  # what a browser's page adds to what takes the cookie
COOKIE = "__Host-souk_rt"


def cookie_of(reply):
    """(name, morsel) of the only cookie, or None."""
    header = reply.header("Set-Cookie")
    if not header:
        return None
    ((name, morsel),) = SimpleCookie(header).items()
    return name, morsel


def part(token, i):
    text = token.split(".")[i]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def b64(value):
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def without(claims, name):
    return {k: v for k, v in claims.items() if k != name}


class Account(E2E):
    def signed_in(self):
        """(caller, refresh token, reply of the login)"""
        email = self.email()
        rest = self.shop.register(email, PASSWORD, "Eve Example")
        reply = rest.post("/api/auth/login", {"email": email, "password": PASSWORD}, expect=200)
        rest.token, rest.email = reply["access_token"], email
        return rest, cookie_of(reply)[1].value, reply

    def refresh(self, token, body=None, **headers):
        return self.guest().post("/api/auth/refresh", body or {},
                                 headers={"Cookie": f"{COOKIE}={token}", **(headers or PAGE)})

    # ---- registration ----

    def test_register_verify_login(self):
        email, guest = self.email(), self.guest()
        self.assertEqual(guest.post("/api/auth/register", {"email": email, "password": PASSWORD, "name": "Eve"},
                                    expect=202).json, {"status": "accepted"})
        self.shop.verify(email)
        reply = guest.post("/api/auth/login", {"email": email, "password": PASSWORD}, expect=200)
        claims = part(reply["access_token"], 1)
        self.assertEqual(part(reply["access_token"], 0)["alg"], "EdDSA")
        self.assertLessEqual(claims["exp"] - claims["iat"], 900)
        self.assertEqual((reply["token_type"], reply["expires_in"], reply["audience"]), ("Bearer", 900, "shop"))
        self.assertNotIn("refresh_token", reply.json)
        guest.token = reply["access_token"]
        me = guest.get("/api/users/me", expect=200)
        self.assertEqual((me["email"], me["email_verified"], me["name"]), (email, True, "Eve"))

    def test_link_works_once(self):
        email, guest = self.email(), self.guest()
        guest.post("/api/auth/register", {"email": email, "password": PASSWORD, "name": "Eve"}, expect=202)
        token = token_of(self.shop.wait_mail(email))
        guest.post("/api/auth/verify-email", {"token": token}, expect=200)
        self.assertError(guest.post("/api/auth/verify-email", {"token": token[:-2] + "xx"}), 410, "GONE")

    def test_second_registration_tells_nothing(self):
        buyer = self.buyer()
        since = self.shop.newest_mail(buyer.email)
        known = self.guest().post("/api/auth/register", {"email": buyer.email.upper(), "password": "Another-pass-9876",
                                                         "name": "Mallory"})
        fresh = self.guest().post("/api/auth/register", {"email": self.email(), "password": "Another-pass-9876",
                                                         "name": "Mallory"})
        self.assertEqual((known.status, known.json), (fresh.status, fresh.json))
        self.shop.wait_mail(buyer.email, since=since)  # the owner is told
        self.assertError(self.guest().post("/api/auth/login", {"email": buyer.email, "password": "Another-pass-9876"}),
                         401, "UNAUTHENTICATED")

    def test_bad_registrations(self):
        guest = self.guest()
        good = {"email": self.email(), "password": PASSWORD, "name": "Eve"}
        for change, field in (({"email": "no-at-sign"}, "email"), ({"email": "a@b\r\nBcc: c@d.example"}, "email"),
                              ({"password": "short"}, "password"), ({"password": "password1234"}, "password"),
                              ({"name": "Eve\nExample"}, "name"), ({"name": "x" * 1000}, "name"),
                              ({"admin": True}, "admin"), ({"hdr_client_ip": "1.2.3.4"}, "hdr_client_ip"),
                              ({"email": None}, "email"), ({"email": 5}, "email")):
            with self.subTest(change=change):
                self.assertError(guest.post("/api/auth/register", {**good, **change}), 400, "VALIDATION_ERROR", field)
        del good["password"]
        self.assertError(guest.post("/api/auth/register", good), 400, "VALIDATION_ERROR", "password")

    # ---- signing in ----

    def test_refresh_cookie(self):
        _, _, reply = self.signed_in()
        name, morsel = cookie_of(reply)
        self.assertEqual(name, COOKIE)
        self.assertTrue(morsel["httponly"] and morsel["secure"])
        self.assertEqual((morsel["samesite"], morsel["path"], morsel["domain"]), ("Strict", "/", ""))
        self.assertEqual(int(morsel["max-age"]), 7 * 86400)
        self.assertRegex(reply.header("Cache-Control"), "no-store")

    def test_unknown_and_wrong_look_alike(self):
        buyer = self.buyer()
        wrong = self.guest().post("/api/auth/login", {"email": buyer.email, "password": "not-the-password-1"})
        unknown = self.guest().post("/api/auth/login", {"email": self.email(), "password": "not-the-password-1"})
        self.assertError(wrong, 401, "UNAUTHENTICATED")
        self.assertError(unknown, 401, "UNAUTHENTICATED")
        self.assertEqual(wrong["error"]["message"], unknown["error"]["message"])
        self.assertEqual(wrong.error, unknown.error)

    def test_guessing_is_slowed_and_not_locked(self):
        buyer = self.buyer()
        guest = self.guest()
        guest.patience = 0
        statuses, reply = [], None
        for _ in range(8):
            reply = guest.post("/api/auth/login", {"email": buyer.email, "password": "not-the-password-1"})
            statuses.append(reply.status)
            if reply.status == 429:
                break
        self.assertEqual(statuses[:4], [401] * 4)
        self.assertEqual(statuses[-1], 429, statuses)
        self.assertError(reply, 429, "RATE_LIMITED")
        self.assertGreaterEqual(int(reply.header("Retry-After")), 1)
        # Somebody else is not concerned, and the owner gets in after the wait.
        self.buyer()
        self.assertTrue(until(lambda: self.shop.login(buyer.email, PASSWORD), 20, (429,)))

    def test_native_client_gets_the_token_in_the_body(self):
        buyer, guest = self.buyer(), self.guest()
        reply = guest.post("/api/auth/login", {"email": buyer.email, "password": PASSWORD, "refresh_in_body": True},
                           expect=200)
        self.assertTrue(reply["refresh_token"])
        self.assertIsNone(reply.header("Set-Cookie"))
        again = guest.post("/api/auth/refresh", {"refresh_token": reply["refresh_token"]}, headers=PAGE, expect=200)
        self.assertNotEqual(again["refresh_token"], reply["refresh_token"])

    # ---- rotation ----

    def test_rotation_within_grace_gives_the_same_successor(self):
        rest, first, _ = self.signed_in()
        one, two = self.refresh(first), self.refresh(first)
        self.assertEqual((one.status, two.status), (200, 200), one.text + two.text)
        second = cookie_of(one)[1].value
        self.assertNotEqual(second, first)
        self.assertEqual(cookie_of(two)[1].value, second)
        rest.token = one["access_token"]
        rest.get("/api/users/me", expect=200)

    def test_rotation_in_parallel_gives_one_successor(self):
        _, first, _ = self.signed_in()
        replies = Goods.at_once([lambda: self.refresh(first) for _ in range(8)])
        self.assertEqual({r.status for r in replies}, {200})
        self.assertEqual(len({cookie_of(r)[1].value for r in replies}), 1)

    def test_old_token_revokes_the_family(self):
        """A token two generations old is reuse whatever the time; the newest dies with it."""
        rest, first, _ = self.signed_in()
        second = cookie_of(self.refresh(first))[1].value
        newest = self.refresh(second)
        third = cookie_of(newest)[1].value
        reply = self.refresh(first)
        self.assertError(reply, 401, "UNAUTHENTICATED")
        self.assertEqual(reply.error[1], "identity.refresh_reused")
        self.assertError(self.refresh(third), 401, "UNAUTHENTICATED")
        rest.token = newest["access_token"]  # its access token follows within the gateway's poll
        until(lambda: rest.get("/api/users/me").status == 401, 5)

    def test_forged_refresh_token(self):
        _, first, _ = self.signed_in()
        for bad in (first[:-1] + ("A" if first[-1] != "A" else "B"), first[:26], "x", first + "A", "A" * 400):
            self.assertError(self.refresh(bad), 401, "UNAUTHENTICATED")
        self.assertError(self.guest().post("/api/auth/refresh", {}, headers=PAGE), 401)
        self.assertEqual(self.refresh(first).status, 200)  # noise is not reuse

    def test_refresh_needs_a_page_of_ours(self):
        _, first, _ = self.signed_in()
        self.assertError(self.refresh(first, Origin="https://evil.example"), 403, "FORBIDDEN")
        self.assertError(self.guest().post("/api/auth/refresh", {}, headers={"Cookie": f"{COOKIE}={first}"}), 403,
                         "FORBIDDEN")
        self.assertEqual(self.refresh(first, Origin="https://pages.e2e.example").status, 200)

    # ---- sessions ----

    def test_sessions_and_logout(self):
        rest, first, _ = self.signed_in()
        other = self.shop.login(rest.email, PASSWORD)
        sessions = rest.get("/api/auth/sessions", expect=200)["data"]
        self.assertEqual(len([s for s in sessions if s.get("current")]), 1)
        theirs = other.get("/api/auth/sessions", expect=200)["data"]
        target = next(s["id"] for s in theirs if s.get("current"))
        rest.delete(f"/api/auth/sessions/{target}", expect=204)
        until(lambda: other.get("/api/users/me").status == 401, 5)
        rest.get("/api/users/me", expect=200)
        out = rest.post("/api/auth/logout", {}, headers={"Cookie": f"{COOKIE}={first}", **PAGE}, expect=204)
        self.assertEqual(cookie_of(out)[1].value, "")
        self.assertError(self.refresh(first), 401, "UNAUTHENTICATED")
        until(lambda: rest.get("/api/users/me").status == 401, 5)

    def test_logout_all(self):
        rest, first, _ = self.signed_in()
        other = self.shop.login(rest.email, PASSWORD)
        rest.post("/api/auth/logout-all", {}, expect=204)
        until(lambda: other.get("/api/users/me").status == 401, 5)
        self.assertError(self.refresh(first), 401)

    def test_strangers_session_is_404(self):
        mine, theirs = self.buyer(), self.buyer()
        session = theirs.get("/api/auth/sessions", expect=200)["data"][0]["id"]
        self.assertError(mine.delete(f"/api/auth/sessions/{session}"), 404, "NOT_FOUND")
        theirs.get("/api/users/me", expect=200)

    def test_password_change_and_reset(self):
        rest, first, _ = self.signed_in()
        other = self.shop.login(rest.email, PASSWORD)
        new = "Quite-another-2468"
        self.assertError(rest.post("/api/auth/password/change", {"current_password": "wrong-password-1",
                                                                 "new_password": new}), 401)
        rest.post("/api/auth/password/change", {"current_password": PASSWORD, "new_password": new}, expect=204)
        until(lambda: other.get("/api/users/me").status == 401, 5)
        self.assertError(self.guest().post("/api/auth/login", {"email": rest.email, "password": PASSWORD}), 401)
        since = self.shop.newest_mail(rest.email)
        known = self.guest().post("/api/auth/password/forgot", {"email": rest.email}, expect=202)
        unknown = self.guest().post("/api/auth/password/forgot", {"email": self.email()}, expect=202)
        self.assertEqual(known.json, unknown.json)

        def link():
            for mail in self.shop.mails(rest.email, since=since, wait_ms=1000, count=1):
                if token_of(mail):
                    return token_of(mail)
            return None

        token = until(link, 20)
        third = "And-a-third-1357"
        self.guest().post("/api/auth/password/reset", {"token": token, "password": third}, expect=204)
        self.assertError(self.guest().post("/api/auth/password/reset", {"token": token, "password": third + "x"}), 410)
        self.assertTrue(self.shop.login(rest.email, third))
        self.assertEqual(self.guest().post("/api/auth/login", {"email": rest.email, "password": new}).status, 401)
        self.assertError(self.refresh(first), 401, "UNAUTHENTICATED")

    # ---- tokens ----

    def test_forged_tokens(self):
        buyer = self.buyer()
        header, claims, signature = buyer.token.split(".")
        head, body = part(buyer.token, 0), part(buyer.token, 1)
        flipped = base64.urlsafe_b64decode(signature + "==")
        flipped = b64(bytes([flipped[0] ^ 1]) + flipped[1:])
        public = self.guest().get("/.well-known/jwks.json")["keys"][0]
        confused = f"{b64({**head, 'alg': 'HS256'})}.{claims}"
        mac = b64(hmac.new(base64.urlsafe_b64decode(public["x"] + "=="), confused.encode(), hashlib.sha256).digest())
        for name, token in {
            "no signature": f"{header}.{claims}.",
            "alg none": f"{b64({**head, 'alg': 'none'})}.{claims}.",
            "alg none, old signature": f"{b64({**head, 'alg': 'none'})}.{claims}.{signature}",
            "signature flipped": f"{header}.{claims}.{flipped}",
            "HS256 with the public key": f"{confused}.{mac}",
            "longer life": f"{header}.{b64({**body, 'exp': body['exp'] + 86400})}.{signature}",
            "another audience": f"{header}.{b64({**body, 'aud': 'admin'})}.{signature}",
            "unknown key": f"{b64({**head, 'kid': 'nobody'})}.{claims}.{signature}",
            "own key inside": f"{b64({**head, 'jwk': public})}.{claims}.{signature}",
            "padding": f"{header}.{claims}.{signature}=",
            "four parts": f"{buyer.token}.x",
            "nothing": "x",
            "long": "a" * 6000,
        }.items():
            with self.subTest(token=name):
                caller = self.guest()
                caller.token = token
                reply = caller.get("/api/users/me")
                self.assertError(reply, 401, "UNAUTHENTICATED")
                self.assertTrue(reply.header("WWW-Authenticate").startswith("Bearer"))
        self.assertError(self.guest().get("/api/users/me", headers={"Authorization": "Basic eDp5"}), 401)
        self.assertError(self.guest().get("/api/users/me"), 401, "UNAUTHENTICATED")
        # A bad token is refused also where none is needed.
        bad = self.guest()
        bad.token = f"{header}.{claims}.{flipped}"
        self.assertError(bad.get("/api/cart"), 401)
        buyer.get("/api/users/me", expect=200)

    def test_truly_signed_and_still_refused(self):
        """Signed with the shop's own key: expired, not yet valid, of another issuer or type, of no session."""
        buyer = self.buyer()
        folder = os.path.join(self.run_dir, "keys")
        head, body = part(buyer.token, 0), part(buyer.token, 1)
        pem = os.path.join(folder, f"signing-{head['kid']}.pem")

        def signed(header, claims):
            text = f"{b64(header)}.{b64(claims)}"
            with tempfile.NamedTemporaryFile() as f:
                f.write(text.encode())
                f.flush()
                done = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", pem, "-in", f.name],
                                      capture_output=True, timeout=20, check=True)
            return f"{text}.{b64(done.stdout)}"

        def status(header, claims):
            caller = self.guest()
            caller.token = signed(header, claims)
            return caller.get("/api/users/me")

        self.assertEqual(status(head, body).status, 200)  # the way of signing is right
        now = body["iat"]
        for name, header, claims in (
                ("expired", head, {**body, "iat": now - 2000, "nbf": now - 2000, "exp": now - 1000}),
                ("not yet", head, {**body, "nbf": now + 3600, "exp": now + 4000}),
                ("another issuer", head, {**body, "iss": "somebody"}), ("no issuer", head, without(body, "iss")),
                ("no end", head, without(body, "exp")), ("no subject", head, without(body, "sub")),
                ("no audience", head, without(body, "aud")), ("text as end", head, {**body, "exp": "tomorrow"}),
                ("another type", {**head, "typ": "JWT"} if head.get("typ") != "JWT" else {**head, "typ": "x"}, body),
                ("critical extension", {**head, "crit": ["x"], "x": 1}, body)):
            with self.subTest(token=name):
                self.assertError(status(header, claims), 401, "UNAUTHENTICATED")

    def test_shoppers_are_refused_elsewhere(self):
        buyer = self.buyer()
        for method, path in (("GET", "/api/vendor/products"), ("GET", "/api/vendor/inventory"),
                             ("GET", "/api/vendor/profile"), ("GET", "/api/admin/vendors"), ("GET", "/api/admin/users"),
                             ("POST", "/api/admin/categories"), ("GET", "/api/admin/services/cart/audit"),
                             ("GET", "/api/vendor/inventory/no-such-sku")):
            reply = buyer.call(method, path, {} if method == "POST" else None)
            self.assertError(reply, 403, "FORBIDDEN")
            self.assertError(self.guest().call(method, path, {} if method == "POST" else None), 401, "UNAUTHENTICATED")

    def test_sides_do_not_mix(self):
        buyer, vendor, admin = self.buyer(), self.demo_vendor(), self.admin()
        self.assertError(vendor.get("/api/admin/vendors"), 403, "FORBIDDEN")
        self.assertError(admin.get("/api/vendor/products"), 403, "FORBIDDEN")
        for body in ({"audience": "admin"}, {"audience": "vendor"}, {"audience": "vendor", "vendor_id": vendor.vendor_id}):
            reply = self.guest().post("/api/auth/login", {"email": buyer.email, "password": PASSWORD, **body})
            self.assertIn(reply.status, (400, 403), body)
        self.assertError(self.guest().post("/api/auth/login", {"email": buyer.email, "password": PASSWORD,
                                                               "audience": "root"}), 400, "VALIDATION_ERROR", "audience")

    def test_support_has_fewer_rights(self):
        support = self.shop.login(self.demo_user("support")["email"], self.demo["password"], "admin")
        self.assertError(support.post("/api/admin/categories", {"name": self.unique()}), 403, "FORBIDDEN")

    # ---- the own data ----

    def test_profile(self):
        buyer = self.buyer()
        me = buyer.get("/api/users/me", expect=200)
        changed = buyer.patch("/api/users/me", {"name": "Eva Ex\u00e4mple \U0001f9fa", "locale": "de"}, if_match=me.etag,
                              expect=200)
        self.assertEqual(changed["name"], "Eva Ex\u00e4mple \U0001f9fa")
        self.assertNotEqual(changed.etag, me.etag)
        stale = buyer.patch("/api/users/me", {"name": "Late"}, if_match=me.etag)
        self.assertError(stale, 412, "PRECONDITION_FAILED")
        self.assertEqual(buyer.get("/api/users/me")["name"], "Eva Ex\u00e4mple \U0001f9fa")

    def test_addresses(self):
        buyer = self.buyer()
        self.assertEqual(buyer.get("/api/users/me/addresses", expect=200)["data"], [])
        first = buyer.post("/api/users/me/addresses", {**ADDRESS, "is_default": True}, expect=201)
        second = buyer.post("/api/users/me/addresses", {**ADDRESS, "line1": "2 Market Street", "is_default": True},
                            expect=201)
        listed = {a["id"]: a for a in buyer.walk("/api/users/me/addresses", 1)}
        self.assertEqual(set(listed), {first["id"], second["id"]})
        self.assertEqual([a["id"] for a in listed.values() if a.get("is_default")], [second["id"]])
        at = f"/api/users/me/addresses/{second['id']}"
        changed = buyer.patch(at, {"line2": "Floor 3"}, if_match=second.etag, expect=200)
        self.assertEqual((changed["line1"], changed["line2"]), ("2 Market Street", "Floor 3"))
        self.assertError(buyer.patch(at, {"line2": "Floor 4"}, if_match=second.etag), 412, "PRECONDITION_FAILED")
        buyer.delete(at, expect=204)
        self.assertError(buyer.patch(at, {"line2": "x"}), 404, "NOT_FOUND")
        self.assertEqual([a["id"] for a in buyer.walk("/api/users/me/addresses")], [first["id"]])
        for change, field in (({"country": "USA"}, "country"), ({"country": "us"}, "country"), ({"name": ""}, "name"),
                              ({"city": "x" * 1000}, "city"), ({"zip": "1"}, "zip")):
            self.assertError(buyer.post("/api/users/me/addresses", {**ADDRESS, **change}), 400, "VALIDATION_ERROR", field)

    def test_strangers_address_is_404(self):
        mine, theirs = self.buyer(), self.buyer()
        address = theirs.post("/api/users/me/addresses", ADDRESS, expect=201)
        at = f"/api/users/me/addresses/{address['id']}"
        unknown = mine.patch("/api/users/me/addresses/adr_01jd000000000000000000000a", {"city": "X"})
        for reply in (mine.patch(at, {"city": "X"}), mine.delete(at)):
            self.assertError(reply, 404, "NOT_FOUND")
        self.assertEqual(unknown.status, 404)
        self.assertEqual(theirs.get("/api/users/me/addresses")["data"][0]["city"], "Springfield")

    def test_keyed_address_is_made_once(self):
        buyer, key = self.buyer(), self.unique("key")
        one = buyer.post("/api/users/me/addresses", ADDRESS, key=key, expect=201)
        two = buyer.post("/api/users/me/addresses", ADDRESS, key=key, expect=201)
        self.assertEqual(one.json, two.json)
        self.assertEqual((one.header("Idempotent-Replayed"), two.header("Idempotent-Replayed")), (None, "true"))
        self.assertError(buyer.post("/api/users/me/addresses", {**ADDRESS, "city": "Chicago"}, key=key), 422,
                         "IDEMPOTENCY_KEY_REUSED")
        self.assertEqual(len(buyer.get("/api/users/me/addresses")["data"]), 1)
        stranger = self.buyer()
        stranger.post("/api/users/me/addresses", ADDRESS, key=key, expect=201)  # a key is the caller's own
        self.assertEqual(len(stranger.get("/api/users/me/addresses")["data"]), 1)

    def test_erased_account_is_gone(self):
        buyer = self.buyer()
        buyer.post("/api/users/me/addresses", ADDRESS, expect=201)
        buyer.delete("/api/users/me", expect=204)
        until(lambda: buyer.get("/api/users/me").status == 401, 5)
        self.assertRaises(Failed, self.shop.login, buyer.email, PASSWORD)
