#!/usr/bin/python3
"""Has Prometheus' own promtool judge deploy/observability: the settings, the rules, and when each alert fires and when it is
silent (alerts_test.yml). promtool is taken from the path, or unpacked, not installed, from Debian's package of Prometheus.
Prints `ok NAME`, `FAIL NAME` or `skip NAME: why`."""

import os
import shutil
import subprocess
import sys
import tempfile

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
OBSERVABILITY = os.path.normpath(os.path.join(HERE, "..", "..", "deploy", "observability"))
# An archive may stand still; a busy machine may take its time.
FETCH_SECONDS, CHECK_SECONDS = 180, 120


def run(words, cwd, seconds):
    """(it went well, what it said)"""
    try:
        done = subprocess.run(words, cwd=cwd, timeout=seconds, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as e:
        return False, str(e)
    return done.returncode == 0, done.stdout


def find_promtool(work):
    """(its path, or why there is none)"""
    found = shutil.which("promtool")
    if found:
        return found, ""
    went, said = run(["apt-get", "-q", "download", "prometheus"], work, FETCH_SECONDS)
    packages = [name for name in os.listdir(work) if name.endswith(".deb")]
    if not went or not packages:
        return None, (said.strip() or "no package").splitlines()[-1][:160]
    went, said = run(["dpkg-deb", "-x", packages[0], "prometheus"], work, CHECK_SECONDS)
    found = os.path.join(work, "prometheus", "usr", "bin", "promtool")
    return (found, "") if went and os.path.exists(found) else (None, said.strip()[-160:] or "no promtool in the package")


def untested():
    """Alerts of which no test says when they fire, or none when they are silent."""
    with open(os.path.join(OBSERVABILITY, "alerts.yml"), encoding="utf-8") as f:
        alerts = {rule["alert"] for group in yaml.safe_load(f)["groups"] for rule in group["rules"]}
    with open(os.path.join(HERE, "alerts_test.yml"), encoding="utf-8") as f:
        cases = [case for test in yaml.safe_load(f)["tests"] for case in test["alert_rule_test"]]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    return sorted((alerts - fires) | (alerts - silent))


def lay_out(work):
    """A folder in which the rules stand where the settings and the tests look for them."""
    for name in ("alerts.yml", "prometheus.yml"):
        shutil.copy(os.path.join(OBSERVABILITY, name), work)
    shutil.copy(os.path.join(HERE, "alerts_test.yml"), work)
    path = os.path.join(work, "prometheus.yml")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("/etc/souk/", work + "/"))


def main():
    missing = untested()
    print(f"FAIL  alerts without a test of firing and of silence: {missing}" if missing else "ok each alert has its tests")
    failed = bool(missing)
    with tempfile.TemporaryDirectory(prefix="souk-promtool-") as work:
        os.chmod(work, 0o755)  # apt fetches as a user of its own
        promtool, why = find_promtool(work)
        if not promtool:
            print(f"skip alerts and scrape settings by promtool: {why}")
            return int(failed)
        lay_out(work)
        for what, words in (("scrape settings", ["check", "config", "prometheus.yml"]),
                            ("alert rules", ["check", "rules", "alerts.yml"]),
                            ("each alert fires and is silent when it should", ["test", "rules", "alerts_test.yml"])):
            went, said = run([promtool, *words], work, CHECK_SECONDS)
            print(f"ok {what}, by promtool" if went else f"FAIL  {what}, by promtool")
            if not went:
                failed = True
                print("\n".join(f"      {line[:300]}" for line in said.splitlines()[-40:]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
