"""What a person reads when the platform is ready."""

import json
import os

from settings import ROOT


def how_to_stop(running=False):
    if os.environ.get("DETACH") == "1" or running or not os.isatty(0):
        return "`make -f Makefile.ci down` stops it, `make -f Makefile.ci logs` shows the logs"
    return "Ctrl-C stops it, `make -f Makefile.ci logs` (elsewhere) shows the logs"


def demo_facts(s):
    try:
        with open(os.path.join(s.run_dir, "demo.json")) as f:
            return json.load(f)
    except (OSError, ValueError):
        return {}


def text(s, info):
    facts = demo_facts(s)
    logs = s.logs_dir[len(ROOT) + 1:] if s.logs_dir.startswith(ROOT + "/") else s.logs_dir
    lines = ["", f"  shop API     {s.url}/api     documentation {s.url}/api/docs",
             f"  mail         {s.mail_url}     payment sandbox {s.sandbox_url}",
             f"  logs         {logs}/all.log"]
    if facts.get("users"):
        lines += ["", "  demo logins (password of all: " + facts["password"] + ")"]
        for user in facts["users"]:
            lines.append(f"    {user['role']:10} {user['email']}" + (f"   vendor_id {user['vendor_id']}"
                                                                      if user.get("vendor_id") else ""))
    if facts.get("users"):
        lines += ["", "  a tour to paste:", ""] + curl_tour(s, facts)
    return "\n".join(lines) + "\n"


def curl_tour(s, facts):
    """Browse, fill a guest cart, check out, pay at the sandbox, confirm, read the mail."""
    with open(os.path.join(ROOT, "deploy", "local", "tour.sh"), encoding="utf-8") as f:
        lines = f.read().splitlines()[1:]
    return "\n".join(lines).replace("@URL@", s.url).replace("@SANDBOX@", s.sandbox_url) \
        .replace("@MAIL@", s.mail_url).splitlines()
