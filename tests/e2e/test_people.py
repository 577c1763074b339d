"""People over time: another e-mail address, what they agreed to, invitations into a team, sessions."""

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
