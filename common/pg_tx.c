/* Transactions: actor and request id with BEGIN, bounded retry, the hooks after the commit. */
#include "common/pg_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/pg_mechanisms.h"
#include "common/timeutil.h"

#define ATTEMPTS 5
#define ACTOR_MAX 201

static _Thread_local int open_tx; /* of this thread */

bool pg_in_tx(void)
{
	return open_tx > 0;
}

/* As much of s as fits, or a word for what is not UTF-8: nothing of ours. */
static const char *actor_text(const char *s, char out[ACTOR_MAX])
{
	size_t n = strnlen(s, ACTOR_MAX - 1);

	memcpy(out, s, n);
	out[n] = '\0';
	return utf8_valid(out, n) ? out : "invalid";
}

static const struct pg_stmt actor_stmt = {
	.name = "tx_actor",
	.sql = "SELECT pg_catalog.set_config('souk.actor', $1, true), pg_catalog.set_config('souk.request_id', $2, true)",
};
const struct pg_stmt *const tx_stmts[] = { &actor_stmt, NULL };

static enum err_code set_actor(struct pg *pg, const struct pg_actor *who, struct err *e)
{
	const struct pg_plan *plan = pg->pool && !pg->pool->pooler ? pg_plans_find(&pg->pool->plans, &actor_stmt) : NULL;
	char actor[ACTOR_MAX], request[ACTOR_MAX];
	const char *values[] = { actor_text(who && who->actor && *who->actor ? who->actor : "system", actor),
				 actor_text(who && who->request_id ? who->request_id : "", request) };
	const int zero[] = { 0, 0 };

	return pg_queue(pg,
			&(struct pg_wire){ .name = plan ? actor_stmt.name : NULL, .sql = actor_stmt.sql, .n = 2,
					   .values = values, .lengths = zero, .formats = zero },
			"actor", e);
}

static enum err_code queue_word(struct pg *pg, const char *sql, struct err *e)
{
	return pg_queue(pg, &(struct pg_wire){ .sql = sql }, sql, e);
}

/* Sent with the first statement. */
static enum err_code begin(struct pg *pg, const struct pg_actor *who, struct err *e)
{
	if (!pg->c)
		return err_set(e, E_UNAVAILABLE, "pg.unavailable", "BEGIN: not connected");
	if (queue_word(pg, "BEGIN", e))
		return e->code;
	pg->in_tx = true;
	open_tx++;
	return set_actor(pg, who, e);
}

enum err_code pg_tx_actor(struct pg *pg, const struct pg_actor *who, struct err *e)
{
	if (!pg->in_tx)
		return err_set(e, E_INTERNAL, "pg.actor", "no transaction is open");
	return set_actor(pg, who, e);
}

static void left(struct pg *pg)
{
	pg->in_tx = pg->committing = false;
	open_tx--;
}

static void rollback(struct pg *pg)
{
	struct err ignored = { 0 };

	if (pg_flush(pg, &ignored))
		err_clear(&ignored);
	if (!pg->lost && pg_simple(pg, "ROLLBACK", "ROLLBACK", NULL, &ignored))
		pg->lost = true; /* whatever it is, nobody else gets this connection */
	pg->marked = false;
	pg->n_notes = 0;
	left(pg);
}

static enum err_code commit(struct pg *pg, struct err *e)
{
	char tag[64] = "";
	enum err_code code;

	pg->committing = true;
	code = pg_simple(pg, "COMMIT", "COMMIT", tag, e);
	if (pg->lost || (code == E_UNAVAILABLE)) {
		pg->lost = true;
		left(pg);
		return err_set(e, E_UNAVAILABLE, "pg.outcome_unknown", "connection lost at COMMIT");
	}
	if (code) { /* a deferred constraint, a serialization failure: rolled back by the server */
		if (pg->n_queued == 0 && PQtransactionStatus(pg->c) == PQTRANS_IDLE)
			left(pg);
		else
			rollback(pg);
		return code;
	}
	left(pg);
	if (strcmp(tag, "COMMIT") != 0)
		return err_set(e, E_INTERNAL, "pg.error", "COMMIT answered %s: a failed statement was overlooked", tag);
	return OK;
}

static void committed(struct pg *pg)
{
	struct pg_pool *pool = pg->pool;

	if (pool->on_note)
		for (size_t i = 0; i < pg->n_notes; i++)
			pool->on_note(pool->on_note_arg, pg->notes[i].topic, pg->notes[i].id);
	if (pg->marked && pool->on_commit)
		pool->on_commit(pool->on_commit_arg);
	pg->marked = false;
	pg->n_notes = 0;
}

/* *again_r: nothing is committed and the reason may be gone on the next try. */
static enum err_code once(struct pg *pg, const struct pg_actor *who, pg_tx_fn *fn, void *arg, bool *again_r,
			  struct err *e)
{
	enum err_code code;

	pg->marked = false;
	pg->n_notes = 0;
	code = begin(pg, who, e);
	if (code && !pg->in_tx) {
		*again_r = pg->lost;
		return code;
	}
	if (!code)
		code = fn(pg, arg, e);
	if (code) {
		*again_r = pg->lost || code == E_RETRY;
		rollback(pg);
		return code;
	}
	code = commit(pg, e);
	*again_r = code == E_RETRY;
	if (code)
		return code;
	committed(pg);
	return OK;
}

static void back_off(int attempt)
{
	uint8_t r;

	random_bytes(&r, sizeof(r));
	sleep_ms((int64_t)r % (4 << attempt) + 1);
}

static enum err_code attempts(struct pg *pg, int64_t deadline_ms, const struct pg_actor *who, pg_tx_fn *fn, void *arg,
			      struct err *e)
{
	int reconnects = 0;

	for (int i = 1;; i++) {
		bool again = false;
		enum err_code code = once(pg, who, fn, arg, &again, e);

		if (!code || !again || i == ATTEMPTS || mono_ms() >= deadline_ms)
			return code;
		if (pg->lost && (reconnects++ > 0 || pg_open_conn(pg, e)))
			return e->code;
		metric_add(pg->pool->m_retries, 1);
		back_off(i);
		err_clear(e);
	}
}

enum err_code pg_tx(struct pg_pool *pool, int64_t deadline_ms, const struct pg_actor *who, pg_tx_fn *fn, void *arg,
		    struct err *e)
{
	int64_t start = mono_us();
	enum err_code code;
	struct pg *pg;

	if (pg_in_tx())
		return err_set(e, E_INTERNAL, "pg.nested", "this thread has a transaction open already");
	if (deadline_ms <= 0)
		deadline_ms = mono_ms() + PG_WAIT_DEFAULT;
	if (pg_borrow(pool, deadline_ms, &pg, e))
		return e->code;
	code = attempts(pg, deadline_ms, who, fn, arg, e);
	pg_return(pg);
	metric_observe(pool->m_tx, (double)(mono_us() - start) / 1e6);
	return code;
}

enum err_code pg_savepoint(struct pg *pg, pg_tx_fn *fn, void *arg, struct err *e)
{
	size_t notes = pg->n_notes;
	bool marked = pg->marked;
	struct err undo = { 0 };
	enum err_code code;

	if (!pg->in_tx)
		return err_set(e, E_INTERNAL, "pg.savepoint", "no transaction is open");
	/* What stands queued before belongs to the caller: its failure must not be undone with fn. */
	if ((pg->effects_queued && pg_flush(pg, e)) || queue_word(pg, "SAVEPOINT souk", e))
		return e->code;
	code = fn(pg, arg, e);
	if (!code) /* also answers for what fn left queued */
		code = pg_simple(pg, "RELEASE SAVEPOINT souk", "RELEASE", NULL, e);
	if (!code)
		return OK;
	pg->n_notes = notes;
	pg->marked = marked;
	if (pg_flush(pg, &undo))
		err_clear(&undo);
	if (code == E_RETRY || pg->lost)
		return code;
	if (pg_simple(pg, "ROLLBACK TO SAVEPOINT souk; RELEASE SAVEPOINT souk", "ROLLBACK TO", NULL, &undo)) {
		err_copy(e, &undo);
		return e->code;
	}
	return code;
}

/* A borrower that went away with its transaction open. */
void pg_abandon(struct pg *pg)
{
	if (pg->in_tx)
		rollback(pg);
}

void pg_mark(struct pg *pg)
{
	pg->marked = true;
}

void pg_note(struct pg *pg, const char *topic, const char *changed_id)
{
	if (!pg->notes)
		pg->notes = calloc(PG_NOTES_MAX, sizeof(*pg->notes));
	pg->marked = true;
	if (!pg->notes || pg->n_notes == PG_NOTES_MAX)
		return;
	(void)snprintf(pg->notes[pg->n_notes].topic, sizeof(pg->notes->topic), "%s", topic);
	(void)snprintf(pg->notes[pg->n_notes].id, sizeof(pg->notes->id), "%s", changed_id ? changed_id : "");
	pg->n_notes++;
}
