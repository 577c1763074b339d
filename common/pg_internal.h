/* What the files pg*.c share. Nobody else includes this but common/migrate.c and tests that inject faults. */
#ifndef SOUK_PG_INTERNAL_H
#define SOUK_PG_INTERNAL_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/metrics.h"
#include "common/pg.h"

#define PG_PARAMS_MAX	64
#define PG_NOTES_MAX	256
#define PG_QUEUE_MAX	16
#define PG_WAIT_DEFAULT 10000 /* ms, for a deadline of 0 */

/* A statement as this pool sends it. */
struct pg_plan {
	const struct pg_stmt *stmt;
	char *sql;	/* owned when the text named ${schema} */
	bool own;
	bool plain_read; /* may be repeated after a lost connection */
	struct metric *seconds;
};
struct pg_plans {
	struct pg_plan *v;
	size_t n;
	uint32_t *slot; /* open addressing by the address of the pg_stmt; index + 1 */
	size_t mask;
};
MUST_CHECK enum err_code pg_plans_make(struct pg_plans *, const struct pg_stmt *const *const *own, const char *schema,
				       struct err *);
void pg_plans_free(struct pg_plans *);
const struct pg_plan *pg_plans_find(const struct pg_plans *, const struct pg_stmt *);
bool pg_schema_ok(const char *schema);			   /* ^[a-z_]{1,40}$ */
char *pg_expand(const char *sql, const char *schema);	   /* ${schema} filled in; malloc */
bool pg_type_fits(Oid column, enum pg_type wanted);

struct pg_note {
	char topic[64];
	char id[96];
};

struct pg {
	PGconn *c;	      /* NULL: not connected */
	struct pg_pool *pool; /* NULL: pg_connect */
	const char *dsn, *app; /* pool's, or owned when alone */
	const char *schema;    /* borrowed; NULL: none */
	bool lost;	      /* the connection died under us */
	bool in_tx;
	bool committing; /* COMMIT is on its way */
	bool marked;
	const char *queued[PG_QUEUE_MAX]; /* names of what was sent and not answered yet */
	size_t n_queued;
	bool effects_queued; /* more than transaction control is among them */
	const char *blamed; /* the queued statement that failed */
	bool unlisted; /* a statement outside the table may run, unprepared */
	char constraint[64];
	char fault[6]; /* SQLSTATE of an injected failure */
	struct pg_note *notes;
	size_t n_notes;
	struct pg *next_idle;
};

struct pg_waiter {
	pthread_cond_t cv;
	struct pg *got;
	struct pg_waiter *next;
};

struct pg_pool {
	pthread_mutex_t mu;
	struct pg *conns;
	int n;
	struct pg *idle; /* last returned first: the rest may cool down */
	struct pg_waiter *first, **last;
	bool up, closing;
	int64_t retry_at; /* while down: no attempt before */
	int backoff_ms;
	pthread_cond_t keeper_cv;
	pthread_t keeper;
	bool has_keeper;
	struct pg_plans plans;
	char *dsn, *app, *schema;
	bool pooler, is_replica;
	struct pg_pool *replica;
	_Atomic int64_t lag_ms; /* of the replica, INT64_MAX when unknown */
	_Atomic bool fixed_lag; /* by a test */
	void (*on_commit)(void *);
	void *on_commit_arg;
	void (*on_note)(void *, const char *, const char *);
	void *on_note_arg;
	const void *seal; /* struct keyring of idem.c */
	struct metric *m_wait, *m_tx, *m_retries, *m_lost, *m_in_use;
};

/* Connects (blocking, 3 s at most), sets it up, prepares the pool's statements. pg->c is NULL on failure. */
MUST_CHECK enum err_code pg_open_conn(struct pg *, struct err *);
void pg_close_conn(struct pg *);
/* Looks at the socket of an idle connection; false when the server has hung up. */
bool pg_alive(struct pg *);

/* One statement (prepared when name is given) or, with simple, a script. NULL when the connection is lost. */
struct pg_wire {
	const char *name, *sql;
	int n;
	const char *const *values;
	const int *lengths, *formats;
	bool simple;
};
PGresult *pg_wire(struct pg *, const struct pg_wire *);
/* n statements in one round trip, nothing being queued: an answer for each, up to the first failure. False: lost. */
bool pg_wire_many(struct pg *, const struct pg_wire *w, PGresult **r_r, size_t n);
/* Reads the end of a pipeline; a connection that does not get there in time is lost. */
void pg_take_sync(struct pg *);
/*
 * Leaves w (no script; what names it in errors, static) to the next round trip of this connection, whose pg_wire answers
 * with its failure; pg_flush makes that round trip at once. Only inside a transaction.
 */
MUST_CHECK enum err_code pg_queue(struct pg *, const struct pg_wire *w, const char *what, struct err *);
MUST_CHECK enum err_code pg_flush(struct pg *, struct err *);
/* Turns a failed result (NULL: lost) into e and remembers the constraint. */
enum err_code pg_fail(struct pg *, const PGresult *, const char *what, struct err *);
/* Rolls back what a borrower left open. */
void pg_abandon(struct pg *);
/* As pg_script, without touching the thread's transaction mark. */
MUST_CHECK enum err_code pg_simple(struct pg *, const char *sql, const char *what, char tag_r[64], struct err *);

/*
 * Test hook: the n-th statement from now (1 = the next one, transaction control included), on any connection of the
 * process, meets the fault; then the hook is off again. n = 0 switches it off.
 */
enum pg_fault {
	PG_FAULT_DROP_BEFORE,	  /* the connection is gone before the statement is sent */
	PG_FAULT_DROP_AFTER_SEND, /* the statement arrives, its answer does not */
	PG_FAULT_RETRY,		  /* as if the server had answered 40001 */
	PG_FAULT_ERROR		  /* as if the server had answered XX000 */
};
void pg_fault_inject(enum pg_fault, int n);
/* Test hook: pretend the replica lags that much; -1 measures again. */
void pg_fault_lag(struct pg_pool *, int64_t ms);

#endif
