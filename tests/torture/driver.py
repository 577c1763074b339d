"""Orders to preload.c, and a try: one request while one call of one kind fails in one process, and what is wrong with what came
of it."""

import http.client
import json
import mmap
import os
import re
import struct
import time


KINDS = ["alloc", "connect", "send", "recv", "libpq"]
SERVING, OTHERS = 1, 2
VERBOSE = os.environ.get("TORTURE_VERBOSE")
# struct orders: where its fields stand
KIND, SCOPE, LEFT, FIRED, SEEN, LIVE, SERVED, METHOD, WHAT, FATAL, END = 48, 52, 56, 64, 72, 112, 120, 128, 224, 272, 784
# A death that is no decision: what the C library, the sanitizers and libraries say before they abort.
NO_DECISION = re.compile(rb"free\(\)|malloc\(\)|realloc\(\)|corrupt|invalid pointer|smashing|[Aa]ssert|panic|Sanitizer|runtime error")


class Victim:
    """A process with the shim in it."""

    def __init__(self, run_dir, name):
        self.name = name
        self.known = []
        self.log_path = os.path.join(run_dir, "logs", name + ".log")
        with open(os.path.join(run_dir, f"torture-{name}"), "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)

    def _i64(self, at):
        return struct.unpack_from("q", self.map, at)[0]

    def order(self, marker, kind, n, scope):
        struct.pack_into("q", self.map, LEFT, 0)
        struct.pack_into("q", self.map, FIRED, 0)
        self.map[0:48] = marker.encode().ljust(48, b"\0")
        self.map[SEEN:LIVE] = bytes(LIVE - SEEN)
        self.map[SERVED:SERVED + 8] = bytes(8)
        struct.pack_into("ii", self.map, KIND, KINDS.index(kind) if kind else 0, scope)
        struct.pack_into("q", self.map, LEFT, n)

    def rest(self):
        struct.pack_into("q", self.map, LEFT, 0)
        struct.pack_into("ii", self.map, KIND, 0, 0)

    def forget_fatal(self):
        """Places that end the process shall do so once more."""
        self.map[FATAL:END] = b"".join(struct.pack("Q", site) for site in self.known).ljust(END - FATAL, b"\0")

    def once_is_enough(self):
        """The place that failed last is known; to see it again for each row would cost each row a timeout."""
        site = struct.unpack_from("Q", self.map, END)[0]
        if site and len(self.known) < 32:
            self.known.append(site)
            self.forget_fatal()

    def fired(self):
        return self._i64(FIRED)

    def live(self):
        return self._i64(LIVE)

    def seen(self):
        return dict(zip(KINDS, struct.unpack_from("5q", self.map, SEEN)))

    def text(self, at, size):
        return self.map[at:at + size].split(b"\0")[0].decode("ascii", "replace")

    def what(self):
        return self.text(WHAT, 48)

    def method(self):
        name = self.text(METHOD, 96)
        return name.split(" HTTP/")[0] if self.name == "gateway" else name


class Answer:
    def __init__(self, status, headers=None, body=b"", error=None):
        self.status, self.headers, self.body, self.error = status, headers or {}, body, error

    def slug(self):
        try:
            error = json.loads(self.body)["error"]
            return error.get("reason") or error.get("code")
        except (ValueError, KeyError, TypeError):
            return None

    def __str__(self):
        return f"{self.status} {self.body[:160]!r}" if self.status else f"no answer ({self.error})"


class Driver:
    def __init__(self, stage, world, names):
        self.stage, self.world = stage, world
        self.victims = {name: Victim(stage.run_dir, name) for name in names}
        self.pids = {name: stage.pid(name) for name in names}
        self.sent = 0
        self.deaths = 0
        self.stage_log = os.path.join(stage.run_dir, "stage.log")

    # ---- asking ----

    def ask(self, row, marker=None):
        request = row.make(self.world)
        marker = marker or self.marker()
        head = {"Accept": "application/json", "X-Request-Id": marker, **request.headers}
        if request.who:
            head["Authorization"] = f"Bearer {self.world.token(request.who)}"
        data = request.data
        if request.body is not None:
            data = json.dumps(request.body).encode()
            head["Content-Type"] = "application/json"
        elif data is None and request.method in ("POST", "PUT", "PATCH"):
            data, head["Content-Type"] = b"{}", "application/json"
        return lambda: self.send(request.method, request.path, data, head)

    def send(self, method, path, data, head):
        conn = http.client.HTTPConnection(self.world.gateway[0], self.world.gateway[1], timeout=40)
        try:
            conn.request(method, path, body=data, headers=head)
            answer = conn.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        except (OSError, http.client.HTTPException) as e:
            return Answer(None, error=repr(e))
        finally:
            conn.close()

    def marker(self):
        self.sent += 1
        return f"torture-{os.getpid()}-{self.sent:08d}-x"

    def plain(self, row):
        """Asked with nothing failing."""
        return self.ask(row)()

    def observe(self, row):
        """The answer with nothing failing, and the calls by kind that each process made for it."""
        marker = self.marker()
        send = self.ask(row, marker)
        for v in self.victims.values():
            v.order(marker, None, 0, SERVING)
        answer = send()
        seen = {name: v.seen() for name, v in self.victims.items() if sum(v.seen().values())}
        self.quiet()
        return answer, seen

    def quiet(self):
        for v in self.victims.values():
            v.rest()

    def cut(self, name):
        """The process's connections to its stores end: what it asks next has to connect."""
        self.stage.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'souk_{name}'")
        self.stage.redis("CLIENT", "KILL", "TYPE", "normal")

    # ---- deaths ----

    def gone(self):
        """Names of processes that are not those of before."""
        return [name for name, pid in self.pids.items() if not alive(pid)]

    def wait_back(self, name, seconds=90):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            p = self.stage.state()["processes"][name]
            if p["pid"] not in (None, self.pids[name]) and p["state"] == "ready":
                self.pids[name] = p["pid"]
                return True
            time.sleep(0.02)
        return False

    def death(self, name, kind, log_from):
        """What is wrong with how a process ended; None: it decided to."""
        self.deaths += 1
        if not self.wait_back(name):
            return f"{name} does not come back"
        with open(self.stage_log, encoding="utf-8", errors="replace") as f:
            lines = [line for line in f if line.startswith(f"souk: {name} was killed by") or line.startswith(f"souk: {name} ended with")]
        how = lines[-1].split(";")[0].strip() if lines else "nobody knows how"
        with open(self.victims[name].log_path, "rb") as f:
            f.seek(log_from)
            said = f.read()
        if NO_DECISION.search(said):
            return f"{how}: {said[-400:]!r}"
        # hiredis reads what it was not given: without memory the process ends there too, only less politely.
        if kind == "alloc" and "SIGSEGV" in how and "hiredis" in self.victims[name].what():
            return None
        if "SIGABRT" not in how or kind != "alloc":
            return f"{how}: {said[-300:]!r}"
        return None

    # ---- a try ----

    def attempt(self, row, base, name, kind, n, scope):
        """(fired, what is wrong or None). base: statuses known of this row with nothing failing."""
        victim = self.victims[name]
        marker = self.marker()
        send = self.ask(row, marker)
        log_from = {k: size(v.log_path) for k, v in self.victims.items()}
        victim.order(marker, kind, n, scope)
        begun = time.monotonic()
        answer = send()
        if VERBOSE:
            print(f"#   {name} {kind} {n} {'serving' if scope == SERVING else 'elsewhere'}: {victim.what() if victim.fired() else '-'}"
                  f" {answer.status} {answer.slug() or ''} {time.monotonic() - begun:.2f} s", flush=True)
        victim.rest()
        fired = victim.fired()
        wrong, died = None, False
        if answer.status is None or answer.status >= 500:
            time.sleep(0.02)  # a process that aborts is not gone at once
        for gone in self.gone():
            problem = self.death(gone, kind if gone == name else "nothing", log_from[gone])
            wrong, died = wrong or problem, True
        if not fired:
            if answer.status in base or scope == OTHERS:
                return False, wrong
            # The world changed, or an earlier failure still works on.
            return False, wrong or self.recovers(row, base)
        if answer.status is None and not died and kind == "alloc":
            victim.once_is_enough()
        what = f"{victim.what()} #{n} in {name}" + (f" ({victim.method()})" if victim.method() else "")
        wrong = wrong or self.judge(answer, name, kind, died, marker)
        if not wrong and (died or answer.status not in base):
            wrong = self.recovers(row, base, answer)
        return True, f"{what}: {wrong}" if wrong else None

    def judge(self, answer, name, kind, died, marker):
        """An answer that says what it is, or the end of the gateway's own connection."""
        if answer.status is None:
            if name == "gateway" and (died or kind in ("send", "recv", "alloc")):
                return None
            return f"{answer}"
        if answer.status < 400:
            return None
        try:
            error = json.loads(answer.body)["error"]
            assert {"code", "message", "request_id", "timestamp"} <= set(error) and error["request_id"] == marker
        except (ValueError, KeyError, TypeError, AssertionError):
            return f"not an error that we document: {answer}"
        return None

    def recovers(self, row, base, answer=None, seconds=100):
        """The same request without a failure: answered as ever, or as in the try when its effect came about."""
        deadline, last = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            last = self.plain(row)
            if last.status in base:
                if answer is not None and answer.status is not None and 400 <= answer.status < 500 and answer.status not in (409, 429):
                    return f"answered {answer}, without the failure {last.status}"
                return None
            if last.status is not None and last.status < 500 and last.status not in (429,) and not row.fresh:
                base.add(last.status)  # the world is another one now
                return None
            time.sleep(0.05)
        return f"never again as before ({sorted(base)}): {last}"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


def size(path):
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
