#!/usr/bin/python3
"""The local platform with preload.c in every daemon and in the gateway, as TORTURE_SHIM names it; else as
tests/chaos/stage.py. A process that ends was made to end: it starts again at once, however often."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "deploy", "local"))

import local  # noqa: E402
import processes  # noqa: E402
import supervisor  # noqa: E402
from settings import Settings, main_guard  # noqa: E402

SIZE = 4096  # of the file in which orders stand
plain_platform = processes.platform


def platform(s):
    rows = plain_platform(s)
    for row in rows:
        if row.name in processes.DAEMON_NAMES or row.name == "gateway":
            at = os.path.join(s.run_dir, f"torture-{row.name}")
            with open(at, "wb") as f:
                f.write(bytes(SIZE))
            # What was freed is filled with rubbish: whoever still reads it is seen.
            row.env.update(LD_PRELOAD=os.environ["TORTURE_SHIM"], TORTURE_FILE=at, MALLOC_PERTURB_="165")
    return rows


if __name__ == "__main__":
    processes.platform, supervisor.STEADY = platform, 0.0
    main_guard(lambda: local.supervise(made) if (made := Settings()) and not made.make_dirs() and sys.argv[1:] == ["up"]
               else local.down(made))
