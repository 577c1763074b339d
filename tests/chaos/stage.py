#!/usr/bin/python3
"""The local platform with our proxy between all daemons, a clock for each that can be set wrong, and, on request, two of
each daemon. `stage.py up|down`; else as deploy/local/local.py, whose table of processes it changes.

CHAOS_PROXY=1 puts the proxy between; CHAOS_REPLICAS=2 runs two of each daemon; CHAOS_CLOCK=<library> preloads it.
"""

import json
import os
import random
import socket
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy", "local"))

import local  # noqa: E402
import processes  # noqa: E402
from settings import Settings, main_guard  # noqa: E402

plain_platform, plain_stores = processes.platform, processes.stores


def draw(n):
    """Free ports, all different, below those that the kernel gives to outgoing connections: a killed daemon's is not taken."""
    ports = []
    while len(ports) < n:
        port = random.randrange(20000, 32000)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def port_of(url):
    return int(url.rsplit(":", 1)[1])


def double(rows, names):
    """A second process of each daemon; everybody knows both."""
    more = []
    for row in [r for r in rows if r.name in names]:
        up = row.name.upper()
        rpc, bell, admin = draw(3)
        first = {k: row.env[k] for k in (f"{up}_LISTEN", f"{up}_BELL_LISTEN")}
        env = dict(row.env, **{f"{up}_LISTEN": f"tcp://127.0.0.1:{rpc}", f"{up}_BELL_LISTEN": f"tcp://127.0.0.1:{bell}",
                               f"{up}_ADMIN_LISTEN": f"127.0.0.1:{admin}"})
        twin = processes.Process(row.name + "-2", row.argv, env=env, ready=f"http://127.0.0.1:{admin}/readyz", rank=3,
                                 own_env=True)
        more.append((up, twin, first[f"{up}_LISTEN"], first[f"{up}_BELL_LISTEN"], rpc, bell))
    for up, twin, rpc1, bell1, rpc, bell in more:
        for row in rows + [m[1] for m in more]:
            if f"{up}_URL" in row.env:
                row.env[f"{up}_URL"] = f"{rpc1},tcp://127.0.0.1:{rpc}"
                row.env[f"{up}_BELL_URL"] = f"{bell1},tcp://127.0.0.1:{bell}"
    return rows[:-1] + [m[1] for m in more] + rows[-1:]


def put_proxy_between(s, rows, names):
    edges = []
    for row in [r for r in rows if r.name in names or r.name == "gateway"]:
        for peer in names:
            for kind, key in (("rpc", f"{peer.upper()}_URL"), ("bell", f"{peer.upper()}_BELL_URL")):
                if key in row.env:
                    edges.append({"edge": f"{row.name}>{peer}", "kind": kind, "to": port_of(row.env[key]), "row": row, "key": key})
    for edge, port in zip(edges, draw(len(edges))):
        edge["listen"] = port
        edge.pop("row").env[edge.pop("key")] = f"tcp://127.0.0.1:{port}"
    path = os.path.join(s.run_dir, "edges.json")
    with open(path, "w") as f:
        json.dump(edges, f, indent=1)
    control = os.path.join(s.socket_dir, "proxy.sock")
    proxy = processes.Process("proxy", [processes.PYTHON, os.path.join(HERE, "proxy.py"), path, control],
                              ready=lambda: os.path.exists(control), rank=1,
                              before=lambda: os.path.exists(control) and os.unlink(control))
    with open(os.path.join(s.run_dir, "control"), "w") as f:
        f.write(control)
    return [proxy] + rows


def platform(s):
    rows = plain_platform(s)
    names = [r.name for r in rows if r.name in processes.DAEMON_NAMES and os.path.exists(r.argv[0])]
    clock = os.environ.get("CHAOS_CLOCK")
    if clock:
        for row in rows:
            if row.name in names:
                at = os.path.join(s.run_dir, f"clock-{row.name}")
                with open(at, "wb") as f:
                    f.write(bytes(8))
                row.env.update(LD_PRELOAD=clock, CHAOS_CLOCK_FILE=at)
    if os.environ.get("CHAOS_REPLICAS") == "2":
        rows = double(rows, names)
    if os.environ.get("CHAOS_PROXY") == "1":
        rows = put_proxy_between(s, rows, names)
    return rows


def stores(s, *how):
    """A killed PostgreSQL must keep what it acknowledged: commits are written at once, if not forced to the disk."""
    rows = plain_stores(s, *how)
    for row in rows:
        if row.name == "postgres":
            row.argv += ["-c", "fsync=off", "-c", "synchronous_commit=on"]
    return rows


if __name__ == "__main__":
    processes.platform, processes.stores = platform, stores
    main_guard(lambda: local.supervise(made) if (made := Settings()) and not made.make_dirs() and sys.argv[1:] == ["up"]
               else local.down(made))
