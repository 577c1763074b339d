"""Loads the demo shop through REST (deploy/demo/), once per seed and scale, while the supervisor keeps turning."""

import json
import os
import subprocess

from processes import PYTHON
from settings import Problem, say


def load(s, sup):
    """True when there is now more than before."""
    scale = os.environ.get("DEMO_SCALE", "1000")
    seed = os.environ.get("DEMO_SEED", "1")
    if not scale.isdigit() or not seed.isdigit():
        raise Problem(f"DEMO_SCALE={scale}, DEMO_SEED={seed}: numbers")
    try:
        with open(os.path.join(s.run_dir, "demo.json")) as f:
            there = json.load(f)
        if (there["seed"], there["scale"]) == (int(seed), int(scale)):
            return False
    except (OSError, ValueError, KeyError):
        pass
    say(f"souk: loading the demo shop ({scale} products)")
    log = os.path.join(s.logs_dir, "demo.log")
    with open(log, "wb") as out:
        popen = subprocess.Popen([PYTHON, os.path.join(s.root, "deploy", "demo", "load.py"), "--run-dir", s.run_dir,
                                  "--identity", s.program("souk-identity"), "--scale", scale, "--seed", seed],
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    with open(log, encoding="utf-8", errors="replace") as f:
        while True:
            code = popen.poll()
            for line in f:
                say("souk: " + line.rstrip())
            if code is not None:
                break
            if sup.stopping:
                popen.terminate()
            sup.turn(0.1)
    if code and not sup.stopping:
        say("souk: the demo shop is incomplete; the platform runs without it (logs/demo.log; `up` again tries again)")
        sup.info["demo_failed"] = True
    return True
