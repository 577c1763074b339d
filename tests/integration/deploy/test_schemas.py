"""Roles, schemas and migrations of all daemons in one database: from empty, twice, at once; nobody reaches another's."""

import os
import re
import subprocess
import tempfile
import unittest

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
BUILD = os.environ.get("SOUK_BUILD_DIR", os.path.join(ROOT, "build", "debug"))
ALL = ["identity", "catalog", "inventory", "cart", "checkout", "search", "reco", "notify"]
BUILT = [d for d in ALL if os.path.exists(os.path.join(BUILD, f"souk-{d}"))]


def psql(dsn, sql, ok=True):
    done = subprocess.run(["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", dsn], input=sql, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if ok and done.returncode:
        raise AssertionError(f"{sql}\n{done.stderr}")
    return done.stdout.strip() if ok else (done.returncode, done.stderr)


@unittest.skipUnless(os.environ.get("TEST_PG_ADMIN"), "TEST_PG_ADMIN names no server")
class Schemas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.admin = os.environ["TEST_PG_ADMIN"]
        cls.db = f"souk_schemas_{os.getpid()}"
        psql(cls.admin, f"DROP DATABASE IF EXISTS {cls.db}")
        psql(cls.admin, f"CREATE DATABASE {cls.db}")
        cls.addClassCleanup(psql, cls.admin, f"DROP DATABASE {cls.db} WITH (FORCE)")
        cls.owner = cls.dsn(None)
        for daemon in ALL:
            cls.roles(daemon)
        cls.keys = tempfile.TemporaryDirectory(prefix="souk-keys.")
        cls.addClassCleanup(cls.keys.cleanup)
        subprocess.run([os.path.join(BUILD, "soukctl"), "keys", "init", "--dir", cls.keys.name], check=True)
        for daemon in BUILT:
            done = cls.migrate(daemon)
            if done.returncode:
                raise AssertionError(f"souk-{daemon} --migrate: {done.stderr}")

    @classmethod
    def dsn(cls, user):
        text = re.sub(r"dbname=\S+", f"dbname={cls.db}", cls.admin)
        return re.sub(r"user=\S+", f"user={user}", text) if user else text

    @classmethod
    def roles(cls, daemon):
        # Roles belong to the cluster, and another test may be at them.
        for _ in range(5):
            done = subprocess.run(["psql", "-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-v", f"d={daemon}",
                                   "-f", os.path.join(ROOT, "deploy", "postgres", "roles.sql"), cls.owner],
                                  stderr=subprocess.PIPE, text=True)
            if not done.returncode:
                return
            if "concurrently" not in done.stderr and "already exists" not in done.stderr:
                break
        raise AssertionError(done.stderr)

    @classmethod
    def env(cls, daemon):
        up = daemon.upper()
        return {"PATH": os.environ["PATH"], f"{up}_PG_DSN": cls.dsn(f"souk_{daemon}"),
                f"{up}_PG_MIGRATE_DSN": cls.dsn("souk_migrate"), "SOUK_KEYS_DIR": cls.keys.name,
                "CHECKOUT_PAY_KEY": "sk_test_x", "CHECKOUT_PAY_WEBHOOK_SECRETS": "whsec_x",
                **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}

    @classmethod
    def migrate(cls, daemon):
        return subprocess.run([os.path.join(BUILD, f"souk-{daemon}"), "--migrate"], env=cls.env(daemon), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

    def tables(self, daemon):
        return psql(self.owner, f"SELECT relname FROM pg_class WHERE relnamespace = '{daemon}'::regnamespace"
                                " AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1").split()

    def refused(self, daemon, sql, why="permission denied|must be owner|must be member"):
        code, err = psql(self.dsn(f"souk_{daemon}"), f"BEGIN; {sql}; ROLLBACK;", ok=False)
        self.assertNotEqual(code, 0, f"souk_{daemon} may do: {sql}")
        self.assertRegex(err, why, sql)

    def test_every_daemon_has_tables(self):
        self.assertTrue(BUILT)
        for daemon in BUILT:
            self.assertIn("migration", self.tables(daemon), daemon)

    def test_twice_changes_nothing(self):
        for daemon in BUILT:
            count = f"SELECT count(*), max(applied_at) FROM {daemon}.migration"
            before = psql(self.owner, count)
            self.assertEqual(self.migrate(daemon).returncode, 0)
            self.assertEqual(psql(self.owner, count), before, daemon)

    def test_at_once(self):
        for daemon in BUILT:
            psql(self.owner, f"DROP SCHEMA {daemon} CASCADE")
            self.roles(daemon)
            jobs = [subprocess.Popen([os.path.join(BUILD, f"souk-{daemon}"), "--migrate"], env=self.env(daemon),
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]
            self.assertEqual([job.wait(60) for job in jobs], [0, 0, 0], daemon)

    def test_statements_check(self):
        for daemon in BUILT:
            done = subprocess.run([os.path.join(BUILD, f"souk-{daemon}"), "--check"], env=self.env(daemon), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(done.returncode, 0, f"souk-{daemon} --check: {done.stderr[-600:]}")

    def test_nobody_reaches_another_schema(self):
        for daemon in ALL:
            for other in ALL:
                if other == daemon:
                    continue
                self.refused(daemon, f"CREATE TABLE {other}.intruder (i int)")
                for table in self.tables(other)[:3]:
                    self.refused(daemon, f"SELECT 1 FROM {other}.{table} LIMIT 1")
                self.refused(daemon, f"SET ROLE souk_{other}_owner")

    def test_runtime_role_changes_no_structure(self):
        for daemon in BUILT:
            tables = self.tables(daemon)
            self.refused(daemon, f"CREATE TABLE {daemon}.intruder (i int)")
            self.refused(daemon, "CREATE TABLE public.intruder (i int)")
            self.refused(daemon, f"SET ROLE souk_{daemon}_owner")
            for table in tables:
                self.refused(daemon, f"ALTER TABLE {daemon}.{table} ADD COLUMN intruder int")
                self.refused(daemon, f"ALTER TABLE {daemon}.{table} DISABLE TRIGGER ALL")
                self.refused(daemon, f"DROP TABLE {daemon}.{table}")
                self.refused(daemon, f"TRUNCATE {daemon}.{table}")

    def test_audit_is_append_only(self):
        for daemon in BUILT:
            audit = [t for t in self.tables(daemon) if re.match(r"audit", t)]
            self.assertTrue(audit, f"{daemon} has no audit table")
            for table in audit:
                self.refused(daemon, f"DELETE FROM {daemon}.{table}")
                column = psql(self.owner, f"SELECT attname FROM pg_attribute WHERE attrelid = '{daemon}.{table}'::regclass"
                                          " AND attnum > 0 AND attidentity = '' AND attgenerated = ''"
                                          " ORDER BY attnum LIMIT 1")
                self.refused(daemon, f"UPDATE {daemon}.{table} SET {column} = {column}")

    def test_roles_are_bounded(self):
        for daemon in ALL:
            settings = psql(self.dsn(f"souk_{daemon}"), "SHOW statement_timeout; SHOW lock_timeout;"
                                                        " SHOW idle_in_transaction_session_timeout; SHOW search_path")
            self.assertEqual(settings.splitlines(), ["10s", "3s", "10s", '""'])


if __name__ == "__main__":
    unittest.main()
