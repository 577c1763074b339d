#!/usr/bin/python3
"""Turns a ctest log with output on failure into `ok NAME`, `FAIL NAME` (with its output) and `skip NAME` lines, one per
cmocka test where the program printed them, else one per program."""

import re
import sys


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    output = []
    result = re.compile(r"^\s*\d+/\d+ Test\s+#\d+: (\S+) \.*\s*(\*\*\*\S*.*?|Passed)\s+[\d.]+ sec")
    pending = None
    for line in lines:
        match = result.match(line)
        if match:
            pending = flush(pending, output)
            if match.group(2) == "Passed":
                print(f"ok {match.group(1)}")
            elif "Skipped" in match.group(2) or "Not Run (Disabled)" in match.group(2):
                print(f"skip {match.group(1)} (the program asked to be skipped)")
            else:
                pending = match.group(1) + " " + match.group(2).strip("*")
                output = []
        elif pending and not re.match(r"^\s*Start\s+\d+:", line):
            if re.match(r"^\d+% tests passed", line):
                pending = flush(pending, output)
            else:
                output.append(line)
    flush(pending, output)


def flush(name, output):
    if name:
        print(f"FAIL  {name}")
        for line in told(output)[-60:]:
            print(f"      {line[:400]}")
    return None


def told(output):
    """What the failing cmocka tests printed; where there is no such mark (a crash), the end of everything."""
    output = [x for x in output if x.strip()]
    blocks, block = [], []
    for line in output:
        if line.startswith("[ RUN "):
            block = []
        block.append(line)
        if re.match(r"\[  FAILED  \] \w+$", line) and block[0].startswith("[ RUN "):
            blocks += block[-12:]
            block = [""]
    return blocks or output[-40:]


if __name__ == "__main__":
    main()
