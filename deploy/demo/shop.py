"""What a person does with a running shop, as functions over REST: register, sign in, apply as a vendor, buy, pay, read
mail. The demo loader and the end-to-end tests share it."""

import json
import os
import re
import time
import urllib.parse

from rest import Failed, Rest


class Shop:
    """A running platform: its addresses, and callers on it."""

    def __init__(self, url, mail_url, sandbox_url, publishable_key=None, patience=0):
        self.url, self.mail_url, self.sandbox_url = url, mail_url, sandbox_url
        self.publishable_key = publishable_key
        self.patience = patience
        self.mail = Rest(mail_url, timeout=70)
        self.sandbox = Rest(sandbox_url)

    @classmethod
    def of_run_dir(cls, run_dir, patience=0):
        with open(os.path.join(run_dir, "ports.json")) as f:
            found = json.load(f)
        with open(os.path.join(run_dir, "keys", "local.json")) as f:
            keys = json.load(f)
        hosts = found.get("hosts", {})  # in containers each part has a name of its own
        urls = [f"http://{hosts.get(name, '127.0.0.1')}:{found['ports'][name]}" for name in ("http", "mail", "sandbox")]
        return cls(*urls, keys.get("pay_publishable_key"), patience)

    def guest(self):
        return Rest(self.url, patience=self.patience)

    # ---- accounts ----

    def register(self, email, password, name):
        """Registers and follows the link in the mail, as a person would."""
        rest = self.guest()
        since = self.newest_mail(email)
        rest.post("/api/auth/register", {"email": email, "password": password, "name": name}, expect=(200, 201, 202))
        self.verify(email, since)
        return rest

    def verify(self, email, since=None):
        mail = self.wait_mail(email, since=since)
        token = token_of(mail)
        if token:
            self.guest().post("/api/auth/verify-email", {"token": token}, expect=(200, 204))

    def login(self, email, password, audience=None, vendor_id=None):
        """A signed-in caller, or Failed."""
        body = {"email": email, "password": password}
        if audience:
            body["audience"] = audience
        if vendor_id:
            body["vendor_id"] = vendor_id
        rest = self.guest()
        reply = rest.post("/api/auth/login", body, expect=200)
        rest.token = reply["access_token"]
        rest.user_id = reply.get("user_id")
        rest.vendor_id = reply.get("vendor_id")
        return rest

    def account(self, email, password, name):
        """Signs in, registering first when there is no such account yet."""
        try:
            return self.login(email, password)
        except Failed as e:
            if e.reply.status != 401:
                raise
        self.register(email, password, name)
        return self.login(email, password)

    def vendor_login(self, email, password, vendor_id=None, timeout=30):
        """The membership follows the approval by an event, so it may take a moment."""
        return until(lambda: self.login(email, password, "vendor", vendor_id), timeout, (401, 403, 404, 409))

    # ---- mail ----

    def newest_mail(self, to):
        found = self.mail.get("/api/messages?limit=1&to=" + urllib.parse.quote(to), expect=200)["data"]
        return found[0]["id"] if found else ""

    def mails(self, to, subject=None, since=None, count=0, wait_ms=0):
        query = {"to": to, "wait": wait_ms, "count": count}
        query.update({k: v for k, v in (("subject", subject), ("since", since)) if v})
        return self.mail.get("/api/messages?" + urllib.parse.urlencode(query), expect=200)["data"]

    def wait_mail(self, to, subject=None, since=None, seconds=30):
        found = self.mails(to, subject, since, 1, int(seconds * 1000))
        if not found:
            raise TimeoutError(f"no mail to {to} within {seconds} s")
        return found[0]

    # ---- paying, as the browser does it ----

    def pay(self, client_secret, card="pm_card_visa", expect=200):
        intent = client_secret.split("_secret_")[0]
        form = urllib.parse.urlencode({"payment_method": card, "client_secret": client_secret})
        return self.sandbox.call("POST", f"/v1/payment_intents/{intent}/confirm", data=form.encode(), expect=expect,
                                 headers={"Content-Type": "application/x-www-form-urlencoded",
                                          "Authorization": f"Bearer {self.publishable_key}"})


def token_of(mail):
    """The one-time token of a mail's link."""
    for link in mail["links"]:
        match = re.search(r"[?&#/]token=([^&\s]+)", link)
        if match:
            return urllib.parse.unquote(match.group(1))
    match = re.search(r"\b(?:token|code)\s*[:=]\s*(\S+)", mail["text"], re.I)
    return match.group(1) if match else None


def until(function, timeout, statuses=()):
    """Repeats until it returns something; Failed with one of the statuses counts as not yet."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = function()
            if value:
                return value
        except Failed as e:
            if e.reply.status not in statuses or time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise TimeoutError("did not come about in time")
        time.sleep(0.1)
