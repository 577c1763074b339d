#!/usr/bin/python3
"""Souk on one machine: up, down, status, logs, and `stores` (PostgreSQL and Redis alone, for tests).

	local.py up [--detach] | down | status | logs [name] | stores --dir D | stores-down --dir D

Environment: SOUK_RUN_DIR, SOUK_BUILD_DIR, SOUK_PORT_BASE (number or auto), SOUK_HTTP_PORT and the other port
variables of processes.py, SOUK_HTTP_HOST, DEMO_SCALE, SOUK_DEMO=0 (no demo shop), LOG_LEVEL.
"""

import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import demo
import processes
import steps
import tour
from settings import Problem, Settings, main_guard, say
from supervisor import Supervisor, shorten


def read_state(s):
    try:
        with open(s.state_file) as f:
            return json.load(f)
    except (OSError, ValueError):
        return {}


def lock(s):
    """The lock a supervisor holds while it lives; None when another holds it."""
    fd = os.open(s.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def is_running(s):
    if not os.path.exists(s.lock_file):
        return False
    fd = lock(s)
    if fd is None:
        return True
    os.close(fd)
    return False


# ---- up --------------------------------------------------------------------------------------------------------------


def supervise(s):
    """Everything from an empty run folder to a ready platform, then until told to stop."""
    held = lock(s)
    if held is None:
        raise Problem("already running here (see `make -f Makefile.ci status`)")
    begun = time.monotonic()
    s.find_postgres()
    s.find_sockets()
    s.find_ports()
    rows = [] if s.stores_only else processes.platform(s)
    absent = [r for r in rows if not os.path.exists(r.argv[0])]
    rows = [r for r in rows if r not in absent]
    if not s.stores_only:
        s.check_ports(listening(rows))
    if steps.make_cluster(s):
        say("souk: made a private PostgreSQL cluster")
    sup = Supervisor(s)
    failure = None
    try:
        stores = processes.stores(s, lambda: steps.pg_ready(s), lambda: steps.redis_ready(s), lambda: steps.pg_clear(s))
        for row in stores:
            sup.start(row)
        sup.wait_ready([r.name for r in stores], 60)
        if not s.stores_only:
            bring_up(s, sup, rows, absent)
        if not sup.stopping:
            sup.phase = "ready"
            sup.info["seconds"] = round(time.monotonic() - begun, 1)
            sup.save()
            if not s.stores_only:
                say(tour.text(s, sup.info))
                say(f"souk: ready in {sup.info['seconds']} s; {tour.how_to_stop()}")
            sup.run()
    except Problem as e:
        failure = e
    finally:
        if sup.stopping and not s.stores_only:
            say("souk: stopping")
        sup.stop_all()
        shutil.rmtree(s.socket_dir, ignore_errors=True)
    if failure:
        raise failure
    if not s.stores_only:
        say("souk: stopped")
    return 0


def listening(rows):
    names = {r.name for r in rows}
    ports = [p for d in processes.DAEMON_NAMES if d in names for p in (d, d + "_bell", d + "_admin")]
    for row, needs in (("gateway", ["http", "gateway_admin"]), ("sandbox", ["sandbox"]), ("mail", ["smtp", "mail"]),
                       ("store", ["store"])):
        if row in names:
            ports += needs
    return ports


def bring_up(s, sup, rows, absent):
    steps.make_roles(s, sup)
    steps.make_keys(s, sup)
    daemons = [r for r in rows if r.name in processes.DAEMON_NAMES]
    steps.migrate(s, sup, daemons)
    if sup.stopping:
        return
    write_env(s, rows)
    for row in rows:
        sup.start(row)
    sup.info["url"] = s.url
    sup.info["not_built"] = [r.name for r in absent]
    built = [r.name for r in absent if r.name in ("search", "reco")]
    if built:
        say(f"souk: not part of this build: {', '.join(built)}")
    other = [r.name for r in absent if r.name not in ("search", "reco")]
    if other:
        say(f"souk: NOT BUILT, so not started: {', '.join(other)}")
    if not sup.wait_ready([r.name for r in rows], 60):
        return
    if os.environ.get("SOUK_DEMO") != "0" and not set(other) & {"identity", "catalog", "inventory", "notify", "gateway"}:
        if demo.load(s, sup):
            steps.analyze(s, sup)


def write_env(s, rows):
    """<run>/env/<name>.env: start one daemon by hand with `set -a; . <file>; souk-<name>`."""
    for row in rows:
        if row.own_env:
            path = os.path.join(s.run_dir, "env", row.name + ".env")
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "w") as f:
                f.writelines(f"{k}={shlex.quote(v)}\n" for k, v in sorted(row.env.items()))


def detached(s, args):
    """Runs this program in the background and shows what it says until it is ready or gone."""
    log = os.path.join(s.logs_dir, "souk.log")
    with open(log, "wb") as out:
        child = subprocess.Popen([processes.PYTHON, os.path.abspath(__file__)] + args, stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=out, start_new_session=True)
    try:
        with open(log, encoding="utf-8", errors="replace") as f:
            while True:
                code = child.poll()
                ready = read_state(s).get("phase") == "ready" and read_state(s).get("pid") == child.pid
                sys.stdout.write(f.read())
                sys.stdout.flush()
                if ready or code is not None:
                    time.sleep(0.05 if ready else 0)
                    sys.stdout.write(f.read())
                    return 0 if ready else code
                time.sleep(0.05)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise


def up(s, detach):
    s.make_dirs()
    if is_running(s):
        deadline = time.monotonic() + 120
        while read_state(s).get("phase") == "starting" and time.monotonic() < deadline:
            time.sleep(0.2)
        s.find_ports(running=True)
        say(tour.text(s, read_state(s).get("info", {})))
        say(f"souk: was already running; {tour.how_to_stop(True)}")
        return 0
    if os.path.exists(s.state_file):
        os.unlink(s.state_file)
    if detach:
        return detached(s, ["supervise"])
    return supervise(s)


# ---- the other commands ----------------------------------------------------------------------------------------------


def down(s, quiet=False):
    state = read_state(s)
    if not is_running(s):
        if not quiet:
            say("souk: not running")
        return 0
    pid = state.get("pid")
    if not pid:
        raise Problem("a supervisor runs but its state is unreadable; stop it by hand")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 120
    while is_running(s):
        if time.monotonic() > deadline:
            raise Problem(f"supervisor (pid {pid}) does not stop")
        time.sleep(0.05)
    if not quiet:
        say("souk: stopped")
    return 0


def status(s):
    state = read_state(s)
    if not is_running(s):
        say("souk: not running")
        return 3
    s.find_ports(running=True)
    say(f"souk: {state.get('phase')} at {s.url} (supervisor pid {state.get('pid')})")
    for name, p in state.get("processes", {}).items():
        again = f", started again {p['restarts']}×" if p["restarts"] else ""
        say(f"  {name:10} {p['state']:9} pid {p['pid'] or '-'}{memory(p['pid'])}{again}")
    if state.get("info", {}).get("not_built"):
        say("  not built: " + ", ".join(state["info"]["not_built"]))
    return 0 if state.get("phase") == "ready" else 1


def memory(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            for line in f:
                if line.startswith("Pss:"):
                    return f", {int(line.split()[1]) / 1024:.1f} MiB PSS"
    except (OSError, ValueError):
        pass
    return ""


def logs(s, name):
    path = os.path.join(s.logs_dir, (name or "all") + ".log")
    if not os.path.exists(path):
        raise Problem(f"no log at {path}")
    os.execvp("tail", ["tail", "-n", "100", "-F", path])


def stores(s):
    """PostgreSQL and Redis in a folder of their own; prints the variables tests read."""
    s.make_dirs()
    if not is_running(s):
        if os.path.exists(s.state_file):
            os.unlink(s.state_file)
        code = detached(s, ["stores-supervise", "--dir", s.run_dir])
        if code:
            return code
    s.find_postgres()
    s.find_sockets()
    with open(os.path.join(s.run_dir, "redis.port")) as f:
        port = f.read().strip()
    say(f"export TEST_PG_ADMIN='{s.dsn('postgres', 'postgres')}'")
    say(f"export TEST_REDIS_URL='redis://127.0.0.1:{port}'")
    return 0


def main():
    argv = sys.argv[1:]
    what = argv[0] if argv else ""
    if "--dir" in argv:
        os.environ["SOUK_RUN_DIR"] = argv[argv.index("--dir") + 1]
    s = Settings(stores_only=what.startswith("stores"))
    if what == "up":
        return up(s, "--detach" in argv or os.environ.get("DETACH") == "1")
    if what == "supervise":
        return supervise(s)
    if what == "stores":
        return stores(s)
    if what == "stores-supervise":
        return supervise(s)
    if what in ("down", "stores-down"):
        return down(s, quiet=what == "stores-down")
    if what == "status":
        return status(s)
    if what == "logs":
        return logs(s, argv[1] if len(argv) > 1 else None)
    print(__doc__.strip(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    main_guard(main)
