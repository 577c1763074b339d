/*
 * The pool: connections handed out in order of asking, opened when first needed, looked at before each use. A keeper
 * thread tries again while the database is away (0.1 to 0.5 s apart) and measures the replica's lag; otherwise it
 * sleeps.
 */
#include "common/pg_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/daemon.h"
#include "common/log.h"
#include "common/timeutil.h"

#define LAG_MAX_MS   5000
#define BACKOFF_MIN  100
#define BACKOFF_MAX  500
#define LAG_EVERY_MS 1000

static struct timespec at_ms(int64_t ms)
{
	return (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
}

static void cond_init(pthread_cond_t *cv)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cv, &attr);
	(void)pthread_condattr_destroy(&attr);
}

/* Logs and tells the rest of the process only when it changed. */
static void set_up(struct pg_pool *p, bool up, const struct err *why)
{
	bool changed;

	(void)pthread_mutex_lock(&p->mu);
	changed = p->up != up;
	p->up = up;
	if (up) {
		p->backoff_ms = BACKOFF_MIN;
		p->retry_at = 0;
	} else {
		p->retry_at = mono_ms() + p->backoff_ms;
		p->backoff_ms = p->backoff_ms * 2 > BACKOFF_MAX ? BACKOFF_MAX : p->backoff_ms * 2;
		(void)pthread_cond_signal(&p->keeper_cv);
	}
	(void)pthread_mutex_unlock(&p->mu);
	if (!changed)
		return;
	if (!up)
		log_err(LVL_WARNING, p->is_replica ? "read replica lost" : "database lost", why);
	daemon_degraded(p->is_replica ? "postgresql-replica" : "postgresql", !up);
}

/* ---- handing out ---- */
static void put(struct pg_pool *p, struct pg *pg)
{
	struct pg_waiter *w;

	(void)pthread_mutex_lock(&p->mu);
	w = p->first;
	if (w) {
		p->first = w->next;
		if (!p->first)
			p->last = &p->first;
		w->got = pg;
		(void)pthread_cond_signal(&w->cv);
	} else {
		pg->next_idle = p->idle;
		p->idle = pg;
	}
	(void)pthread_mutex_unlock(&p->mu);
}

static void unqueue(struct pg_pool *p, struct pg_waiter *w)
{
	struct pg_waiter **at = &p->first;

	while (*at && *at != w)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = w->next;
	if (p->last == &w->next)
		p->last = at;
}

/* With p->mu held. */
static struct pg *wait_turn(struct pg_pool *p, int64_t deadline_ms)
{
	struct pg_waiter w = { .got = NULL };
	struct timespec until = at_ms(deadline_ms);

	cond_init(&w.cv);
	*p->last = &w;
	p->last = &w.next;
	while (!w.got && !p->closing)
		if (pthread_cond_timedwait(&w.cv, &p->mu, &until) != 0 && !w.got)
			break;
	if (!w.got)
		unqueue(p, &w);
	(void)pthread_cond_destroy(&w.cv);
	return w.got;
}

static enum err_code take(struct pg_pool *p, int64_t deadline_ms, struct pg **pg_r, struct err *e)
{
	struct pg *pg = NULL;
	enum err_code code = OK;

	(void)pthread_mutex_lock(&p->mu);
	if (p->closing) {
		code = err_set(e, E_UNAVAILABLE, "common.draining", "the pool is closed");
	} else if (!p->up && mono_ms() < p->retry_at) {
		code = err_set(e, E_UNAVAILABLE, "pg.unavailable", "the database is away");
		e->retry_after_ms = 1000;
	} else if (p->idle && !p->first) {
		pg = p->idle;
		p->idle = pg->next_idle;
	} else {
		pg = wait_turn(p, deadline_ms);
		if (!pg) {
			code = err_set(e, E_UNAVAILABLE, "common.overloaded", "no connection within the deadline");
			e->retry_after_ms = 1000;
		}
	}
	(void)pthread_mutex_unlock(&p->mu);
	if (!code)
		*pg_r = pg;
	return code;
}

enum err_code pg_borrow(struct pg_pool *p, int64_t deadline_ms, struct pg **pg_r, struct err *e)
{
	int64_t start = mono_us();
	struct pg *pg = NULL;

	if (deadline_ms <= 0)
		deadline_ms = mono_ms() + PG_WAIT_DEFAULT;
	if (take(p, deadline_ms, &pg, e))
		return e->code;
	metric_observe(p->m_wait, (double)(mono_us() - start) / 1e6);
	if (!pg->c || pg->lost || !pg_alive(pg)) {
		if (pg_open_conn(pg, e)) {
			if (e->code != E_INTERNAL || p->has_keeper) /* a typo at the start is no lost database */
				set_up(p, false, e);
			put(p, pg);
			return e->code;
		}
		set_up(p, true, NULL);
	}
	metric_add(p->m_in_use, 1);
	*pg_r = pg;
	return OK;
}

enum err_code pg_borrow_read(struct pg_pool *p, int64_t deadline_ms, struct pg **pg_r, struct err *e)
{
	struct err ignored = { 0 };

	if (p->replica && atomic_load(&p->lag_ms) <= LAG_MAX_MS && pg_pool_up(p->replica) &&
	    pg_borrow(p->replica, deadline_ms, pg_r, &ignored) == OK)
		return OK;
	return pg_borrow(p, deadline_ms, pg_r, e);
}

void pg_return(struct pg *pg)
{
	if (!pg)
		return;
	pg_abandon(pg);
	metric_add(pg->pool->m_in_use, -1);
	pg->unlisted = false;
	if (pg->lost)
		pg_close_conn(pg);
	put(pg->pool, pg);
}

bool pg_pool_up(struct pg_pool *p)
{
	bool up;

	(void)pthread_mutex_lock(&p->mu);
	up = p->up;
	(void)pthread_mutex_unlock(&p->mu);
	return up;
}

void pg_on_commit(struct pg_pool *p, void (*hook)(void *arg), void *arg)
{
	p->on_commit = hook;
	p->on_commit_arg = arg;
}

void pg_on_note(struct pg_pool *p, void (*fn)(void *arg, const char *topic, const char *changed_id), void *arg)
{
	p->on_note = fn;
	p->on_note_arg = arg;
}

/* ---- the keeper ---- */
static void try_again(struct pg_pool *p)
{
	struct err e = { 0 };
	struct pg *pg = NULL;

	if (pg_borrow(p, mono_ms() + 100, &pg, &e) == OK)
		pg_return(pg);
}

/*
 * Replayed all that was received while the receiver lives: no lag. Else the age of the last replayed commit. A
 * server that is no standby (the pair of DSNs names one machine) does not lag.
 */
struct lag_row {
	int64_t ms;
};
static const struct pg_col lag_cols[] = { PG_COL(lag_row, ms) };
static const struct pg_stmt lag_stmt = {
	.name = "pg_replica_lag",
	.sql = "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN 0"
	       " WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()"
	       "  AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver WHERE pid IS NOT NULL) THEN 0"
	       " ELSE coalesce((extract(epoch FROM clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())"
	       "  * 1000)::bigint, 9223372036854775807) END::bigint AS ms",
	.col = lag_cols, .ncol = 1, .row_size = sizeof(struct lag_row), .flags = PG_REPLICA,
};

static void measure_lag(struct pg_pool *p)
{
	struct arena *a = arena_new("pg lag", 4096);
	const struct lag_row *row = NULL;
	struct err e = { 0 };
	struct pg *pg = NULL;
	int64_t lag = INT64_MAX;

	if (pg_borrow(p->replica, mono_ms() + 1000, &pg, &e) == OK) {
		pg->unlisted = true;
		if (pg_one(pg, &lag_stmt, PG_NONE, a, &row, &e) == OK)
			lag = row->ms;
		pg_return(pg);
	}
	arena_free(a);
	if (!p->fixed_lag)
		atomic_store(&p->lag_ms, lag);
}

void pg_fault_lag(struct pg_pool *p, int64_t ms)
{
	p->fixed_lag = ms >= 0;
	atomic_store(&p->lag_ms, ms >= 0 ? ms : INT64_MAX);
}

static void *keeper(void *arg)
{
	struct pg_pool *p = arg;
	int64_t next_lag = 0;

	(void)pthread_mutex_lock(&p->mu);
	while (!p->closing) {
		int64_t now = mono_ms(), wake = INT64_MAX;

		if (!p->up && now >= p->retry_at) {
			(void)pthread_mutex_unlock(&p->mu);
			try_again(p);
			(void)pthread_mutex_lock(&p->mu);
			continue;
		}
		if (p->replica && now >= next_lag) {
			(void)pthread_mutex_unlock(&p->mu);
			measure_lag(p);
			(void)pthread_mutex_lock(&p->mu);
			next_lag = mono_ms() + LAG_EVERY_MS;
			continue;
		}
		if (!p->up)
			wake = p->retry_at;
		if (p->replica && next_lag < wake)
			wake = next_lag;
		if (wake == INT64_MAX) {
			(void)pthread_cond_wait(&p->keeper_cv, &p->mu);
		} else {
			struct timespec until = at_ms(wake);

			(void)pthread_cond_timedwait(&p->keeper_cv, &p->mu, &until);
		}
	}
	(void)pthread_mutex_unlock(&p->mu);
	return NULL;
}

/* ---- opening and closing ---- */
static struct pg_pool *pool_new(const struct pg_conf *conf, const char *dsn, int n)
{
	struct pg_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	(void)pthread_mutex_init(&p->mu, NULL);
	cond_init(&p->keeper_cv);
	p->last = &p->first;
	p->up = true;
	p->backoff_ms = BACKOFF_MIN;
	p->pooler = conf->transaction_pooler;
	atomic_init(&p->lag_ms, INT64_MAX);
	p->dsn = strdup(dsn);
	p->app = strdup(conf->app ? conf->app : "souk");
	p->schema = conf->schema ? strdup(conf->schema) : NULL;
	p->conns = calloc((size_t)n, sizeof(*p->conns));
	if (!p->dsn || !p->app || !p->conns || (conf->schema && !p->schema)) {
		pg_pool_close(p);
		return NULL;
	}
	p->n = n;
	for (int i = n - 1; i >= 0; i--) {
		p->conns[i] = (struct pg){ .pool = p, .dsn = p->dsn, .app = p->app, .schema = p->schema,
					.next_idle = p->idle };
		p->idle = &p->conns[i];
	}
	return p;
}

static void pool_metrics(struct pg_pool *p, const char *which)
{
	char l[64];

	(void)metric_labels(l, sizeof(l), "server", which, NULL);
	p->m_wait = metric_histogram("souk_pg_pool_wait_seconds", "Waiting for a connection of the pool.", l);
	p->m_tx = metric_histogram("souk_pg_tx_seconds", "Transactions, from asking for a connection to the end.", l);
	p->m_retries = metric_counter("souk_pg_tx_retries_total", "Transactions run again.", l);
	p->m_lost = metric_counter("souk_pg_connections_lost_total", "Connections that died in use.", l);
	p->m_in_use = metric_gauge("souk_pg_connections_in_use", "Connections handed out.", l);
}

/* The first connection: a statement that does not prepare is fatal, a database that is away is not. */
static enum err_code first_try(struct pg_pool *p, struct err *e)
{
	struct pg *pg = NULL;

	if (pg_borrow(p, mono_ms() + 5000, &pg, e)) {
		if (e->code == E_INTERNAL)
			return e->code;
		err_clear(e);
		return OK;
	}
	pg_return(pg);
	return OK;
}

static enum err_code open_one(const struct pg_conf *conf, const char *dsn, bool replica,
			      const struct pg_stmt *const *const *stmts, struct pg_pool **p_r, struct err *e)
{
	struct pg_pool *p = pool_new(conf, dsn, conf->pool);

	if (!p)
		return err_set(e, E_INTERNAL, "common.internal", "no memory");
	p->is_replica = replica;
	pool_metrics(p, replica ? "replica" : "primary");
	if (pg_plans_make(&p->plans, stmts, conf->schema, e) || first_try(p, e)) {
		pg_pool_close(p);
		return e->code;
	}
	*p_r = p;
	return OK;
}

enum err_code pg_pool_open(const struct pg_conf *conf, const struct pg_stmt *const *const *stmts,
			   struct pg_pool **pool_r, struct err *e)
{
	struct pg_pool *p = NULL;

	if (conf->pool < 1 || conf->pool > 1024)
		return err_set(e, E_INTERNAL, "conf.invalid", "a pool of %d connections", conf->pool);
	if (conf->schema && !pg_schema_ok(conf->schema))
		return err_set(e, E_INTERNAL, "conf.invalid", "schema %s", conf->schema);
	if (open_one(conf, conf->dsn ? conf->dsn : "", false, stmts, &p, e))
		return e->code;
	if (conf->replica_dsn && *conf->replica_dsn &&
	    open_one(conf, conf->replica_dsn, true, stmts, &p->replica, e)) {
		pg_pool_close(p);
		return e->code;
	}
	if (p->replica && pthread_create(&p->replica->keeper, NULL, keeper, p->replica) == 0)
		p->replica->has_keeper = true;
	p->has_keeper = pthread_create(&p->keeper, NULL, keeper, p) == 0;
	if (!p->has_keeper) {
		pg_pool_close(p);
		return err_set(e, E_INTERNAL, "common.internal", "no thread for the pool");
	}
	*pool_r = p;
	return OK;
}

void pg_pool_close(struct pg_pool *p)
{
	if (!p)
		return;
	(void)pthread_mutex_lock(&p->mu);
	p->closing = true;
	for (struct pg_waiter *w = p->first; w; w = w->next)
		(void)pthread_cond_signal(&w->cv);
	(void)pthread_cond_signal(&p->keeper_cv);
	(void)pthread_mutex_unlock(&p->mu);
	if (p->has_keeper)
		(void)pthread_join(p->keeper, NULL);
	pg_pool_close(p->replica);
	for (int i = 0; i < p->n; i++) {
		pg_close_conn(&p->conns[i]);
		free(p->conns[i].notes);
	}
	pg_plans_free(&p->plans);
	free(p->conns);
	free(p->dsn);
	free(p->app);
	free(p->schema);
	(void)pthread_cond_destroy(&p->keeper_cv);
	(void)pthread_mutex_destroy(&p->mu);
	free(p);
}
