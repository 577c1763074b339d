#!/usr/bin/python3
"""Trains and scores the recommendation models on real data, beside baselines: reco_eval.py PROGRAM [cds|gifts|sessions ...]

The data are in SOUK_DATA, or ../shared/data beside the clone; without them this says so and succeeds. They are unpacked
into a temporary folder and never kept. Fails when a figure falls below the floor that stands beside it in the source.
"""
import lzma
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.environ.get("SOUK_DATA") or os.path.normpath(os.path.join(ROOT, "..", "shared", "data"))
RUNS = {
    "sessions": [("sessions", ["sessions/train.txt"], [])],
    "gifts": [("orders", ["gifts/orders.tsv"], ["30"]), ("orders", ["gifts/orders.tsv"], ["90"])],
    "cds": [("pairs", ["cds/train.txt", "cds/valid.txt"], [])],
}


def unpack(name, folder):
    target = os.path.join(folder, name.replace("/", "-"))
    if not os.path.exists(target):
        with lzma.open(os.path.join(DATA, name + ".xz")) as src, open(target, "wb") as out:
            shutil.copyfileobj(src, out)
    return target


def main():
    program, wanted = sys.argv[1], sys.argv[2:] or list(RUNS)
    failed = []
    with tempfile.TemporaryDirectory(prefix="souk-reco-") as folder:
        for name in wanted:
            for kind, files, more in RUNS[name]:
                if not all(os.path.exists(os.path.join(DATA, f + ".xz")) for f in files):
                    print(f"{name}: no data in {DATA}, not measured")
                    break
                argv = [program, kind] + [unpack(f, folder) for f in files] + more
                if subprocess.run(argv, check=False).returncode:
                    failed.append(" ".join([name] + more))
    print("reco-eval: " + ("FAILED: " + ", ".join(failed) if failed else "ok"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
