/*
 * PostgreSQL: a pool of connections, prepared statements with typed rows, transactions with bounded retry.
 *
 * The only file that includes libpq is pg*.c. No PGresult leaves it: rows are copied into the caller's
 * arena. Every statement is a static struct pg_stmt listed in the daemon's table; all are prepared when
 * a connection opens, so a typo stops the start and not a request (behind a transaction pooler they are
 * sent unprepared instead).
 */
#ifndef SOUK_PG_H
#define SOUK_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/compiler.h"
#include "common/err.h"

struct pg;	/* one borrowed connection; belongs to one thread until returned */
struct pg_pool;

struct pg_bytes {
	const void *data;
	size_t len;
};

enum pg_type { PG_TEXT, PG_I32, PG_I64, PG_BOOL, PG_F64, PG_BYTES };

/* A column of a result and where it goes in the row struct. NULL becomes NULL, 0, false or {NULL,0}. */
struct pg_col {
	const char *name;
	enum pg_type type;
	size_t offset;
};

#define PG_TYPE_OF(x)                                                                              \
	_Generic((x), char *: PG_TEXT, const char *: PG_TEXT, int32_t: PG_I32, int64_t: PG_I64,   \
		 bool: PG_BOOL, double: PG_F64, struct pg_bytes: PG_BYTES)
#define PG_COL(s, f) { #f, PG_TYPE_OF(((struct s *)0)->f), offsetof(struct s, f) }

enum pg_stmt_flags {
	PG_REPLICA = 1, /* may run on the read replica: reports, exports, reindex, model input only */
};

struct pg_stmt {
	const char *name; /* unique in the daemon */
	/*
	 * Schema-qualified, $n parameters (at most 64), casts where the type is not text/int/bool. ${schema} stands for
	 * the pool's schema and is filled in when the pool opens: the statements of common/ live in every schema.
	 */
	const char *sql;
	const struct pg_col *col;
	int ncol;
	size_t row_size; /* sizeof the row struct; 0 for statements without rows */
	unsigned flags;
};

/* Parameters hold the value itself, so they may be built from temporaries. Text is not copied. */
struct pg_param {
	enum pg_type type;
	bool is_null;
	union {
		const char *text;
		int64_t i;
		double f;
		struct pg_bytes bytes;
	} v;
};
struct pg_param pg_p_text(const char *s); /* NULL is SQL NULL */
struct pg_param pg_p_i32(int32_t v);
struct pg_param pg_p_i64(int64_t v);
struct pg_param pg_p_bool(bool v);
struct pg_param pg_p_f64(double v);
struct pg_param pg_p_bytes(struct pg_bytes b); /* data NULL is SQL NULL */
struct pg_param pg_p_text_array(struct arena *a, const char *const *v, size_t n);
struct pg_param pg_p_i64_array(struct arena *a, const int64_t *v, size_t n);
#define PG_NULL ((struct pg_param){ .type = PG_TEXT, .is_null = true })
#define P(x)                                                                                       \
	_Generic((x), char *: pg_p_text, const char *: pg_p_text, int32_t: pg_p_i32,              \
		 int64_t: pg_p_i64, bool: pg_p_bool, double: pg_p_f64,                             \
		 struct pg_bytes: pg_p_bytes)(x)
/* An array literal and its length: two arguments. PG_NONE for a statement without parameters. */
#define PG_ARGS(...)                                                                               \
	(const struct pg_param[]){ __VA_ARGS__ },                                                  \
		sizeof((const struct pg_param[]){ __VA_ARGS__ }) / sizeof(struct pg_param)
#define PG_NONE NULL, 0

/*
 * Runs a statement. affected_r (may be NULL) gets the number of rows it touched.
 * SQLSTATE mapping, once for all: 40001, 40P01 -> E_RETRY; 23505, 23P01 -> E_CONFLICT and 23502, 23503, 23514 ->
 * E_RULE, both with slug "pg.constraint" and the constraint in msg and in pg_constraint(); 22xxx -> E_INVALID
 * "common.invalid_input"; time-outs, lack of resources and lost connections -> E_UNAVAILABLE "pg.unavailable";
 * everything else E_INTERNAL. A caller that expects a constraint turns it into its own slug by pg_constraint();
 * "pg.constraint" is no slug of errors.def, so an unmapped violation reaches the client as INTERNAL.
 * Outside a transaction a plain SELECT (no function of the schema in it) whose connection turns out dead is
 * repeated once on a new one.
 */
MUST_CHECK enum err_code pg_exec(struct pg *, const struct pg_stmt *, const struct pg_param *, size_t,
				 int64_t *affected_r, struct err *);

/*
 * As pg_exec in a transaction, for a statement whose outcome decides nothing: it is sent together with the next one, at
 * the latest with COMMIT, and a failure of it is the failure of that one (of the savepoint, inside pg_savepoint).
 */
MUST_CHECK enum err_code pg_later(struct pg *, const struct pg_stmt *, const struct pg_param *, size_t, struct err *);

/* All rows, as an array of the row struct in the arena (NULL and 0 when none). */
MUST_CHECK enum err_code pg_rows(struct pg *, const struct pg_stmt *, const struct pg_param *, size_t,
				 struct arena *, void *rows_r, size_t *n_r, struct err *);

/* A SELECT and where its rows go, as for pg_rows; p must live until pg_reads returns. */
struct pg_read {
	const struct pg_stmt *stmt;
	const struct pg_param *p;
	size_t n;
	void *rows_r;
	size_t *n_r;
};
#define PG_READS_MAX 8
/* Up to PG_READS_MAX SELECTs in one round trip; each sees its own snapshot. The outputs are all written, or none. */
MUST_CHECK enum err_code pg_reads(struct pg *, const struct pg_read *, size_t n, struct arena *, struct err *);

/* Exactly one row into *row_r (a pointer to the row struct's pointer); none is *found_r = false, not an error. */
MUST_CHECK enum err_code pg_row(struct pg *, const struct pg_stmt *, const struct pg_param *, size_t,
				struct arena *, void *row_r, bool *found_r, struct err *);

/* The only row, or E_INTERNAL when there is none: for statements that always answer. */
MUST_CHECK enum err_code pg_one(struct pg *, const struct pg_stmt *, const struct pg_param *, size_t,
				struct arena *, void *row_r, struct err *);

/* Name of the constraint that the last failed statement of this connection broke, or "". */
const char *pg_constraint(const struct pg *);

/* ---- pool ---- */
struct pg_conf {
	const char *dsn;
	const char *replica_dsn; /* NULL or "" = none */
	int pool;		 /* connections to the primary */
	bool transaction_pooler; /* PG_POOLER=transaction: nothing prepared, nothing session-wide */
	const char *app;	 /* application_name */
	/*
	 * The daemon's schema, ^[a-z_]+$. With it the statements of the mechanisms (outbox, inbox, keys, leases, audit)
	 * are prepared too, and each new connection checks that the cluster is the one on record. NULL: a tool.
	 */
	const char *schema;
};

/*
 * Opens lazily but tries one connection at once; a database that is not there is not an error here:
 * requests answer E_UNAVAILABLE until it comes (the pool reconnects by itself within half a second of its return).
 * A statement that PostgreSQL refuses is an error. stmts is a NULL-ended table of NULL-ended tables; it must outlive
 * the pool. Other statements do not run on its connections.
 */
MUST_CHECK enum err_code pg_pool_open(const struct pg_conf *, const struct pg_stmt *const *const *stmts,
				      struct pg_pool **pool_r, struct err *);
void pg_pool_close(struct pg_pool *);
bool pg_pool_up(struct pg_pool *); /* last attempt reached the primary; for readiness and degraded flags */

/*
 * Borrows a connection, waiting at most until deadline_ms (monotonic; 0: 10 s from now); E_UNAVAILABLE past it.
 * First come, first served.
 */
MUST_CHECK enum err_code pg_borrow(struct pg_pool *, int64_t deadline_ms, struct pg **pg_r, struct err *);
/* As pg_borrow, from the replica when there is one and its lag is under 5 s, else from the primary. */
MUST_CHECK enum err_code pg_borrow_read(struct pg_pool *, int64_t deadline_ms, struct pg **pg_r, struct err *);
void pg_return(struct pg *); /* NULL is fine; an open transaction is rolled back */

/* ---- transactions ---- */
struct pg_actor {		/* who is written into the audit log by the triggers */
	const char *actor;	/* "user:usr_…", "service:checkout", "system" */
	const char *request_id;
};
typedef enum err_code pg_tx_fn(struct pg *, void *arg, struct err *);

/*
 * Borrows a connection, BEGIN + actor settings in one round trip with fn's first statement, COMMIT. fn failing rolls back and its error
 * is returned; E_RETRY runs fn again from the start, up to 5 times with jitter, within the deadline. fn must
 * therefore have no effect outside the transaction. READ COMMITTED. A COMMIT whose outcome is unknown
 * (connection lost) is E_UNAVAILABLE "pg.outcome_unknown"; a connection lost before COMMIT was sent has certainly
 * committed nothing, so fn runs once more on a new one. After a successful commit the hook set by pg_on_commit runs once.
 */
MUST_CHECK enum err_code pg_tx(struct pg_pool *, int64_t deadline_ms, const struct pg_actor *, pg_tx_fn *,
			       void *arg, struct err *);

/* Another actor for what follows in the open transaction (a batch of several events). */
MUST_CHECK enum err_code pg_tx_actor(struct pg *, const struct pg_actor *, struct err *);

/*
 * fn inside a savepoint of the open transaction: its error undoes what fn did and leaves the transaction usable. An
 * E_RETRY, a lost connection, and E_INTERNAL of the savepoint itself must be passed on by the caller.
 */
MUST_CHECK enum err_code pg_savepoint(struct pg *, pg_tx_fn *fn, void *arg, struct err *);

/* The pool's hook, run after each commit in which pg_mark(pg) was called (the outbox rings the doorbell). */
void pg_on_commit(struct pg_pool *, void (*hook)(void *arg), void *arg);
void pg_mark(struct pg *);
/* Tells after the commit of pg's transaction that changed_id of topic changed; nothing without a listener or a commit. */
void pg_on_note(struct pg_pool *, void (*fn)(void *arg, const char *topic, const char *changed_id), void *arg);
void pg_note(struct pg *, const char *topic, const char *changed_id);

/* True when this thread holds an open transaction; rpc_client and httpc refuse to run then (a bug of ours). */
bool pg_in_tx(void);

/* Runs a script of several statements (migrations, fixtures); not for requests. */
MUST_CHECK enum err_code pg_script(struct pg *, const char *sql, struct err *);

/* A connection outside any pool: migrations, tools, tests. */
MUST_CHECK enum err_code pg_connect(const char *dsn, const char *app, struct pg **pg_r, struct err *);
void pg_disconnect(struct pg *);
/* What ${schema} means on such a connection; the text must outlive it. */
void pg_use_schema(struct pg *, const char *schema);

/*
 * Prepares and describes every statement on pg, those of the mechanisms too where the schema is known; checks parameter
 * count, column names and types against the table.
 */
MUST_CHECK enum err_code pg_check_stmts(struct pg *, const struct pg_stmt *const *const *stmts, struct err *);

#endif
