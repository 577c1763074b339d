"""People over time: another e-mail address, what they agreed to, invitations into a team, sessions."""

import base64
import hashlib
import hmac
import time

from support.e2e import PASSWORD, token_of, until
from support.goods import Goods


class Address(Goods):
    def test_another_address(self):
        buyer, fresh = self.buyer(), self.email()
        self.assertError(buyer.post("/api/users/me/email", {"email": fresh, "password": "wrong password"}), 401)
        self.assertError(buyer.post("/api/users/me/email", {"email": fresh}), 400, "VALIDATION_ERROR", "password")
        self.assertError(self.guest().post("/api/users/me/email", {"email": fresh, "password": PASSWORD}), 401)
        buyer.post("/api/users/me/email", {"email": fresh, "password": PASSWORD}, expect=202)
        self.assertEqual(buyer.get("/api/users/me", expect=200)["email"], buyer.email)  # until it is confirmed
        token = token_of(self.shop.wait_mail(fresh))
        self.guest().post("/api/auth/verify-email", {"token": token}, expect=200)
        self.assertError(self.guest().post("/api/auth/verify-email", {"token": token}), 410, "GONE")
        self.assertEqual(buyer.get("/api/users/me", expect=200)["email"], fresh)
        self.shop.wait_mail(buyer.email, "another e-mail address")
        self.shop.login(fresh, PASSWORD)
        self.assertError(self.guest().post("/api/auth/login", {"email": buyer.email, "password": PASSWORD}), 401)
        log = self.admin().get(f"/api/admin/services/identity/audit?table=account&row_id={buyer.get('/api/users/me')['id']}")
        self.assertNotIn(fresh, log.text)

    def test_address_of_another(self):
        buyer, other = self.buyer(), self.buyer()
        self.assertEqual(buyer.post("/api/users/me/email", {"email": other.email, "password": PASSWORD}, expect=202).json,
                         {"status": "accepted"})
        self.shop.wait_mail(other.email, "security")
        self.assertFalse(self.shop.mails(buyer.email, "another e-mail"))


class Consents(Goods):
    def test_given_and_taken_back(self):
        buyer = self.buyer()
        at = "/api/users/me/consents"
        self.assertEqual(buyer.get(at, expect=200)["data"], [])
        buyer.put(at + "/marketing", {"granted": True, "version": "2026-01"}, expect=200)
        buyer.put(at + "/terms", {"granted": True, "version": "2026-01"}, expect=200)
        buyer.put(at + "/marketing", {"granted": False, "version": "2026-01"}, expect=200)
        now = {c["purpose"]: c["granted"] for c in buyer.get(at, expect=200)["data"]}
        self.assertEqual(now, {"marketing": False, "terms": True})
        self.assertEqual(len(buyer.post("/api/users/me/export", expect=200)["consents"]), 3)
        self.assertError(buyer.put(at + "/everything", {"granted": True, "version": "1"}), 400, "VALIDATION_ERROR", "purpose")
        self.assertError(buyer.put(at + "/terms", {"version": "1"}), 400, "VALIDATION_ERROR", "granted")
        self.assertError(self.guest().get(at), 401)


class Team(Goods):
    def test_invited_person_joins(self):
        owner, fresh = self.new_vendor(), self.email()
        made = owner.post("/api/vendor/invitations", {"email": fresh, "role": "vendor_staff"}, key=True, expect=201)
        self.assertEqual((made["status"], made["email"], made["role"]), ("open", fresh, "vendor_staff"))
        mail = self.shop.wait_mail(fresh)
        token = token_of(mail)
        stranger = self.buyer()
        at = "/api/users/me/invitations/accept"
        self.assertError(stranger.post(at, {"token": token}), 403)
        self.assertError(stranger.post(at, {"token": "x" * 43}), 410, "GONE")
        self.shop.register(fresh, PASSWORD, "Eve Example")
        hand = self.shop.login(fresh, PASSWORD)
        joined = hand.post(at, {"token": token}, expect=200)
        self.assertEqual((joined["vendor_id"], joined["role"]), (owner.vendor_id, "vendor_staff"))
        staff = self.shop.vendor_login(fresh, PASSWORD, owner.vendor_id)
        staff.get("/api/vendor/products", expect=200)
        self.assertError(staff.get("/api/vendor/invitations"), 403)
        self.assertError(hand.post(at, {"token": token}), 410)
        self.assertEqual([i["status"] for i in owner.walk("/api/vendor/invitations")], ["accepted"])

    def test_roles_change_and_end(self):
        owner, hand = self.new_vendor(), self.buyer()
        at = f"/api/vendor/members/{hand.user_id}"
        owner.post("/api/vendor/members", {"email": hand.email, "role": "vendor_staff"}, expect=201)
        staff = self.shop.vendor_login(hand.email, PASSWORD, owner.vendor_id)
        self.assertError(staff.get("/api/vendor/members"), 403)
        self.assertEqual(owner.patch(at, {"role": "vendor_manager"}, expect=200)["role"], "vendor_manager")
        self.assertError(owner.patch(at, {"role": "emperor"}), 400, "VALIDATION_ERROR", "role")
        self.assertError(self.vendor().patch(at, {"role": "vendor_staff"}), 404)
        self.assertEqual({m["user_id"]: m["role"] for m in owner.walk("/api/vendor/members")},
                         {owner.user_id: "vendor_owner", hand.user_id: "vendor_manager"})
        self.assertError(owner.delete(f"/api/vendor/members/{owner.user_id}"), 409)  # a vendor is somebody's
        owner.delete(at, expect=204)
        self.assertError(owner.delete(at), 404)
        until(lambda: staff.get("/api/vendor/products").status in (401, 403), 10)
        self.shop.login(hand.email, PASSWORD)  # still a buyer

    def test_taken_back(self):
        owner, rival, fresh = self.new_vendor(), self.vendor(), self.email()
        made = owner.post("/api/vendor/invitations", {"email": fresh, "role": "vendor_manager"}, expect=201)
        at = f"/api/vendor/invitations/{made['id']}"
        self.assertError(rival.delete(at), 404)
        owner.delete(at, expect=204)
        self.assertError(owner.delete(at), 410)
        self.assertError(owner.post("/api/vendor/invitations", {"email": owner.email, "role": "vendor_staff"}), 409,
                         "MEMBER_EXISTS")
        self.assertError(owner.post("/api/vendor/invitations", {"email": fresh, "role": "administrator"}), 400,
                         "VALIDATION_ERROR", "role")


class Sessions(Goods):
    def test_the_oldest_ends(self):
        buyer = self.buyer()
        for _ in range(20):
            last = self.shop.login(buyer.email, PASSWORD)
        self.assertEqual(len(list(last.walk("/api/auth/sessions"))), 20)
        until(lambda: buyer.get("/api/users/me").status == 401, 10)
        last.get("/api/users/me", expect=200)


def totp(secret, at):
    """RFC 6238 with the usual values: SHA-1, 30 s, six digits."""
    mac = hmac.new(base64.b32decode(secret + "=" * (-len(secret) % 8)), int(at // 30).to_bytes(8, "big"), hashlib.sha1).digest()
    cut = int.from_bytes(mac[mac[-1] & 15:][:4], "big") & 0x7FFFFFFF
    return f"{cut % 1000000:06d}"


class SecondFactor(Goods):
    def challenge(self, email):
        reply = self.guest().post("/api/auth/login", {"email": email, "password": PASSWORD}, expect=200)
        self.assertTrue(reply["mfa_required"])
        self.assertNotIn("access_token", reply.json)
        return reply["mfa_token"]

    def test_enrolled_used_and_left(self):
        buyer, guest = self.buyer(), self.guest()
        self.assertError(buyer.post("/api/auth/mfa/enroll", {"password": "wrong password"}), 401)
        secret = buyer.post("/api/auth/mfa/enroll", {"password": PASSWORD}, expect=200)["secret"]
        self.assertEqual(self.shop.login(buyer.email, PASSWORD).get("/api/users/me")["mfa_enabled"], False)  # not yet
        self.assertEqual(buyer.post("/api/auth/mfa/activate", {"code": "000000"}).status, 401)
        now = time.time()
        codes = buyer.post("/api/auth/mfa/activate", {"code": totp(secret, now)}, expect=200)["codes"]
        self.assertEqual(len(set(codes)), 10)
        token = self.challenge(buyer.email)
        self.assertError(guest.post("/api/auth/mfa/challenge", {"mfa_token": token, "code": totp(secret, now)}), 401)  # used
        fresh = guest.post("/api/auth/mfa/challenge", {"mfa_token": token, "code": totp(secret, now + 30)}, expect=200)
        again = self.guest()
        again.token = fresh["access_token"]
        self.assertEqual(again.get("/api/users/me", expect=200)["mfa_enabled"], True)
        by_code = guest.post("/api/auth/mfa/challenge", {"mfa_token": self.challenge(buyer.email), "recovery_code": codes[0]},
                             expect=200)
        self.assertTrue(by_code["access_token"])
        self.assertError(guest.post("/api/auth/mfa/challenge", {"mfa_token": self.challenge(buyer.email),
                                                                "recovery_code": codes[0]}), 401)  # once
        self.assertError(again.post("/api/auth/mfa/disable", {"password": PASSWORD}), 400)
        again.post("/api/auth/mfa/disable", {"password": PASSWORD, "recovery_code": codes[1]}, expect=204)
        self.shop.login(buyer.email, PASSWORD)

    def test_recovery_codes_are_made_anew(self):
        buyer = self.buyer()
        secret = buyer.post("/api/auth/mfa/enroll", {"password": PASSWORD}, expect=200)["secret"]
        now = time.time()
        old = buyer.post("/api/auth/mfa/activate", {"code": totp(secret, now)}, expect=200)["codes"]
        fresh = buyer.post("/api/auth/mfa/recovery-codes", {"password": PASSWORD, "code": totp(secret, now + 30)}, expect=200)["codes"]
        self.assertFalse(set(old) & set(fresh))
        self.assertError(self.guest().post("/api/auth/mfa/challenge", {"mfa_token": self.challenge(buyer.email),
                                                                       "recovery_code": old[0]}), 401)


class Verification(Goods):
    def test_another_link(self):
        email, guest = self.email(), self.guest()
        guest.post("/api/auth/register", {"email": email, "password": PASSWORD, "name": "Eve Example"}, expect=202)
        self.shop.wait_mail(email)
        newest = self.shop.newest_mail(email)
        self.assertError(guest.post("/api/auth/verify-email/resend"), 401)
        caller = self.shop.login(email, PASSWORD)
        self.assertEqual(caller.get("/api/users/me", expect=200)["email_verified"], False)
        self.assertEqual(caller.post("/api/auth/verify-email/resend", expect=202).json, {"status": "accepted"})
        token = token_of(self.shop.wait_mail(email, since=newest))
        self.assertEqual(guest.post("/api/auth/verify-email", {"token": token}, expect=200)["email_verified"], True)
