"""Where a local platform lives: run folder, ports, sockets, data folders. Everything is derived from the clone's path
and a few variables, so that `down`, `status` and a second `up` find what `up` made."""

import errno
import hashlib
import json
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import urllib.parse

import processes

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
SOCKET_MAX = 107  # sun_path without its NUL


class Problem(Exception):
    """Something a person has to change; the text is the one line shown."""


def say(text):
    """A line for the person. Whoever read it may have gone (`make up | head`), the disk may be full: that ends nothing."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


class Settings:
    def __init__(self, stores_only=False):
        env = os.environ
        self.root = ROOT
        self.run_dir = os.path.abspath(env.get("SOUK_RUN_DIR") or os.path.join(ROOT, ".run"))
        self.build_dir = os.path.abspath(env.get("SOUK_BUILD_DIR") or os.path.join(ROOT, "build", "release"))
        self.stores_only = stores_only
        self.fast_pg = env.get("SOUK_PG_FAST") == "1"
        self.testing = env.get("SOUK_TEST") == "1"
        self.http_host = env.get("SOUK_HTTP_HOST", "127.0.0.1")
        self.logs_dir = os.path.join(self.run_dir, "logs")
        self.keys_dir = os.path.join(self.run_dir, "keys")
        self.redis_dir = os.path.join(self.run_dir, "redis")
        self.state_file = os.path.join(self.run_dir, "state.json")
        self.lock_file = os.path.join(self.run_dir, "supervisor.lock")
        self.hash = hashlib.sha256(self.run_dir.encode()).hexdigest()[:12]
        self.pg_port = 5432  # part of the socket's name only: no TCP
        self.redis_port = 0
        self.ports = {}
        self._secrets = None

    # ---- folders -----------------------------------------------------------------------------------------------

    def make_dirs(self):
        try:
            for path in (self.run_dir, self.logs_dir, self.redis_dir, os.path.join(self.run_dir, "env")):
                os.makedirs(path, exist_ok=True)
            os.makedirs(self.keys_dir, mode=0o700, exist_ok=True)
            os.chmod(self.keys_dir, 0o700)
            os.chmod(os.path.join(self.run_dir, "env"), 0o700)
        except OSError as e:
            raise Problem(f"cannot write {e.filename}: {e.strerror}")
        self.check_disk(self.run_dir)

    @staticmethod
    def check_disk(path, need_mb=400):
        try:
            free = shutil.disk_usage(path).free // (1 << 20)
        except OSError as e:
            raise Problem(f"cannot read {path}: {e.strerror}")
        if free < need_mb:
            raise Problem(f"disk full: {free} MB free at {path}, {need_mb} MB needed")

    def find_sockets(self):
        """A short folder of our own for Unix sockets: a path in the clone may be longer than a socket may be."""
        user = self.pg_user or None
        tail = f"souk-{os.getuid()}-{self.hash}"
        longest = "/.s.PGSQL.%d.lock" % self.pg_port
        for base in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"):
            if not base or not os.path.isdir(base) or not os.access(base, os.W_OK | os.X_OK):
                continue
            path = os.path.join(base, tail)
            if len(path) + len(longest) > SOCKET_MAX or (user and not self.user_can(user, base)):
                continue
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                info = os.lstat(path)
                uids = {os.getuid(), self.uid_of(user)}
                if not stat.S_ISDIR(info.st_mode) or info.st_uid not in uids:
                    continue  # somebody else's
            except OSError:
                continue
            if user:
                shutil.chown(path, user, user)
            os.chmod(path, 0o700)
            self.socket_dir = path
            self.redis_socket = os.path.join(path, "redis.sock")
            self.redis_url = f"unix://{self.redis_socket}"
            return
        raise Problem("no short writable folder for sockets: /tmp, /var/tmp and $TMPDIR cannot be used")

    @staticmethod
    def uid_of(user):
        import pwd
        try:
            return pwd.getpwnam(user).pw_uid if user else os.getuid()
        except KeyError:
            return -1

    @staticmethod
    def user_can(user, path):
        """Whether that user can go into a folder."""
        return subprocess.run(["runuser", "-u", user, "--", "test", "-x", path], stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL).returncode == 0

    def find_postgres(self):
        """The newest server installed; as root it runs as user postgres, with its data where that user can go."""
        base = "/usr/lib/postgresql"
        found = sorted((int(v) for v in (os.listdir(base) if os.path.isdir(base) else []) if v.isdigit()
                        and os.access(os.path.join(base, v, "bin", "initdb"), os.X_OK)), reverse=True)
        if not found:
            raise Problem("PostgreSQL is not installed: run deploy/install-packages.sh")
        self.pg_bin = os.path.join(base, str(found[0]), "bin")
        self.pg_user = None
        parent = os.path.join(self.run_dir, "pg")
        if os.getuid() == 0:
            self.pg_user = "postgres"
            if self.uid_of("postgres") < 0:
                raise Problem("user postgres does not exist: run deploy/install-packages.sh")
            if not os.path.islink(parent):
                os.makedirs(parent, exist_ok=True)
                if not self.user_can("postgres", parent) and not os.path.exists(os.path.join(parent, "data")):
                    os.rmdir(parent)
            if not os.path.lexists(parent) or os.path.islink(parent):
                # postgres cannot reach the clone (a home of mode 0700, say).
                away = os.path.join("/var/lib/souk-dev", self.hash)
                os.makedirs(away, exist_ok=True)
                if not os.path.lexists(parent):
                    os.symlink(away, parent)
                parent = os.path.realpath(parent)
            shutil.chown(parent, "postgres", "postgres")
        else:
            os.makedirs(parent, exist_ok=True)
        self.pg_data = os.path.join(parent, "data")

    # ---- ports -------------------------------------------------------------------------------------------------

    def find_ports(self, running=False):
        """Fills self.ports. With SOUK_PORT_BASE=auto free ones are drawn once and kept in <run>/ports.json."""
        saved_path = os.path.join(self.run_dir, "ports.json")
        base = os.environ.get("SOUK_PORT_BASE", "")
        saved = {}
        if os.path.exists(saved_path):
            try:
                with open(saved_path) as f:
                    saved = json.load(f)
            except ValueError:
                saved = {}
        if running:
            self.ports = {k: int(v) for k, v in saved.get("ports", {}).items()}
            return
        if base not in ("", "auto") and not base.isdigit():
            raise Problem(f"SOUK_PORT_BASE={base}: a number (default 7000) or auto")
        shift = int(base) - 7000 if base.isdigit() else 0
        drawn = []
        for name, (default, variable, _) in processes.PORTS.items():
            text = os.environ.get(variable)
            if text:
                if not text.isdigit() or not 0 < int(text) < 65536:
                    raise Problem(f"{variable}={text}: not a port")
                self.ports[name] = int(text)
            elif base == "auto":
                old = saved.get("ports", {}).get(name) if saved.get("auto") else None
                if old and self.port_free(int(old)):
                    self.ports[name] = int(old)
                else:
                    sock = socket.socket()
                    sock.bind(("127.0.0.1", 0))
                    drawn.append(sock)  # held until all are drawn, so none is drawn twice
                    self.ports[name] = sock.getsockname()[1]
            else:
                self.ports[name] = default + shift
        for sock in drawn:
            sock.close()
        if self.stores_only:
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                self.redis_port = sock.getsockname()[1]
            with open(os.path.join(self.run_dir, "redis.port"), "w") as f:
                f.write(f"{self.redis_port}\n")
            return
        with open(saved_path + ".new", "w") as f:
            json.dump({"auto": base == "auto", "ports": self.ports}, f, indent=1)
        os.replace(saved_path + ".new", saved_path)

    @staticmethod
    def port_free(port, host="127.0.0.1"):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, port))
            except OSError:
                return False
        return True

    def check_ports(self, names):
        for name in names:
            _, variable, what = processes.PORTS[name]
            if not self.port_free(self.ports[name], self.http_host if name == "http" else "127.0.0.1"):
                who = port_owner(self.ports[name])
                raise Problem(f"port {self.ports[name]} for {what} is taken{who}; free it, or choose another with"
                              f" {variable}=… (all at once: SOUK_PORT_BASE=auto)")

    # ---- addresses ---------------------------------------------------------------------------------------------

    @property
    def url(self):
        host = "127.0.0.1" if self.http_host in ("0.0.0.0", "") else self.http_host
        return f"http://{host}:{self.ports['http']}"

    @property
    def sandbox_url(self):
        return f"http://127.0.0.1:{self.ports['sandbox']}"

    @property
    def mail_url(self):
        return f"http://127.0.0.1:{self.ports['mail']}"

    def dsn(self, user, db="souk"):
        return f"host={self.socket_dir} port={self.pg_port} user={user} dbname={db}"

    def program(self, name):
        return os.path.join(self.build_dir, name)

    # ---- secrets of the local stand-ins ------------------------------------------------------------------------

    def secret(self, name, prefix):
        """A random value made once per run folder, kept in keys/local.json (mode 0600)."""
        path = os.path.join(self.keys_dir, "local.json")
        if self._secrets is None:
            self._secrets = {}
            if os.path.exists(path):
                with open(path) as f:
                    self._secrets = json.load(f)
        if name not in self._secrets:
            self._secrets[name] = prefix + secrets.token_hex(16)
            fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "w") as f:
                json.dump(self._secrets, f, indent=1)
            os.replace(path + ".new", path)
        return self._secrets[name]


def port_owner(port):
    """" by <program> (pid n)" when we may know it, else ""."""
    inode = None
    try:
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            with open(table) as f:
                for line in list(f)[1:]:
                    field = line.split()
                    if int(field[1].rsplit(":", 1)[1], 16) == port and field[3] == "0A":
                        inode = field[9]
        if not inode:
            return ""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]":
                        with open(f"/proc/{pid}/comm") as f:
                            return f" by {f.read().strip()} (pid {pid})"
            except OSError:
                continue
    except (OSError, ValueError):
        pass
    return ""


def quote_url(text):
    return urllib.parse.quote(text, safe="")


def main_guard(function):
    """Runs a command: a Problem is one line and exit 1, Ctrl-C is exit 130."""
    try:
        sys.exit(function())
    except Problem as e:
        print(f"souk: {e}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        print("souk: interrupted", file=sys.stderr, flush=True)
        sys.exit(130)
