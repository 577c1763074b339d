#!/usr/bin/python3
"""Holds every service of docker-compose.yml to the keys it must have. Prints `ok NAME` or `FAIL NAME: what` per rule and
service; needs no engine.

	check_compose.py [docker-compose.yml]
"""

import os
import re
import subprocess
import sys

import yaml

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
# What the architecture allows each, MiB.
LIMITS = {"search": 256, "reco": 192, "gateway": 128}
DAEMON_LIMIT = 64
# No shell and no client in these images; Prometheus watches them instead. Jobs end, so nothing asks for their health.
NO_PROBE = {"collector": "alert CollectorDown", "fluentbit": "alert FluentBitDown"}
SECRET_NAME = re.compile(r"(PASSWORD|SECRET|_KEY|_DSN|TOKEN)$")
# Who mounts a volume of secrets beside the job that fills them all: the one it is named for, and one-shot jobs of its program.
READERS = {"app": set(), "pgsecrets": {"postgres", "roles"}, "pooler": {"pgbouncer"}, "edgesecrets": {"edge"},
           "migrate-secrets": {"migrate"}, "reco-secrets": {"reco", "reco-train"}}
PROFILES = {"search-engine": {"opensearch"}, "observability": {"prometheus", "grafana", "collector", "traces", "fluentbit"},
            "load": {"load"}, "training": {"reco-train"}}


def mebibytes(text):
    match = re.fullmatch(r"(\d+)([mg])", str(text))
    return int(match.group(1)) * (1024 if match.group(2) == "g" else 1) if match else None


def daemons():
    """Those of the repository: a folder that is only being written is not one yet."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "services/*/main.c"], stdout=subprocess.PIPE, text=True).stdout
    return {line.split("/")[1] for line in listed.splitlines()}


def is_job(service):
    return service.get("restart") == "no"


def is_ours(service):
    return str(service.get("image", "")).startswith("souk/")


def rules(name, s, document):
    """(what, whether it holds) for one service."""
    image = str(s.get("image", ""))
    yield "image has a pinned version", bool(re.search(r":[^:/]*\d", image)) or is_ours(s)
    yield "image is not latest", "latest" not in image
    yield "init", s.get("init") is True
    yield "read_only", s.get("read_only") is True
    yield "tmpfs for /tmp", any(str(t).startswith("/tmp:size=") for t in s.get("tmpfs", []))
    user = str(s.get("user", ""))
    yield "numeric user that is not root", bool(re.fullmatch(r"[1-9]\d*:\d+", user))
    yield "cap_drop ALL", s.get("cap_drop") == ["ALL"] and not s.get("cap_add")
    yield "no-new-privileges", "no-new-privileges:true" in s.get("security_opt", [])
    yield "not privileged", not s.get("privileged") and s.get("network_mode") != "host" and s.get("pid") != "host"
    yield "mem_limit", (mebibytes(s.get("mem_limit")) or 0) > 0
    yield "cpus", float(s.get("cpus", 0)) > 0
    yield "pids_limit", int(s.get("pids_limit", 0)) > 0
    yield "stop_grace_period", bool(s.get("stop_grace_period"))
    options = s.get("logging", {}).get("options", {})
    yield "bounded logs", bool(options.get("max-size")) and bool(options.get("max-file"))
    yield "no container_name", "container_name" not in s
    yield "no ports but the edge's", name == "edge" or not s.get("ports")
    yield "named networks", bool(s.get("networks"))
    yield "restart", is_job(s) or s.get("restart") == "unless-stopped"
    probe = s.get("healthcheck") or {}
    if is_job(s) or name in NO_PROBE:
        yield "no probe, said so", probe.get("disable") is True
    else:
        yield "healthcheck", bool(probe.get("test")) and all(k in probe for k in ("interval", "timeout", "retries"))
    secrets = [k for k, v in (s.get("environment") or {}).items() if SECRET_NAME.search(k) and v]
    yield f"secrets as files {secrets}", not secrets
    mounts = [str(v) for v in s.get("volumes", [])]
    yield "host folders are read-only", all(m.endswith(":ro") for m in mounts if m.startswith((".", "/")))
    yield "no engine socket", not any("docker.sock" in m for m in mounts)
    if name in daemons() | {"gateway"}:
        yield "our own probe over RPC", probe.get("test") == ["CMD", f"souk-{name}", "--health"]
        yield "limit of the architecture", mebibytes(s.get("mem_limit")) == LIMITS.get(name, DAEMON_LIMIT)
        waits = s.get("depends_on", {})
        yield "waits for the migrations", waits.get("migrate", {}).get("condition") == "service_completed_successfully"
        yield "its own secrets, read-only", f"{name}-secrets:/run/souk:ro" in mounts
        foreign = [k for k in s.get("environment", {})
                   if re.search(r"(_DSN|SECRET|_KEY|PASSWORD)S?(_FILE)?$", k) and not k.startswith(name.upper() + "_")]
        yield f"settings of other programs' secrets {foreign}", not foreign
    for needed, how in (s.get("depends_on") or {}).items():
        target = document["services"][needed]
        wanted = "service_completed_successfully" if is_job(target) else "service_healthy"
        yield f"waits for {needed} by {wanted}", how.get("condition") == wanted


def secret_mounts(services):
    """Each volume that the secrets job fills, and who else mounts it."""
    filled = {str(v).split(":")[0] for v in services["secrets"]["volumes"]}
    return {volume: {name for name, s in services.items() if name != "secrets" and
                     any(str(v).split(":")[0] == volume for v in s.get("volumes", []))} for volume in filled}


def whole(document):
    """Rules about the file as a whole."""
    services = document["services"]
    missing = daemons() - set(services)
    yield f"every daemon has a row (missing: {sorted(missing)})", not missing
    for profile, names in PROFILES.items():
        found = {n for n, s in services.items() if s.get("profiles") == [profile]}
        yield f"profile {profile}", found == names
    default = {n for n, s in services.items() if not s.get("profiles")}
    needed = {"postgres", "redis", "pgbouncer", "edge", "mail", "sandbox", "gateway", "secrets", "roles", "migrate", "demo"}
    yield "the default has all it needs", needed <= default
    for volume, found in sorted(secret_mounts(services).items()):
        readers = READERS.get(volume, {volume.removesuffix("-secrets")})
        yield f"{volume} is read by {', '.join(sorted(readers)) or 'nobody'} alone (found: {sorted(found)})", found == readers
    used = {str(v).split(":")[0] for s in services.values() for v in s.get("volumes", []) if not str(v).startswith((".", "/"))}
    yield "every volume is declared and used", used == set(document["volumes"])
    yield "the pooler is in transaction mode", "\npool_mode = transaction\n" in read("deploy/pgbouncer/pgbouncer.ini")
    env = services["cart"]["environment"]
    yield "daemons know of the pooler", env["PG_POOLER"] == "transaction"
    yield "trainings are another container's", services["reco"]["environment"]["RECO_TRAIN_OUTSIDE"] == "true"
    trusted = services["gateway"]["environment"]["TRUSTED_PROXIES"]
    edge = services["edge"]["networks"]["front"]["ipv4_address"]
    yield "the gateway trusts the edge alone", trusted == edge + "/32"


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "docker-compose.yml")
    with open(path, encoding="utf-8") as f:
        document = yaml.safe_load(f)
    failed = 0
    for name, service in document["services"].items():
        bad = [what for what, holds in rules(name, service, document) if not holds]
        failed += bool(bad)
        print(f"FAIL  {name}: {'; '.join(bad)}" if bad else f"ok compose service {name}")
    for what, holds in whole(document):
        failed += not holds
        print(f"ok compose: {what}" if holds else f"FAIL  compose: {what}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
