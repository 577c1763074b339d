"""The local platform's supervisor, with stand-ins for the daemons: start, restart, stop, and what it says."""
# runs alone

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
LOCAL = os.path.join(ROOT, "deploy", "local", "local.py")
DAEMONS = ["identity", "catalog", "inventory", "cart", "checkout", "search", "notify"]

STUB = r'''#!/usr/bin/python3
import os, sys, signal, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
name = os.path.basename(sys.argv[0])
if name == "soukctl":
    open(os.path.join(sys.argv[-1], "cursor.key"), "w").write("0" * 64)
    sys.exit(0)
if "--migrate" in sys.argv:
    sys.exit(0)
if os.path.exists(sys.argv[0] + ".broken"):
    print('{"level":"CRITICAL","message":"stub refuses to start"}', flush=True)
    sys.exit(1)
key = {"souk-gateway": "GATEWAY_LISTEN", "souk-sandbox": "SANDBOX_LISTEN"}.get(
    name, name[5:].upper() + "_ADMIN_LISTEN")
class H(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *a): pass
host, port = os.environ[key].rsplit(":", 1)
server = HTTPServer((host, int(port)), H)
print('{"message":"' + name + ' serves"}', flush=True)
signal.signal(signal.SIGTERM, lambda *a: (print('{"message":"' + name + ' ends"}', flush=True), os._exit(0)))
server.serve_forever()
'''


class Supervisor(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp(prefix="souk-sv.")
        os.chmod(self.base, 0o755)
        self.run_dir = os.path.join(self.base, "run")
        self.build = os.path.join(self.base, "build")
        os.mkdir(self.build)
        for name in ["soukctl", "souk-gateway", "souk-sandbox"] + [f"souk-{d}" for d in DAEMONS]:
            path = os.path.join(self.build, name)
            with open(path, "w") as f:
                f.write(STUB)
            os.chmod(path, 0o755)
        self.env = dict(os.environ, SOUK_RUN_DIR=self.run_dir, SOUK_BUILD_DIR=self.build, SOUK_PORT_BASE="auto",
                        SOUK_PG_FAST="1", SOUK_DEMO="0")
        self.env.pop("DETACH", None)

    def tearDown(self):
        self.local("down")
        data = os.path.join(self.run_dir, "pg")
        if os.path.islink(data):
            shutil.rmtree(os.readlink(data), ignore_errors=True)
        shutil.rmtree(self.base, ignore_errors=True)

    def local(self, *args, **env):
        done = subprocess.run(["/usr/bin/python3", LOCAL, *args], env=dict(self.env, **env), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        return done.returncode, done.stdout

    def state(self):
        with open(os.path.join(self.run_dir, "state.json")) as f:
            return json.load(f)

    def ports(self):
        with open(os.path.join(self.run_dir, "ports.json")) as f:
            return json.load(f)["ports"]

    def until(self, condition, what, seconds=20):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self.fail(f"not seen in {seconds} s: {what}\n{self.log('souk')}\n{self.log('postgres')[-2000:]}")
            time.sleep(0.05)

    def log(self, name):
        with open(os.path.join(self.run_dir, "logs", name + ".log")) as f:
            return f.read()

    def test_life(self):
        code, out = self.local("up", "--detach")
        self.assertEqual(code, 0, out)
        self.assertIn("ready in", out)
        self.assertIn("not part of this build: reco", out)
        self.assertEqual(self.local("status")[0], 0)
        processes = self.state()["processes"]
        self.assertEqual({p["state"] for p in processes.values()}, {"ready"})
        self.assertIn("souk-cart serves", self.log("cart"))
        self.assertIn('cart | {"message":"souk-cart serves"}', self.log("all"))

        # A second `up` finds the first.
        code, out = self.local("up", "--detach")
        self.assertEqual((code, "already running" in out), (0, True), out)

        # A killed child: one line that names it, and it comes back.
        os.kill(processes["cart"]["pid"], signal.SIGKILL)
        self.until(lambda: self.state()["processes"]["cart"]["restarts"] == 1
                   and self.state()["processes"]["cart"]["state"] == "ready", "cart came back")
        said = [x for x in self.log("souk").splitlines() if "cart" in x and "SIGKILL" in x]
        self.assertEqual(len(said), 1, self.log("souk"))

        # PostgreSQL killed: back too, with its data.
        os.kill(processes["postgres"]["pid"], signal.SIGKILL)
        self.until(lambda: self.state()["processes"]["postgres"]["restarts"] >= 1
                   and self.state()["processes"]["postgres"]["state"] == "ready", "postgres came back", 60)

        pids = [p["pid"] for p in self.state()["processes"].values()]
        code, out = self.local("down")
        self.assertEqual((code, out), (0, "souk: stopped\n"))
        self.assertFalse([p for p in pids if os.path.exists(f"/proc/{p}")])
        self.assertIn("souk-cart ends", self.log("cart"))
        self.assertEqual(self.local("status")[0], 3)

        # Again, with the same ports and without a new cluster.
        ports = self.ports()
        code, out = self.local("up", "--detach")
        self.assertEqual(code, 0, out)
        self.assertNotIn("private PostgreSQL", out)
        self.assertEqual(ports, self.ports())

    def test_ctrl_c(self):
        popen = subprocess.Popen(["/usr/bin/python3", LOCAL, "up"], env=self.env, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = []
        for line in popen.stdout:
            lines.append(line)
            if "ready in" in line:
                break
        else:
            self.fail("".join(lines))
        pids = [p["pid"] for p in self.state()["processes"].values()]
        popen.send_signal(signal.SIGINT)
        out, _ = popen.communicate(timeout=60)
        self.assertEqual((popen.returncode, out.splitlines()[-1]), (0, "souk: stopped"), out)
        self.assertFalse([p for p in pids if os.path.exists(f"/proc/{p}")])

    def test_pid_file_of_a_killed_server_names_another_process(self):
        """After a crash of the machine the number may be anybody's."""
        self.assertEqual(self.local("up", "--detach")[0], 0)
        data = os.path.join(self.run_dir, "pg", "data")
        user = os.stat(data).st_uid
        sleeper = subprocess.Popen(["sleep", "1000"], user=user) if os.getuid() == 0 else subprocess.Popen(["sleep", "1000"])
        try:
            with open(os.path.join(data, "postmaster.pid")) as f:
                lines = f.read().splitlines(True)
            self.assertEqual(self.local("down")[0], 0)
            with open(os.path.join(data, "postmaster.pid"), "w") as f:
                f.writelines([f"{sleeper.pid}\n"] + lines[1:])
            os.chown(f.name, user, -1)
            code, out = self.local("up", "--detach")
            self.assertEqual((code, sleeper.poll()), (0, None), out)
        finally:
            sleeper.kill()
            sleeper.wait()

    def test_supervisor_killed_leaves_no_orphan(self):
        self.assertEqual(self.local("up", "--detach")[0], 0)
        state = self.state()
        os.kill(state["pid"], signal.SIGKILL)
        pids = [p["pid"] for p in state["processes"].values()]
        self.until(lambda: not [p for p in pids if alive(p)], "children ended", 30)
        self.assertEqual(self.local("up", "--detach")[0], 0)

    def test_taken_port(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen(1)
            port = sock.getsockname()[1]
            code, out = self.local("up", "--detach", SOUK_HTTP_PORT=str(port))
        self.assertEqual(code, 1)
        lines = out.strip().splitlines()
        self.assertEqual(len(lines), 1, out)
        self.assertIn(f"port {port} for the gateway is taken by", lines[0])
        self.assertIn("SOUK_HTTP_PORT", lines[0])

    def test_child_that_cannot_start(self):
        open(os.path.join(self.build, "souk-checkout.broken"), "w").close()
        code, out = self.local("up", "--detach")
        self.assertEqual(code, 1, out)
        self.assertIn("souk: checkout does not start: stub refuses to start (logs/checkout.log)", out)
        self.assertEqual(self.local("status")[0], 3)

    def test_long_path(self):
        self.env["SOUK_RUN_DIR"] = self.run_dir = os.path.join(self.base, "x" * (120 - len(self.base) - 5), "run")
        code, out = self.local("up", "--detach")
        self.assertEqual(code, 0, out)

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_folder_only_root_may_enter(self):
        os.chmod(self.base, 0o700)
        code, out = self.local("up", "--detach")
        self.assertEqual(code, 0, out)
        link = os.path.join(self.run_dir, "pg")
        self.assertTrue(os.path.islink(link) and os.readlink(link).startswith("/var/lib/souk-dev/"))
        self.assertEqual(self.local("down")[0], 0)
        self.assertEqual(self.local("up", "--detach")[0], 0)

    def test_keys_are_private(self):
        self.assertEqual(self.local("up", "--detach")[0], 0)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.run_dir, "keys")).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.run_dir, "keys", "local.json")).st_mode), 0o600)


# In a process of its own: a supervisor takes over signals and orphans. SHELL is a program that the children run.
ALONE = r'''
import os, signal, sys, time, types
sys.path.insert(0, sys.argv[1])
import processes, supervisor
folder, what = sys.argv[2:4]
s = types.SimpleNamespace(logs_dir=folder, run_dir=folder, state_file=os.path.join(folder, "state.json"))
sup = supervisor.Supervisor(s)
pids = os.path.join(folder, "pids")
row = processes.Process("brood", ["/usr/bin/bash", "-c", f"(trap '' INT TERM; echo $BASHPID >{pids}.new;"
    f" mv {pids}.new {pids}; while [ -e {folder} ]; do sleep 0.1; done) & wait"], forks=what == "orphans")
child = sup.start(row)
child.state = "ready"
deadline = time.monotonic() + 30
while not os.path.exists(pids):
    assert time.monotonic() < deadline
    sup.turn(0.05)
other = int(open(pids).read())
parent = child.popen.pid
def gone(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
os.kill(parent, signal.SIGKILL)
while not gone(parent):
    time.sleep(0.01)
if what == "batch":
    # The pipe ends after its owner did, and both are seen in one round: a death reads the pipe to its end.
    for pid in [int(p) for p in os.listdir("/proc") if p.isdigit()]:
        try:
            if os.getpgid(pid) == parent and pid != parent:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    while not gone(other):
        time.sleep(0.01)
    time.sleep(0.2)
assert child.popen.pid == parent
sup.turn(0.05)
assert child.popen is None and child.state == "waiting" and child.restarts == 1, child.state
assert child.restart_at <= time.monotonic(), "what was ready starts again at once"
if what == "orphans":
    assert gone(other), "an orphan lives"
os.unlink(pids)
sup.turn(0.05)
assert child.popen.pid != parent
while not os.path.exists(pids):
    assert time.monotonic() < deadline
    sup.turn(0.05)
os.killpg(child.popen.pid, signal.SIGKILL)
while child.popen and child.popen.pid != parent and child.state != "waiting":
    sup.turn(0.05)
assert child.restart_at - time.monotonic() > 0.3, "one that dies again and again is given time"
'''


# A disk without room: /dev/full takes nothing. What the supervisor says goes there as well when it is told so.
FULL = r'''
import os, sys, time, types
sys.path.insert(0, sys.argv[1])
import processes, supervisor
folder = sys.argv[2]
for name in ("one", "two"):
    os.symlink("/dev/full", os.path.join(folder, name + ".log"))
if len(sys.argv) > 3:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
sup = supervisor.Supervisor(types.SimpleNamespace(logs_dir=folder, run_dir=folder, state_file=os.path.join(folder, "state.json")))
for name in ("one", "two"):
    sup.start(processes.Process(name, ["/usr/bin/bash", "-c", "echo a; echo b; sleep 0.2; echo c; exec sleep 1000"])).state = "ready"
deadline = time.monotonic() + 30
while sup.all.size < 48 and time.monotonic() < deadline:
    sup.turn(0.05)
sup.stop_all()
assert sup.all.size == 48, sup.all.size  # six lines such as "one | a"
'''


# The moment a log is turned: no room for a new file, then there is.
TURNED = r'''
import builtins, errno, os, sys
sys.path.insert(0, sys.argv[1])
import supervisor
supervisor.LOG_MAX = 10
path = os.path.join(sys.argv[2], "one.log")
log = supervisor.Log(path)
log.write(b"twelve bytes")
def full(*_, **__):
    raise OSError(errno.EDQUOT, "no room")
supervisor.open = full
log.write(b"lost")
assert log.full
del supervisor.open
log.write(b"after")
assert not log.full
assert [open(path + end).read() for end in ("", ".1")] == ["after", "twelve bytes"]
'''


class Full(unittest.TestCase):
    def run_it(self, *more, program=FULL):
        with tempfile.TemporaryDirectory(prefix="souk-sv.") as folder:
            done = subprocess.run(["/usr/bin/python3", "-c", program, os.path.dirname(LOCAL), folder, *more], timeout=60,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return done.stdout

    def test_lost_log_lines_are_told_once(self):
        self.assertEqual(self.run_it().count("disk full"), 1)

    def test_while_a_log_is_turned(self):
        self.run_it(program=TURNED)

    def test_not_even_that_can_be_said(self):
        self.run_it("mute")


class Alone(unittest.TestCase):
    def check(self, what):
        with tempfile.TemporaryDirectory(prefix="souk-sv.") as folder:
            done = subprocess.run(["/usr/bin/python3", "-c", ALONE, os.path.dirname(LOCAL), folder, what],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn("starting it again at once", done.stdout)

    def test_a_death_and_the_end_of_its_pipe_in_one_round(self):
        self.check("batch")

    def test_what_a_dead_process_had_forked_is_ended(self):
        self.check("orphans")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main()
