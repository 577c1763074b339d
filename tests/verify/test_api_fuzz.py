"""A fuzzer made by others reads the OpenAPI document and asks everything in it, as nobody, as a buyer, as a vendor and as
an administrator: no answer may be a 5xx or other than the document says. The fuzzer comes from the Python package
registry; where that does not answer, this is not run. API_FUZZ_SECONDS (60) is the time of each caller."""

# runs alone: it changes everything an administrator may change
import os
import re
import subprocess
import sys
import unittest
import venv

from support.e2e import E2E, ROOT

VERSION = "4.32.5"
PLACE = os.path.join(ROOT, "build", "schemathesis")
SECONDS = os.environ.get("API_FUZZ_SECONDS", "60")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"
# What would end the caller's own session, shut its account, or take its role away.
LEFT_OUT = r"^/api/auth/(logout|password|mfa)|^/api/auth/sessions|^/api/users/me$|/disable$|/sessions|/roles/"


def fuzzer():
    """The program, fetched once; None and why when it cannot be had."""
    program = os.path.join(PLACE, "bin", "schemathesis")
    if os.path.exists(program) and VERSION in subprocess.run([program, "--version"], capture_output=True, text=True).stdout:
        return program, ""
    try:
        venv.create(PLACE, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as e:
        return None, f"no virtual environment (python3-venv): {e}"
    got = subprocess.run([os.path.join(PLACE, "bin", "pip"), "install", "-q", "--timeout", "10", "--retries", "1",
                          f"schemathesis=={VERSION}"], capture_output=True, text=True)
    return (program, "") if got.returncode == 0 else (None, got.stderr.strip().splitlines()[-1][:200])


class ApiFuzz(E2E):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program, why = fuzzer()
        if not cls.program:
            raise unittest.SkipTest(f"not run: the Python package registry gave no API fuzzer: {why}")

    def ask_everything(self, caller):
        argv = [self.program, "run", self.shop.url + "/api/openapi.json", "--url", self.shop.url, "--checks", CHECKS,
                "--phases", "coverage,fuzzing", "--exclude-path-regex", LEFT_OUT, "--max-time", SECONDS,
                "--workers", "2", "--continue-on-failure", "--suppress-health-check", "all", "--request-timeout", "30",
                "--warnings", "off", "--no-color"]
        if caller:
            argv += ["--header", f"Authorization: Bearer {caller.token}"]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=os.path.join(ROOT, "build"))
        tried = re.search(r"(\d+) generated", done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])
        self.assertTrue(tried and int(tried.group(1)) > 300, done.stdout[-3000:])
        print(f"# {tried.group(1)} requests", file=sys.stderr, flush=True)

    def test_every_kind_of_caller(self):
        # All sign in first: an administrator may shut others out.
        callers = {"nobody": None, "buyer": self.buyer(), "vendor": self.new_vendor(), "administrator": self.admin()}
        for who, caller in callers.items():
            with self.subTest(caller=who):
                self.ask_everything(caller)


if __name__ == "__main__":
    unittest.main()
