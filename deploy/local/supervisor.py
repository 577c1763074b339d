"""Starts processes, keeps their logs, restarts what dies, stops all in order.

Each child's output goes through a pipe to <run>/logs/<name>.log and, with its name in front, to <run>/logs/all.log.
One thread: a loop over the pipes and the signals.
"""

import ctypes
import errno
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from settings import Problem, say

LOG_MAX = 64 << 20  # a log is turned to .1 past this size
FULL = (errno.ENOSPC, errno.EDQUOT)
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STEADY = 10.0  # a process that was ready and lived so long starts again at once
_libc = ctypes.CDLL(None, use_errno=True)
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy of the machine


class Log:
    """An append-only file with one older generation. A full disk loses log lines, not the platform."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "ab", buffering=0)
        self.size = self.file.tell()
        self.full = False

    def write(self, data):
        try:
            if self.size > LOG_MAX:
                self._turn()
            self.file.write(data)
            self.size += len(data)
            self.full = False
        except OSError as e:
            if e.errno not in FULL:
                raise
            self.full = True

    def _turn(self):
        """The old file stays in use until a new one could be made."""
        new = open(self.path + ".new", "wb", buffering=0)
        os.replace(self.path, self.path + ".1")
        os.replace(self.path + ".new", self.path)
        self.file.close()
        self.file, self.size = new, 0


class Child:
    def __init__(self, spec):
        self.spec = spec
        self.popen = None
        self.state = "stopped"  # starting, ready, waiting (to be restarted), stopped
        self.restarts = 0
        self.backoff = 0.0
        self.failed_starts = 0  # since it was ready last
        self.started = 0.0
        self.restart_at = 0.0
        self.last_line = b""
        self.log = None
        self.pidfd = -1


class Supervisor:
    def __init__(self, s):
        self.s = s
        self.children = {}
        self.sel = selectors.DefaultSelector()
        self.all = Log(os.path.join(s.logs_dir, "all.log"))
        self.full_told = -60.0  # when the person was told of it last
        self.stopping = False
        self.phase = "starting"
        self.info = {}
        self.wake_r, wake_w = os.pipe()
        os.set_blocking(self.wake_r, False)
        os.set_blocking(wake_w, False)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sig, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # What a child leaves behind becomes ours, to be found and ended.
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.sel.register(self.wake_r, selectors.EVENT_READ, None)

    def _on_stop(self, *_):
        self.stopping = True

    # ---- children ----------------------------------------------------------------------------------------------

    def start(self, spec):
        child = self.children.get(spec.name)
        if not child:
            child = self.children[spec.name] = Child(spec)
            child.log = Log(os.path.join(self.s.logs_dir, spec.name + ".log"))
        self._spawn(child)
        return child

    def _spawn(self, child):
        spec = child.spec
        if spec.before:
            spec.before()
        env = {k: v for k, v in os.environ.items()
               if k in ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                        "TSAN_OPTIONS", "LSAN_OPTIONS")}
        env.update(spec.env)
        parent = os.getpid()
        stop = spec.stop_signal

        def die_with_us():
            # A supervisor that is killed takes its children along: no orphan keeps a port.
            _libc.prctl(PR_SET_PDEATHSIG, stop, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        read, write = os.pipe2(os.O_CLOEXEC)
        try:
            fcntl.fcntl(read, 1031, 1 << 20)  # F_SETPIPE_SZ: a busy child need not wait for us
        except OSError:
            pass
        as_user = {"user": spec.user, "group": spec.user, "extra_groups": []} if spec.user else {}
        try:
            child.popen = subprocess.Popen(spec.argv, stdin=subprocess.DEVNULL, stdout=write, stderr=write, env=env,
                                           cwd=spec.cwd or self.s.run_dir, start_new_session=True,
                                           preexec_fn=die_with_us, **as_user)
        except OSError as e:
            os.close(read)
            raise Problem(f"{spec.name} cannot be started: {spec.argv[0]}: {e.strerror}")
        finally:
            os.close(write)
        os.set_blocking(read, False)
        self.sel.register(read, selectors.EVENT_READ, (child, [b""]))
        child.pidfd = os.pidfd_open(child.popen.pid)
        self.sel.register(child.pidfd, selectors.EVENT_READ, child)
        child.state = "starting"
        child.started = time.monotonic()
        self.save()

    def _read(self, fd, child, tail):
        try:
            data = os.read(fd, 1 << 20)
        except BlockingIOError:
            return
        if not data:
            self.sel.unregister(fd)
            os.close(fd)
            data, tail[0] = (tail[0] + b"\n" if tail[0] else b""), b""
            if not data:
                return
        else:
            cut = data.rfind(b"\n") + 1
            data, tail[0] = tail[0] + data[:cut] if cut else b"", (data[cut:] if cut else tail[0] + data)
            if len(tail[0]) > 1 << 16:
                data, tail[0] = data + tail[0] + b"\n", b""
            if not data:
                return
        child.last_line = data[data.rfind(b"\n", 0, -1) + 1:-1] or child.last_line
        name = child.spec.name.encode()
        child.log.write(data)
        self.all.write(name + b" | " + data[:-1].replace(b"\n", b"\n" + name + b" | ") + b"\n")
        if child.log.full and time.monotonic() > self.full_told + 60:
            self.full_told = time.monotonic()
            say(f"souk: disk full: log lines are lost until there is room at {self.s.logs_dir}")

    def _reap(self, child):
        code = child.popen.wait()
        if child.spec.forks:
            self._end_orphans(child.spec)
        self.sel.unregister(child.pidfd)
        os.close(child.pidfd)
        child.pidfd = -1
        self._drain_pipes(child)
        was, child.state = child.state, "stopped"
        child.popen = None
        if self.stopping or child.spec.name in self.info.get("stopping", ()):
            self.save()
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        now = time.monotonic()
        if was == "ready" and now - child.started > STEADY:
            child.backoff = 0.0
        child.restarts += 1
        child.state = "waiting"
        child.failed_starts += was == "starting"
        child.restart_at = now + child.backoff
        last = child.last_line.decode("utf-8", "replace")
        when = f"in {child.backoff:g} s" if child.backoff else "at once"
        say(f"souk: {child.spec.name} {how}; starting it again {when}"
            f" (logs/{child.spec.name}.log{': ' + shorten(last) if last else ''})")
        child.backoff = min(max(child.backoff * 2, 0.5), 30.0)
        self.save()

    def _end_orphans(self, spec):
        """The processes a dead child had forked: PostgreSQL's hold its memory, and the next one cannot start."""
        program = os.path.realpath(spec.argv[0])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            left = [pid for pid in our_children() if runs(pid, program)]
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                except (ProcessLookupError, ChildProcessError):
                    pass

    def _drain_pipes(self, child):
        for key in list(self.sel.get_map().values()):
            if isinstance(key.data, tuple) and key.data[0] is child:
                for _ in range(64):
                    if key.fd not in {k.fd for k in self.sel.get_map().values()}:
                        break
                    before = child.log.size
                    self._read(key.fd, child, key.data[1])
                    if child.log.size == before:
                        break

    # ---- the loop ----------------------------------------------------------------------------------------------

    def turn(self, timeout=0.5):
        """One round: output, deaths, restarts."""
        now = time.monotonic()
        for child in self.children.values():
            if child.state == "waiting" and not self.stopping:
                if now >= child.restart_at:
                    self._spawn(child)
                else:
                    timeout = min(timeout, child.restart_at - now)
        for key, _ in self.sel.select(max(timeout, 0)):
            if self.sel.get_map().get(key.fd) is not key:
                continue  # closed by an event before it in this round: a death reads its pipe to the end
            if key.data is None:
                try:
                    os.read(self.wake_r, 512)
                except BlockingIOError:
                    pass
            elif isinstance(key.data, tuple):
                self._read(key.fd, key.data[0], key.data[1])
            else:
                self._reap(key.data)

    def wait_ready(self, names, timeout=60.0):
        """Until all answer; a child that ends three times before it was ready is the reason to give up."""
        deadline = time.monotonic() + timeout
        waiting = list(names)
        while waiting and not self.stopping:
            for name in list(waiting):
                child = self.children[name]
                if child.state == "starting" and is_ready(child.spec.ready):
                    child.state = "ready"
                    self.save()
                    waiting.remove(name)
                elif child.failed_starts >= 3:
                    raise Problem(f"{name} does not start: " + shorten(child.last_line.decode("utf-8", "replace"), 300)
                                  + f" (logs/{name}.log)")
            if waiting and time.monotonic() > deadline:
                child = self.children[waiting[0]]
                raise Problem(f"{', '.join(waiting)} not ready after {timeout:g} s: "
                              + shorten(child.last_line.decode("utf-8", "replace"), 300)
                              + f" (logs/{waiting[0]}.log)")
            if waiting:
                self.turn(0.05)
        return not self.stopping

    def run(self):
        """Until asked to stop."""
        while not self.stopping:
            self.turn(0.05 if any(c.state == "starting" for c in self.children.values()) else 1.0)
            for name, child in self.children.items():
                if child.state == "starting" and is_ready(child.spec.ready):
                    child.state = "ready"
                    child.failed_starts = 0
                    self.save()
                    say(f"souk: {name} is ready again")

    def stop_all(self):
        self.stopping = True
        self.phase = "stopping"
        for rank in sorted({c.spec.rank for c in self.children.values()}, reverse=True):
            group = [c for c in self.children.values() if c.spec.rank == rank and c.popen]
            for child in group:
                child.popen.send_signal(child.spec.stop_signal)
            hurry = time.monotonic() + max([c.spec.stop_after for c in group], default=0)
            while any(c.popen for c in group):
                self.turn(0.1)
                late = [c for c in group if c.popen]
                if late and time.monotonic() > hurry:
                    for child in late:
                        say(f"souk: {child.spec.name} does not stop; killing it")
                        child.popen.kill()
                    hurry += 5
        self.phase = "stopped"
        self.save()

    def save(self):
        """state.json is what `status` and a second `up` read."""
        state = {
            "phase": self.phase,
            "pid": os.getpid(),
            "processes": {n: {"pid": c.popen.pid if c.popen else None, "state": c.state, "restarts": c.restarts}
                          for n, c in self.children.items()},
            "info": {k: v for k, v in self.info.items() if k != "stopping"},
        }
        try:
            with open(self.s.state_file + ".new", "w") as f:
                json.dump(state, f, indent=1)
            os.replace(self.s.state_file + ".new", self.s.state_file)
        except OSError as e:
            if e.errno not in FULL:
                raise


def our_children():
    me = str(os.getpid())
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[1] == me:
                    yield int(pid)
        except OSError:
            continue


def runs(pid, program):
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)") == program
    except OSError:
        return False


def shorten(text, most=160):
    """A log line as one reads it: the message of a JSON line, else the text."""
    text = text.strip()
    try:
        line = json.loads(text)
        context = line.get("context") or {}
        text = line["message"] + "".join(f", {k} {v}" for k, v in context.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return text if len(text) <= most else text[:most] + "…"


def is_ready(ready):
    if ready is None:
        return True
    if callable(ready):
        return ready()
    if isinstance(ready, tuple):
        try:
            socket.create_connection(("127.0.0.1", ready[1]), timeout=0.5).close()
            return True
        except OSError:
            return False
    try:
        with _direct.open(ready, timeout=1.0) as answer:
            return answer.status == 200
    except (OSError, ValueError, urllib.error.URLError):
        return False
    except Exception:  # a half-written answer of a program that is just starting
        return False
