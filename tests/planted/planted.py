#!/usr/bin/python3
"""Plants known bugs, one at a time, in a copy of the tree, and sees that a test finds each: `make -f Makefile.ci planted`.

Each bug takes away a whole protection, both layers where there are two: a test that passes without it would prove nothing.
A place that no longer reads as it did is an error, so that the list cannot rot. Needs TEST_PG_ADMIN and TEST_REDIS_URL
(tests/run.sh gives them). PLANTED="word word" takes only bugs whose name holds one of the words.
"""

import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# name, programs one of which must fail, [(file, what stands there, what stands there instead)]
BUGS = [
    ("the last unit is sold twice: no WHERE and no CHECK", ["integration_inventory_test_stock"], [
        ("services/inventory/migrations/0001_stock.sql",
         "	CONSTRAINT stock_not_oversold CHECK (backorder OR reserved <= on_hand),\n", ""),
        ("services/inventory/migrations/0005_repeated_key.sql",
         "CONTINUE WHEN NOT v_stock.backorder AND v_rest < p_qtys[i];", ""),
        ("services/inventory/migrations/0004_reserve_batch.sql",
         "IF NOT v_stock.backorder AND v_left[i] < p_qtys[i] THEN", "IF false THEN")]),
    ("two drivers of one checkout: no compare-and-set, no UNIQUE order",
     ["integration_checkout_test_s_cases_races", "integration_checkout_test_s_cases_settle"], [
         ("services/checkout/checkout_db.c", "pay_message END WHERE id = $1 AND version = $2::bigint\"",
          "pay_message END WHERE id = $1 AND $2::bigint > 0\""),
         ("services/checkout/migrations/0002_order.sql",
          "checkout_id    text COLLATE \"C\" NOT NULL UNIQUE REFERENCES", "checkout_id    text COLLATE \"C\" NOT NULL REFERENCES"),
         ("services/checkout/migrations/0002_order.sql", "payment_intent_id text COLLATE \"C\" UNIQUE,",
          "payment_intent_id text COLLATE \"C\",")]),
    ("any signature is good", ["unit_checkout_test_pay", "integration_checkout_test_s_cases_events"], [
        ("services/checkout/pay_signature.c", "	if (!match)\n", "	if (!match && now_s < 0)\n")]),
    ("a new key with each try", ["integration_checkout_test_refunds", "integration_checkout_test_s_cases_payment"], [
        ("services/checkout/refund_drive.c", "r->id, (int)r->key_n), r->pi_id,", "r->id, (int)(r->key_n + r->tries)), r->pi_id,"),
        ("services/checkout/saga_act.c", "x->row->pi_id, verb, (int)x->s->key_n);",
         "x->row->pi_id, verb, (int)(x->s->key_n + x->s->tries));")]),
    ("events are handed out before older ones have committed: no horizon", ["integration_common_test_outbox"], [
        ("common/outbox.c", "OR o.xid < pg_snapshot_xmin(pg_current_snapshot()))\"", "OR o.xid > '0'::xid8)\"")]),
    ("an event takes effect as often as it comes: no inbox", ["integration_common_test_inbox"], [
        ("common/inbox_db.c", "INSERT INTO ${schema}.inbox (source, event_id) SELECT $1, u.id FROM unnest($2::text[]) AS u (id)\"",
         "SELECT u.id AS event_id FROM unnest($2::text[]) AS u (id) WHERE $1::text <> ''\""),
        ("common/inbox_db.c", "	       \" ON CONFLICT DO NOTHING RETURNING event_id\",\n	.col = id_cols",
         "	       ,\n	.col = id_cols")]),
    ("a stolen refresh token goes on working", ["unit_identity_test_refresh_rules"], [
        ("services/identity/refresh_rules.c", "	after->revoked = true;\n", "")]),
    ("refunds beyond what was paid: no CHECK, no look", ["integration_checkout_test_refunds", "integration_checkout_test_layers"], [
        ("services/checkout/migrations/0001_checkout.sql", "CHECK (refunding_minor BETWEEN 0 AND captured_minor)",
         "CHECK (refunding_minor >= 0)"),
        ("services/checkout/migrations/0002_order.sql", "CHECK (refunded_minor BETWEEN 0 AND total_minor)",
         "CHECK (refunded_minor >= 0)"),
        ("services/checkout/refund_make.c", "	if (amount > left)\n", "	if (amount > left && amount < 0)\n")]),
    ("what is sold out is recommended", ["integration_reco_test_serve"], [
        ("services/reco/reco_db_serve.c", "ANY ($1::text[]) AND p.shown LIMIT", "ANY ($1::text[]) LIMIT")]),
    ("a model that knows the answers passes the gate", ["unit_reco_test_gate"], [
        ("services/reco/gate.c", "candidate->data_to <= cut,", "candidate->data_to > 0,")]),
]


def sh(argv, log, **more):
    with open(log, "ab") as out:
        return subprocess.run(argv, stdout=out, stderr=subprocess.STDOUT, check=False, **more).returncode


def plant(copy, edits):
    """The texts as they were, by file; None when a place is not what it was."""
    before = {}
    for name, old, new in edits:
        path = os.path.join(copy, name)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        before.setdefault(path, text)
        if text.count(old) != 1:
            return before, f"{name}: stands there {text.count(old)} times: {old[:60]!r}"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))
    return before, None


def restore(before):
    for path, text in before.items():
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


def caught(build, programs, log, env):
    for program in programs:
        try:
            if sh(["setarch", "-R", os.path.join(build, program)], log, env=env, timeout=240):
                return program
        except subprocess.TimeoutExpired:
            return program + " (did not end)"
    return None


def main():
    wanted = os.environ.get("PLANTED", "").split()
    work = tempfile.mkdtemp(prefix="souk-planted.")
    copy, build, log = os.path.join(work, "tree"), os.path.join(work, "build"), os.path.join(work, "log")
    env = dict(os.environ, LSAN_OPTIONS="suppressions=" + os.path.join(ROOT, "tests/support/lsan.supp"))
    failed = 0
    try:
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.split(b"\0")
        for name in filter(None, files):
            target = os.path.join(copy, name.decode())
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name.decode()), target)
        if sh(["cmake", "-S", copy, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
               "-DCMAKE_C_COMPILER_LAUNCHER=ccache"], log):
            print("FAIL  planted: the copy cannot be configured")
            return 1
        for name, programs, edits in BUGS:
            if wanted and not any(w in name for w in wanted):
                continue
            before, why = plant(copy, edits)
            needs = programs + ["souk-sandbox"]
            if not why and sh(["ninja", "-C", build] + needs, log):
                why = "it does not build: " + subprocess.run(["tail", "-n5", log], stdout=subprocess.PIPE, text=True, check=False).stdout
            by = None if why else caught(build, programs, log, env)
            restore(before)
            if by:
                print(f"ok {name}: seen by {by}", flush=True)
            else:
                failed += 1
                print(f"FAIL  {name}: {why or 'no test saw it: ' + ', '.join(programs)}", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
