"""Loads the demo shop through REST, once per scale and seed (deploy/demo/)."""

import os

from settings import Problem, say


def load(s, sup):
    script = os.path.join(s.root, "deploy", "demo", "load.py")
    if not os.path.exists(script):
        say("souk: no demo shop yet")
