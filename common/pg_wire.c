/*
 * What goes over a connection: statements alone or, in an open transaction, several in one round trip; and the faults
 * that tests inject. BEGIN and whatever else nobody waits for stand in libpq's buffer until the next statement that
 * somebody waits for takes them along (pipeline mode).
 */
#include "common/pg_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/timeutil.h"

static _Atomic int fault_left;
static _Atomic int fault_kind;

void pg_fault_inject(enum pg_fault kind, int n)
{
	atomic_store(&fault_kind, (int)kind);
	atomic_store(&fault_left, n);
}

/* The kind of fault the next statement meets, or -1. */
static int fault_due(void)
{
	if (atomic_load_explicit(&fault_left, memory_order_relaxed) > 0 && atomic_fetch_sub(&fault_left, 1) == 1)
		return atomic_load(&fault_kind);
	return -1;
}

static bool fault_answers(struct pg *pg, int kind)
{
	if (kind != PG_FAULT_RETRY && kind != PG_FAULT_ERROR)
		return false;
	(void)snprintf(pg->fault, sizeof(pg->fault), "%s", kind == PG_FAULT_RETRY ? "40001" : "XX000");
	return true;
}

static void drop(struct pg *pg)
{
	int fd = PQsocket(pg->c);

	if (fd >= 0)
		(void)shutdown(fd, SHUT_RDWR);
}

static bool send_it(struct pg *pg, const struct pg_wire *w)
{
	if (w->simple && pg->n_queued == 0)
		return PQsendQuery(pg->c, w->sql) == 1;
	if (w->name)
		return PQsendQueryPrepared(pg->c, w->name, w->n, w->values, w->lengths, w->formats, 0) == 1;
	return PQsendQueryParams(pg->c, w->sql, w->n, NULL, w->values, w->lengths, w->formats, 0) == 1;
}

static bool failed(const PGresult *r)
{
	ExecStatusType st = PQresultStatus(r);

	return st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK && st != PGRES_EMPTY_QUERY;
}

/* All answers are read; the first error wins, else the last one. */
static PGresult *collect(struct pg *pg)
{
	PGresult *keep = NULL, *r;

	while ((r = PQgetResult(pg->c))) {
		if (keep && failed(keep)) {
			PQclear(r);
			continue;
		}
		PQclear(keep);
		keep = r;
		if (PQresultStatus(r) == PGRES_COPY_IN || PQresultStatus(r) == PGRES_COPY_OUT ||
		    PQresultStatus(r) == PGRES_COPY_BOTH) { /* nobody here speaks COPY; leave it by hanging up */
			drop(pg);
			break;
		}
	}
	return keep;
}

/*
 * The end of a pipeline. libpq 15 forgets it when it has no memory to tell of it, and would then wait for ever for what has
 * come already; the wait for it is short else, so it is bounded here, and after it the connection is given up.
 */
void pg_take_sync(struct pg *pg)
{
	const int64_t until = mono_ms() + PG_WAIT_DEFAULT;
	struct pollfd p = { .fd = PQsocket(pg->c), .events = POLLIN };

	while (PQisBusy(pg->c)) {
		const int64_t left = until - mono_ms();

		if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR) ||
		    (p.revents && PQconsumeInput(pg->c) != 1)) {
			drop(pg);
			pg->lost = true;
			return;
		}
	}
	PQclear(PQgetResult(pg->c));
}

/*
 * The answers of all that is queued, and of `more` statements after it, up to the sync. The first error wins and the
 * statement it belongs to is remembered; else the last answer.
 */
static PGresult *collect_queue(struct pg *pg, size_t more)
{
	PGresult *keep = NULL;

	for (size_t i = 0; i < pg->n_queued + more && PQstatus(pg->c) == CONNECTION_OK; i++) {
		PGresult *r = collect(pg);

		if (keep && failed(keep)) {
			PQclear(r);
			continue;
		}
		PQclear(keep);
		keep = r;
		if (r && failed(r) && i < pg->n_queued)
			pg->blamed = pg->queued[i];
	}
	pg->n_queued = 0;
	pg->effects_queued = false;
	if (PQstatus(pg->c) == CONNECTION_OK) {
		pg_take_sync(pg);
		if (!pg->lost && PQexitPipelineMode(pg->c) != 1)
			drop(pg); /* a state we do not understand is nobody else's problem */
	}
	return keep;
}

/* Sends w (NULL: only what is queued) and reads all answers. */
static PGresult *exchange(struct pg *pg, const struct pg_wire *w, int kind)
{
	const bool piped = pg->n_queued > 0;
	PGresult *r = NULL;

	if (kind == PG_FAULT_DROP_BEFORE)
		drop(pg);
	if ((!w || send_it(pg, w)) && (!piped || PQpipelineSync(pg->c) == 1)) {
		if (kind == PG_FAULT_DROP_AFTER_SEND) {
			while (PQflush(pg->c) > 0)
				;
			drop(pg);
		} else {
			r = piped ? collect_queue(pg, w ? 1 : 0) : collect(pg);
		}
	} else if (piped) {
		drop(pg); /* refused by libpq with half a pipeline out */
		(void)PQconsumeInput(pg->c);
		pg->lost = true;
	}
	if (!r && PQtransactionStatus(pg->c) == PQTRANS_ACTIVE) {
		drop(pg); /* sent, and no answer to be had (no memory): what it did is unknown, and the next would meet it */
		pg->lost = true;
	}
	if (PQstatus(pg->c) == CONNECTION_BAD || kind == PG_FAULT_DROP_AFTER_SEND || pg->lost) {
		pg->lost = true;
		pg->n_queued = 0;
		if (pg->pool)
			metric_add(pg->pool->m_lost, 1);
		PQclear(r);
		return NULL;
	}
	if (!r)	/* refused by libpq before anything was sent: too many parameters, no memory */
		r = PQmakeEmptyPGresult(pg->c, PGRES_FATAL_ERROR);
	return r;
}

static void forget_failure(struct pg *pg)
{
	pg->constraint[0] = pg->fault[0] = '\0';
	pg->blamed = NULL;
}

PGresult *pg_wire(struct pg *pg, const struct pg_wire *w)
{
	int kind;

	forget_failure(pg);
	if (!pg->c || pg->lost)
		return NULL;
	kind = fault_due();
	if (fault_answers(pg, kind))
		return PQmakeEmptyPGresult(pg->c, PGRES_FATAL_ERROR);
	return exchange(pg, w, kind);
}

static bool send_many(struct pg *pg, const struct pg_wire *w, size_t n)
{
	if (PQenterPipelineMode(pg->c) != 1)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!send_it(pg, &w[i]))
			return false;
	return PQpipelineSync(pg->c) == 1;
}

bool pg_wire_many(struct pg *pg, const struct pg_wire *w, PGresult **r_r, size_t n)
{
	int kind;

	for (size_t i = 0; i < n; i++)
		r_r[i] = NULL;
	forget_failure(pg);
	if (!pg->c || pg->lost)
		return false;
	kind = fault_due();
	if (fault_answers(pg, kind)) {
		r_r[0] = PQmakeEmptyPGresult(pg->c, PGRES_FATAL_ERROR);
		return true;
	}
	if (kind == PG_FAULT_DROP_BEFORE || kind == PG_FAULT_DROP_AFTER_SEND)
		drop(pg);
	pg->lost = !send_many(pg, w, n);
	for (size_t i = 0; i < n && !pg->lost; i++) {
		r_r[i] = collect(pg);
		pg->lost = PQstatus(pg->c) != CONNECTION_OK;
	}
	if (!pg->lost) {
		pg_take_sync(pg);
		pg->lost = pg->lost || PQexitPipelineMode(pg->c) != 1;
	}
	if (pg->lost && pg->pool)
		metric_add(pg->pool->m_lost, 1);
	return !pg->lost;
}

enum err_code pg_flush(struct pg *pg, struct err *e)
{
	enum err_code code = OK;
	PGresult *r;

	if (pg->n_queued == 0)
		return OK;
	forget_failure(pg);
	r = exchange(pg, NULL, -1);
	if (!r || failed(r))
		code = pg_fail(pg, r, "queued", e);
	PQclear(r);
	return code;
}

enum err_code pg_queue(struct pg *pg, const struct pg_wire *w, const char *what, struct err *e)
{
	int kind;

	if (pg->n_queued == PG_QUEUE_MAX && pg_flush(pg, e))
		return e->code;
	forget_failure(pg);
	if (!pg->c || pg->lost)
		return pg_fail(pg, NULL, what, e);
	kind = fault_due();
	if (fault_answers(pg, kind)) {
		PGresult *r = PQmakeEmptyPGresult(pg->c, PGRES_FATAL_ERROR);

		(void)pg_fail(pg, r, what, e);
		PQclear(r);
		return e->code;
	}
	if (kind == PG_FAULT_DROP_BEFORE || kind == PG_FAULT_DROP_AFTER_SEND)
		drop(pg);
	if (pg->n_queued == 0 && PQenterPipelineMode(pg->c) != 1)
		return err_set(e, E_INTERNAL, "pg.error", "%s: no pipeline mode", what);
	pg->queued[pg->n_queued++] = what;
	if (send_it(pg, w))
		return OK;
	drop(pg); /* refused with a pipeline begun */
	pg->lost = true;
	pg->n_queued = 0;
	return pg_fail(pg, NULL, what, e);
}
