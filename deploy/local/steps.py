"""The steps between "PostgreSQL answers" and "daemons may start": cluster, roles, keys, migrations."""

import os
import signal
import subprocess
import time

from processes import DAEMON_NAMES
from settings import Problem, say
from supervisor import shorten


def make_cluster(s):
    """initdb once; into a folder that gets its name only when it is complete."""
    if os.path.exists(os.path.join(s.pg_data, "PG_VERSION")):
        with open(os.path.join(s.pg_data, "PG_VERSION")) as f:
            version = f.read().strip()
        if version != os.path.basename(os.path.dirname(s.pg_bin)):
            s.pg_bin = f"/usr/lib/postgresql/{version}/bin"
            if not os.path.exists(os.path.join(s.pg_bin, "postgres")):
                raise Problem(f"the data in {s.pg_data} is of PostgreSQL {version}, which is not installed")
        return False
    fresh = s.pg_data + ".new"
    as_user = {"user": s.pg_user, "group": s.pg_user, "extra_groups": []} if s.pg_user else {}
    subprocess.run(["rm", "-rf", fresh], check=False)
    done = subprocess.run([os.path.join(s.pg_bin, "initdb"), "-D", fresh, "-U", "postgres", "-E", "UTF8",
                           "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=reject", "-N"],
                          cwd="/", env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **as_user)
    if done.returncode:
        lines = [x for x in done.stdout.splitlines() if "error" in x.lower() or "could not" in x] or ["?"]
        raise Problem(f"PostgreSQL cluster cannot be made in {s.pg_data}: {lines[0].strip()}")
    with open(os.path.join(fresh, "postgresql.conf"), "a") as f:
        f.write("\n# Souk's private cluster: Unix socket only\n"
                "max_connections = 300\n"
                f"shared_buffers = {os.environ.get('PG_SHARED_BUFFERS', '128MB')}\n"
                "max_wal_size = 2GB\n"
                "wal_compression = lz4\n"
                # Solid state: an index is worth its while, also while statistics know of no rows.
                "random_page_cost = 1.1\n"
                "timezone = 'UTC'\n"
                "log_timezone = 'UTC'\n"
                "log_line_prefix = '%m [%p] %u '\n"
                "log_min_duration_statement = 1000\n"
                "idle_in_transaction_session_timeout = '60s'\n")
    if not s.fast_pg:
        subprocess.run(["sync", "-f", fresh], check=False)
    os.rename(fresh, s.pg_data)
    return True


def pg_clear(s):
    """
    Takes away what a killed server left. Its postmaster.pid names a process that may be any other by now, and would
    keep PostgreSQL from starting; one that is still a server of this cluster (its supervisor was killed) is ended first.
    """
    path = os.path.join(s.pg_data, "postmaster.pid")
    try:
        with open(path) as f:
            pid = int(f.readline())
    except (OSError, ValueError):
        return
    deadline = time.monotonic() + 60
    told = False
    while serves(pid, s.pg_data) and time.monotonic() < deadline:
        if not told:
            os.kill(pid, signal.SIGINT)
            told = True
        time.sleep(0.02)
    if not serves(pid, s.pg_data) and os.path.exists(path):
        os.unlink(path)


def serves(pid, data):
    """Whether that process is a server of the cluster: PostgreSQL works in its data folder."""
    try:
        return os.path.realpath(f"/proc/{pid}/cwd") == os.path.realpath(data)
    except OSError:
        return False


def pg_ready(s):
    probe = os.path.join(s.pg_bin, "pg_isready")
    return subprocess.run([probe, "-q", "-h", s.socket_dir, "-p", str(s.pg_port), "-U", "postgres", "-t", "2"],
                          stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def redis_ready(s):
    done = subprocess.run(["redis-cli", "-s", s.redis_socket, "ping"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.strip() == b"PONG"


def psql(s, sup, database, script):
    """(exit code, what it said) of a script run as the cluster's owner."""
    argv = [os.path.join(s.pg_bin, "psql"), "-X", "-q", "-o", "/dev/null", "-h", s.socket_dir, "-p", str(s.pg_port),
            "-U", "postgres", "-d", database]
    return command(sup, argv, {}, stdin=script)


def make_roles(s, sup):
    """Database, and one schema with its roles per daemon."""
    script = ["\\set ON_ERROR_STOP 1",
              "SELECT 'CREATE DATABASE souk' WHERE NOT EXISTS "
              "(SELECT FROM pg_database WHERE datname = 'souk') \\gexec",
              "\\c souk"]
    sql = os.path.join(s.root, "deploy", "postgres", "roles.sql").replace("'", "''").replace("\\", "\\\\")
    for name in DAEMON_NAMES:
        script += [f"\\set d {name}", f"\\i '{sql}'"]
    code, out = psql(s, sup, "postgres", "\n".join(script) + "\n")
    if code:
        raise Problem("roles cannot be made: " + shorten(last_line(out), 300))


def analyze(s, sup):
    """
    PostgreSQL would learn by itself how large the catalogue is now, but only in a minute, and plan badly until then. Only of
    tables that hold something: plans made for empty tables are worse than those made for unknown ones.
    """
    code, out = psql(s, sup, "souk", "SELECT format('ANALYZE %I.%I', schemaname, relname) FROM pg_stat_user_tables"
                                     " WHERE schemaname = 'catalog' AND n_live_tup > 0 \\gexec\n")
    if code and not sup.stopping:
        say("souk: the catalogue's tables could not be analysed: " + shorten(last_line(out), 300))


def make_keys(s, sup):
    """Signing, pair, data, index and cursor keys as files; those that exist stay."""
    tool = s.program("soukctl")
    if not os.path.exists(tool):
        raise Problem("soukctl is not built, so there are no keys")
    code, out = command(sup, [tool, "keys", "init", "--dir", s.keys_dir], {})
    if code:
        raise Problem("keys cannot be made: " + shorten(last_line(out), 300))


def migrate(s, sup, rows):
    """All daemons at once: each has its own schema and lock."""
    jobs = []
    for row in rows:
        env = dict(row.env)
        jobs.append((row, begin(sup, row.argv + ["--migrate"], env)))
    for row, job in jobs:
        code, out = end(sup, job)
        if code:
            raise Problem(f"migrations of {row.name} failed: " + shorten(last_line(out), 400))


# ---- commands run while the supervisor keeps turning -----------------------------------------------------------------


def begin(sup, argv, env, stdin=None):
    base = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS",
                                                         "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS")}
    base.update(env)
    out = open(os.path.join(sup.s.run_dir, f".out-{os.path.basename(argv[0])}"), "w+b")
    popen = subprocess.Popen(argv, env=base, cwd=sup.s.run_dir, stdout=out, stderr=out,
                             stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL)
    if stdin is not None:
        try:
            popen.stdin.write(stdin.encode())
            popen.stdin.close()
        except BrokenPipeError:
            pass
    return popen, out


def end(sup, job):
    popen, out = job
    while popen.poll() is None:
        if sup.stopping:
            popen.terminate()
        sup.turn(0.02)
    out.seek(0)
    text = out.read().decode("utf-8", "replace")
    out.close()
    os.unlink(out.name)
    return popen.returncode, text


def command(sup, argv, env, stdin=None):
    return end(sup, begin(sup, argv, env, stdin))


def last_line(text):
    lines = [x for x in text.splitlines() if x.strip()]
    for line in lines:
        if "ERROR" in line or "CRITICAL" in line or "error:" in line:
            return line
    return lines[-1] if lines else "no message"
