"""Each source gate sees what it is there for: a copy of the tree, one planted fault at a time."""

import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))

# gate, file to write, its text, what must be said
PLANTED = [
    ("banned", "services/cart/x.c", "void f(char *a, const char *b);\nvoid f(char *a, const char *b)\n{\n\tstrcpy(a, b);\n}\n",
     "services/cart/x.c:4: strcpy() is banned"),
    ("includes", "services/cart/x.c", "#include <nng/nng.h>\n", "nng is included only by"),
    ("includes", "services/cart/x.c", '#include "services/identity/identity.h"\n', "includes another daemon's file"),
    ("includes", "services/cart/x.c", '#include "notify.pb-c.h"\n', "cart may not call notify"),
    ("includes", "common/x.c", '#include "cart.pb-c.h"\n', "only the generated envelopes"),
    ("sql", "services/cart/x.c", 'static const char *s = "SELECT id FROM cart.cart WHERE id = $1";\n', "SQL outside"),
    ("sqlshape", "services/cart/cart_db_x.c", 'static const char *s = "SELECT id FROM cart.cart";\n',
     "without WHERE or LIMIT"),
    ("sqlshape", "services/cart/cart_db_x.c", 'static const char *s = "DELETE FROM cart WHERE id = $1";\n',
     "cart is not schema-qualified"),
    ("sqlshape", "services/cart/cart_db_x.c", 'static const char *s = "DELETE FROM cart.cart WHERE id = \'%s\'";\n',
     "pasted into a statement"),
    ("money", "services/cart/x.c", '#include "common/money.h"\nlong f(struct money t)\n{\n\treturn t.minor;\n}\n',
     "fields of struct money"),
    ("float", "services/cart/x.c", "static double price;\n", "double near money"),
    ("proof", "tests/integration/checkout/test_x.c", "static void s5_another(void **state)\n{\n}\n",
     "s5_another is only in the tests, not in S5"),
    ("errors", "services/cart/x.c", 'int f(struct err *e)\n{\n\treturn err_set(e, E_RULE, "cart.never_heard_of", "x");\n}\n',
     "slug cart.never_heard_of is not in common/errors.def"),
    ("callgraph", "services/cart/x.c", 'int r = rpc_client_open("cart", "notify", u, 1, k, &c, &e);\n',
     "cart may not call notify"),
    ("proto", "proto/probe.proto", 'syntax = "proto2";\npackage probe.v1;\nmessage A { optional B b = 1; }\n'
                                   "message B { optional A a = 1; }\n", "probe.v1.A contains itself"),
    ("proto", "proto/probe.proto", 'syntax = "proto2";\npackage probe.v1;\nenum E { E_ONE = 0; }\n', "UNSPECIFIED"),
    ("proto", "proto/probe.proto", 'syntax = "proto2";\npackage probe.v1;\nmessage A { required string s = 1; }\n',
     "probe.v1.A.s is required"),
    ("paths", "docs/x.md", "see /home" + "/somebody/souk\n", "a machine's path"),
    ("tests", "tests/unit/cart/cart_x.c", "int main(void) { return 0; }\n", "expected tests/unit/<part>/test_<noun>.c"),
    ("tests", "tests/unit/cart/test_x.c", "int main(void) { return 0; }\n", "runs no group of tests"),
    ("tests", "tests/misc/test_x.py", "", "a folder of tests/ that no runner knows"),
    ("scripts", "deploy/x.sh", "if then\n", "deploy/x.sh"),
]


class Gates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = tempfile.mkdtemp(prefix="souk-gates.")
        cls.addClassCleanup(shutil.rmtree, cls.tree)
        for name in ("proto", "common", "services", "gateway", "tests/lint", "tests/support", "tests/golden", "tests/integration",
                     "docs", "deploy"):
            if os.path.isdir(os.path.join(ROOT, name)):
                shutil.copytree(os.path.join(ROOT, name), os.path.join(cls.tree, name),
                                ignore=shutil.ignore_patterns("__pycache__"))

    def gate(self, *names):
        return subprocess.run(["/usr/bin/python3", os.path.join(self.tree, "tests", "lint", "gates.py"), *names],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)

    def plant(self, path, text):
        full = os.path.join(self.tree, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        before = open(full).read() if os.path.exists(full) else None
        with open(full, "w") as f:
            f.write(text)
        if before is None:
            self.addCleanup(os.unlink, full)
        else:
            def restore():
                with open(full, "w") as f:
                    f.write(before)
            self.addCleanup(restore)

    def test_planted(self):
        for gate, path, text, said in PLANTED:
            with self.subTest(gate=gate, said=said):
                self.plant(path, text)
                try:
                    done = self.gate(gate)
                    self.assertEqual(done.returncode, 1, done.stdout)
                    self.assertIn(said, done.stdout)
                finally:
                    self.doCleanups()

    def test_comments_and_strings_are_not_code(self):
        self.plant("services/cart/x.c", '/* strcpy(a, b) */\nstatic const char *s = "strcpy(a, b)";\n// gets(x)\n')
        self.assertNotIn("services/cart/x.c", self.gate("banned").stdout)

    def test_changed_migration(self):
        golden = os.path.join(self.tree, "tests", "golden", "migrations.sha256")
        self.plant("services/cart/migrations/0001_probe.sql", "SELECT 1;\n")
        for folder in os.listdir(os.path.join(self.tree, "services", "cart", "migrations")):
            if folder.startswith("0001_") and folder != "0001_probe.sql":
                os.rename(os.path.join(self.tree, "services", "cart", "migrations", folder),
                          os.path.join(self.tree, "cart.sql"))
        if os.path.exists(golden):
            os.unlink(golden)
        self.assertEqual(self.gate("--golden").returncode, 0)
        self.assertEqual(self.gate("migrations").returncode, 0, self.gate("migrations").stdout)
        with open(os.path.join(self.tree, "services", "cart", "migrations", "0001_probe.sql"), "a") as f:
            f.write("-- changed\n")
        self.assertIn("a migration was changed", self.gate("migrations").stdout)
        self.assertNotEqual(self.gate("--golden").returncode, 0)

    def test_breaking_contract(self):
        check = os.path.join(self.tree, "tests", "support", "proto_compat.py")
        env = dict(os.environ, SOUK_UNRELEASED="1")
        self.plant("proto/probe.proto", 'syntax = "proto2";\npackage probe.v1;\n'
                                        "message A { optional string s = 1; optional int32 i = 2; }\n"
                                        "enum E { E_UNSPECIFIED = 0; E_ONE = 1; }\n")
        subprocess.run(["/usr/bin/python3", check, "--update"], env=env, check=True)
        breaking = [
            ("message A { optional string s = 1; } enum E { E_UNSPECIFIED = 0; E_ONE = 1; }",
             "i was removed and its name is not reserved"),
            ("message A { optional string s = 1; optional int64 i = 2; } enum E { E_UNSPECIFIED = 0; E_ONE = 1; }",
             "i changed its type"),
            ("message A { optional string s = 1; optional int32 i = 3; } enum E { E_UNSPECIFIED = 0; E_ONE = 1; }",
             "i = 2 was removed"),
            ("message A { repeated string s = 1; optional int32 i = 2; } enum E { E_UNSPECIFIED = 0; E_ONE = 1; }",
             "between one and many"),
            ("message A { optional string s = 1; optional int32 i = 2; } enum E { E_UNSPECIFIED = 0; E_ONE = 2; }",
             "E_ONE was 1 and is 2"),
            ("enum E { E_UNSPECIFIED = 0; E_ONE = 1; }", "message probe.v1.A was removed"),
        ]
        for text, said in breaking:
            with self.subTest(said=said):
                self.plant("proto/probe.proto", 'syntax = "proto2";\npackage probe.v1;\n' + text + "\n")
                done = subprocess.run(["/usr/bin/python3", check], stdout=subprocess.PIPE, text=True)
                self.assertEqual(done.returncode, 1)
                self.assertIn(said, done.stdout)
        self.plant("proto/probe.proto", 'syntax = "proto2";\npackage probe.v1;\n'
                                        "message A { optional string s = 1; reserved 2; reserved \"i\";"
                                        " optional int32 j = 3; }\n"
                                        "enum E { E_UNSPECIFIED = 0; E_ONE = 1; E_TWO = 2; }\n")
        done = subprocess.run(["/usr/bin/python3", check], stdout=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
