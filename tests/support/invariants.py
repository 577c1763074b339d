"""What must be true of the books (invariants.sql), asked of a database.

	for line in invariants.broken(rows, SCHEMAS, at_rest=True): print(line)

`rows` is a function that runs a query and answers its rows as a list of dicts.
"""

import collections
import os
import re

Invariant = collections.namedtuple("Invariant", "number schemas when text query")
HEAD = re.compile(r"-- @ (I\d+) (\S+) (always|rest) (.+)")


def load():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "invariants.sql"), encoding="utf-8") as f:
        parts = re.split(r"^(?=-- @ )", f.read(), flags=re.M)[1:]
    out = []
    for part in parts:
        head, query = part.split("\n", 1)
        match = HEAD.fullmatch(head)
        if not match:
            raise ValueError(f"invariants.sql: {head}")
        out.append(Invariant(match[1], match[2].split(","), match[3], match[4], query.strip()))
    return out


def asked(schemas, at_rest):
    return [i for i in load() if set(i.schemas) <= set(schemas) and (at_rest or i.when == "always")]


def broken(rows, schemas, at_rest):
    """One line for each invariant that does not hold, with the first rows that break it."""
    out = []
    for i in asked(schemas, at_rest):
        found = rows(i.query)
        if found:
            where = "" if len(i.schemas) > 1 else f" ({i.schemas[0]})"
            out.append(f"{i.number} {i.text}{where}: {len(found)} rows, such as {found[:3]}")
    return out


def plaintext(rows, schemas, canaries):
    """I12: what people typed in is in no audit log."""
    out = []
    for schema in schemas:
        like = " OR ".join(f"l::text ILIKE '%{c}%'" for c in canaries)
        found = rows(f"SELECT l.id, l.table_name, l.row_id FROM {schema}.audit_log l WHERE {like} LIMIT 3")
        if found:
            out.append(f"I12 the audit log of {schema} tells of people: {found}")
    return out
