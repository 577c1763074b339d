"""The job that makes the secrets of docker-compose.yml: each program gets what it reads, once, and nothing of another's."""

import os
import subprocess
import tempfile
import unittest

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
BUILD = os.path.abspath(os.environ.get("SOUK_BUILD_DIR", os.path.join(ROOT, "build", "debug")))
DAEMONS = ["identity", "catalog", "inventory", "cart", "checkout", "search", "reco", "notify"]
PAY = {"pay_secret_key", "pay_publishable_key", "pay_webhook_secret"}
STORE = {"store_access_key", "store_secret_key"}
MORE = {"identity": {"keys/index.key", "keys/signing"}, "catalog": STORE, "checkout": {"keys/index.key", *PAY}}


def own(daemon):
    pairs = {f"keys/pair-{a}-{b}.key" for a in ["gateway", *DAEMONS] for b in DAEMONS if daemon in (a, b)}
    return {"keys/cursor.key", f"keys/data-{daemon}.key", f"{daemon}.dsn", *pairs, *MORE.get(daemon, ())}


class Secrets(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="souk-secrets.")
        self.addCleanup(folder.cleanup)
        self.init = folder.name
        for name in ("app", "pg", "pooler", "edge"):
            os.mkdir(os.path.join(self.init, name))

    def make(self):
        env = {"PATH": BUILD + os.pathsep + os.environ["PATH"], "INIT_DIR": self.init}
        env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        done = subprocess.run(["sh", os.path.join(ROOT, "deploy", "container", "secrets.sh")], env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout)

    def files(self, reader):
        """{name: content} of a reader's folder; the name of a token key has the day in it."""
        top = os.path.join(self.init, reader)
        found = {}
        for folder, _, names in os.walk(top):
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    path = os.path.relpath(os.path.join(folder, name), top)
                    found["keys/signing" if path.startswith("keys/signing-") else path] = f.read()
        return found

    def test_each_reader_has_its_own_and_no_more(self):
        self.make()
        for daemon in DAEMONS:
            self.assertEqual(set(self.files(daemon)), own(daemon), daemon)
        self.assertEqual(set(self.files("gateway")), {f"keys/pair-gateway-{d}.key" for d in DAEMONS})
        self.assertEqual(set(self.files("migrate")), {"migrate.dsn", "unused", "keys/cursor.key"})
        self.assertEqual(set(self.files("demo")), own("identity") | {"pay_publishable_key"})
        self.assertEqual(set(self.files("sandbox")), PAY)
        self.assertEqual(set(self.files("store")), STORE)
        self.assertEqual(set(self.files("load")), {"pay_publishable_key"})
        # What has the same name in two places is another key, unless both have to know it.
        cursors = [self.files(d)["keys/cursor.key"] for d in DAEMONS]
        self.assertEqual(len(set(cursors)), len(DAEMONS))
        pair = "keys/pair-cart-catalog.key"
        self.assertEqual(self.files("cart")[pair], self.files("catalog")[pair])
        for name in DAEMONS + ["gateway", "migrate", "demo", "sandbox", "store", "load"]:
            self.assertEqual(os.stat(os.path.join(self.init, name)).st_mode & 0o077, 0, name)

    def test_what_is_there_stays_and_what_is_withdrawn_goes(self):
        self.make()
        before = {name: self.files(name) for name in os.listdir(self.init)}
        self.make()
        self.assertEqual({name: self.files(name) for name in os.listdir(self.init)}, before)
        changed = os.path.join(self.init, "app", "keys", "pair-cart-catalog.key")
        with open(changed, "w", encoding="ascii") as f:
            f.write("5" * 64)
        keys = os.path.join(self.init, "identity", "keys")
        with open(os.path.join(keys, "signing-retired.pem"), "w", encoding="ascii") as f:
            f.write("was withdrawn from the originals")
        self.make()
        self.assertEqual(self.files("cart")["keys/pair-cart-catalog.key"], b"5" * 64)
        self.assertEqual(self.files("catalog")["keys/pair-cart-catalog.key"], b"5" * 64)
        self.assertEqual(len([n for n in os.listdir(keys) if n.startswith("signing-")]), 1)


if __name__ == "__main__":
    unittest.main()
