"""The tour that `up` prints works when pasted."""

import os
import subprocess
import sys
import unittest

from support.e2e import E2E, ROOT

sys.path.insert(0, os.path.join(ROOT, "deploy", "local"))


class Tour(E2E):
    def test_pasted(self):
        with open(os.path.join(ROOT, "deploy", "local", "tour.sh"), encoding="utf-8") as f:
            text = f.read()
        text = text.replace("@URL@", self.shop.url).replace("@SANDBOX@", self.shop.sandbox_url)
        text = text.replace("@MAIL@", self.shop.mail_url)
        # On standard input, as a paste arrives.
        done = subprocess.run(["bash"], input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        lines = done.stdout.split("\n")
        self.assertEqual(lines[0], "requires_capture", done.stdout + done.stderr)
        self.assertRegex(lines[1], r"^\d{4}-\d{7}$")
        self.assertIn(lines[1], lines[2])
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
