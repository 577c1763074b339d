"""Reading the tree for the gates: files by kind, C text with comments and strings told apart."""

import os
import re
import subprocess

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
SKIP = {".git", "build", ".run", "__pycache__", "node_modules", ".cache"}

TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def files(*suffixes, under=""):
    """Relative paths that belong to the project: what git knows or would add."""
    out = _known()
    return [p for p in out if p.endswith(suffixes) and p.startswith(under)]


_cache = {}


def _known():
    if "known" not in _cache:
        done = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if done.returncode == 0:
            names = done.stdout.decode().split("\0")
        else:  # an exported tree without history
            names = []
            for folder, dirs, found in os.walk(ROOT):
                dirs[:] = [d for d in dirs if d not in SKIP]
                names += [os.path.relpath(os.path.join(folder, f), ROOT) for f in found]
        _cache["known"] = sorted(n for n in names if n and os.path.isfile(os.path.join(ROOT, n)))
    return _cache["known"]


def read(path):
    if path not in _cache:
        with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
            _cache[path] = f.read()
    return _cache[path]


def code(path):
    """C text with comments and the insides of strings blanked; line numbers stay."""
    key = ("code", path)
    if key not in _cache:
        _cache[key] = TOKEN.sub(_blank, read(path))
    return _cache[key]


def no_comments(path):
    key = ("nc", path)
    if key not in _cache:
        _cache[key] = TOKEN.sub(lambda m: _blank(m) if m.group().startswith("/") else m.group(), read(path))
    return _cache[key]


def _blank(match):
    text = match.group()
    inside = re.sub(r"[^\n]", " ", text)
    return '"' + inside[1:-1] + '"' if text.startswith('"') else inside


def strings(path):
    """(line, text) of each run of adjacent string literals."""
    text = no_comments(path)
    for match in re.finditer(r'"(?:\\.|[^"\\\n])*"(?:\s*"(?:\\.|[^"\\\n])*")*', text):
        parts = re.findall(r'"((?:\\.|[^"\\\n])*)"', match.group())
        yield line_of(text, match.start()), "".join(parts)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def grep(path, pattern, text=None):
    """(path:line, match) of a pattern in the code of a file."""
    text = code(path) if text is None else text
    for match in re.finditer(pattern, text, re.M):
        yield f"{path}:{line_of(text, match.start())}", match
