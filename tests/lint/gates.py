#!/usr/bin/python3
"""The source gates. Each function yields what is wrong, one line a place; nothing yielded is a pass."""

import hashlib
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from source import ROOT, code, files, grep, line_of, no_comments, read, strings

PRODUCT = ("common/", "services/", "gateway/", "deploy/")


def c_files(*under):
    return [p for p in files(".c", ".h") if p.startswith(under or PRODUCT + ("tests/",))]


# ---- C ---------------------------------------------------------------------------------------------------------------


BANNED = ("strcpy stpcpy strcat sprintf vsprintf gets atoi atol atoll atof strtok system popen alloca setjmp longjmp "
          "sigsetjmp siglongjmp tmpnam tempnam mktemp rand srand random srandom gmtime localtime ctime asctime "
          "strncat wcscpy gethostbyname usleep").split()


def banned_functions():
    pattern = r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\("
    for path in c_files():
        for where, match in grep(path, pattern):
            # A test works on text it wrote itself, under a sanitizer that sees what does not fit.
            if not (path.startswith("tests/") and re.match(r"ato|s?rand|str(n?cat|cpy)$", match.group(1))):
                yield f"{where}: {match.group(1)}() is banned"


# library header -> the files that may include it
INCLUDE_RULES = [
    (r"nng/", r"common/(rpc_server|rpc_client|doorbell)\w*\.[ch]|tests/(bench|fuzz|support|torture|unit|integration)/.*", "nng"),
    (r"hiredis", r"common/cache\w*\.c|tests/.*", "hiredis"),
    (r"curl/", r"common/httpc\w*\.c|services/notify/notify_smtp\.c|tests/(bench|sandbox)/.*", "libcurl"),
    (r"civetweb\.h", r"gateway/http\w*\.[ch]|common/admin\.c|tests/(sandbox|bench)/.*", "civetweb"),
    (r"libpq-fe\.h", r"common/(pg|migrate)\w*\.[ch]|tests/.*", "libpq"),
    (r"argon2\.h", r"services/identity/.*|tests/.*", "argon2"),
    (r"openssl/", r"common/.*|services/identity/.*|tests/.*|gateway/.*", "OpenSSL"),
]


def includes():
    for path in c_files():
        for where, match in grep(path, r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]*)[>"]', no_comments(path)):
            name = match.group(2)
            for pattern, allowed, what in INCLUDE_RULES:
                if re.match(pattern, name) and not re.fullmatch(allowed, path):
                    yield f"{where}: {what} is included only by {allowed}"
            yield from _borders(path, where, name)


def _borders(path, where, name):
    part = path.split("/")
    if part[0] == "common":
        if name.startswith(("services/", "gateway/")):
            yield f"{where}: common knows no service and no gateway ({name})"
        if name.endswith(".pb-c.h") and name not in ("common.pb-c.h", "events.pb-c.h"):
            yield f"{where}: common includes only the generated envelopes ({name})"
    elif part[0] == "services":
        own = part[1]
        if name.startswith("services/") and name.split("/")[1] != own:
            yield f"{where}: {own} includes another daemon's file ({name})"
        if name.startswith("gateway/"):
            yield f"{where}: a daemon does not know the gateway"
        match = re.fullmatch(r"(\w+)\.pb-c\.h", name)
        if match and match.group(1) not in {own, "common", "events"} | callgraph().get(own, set()):
            yield f"{where}: {own} may not call {match.group(1)} (proto/callgraph.txt)"
    elif part[0] == "gateway" and name.startswith("services/"):
        yield f"{where}: the gateway includes no daemon's file ({name})"


SQL_START = re.compile(r"^\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+[\w.]+\s+SET\b|DELETE\s+FROM\s|WITH\s+\w+\s*(\(|AS\b)|"
                       r"CREATE\s+(TABLE|INDEX|FUNCTION|ROLE|SCHEMA)|ALTER\s+(TABLE|ROLE)|TRUNCATE\s|BEGIN\b|COMMIT\b|"
                       r"SET\s+LOCAL\b|LISTEN\s|NOTIFY\s)")
SQL_HOME = re.compile(r"services/\w+/\w+_db\w*\.[ch]|common/\w+_db\.c|common/(pg|migrate|audit|idem|outbox|inbox|lease|call|timer)\w*\.[ch]|"
                      r"tests/.*")


def sql_placement():
    for path in c_files():
        if SQL_HOME.fullmatch(path):
            continue
        for line, text in strings(path):
            if SQL_START.match(text):
                yield f"{path}:{line}: SQL outside the database files"


def sql_shape():
    """Schema-qualified, no text pasted in, every SELECT limited or keyed."""
    for path in files(".c", under="services/"):
        if not re.fullmatch(r"services/\w+/\w+_db\w*\.c", path):
            continue
        for line, text in strings(path):
            text = text.replace("\\n", " ").replace("\\t", " ")
            if not SQL_START.match(text):
                continue
            if re.search(r"%[-0-9.*]*[sd]", text) and not re.search(r"format\s*\(", text):
                yield f"{path}:{line}: text is pasted into a statement"
            if re.match(r"\s*SELECT\b", text) and re.search(r"\bFROM\s+\w+\.\w+\b(?!\s*\()", text) and not re.search(
                    r"\b(WHERE|LIMIT)\b|\b(count|max|min|sum|bool_or|coalesce)\s*\(", text, re.I):
                yield f"{path}:{line}: a SELECT without WHERE or LIMIT"
            for match in re.finditer(r"\b(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+(?!ONLY\b|SET\b)([a-z_]+)(?![\w.(])",
                                     text):
                if match.group(1) not in re.findall(r"(\w+)\s+AS\s*\(", text) and not text[:match.start()].rstrip() \
                        .endswith(("FOR", "NO KEY", "DO")):
                    yield f"{path}:{line}: {match.group(1)} is not schema-qualified"


def money_access():
    """Variables and members of type struct money are opened only by common/money; a row's own int64 `minor` is free."""
    declared = r"\bstruct money\b\s*(?:const\s*)?\*?\s*((?:\w+(?:\[\w*\])?\s*,\s*\*?\s*)*\w+)\s*[;,=)\[]"
    members = set()
    for path in c_files(*PRODUCT):
        if path.endswith(".h"):
            members |= _names(re.findall(declared.replace("[;,=)\\[]", "(?:\\[\\w*\\]\\s*)?;"), code(path)))
    for path in c_files(*PRODUCT):
        if re.fullmatch(r"common/money\w*\.[ch]", path):
            continue
        names = members | _names(re.findall(declared, code(path)))
        for where, match in grep(path, r"\b(\w+)(?:\[[^\]]*\])?(?:\.|->)\s*(minor|cur)\b"):
            if match.group(1) in names:
                yield f"{where}: the fields of struct money are touched only in common/money.*"


def _names(lists):
    return {name for text in lists for name in re.findall(r"[A-Za-z_]\w*", re.sub(r"\[\w*\]", "", text))}


def no_float_money():
    for path in c_files("services/cart/", "services/checkout/", "services/inventory/", "common/money"):
        lines = code(path).split("\n")
        for where, match in grep(path, r"\b(float|double|strtod|atof)\b"):
            if "metric_" in lines[int(where.rsplit(":", 1)[1]) - 1]:
                continue  # seconds, not money
            yield f"{where}: {match.group(1)} near money"


def long_files():
    for path in files(".c", ".h", ".py", ".sh", under=""):
        lines = read(path).count("\n")
        if lines > 800 and not path.startswith("tests/golden/"):
            yield f"{path}: {lines} lines"


AT_START = ("keys.", "conf.", "migrate.")  # refusals of a start: they reach no client, so their status is moot


def errors_table():
    """Each slug once, each used slug in the table with its code."""
    path = "common/errors.def"
    if path not in files(".def"):
        return
    text = no_comments(path)
    rows = {}
    for match in re.finditer(r'^\s*ERR\(\s*"([^"]+)"\s*,\s*(E_\w+)\s*,', text, re.M):
        slug, where = match.group(1), f"{path}:{line_of(text, match.start())}"
        if slug in rows:
            yield f"{where}: {slug} is there twice"
        if not re.fullmatch(r"[a-z0-9]+(\.[a-z0-9_]+)+", slug):
            yield f"{where}: {slug} is not area.words"
        rows[slug] = match.group(2)
    for source in files(".c", under=""):
        if not source.startswith(PRODUCT):
            continue
        body = no_comments(source)
        for match in re.finditer(r'\berr_set\s*\(\s*[^,;]+?,\s*(E_\w+)\s*,\s*"([^"]+)"', body):
            where = f"{source}:{line_of(body, match.start())}"
            if match.group(2) not in rows and match.group(1) == "E_INTERNAL":
                continue  # what a client is told of these is INTERNAL, table or not
            if match.group(2) not in rows:
                yield f"{where}: slug {match.group(2)} is not in {path}"
            elif rows[match.group(2)] != match.group(1) and not match.group(2).startswith(AT_START):
                yield f"{where}: {match.group(2)} is {rows[match.group(2)]} in {path}, {match.group(1)} here"


# ---- contracts -------------------------------------------------------------------------------------------------------


def callgraph():
    graph = {}
    for line in read("proto/callgraph.txt").splitlines():
        line = line.split("#")[0].strip()
        if line:
            caller, _, callees = line.partition(":")
            graph[caller.strip()] = set(callees.split())
    return graph


def call_graph():
    graph = callgraph()
    done = set()

    def visit(node, path):
        if node in path:
            return [" -> ".join(path[path.index(node):] + [node])]
        if node in done:
            return []
        done.add(node)
        return [x for callee in sorted(graph.get(node, ())) for x in visit(callee, path + [node])]

    for caller in sorted(graph):
        for cycle in visit(caller, []):
            yield f"proto/callgraph.txt: a cycle: {cycle}"
    for path in files(".c", under="services/"):
        own = path.split("/")[1]
        body = no_comments(path)
        for where, match in grep(path, r'\brpc_client_open\s*\(\s*[^,]+,\s*"(\w+)"', body):
            # The pullers of events go to any owner; they are opened by the inbox, not here.
            if match.group(1) not in graph.get(own, set()) and not _event_puller(own, match.group(1)):
                yield f"{where}: {own} may not call {match.group(1)} (proto/callgraph.txt)"


def _event_puller(own, source):
    """A daemon that consumes events of a source opens a client to it for FetchEvents alone."""
    body = "".join(no_comments(p) for p in files(".c", under=f"services/{own}/"))
    return re.search(rf'\{{\s*"{source}"\s*,[^}}]*bell_url\s*\}}', body) is not None


C_WORDS = set("auto break case char const continue default do double else enum extern float for goto if inline int "
              "long register restrict return short signed sizeof static struct switch typedef union unsigned void "
              "volatile while bool true false".split())


def proto_rules():
    import proto_compat
    fields = proto_compat.F
    for f in proto_compat.current().file:
        stem = f.name[:-len(".proto")]
        if f.syntax not in ("", "proto2"):
            yield f"proto/{f.name}: {f.syntax}; proto2 is the rule"
        if f.package != f"{stem}.v1":
            yield f"proto/{f.name}: package {f.package}, expected {stem}.v1"
        for m, name in proto_compat.messages(f):
            for field in m.field:
                if field.label == fields.LABEL_REQUIRED:
                    yield f"proto/{f.name}: {name}.{field.name} is required"
                if field.name in C_WORDS | {"base"}:
                    yield f"proto/{f.name}: {name}.{field.name} is a word of C or of protobuf-c's structs"
                if field.type == fields.TYPE_GROUP:
                    yield f"proto/{f.name}: {name}.{field.name} is a group"
                if field.type in (fields.TYPE_FLOAT,):
                    yield f"proto/{f.name}: {name}.{field.name} is a float; double if it must be"
        for e, name in proto_compat.enums(f):
            zero = [v for v in e.value if v.number == 0]
            if not zero or not zero[0].name.endswith("UNSPECIFIED"):
                yield f"proto/{f.name}: enum {name} does not start at …UNSPECIFIED = 0"
        for service in f.service:
            if service.name.lower() not in (stem, "node"):
                yield f"proto/{f.name}: service {service.name} in the contract of {stem}"
            for method in service.method:
                snake = re.sub(r"(?<!^)([A-Z])", r"_\1", method.name).lower()
                if snake in C_WORDS:
                    yield f"proto/{f.name}: rpc {method.name} becomes the C word {snake}"
    yield from proto_compat.recursion()


def proto_compatible():
    import proto_compat
    yield from proto_compat.check()


# ---- migrations, settings, texts -------------------------------------------------------------------------------------


GOLDEN = "tests/golden/migrations.sha256"


def _golden():
    if not os.path.exists(os.path.join(ROOT, GOLDEN)):
        return None
    return dict(reversed(line.split("  ", 1)) for line in read(GOLDEN).splitlines() if line)


def _migrations():
    return {p: hashlib.sha256(open(os.path.join(ROOT, p), "rb").read()).hexdigest()
            for p in files(".sql") if "/migrations/" in p}


def migrations_append_only():
    golden, now = _golden(), _migrations()
    if golden is None:
        return
    for path, digest in golden.items():
        if path not in now:
            yield f"{path}: a migration was removed"
        elif now[path] != digest:
            yield f"{path}: a migration was changed; write a new one"
    for path in sorted(set(now) - set(golden)):
        yield f"{path}: new; accept it with tests/lint/lint.sh --golden"
    folders = {}
    for path in now:
        folders.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    for folder, names in folders.items():
        for i, name in enumerate(sorted(names), 1):
            if not re.fullmatch(rf"{i:04d}_[a-z0-9_]+\.sql", name):
                yield f"{folder}/{name}: expected {i:04d}_slug.sql"


def settings_documented():
    page = "docs/configuration.md"
    if page not in files(".md"):
        yield f"{page} is missing (make -f Makefile.ci docs)"
        return
    text = read(page)
    for path in c_files("common/", "services/", "gateway/"):
        if path in ("common/conf.h", "common/conf.c"):
            continue
        body = no_comments(path)
        for where, match in grep(path, r'\bCONF(?:_ENUM)?\(\s*\w+\s*,\s*[\w.]+\s*,\s*"([A-Z0-9_]+)"', body):
            if f"`{match.group(1)}`" not in text and match.group(1) not in text:
                yield f"{where}: {match.group(1)} is not in {page} (make -f Makefile.ci docs)"


PATHS = re.compile(r"(?<![\w./-])/(work|home|root|Users|build|mnt|media)/[\w.-]+")
SECRETS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(sk|rk)_live_[0-9A-Za-z]{8,}|AKIA[0-9A-Z]{16}")


def machine_paths():
    for path in files(""):
        if path.startswith(("tests/lint/", "tests/golden/", "tests/fuzz/corpus/")) or \
                path.endswith((".desc", ".png", ".jpg", ".gz", ".jsonl", ".csv")):
            continue
        text = read(path)
        for match in PATHS.finditer(text):
            if match.group(1) == "media" and path.startswith(("gateway/", "docs/", "services/", "tests/", "proto/")):
                continue  # the URL /media/{key}
            yield f"{path}:{line_of(text, match.start())}: a machine's path: {match.group()}"
        if not path.startswith("tests/"):
            for match in SECRETS.finditer(text):
                yield f"{path}:{line_of(text, match.start())}: looks like a secret"


def tests_registered():
    """A test file that no runner would pick up does not count as a test."""
    for path in files(".c", ".py", under="tests/"):
        part = path.split("/")
        name = part[-1]
        if part[1] in ("unit", "integration") and path.endswith(".c"):
            if len(part) != 4 or not name.startswith("test_"):
                yield f"{path}: expected tests/{part[1]}/<part>/test_<noun>.c"
            elif "cmocka_run_group_tests" not in code(path):
                yield f"{path}: runs no group of tests"
        elif part[1] == "unit" and len(part) == 4 and part[2] not in _parts():
            yield f"{path}: there is no part {part[2]}"
        elif part[1] in ("e2e", "verify") and name.endswith(".py") and not name.startswith("test_"):
            if not any(re.search(rf"\b{name[:-3]}\b", read(p)) for p in files(".py", under=f"tests/{part[1]}/")
                       if p != path):
                yield f"{path}: nothing imports it and no runner starts it"
        elif part[1] == "fuzz" and path.endswith(".c") and not re.match(r"fuzz_|replay_main", name):
            yield f"{path}: expected tests/fuzz/fuzz_<noun>.c"
        elif part[1] not in ("unit", "integration", "e2e", "verify", "fuzz", "bench", "support", "sandbox", "lint",
                             "golden", "data", "chaos", "torture", "planted", "compose", "run.sh"):
            yield f"{path}: a folder of tests/ that no runner knows"
    for path in files(".py", under="tests/"):
        if re.search(r"/test_\w+\.py$", path) and re.search(r"@unittest\.skip\b|@unittest\.expectedFailure", read(path)):
            yield f"{path}: a test that is always skipped or expected to fail"


def _parts():
    return {"common", "gateway", "sandbox", "soukctl", "support", "proto"} | {p.split("/")[1] for p in files("", under="services/")}


def readme_tour():
    """The tour in the README is the one that `up` prints."""
    tour = read("deploy/local/tour.sh").split("\n", 1)[1]
    for mark, address in (("@URL@", "8080"), ("@SANDBOX@", "8090"), ("@MAIL@", "8026")):
        tour = tour.replace(mark, f"http://127.0.0.1:{address}")
    if tour not in read("README.md"):
        yield "README.md: the tour is not that of deploy/local/tour.sh"


PROOF = "docs/proof.md"


def proof_table():
    """Every failure case has a test that carries its number, and every such test stands in its row; tests named are there."""
    tests = {}
    for path in files(".c", ".py", under="tests/"):
        for _, match in grep(path, r"^(?:static void|[ \t]*def) (?:test_)?(s(\d+)_\w+)\((?:void \*\*|self)"):
            tests.setdefault(int(match.group(2)), set()).add(match.group(1))
    every = {m.group(1) for path in files(".c", under="tests/") for _, m in grep(path, r"^static void (\w+)\(void \*\*")}
    rows = {}
    for line in read(PROOF).splitlines():
        if match := re.match(r"\| ([SI]\d+)\b", line):
            rows[match.group(1)] = set(re.findall(r"`(s\d+_\w+)`", line))
        elif line.startswith("|"):
            for name in re.findall(r"`(\w+_alone|test_late_commit|s\d+_\w+)`", line):
                if name not in every:
                    yield f"{PROOF}: there is no test {name}"
    for n in range(1, 36):
        if f"S{n}" not in rows:
            yield f"{PROOF}: no row for S{n}"
        elif not tests.get(n):
            yield f"{PROOF}: S{n} has no test s{n}_…"
        for name in rows.get(f"S{n}", set()) ^ tests.get(n, set()):
            yield f"{PROOF}: {name} is only in {'the row of' if name in rows[f'S{n}'] else 'the tests, not in'} S{n}"
    for n in range(1, 18):
        if f"I{n}" not in rows:
            yield f"{PROOF}: no row for I{n}"


def scripts_parse():
    for path in files(".sh") + [".ci/run"]:
        if os.path.exists(os.path.join(ROOT, path)):
            done = subprocess.run(["bash", "-n", os.path.join(ROOT, path)], stderr=subprocess.PIPE, text=True)
            if done.returncode:
                yield f"{path}: {done.stderr.strip().splitlines()[0]}"
    for path in files(".py"):
        try:
            compile(read(path), path, "exec")
        except SyntaxError as e:
            yield f"{path}:{e.lineno}: {e.msg}"


GATES = [
    ("banned", "banned functions", banned_functions),
    ("includes", "who may include what", includes),
    ("sql", "SQL only in database files", sql_placement),
    ("sqlshape", "statements are qualified, bounded and parametrised", sql_shape),
    ("money", "money fields only in common/money", money_access),
    ("float", "no floating point near money", no_float_money),
    ("errors", "error slugs and their table", errors_table),
    ("callgraph", "the call graph is acyclic and obeyed", call_graph),
    ("proto", "contract rules", proto_rules),
    ("compat", "contracts are compatible with the golden set", proto_compatible),
    ("migrations", "migrations are append-only", migrations_append_only),
    ("settings", "settings are documented", settings_documented),
    ("paths", "no machine paths, no secrets", machine_paths),
    ("tests", "every test file has a runner", tests_registered),
    ("proof", "failure cases, their tests and their table", proof_table),
    ("readme", "the README's tour is the one that runs", readme_tour),
    ("scripts", "scripts parse", scripts_parse),
]
WARNINGS = [("long", "files over 800 lines", long_files)]


def main():
    wanted = sys.argv[1:]
    if wanted == ["--golden"]:
        golden = _golden() or {}
        changed = [p for p, h in _migrations().items() if golden.get(p, h) != h]
        if changed and os.environ.get("SOUK_UNRELEASED") != "1":
            sys.exit("changed migrations cannot be accepted: " + ", ".join(changed))
        with open(os.path.join(ROOT, GOLDEN), "w") as f:
            f.writelines(f"{h}  {p}\n" for p, h in sorted(_migrations().items()))
        return 0
    failed = 0
    for key, name, gate in GATES + WARNINGS:
        if wanted and key not in wanted:
            continue
        found = list(gate())
        warn = (key, name, gate) in WARNINGS
        if not found:
            print(f"ok {name}")
            continue
        failed += not warn
        print(f"{'warn' if warn else 'FAIL'}  {name} [{key}]")
        for line in found[:40]:
            print(f"      {line}")
        if len(found) > 40:
            print(f"      … and {len(found) - 40} more")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
