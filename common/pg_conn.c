/* One connection: opening it, and what its failures mean. */
#include "common/pg_internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a failure means ---- */
struct sqlstate_row {
	const char *prefix;
	enum err_code code;
	const char *slug;
};
/* The longest prefix stands first. */
static const struct sqlstate_row sqlstates[] = {
	{ "40001", E_RETRY, "common.retry" },
	{ "40P01", E_RETRY, "common.retry" },
	{ "23505", E_CONFLICT, "pg.constraint" },
	{ "23P01", E_CONFLICT, "pg.constraint" },
	{ "23", E_RULE, "pg.constraint" },
	{ "22", E_INVALID, "common.invalid_input" },
	{ "54000", E_INVALID, "common.invalid_input" }, /* longer than an index takes */
	{ "57014", E_UNAVAILABLE, "pg.unavailable" }, /* statement_timeout, cancel */
	{ "55P03", E_UNAVAILABLE, "pg.unavailable" }, /* lock_timeout */
	{ "57P", E_UNAVAILABLE, "pg.unavailable" },   /* shutting down, starting up */
	{ "25P03", E_UNAVAILABLE, "pg.unavailable" }, /* idle in transaction */
	{ "25006", E_UNAVAILABLE, "pg.unavailable" }, /* read-only: a failover left us on a standby */
	{ "53", E_UNAVAILABLE, "pg.unavailable" },    /* disk, memory, connections */
	{ "58", E_UNAVAILABLE, "pg.unavailable" },    /* the server's own I/O */
	{ "08P01", E_INTERNAL, "pg.error" },	      /* a parameter too many: ours */
	{ "08", E_UNAVAILABLE, "pg.unavailable" },
};

static const struct sqlstate_row *sqlstate_find(const char *state)
{
	for (size_t i = 0; i < ARRAY_LEN(sqlstates); i++)
		if (strncmp(state, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) == 0)
			return &sqlstates[i];
	return NULL;
}

enum err_code pg_fail(struct pg *pg, const PGresult *r, const char *what, struct err *e)
{
	const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
	const char *text = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	const char *constraint = r ? PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME) : NULL;
	const struct sqlstate_row *row;

	if (pg->blamed)
		what = pg->blamed;
	if (!r)
		return err_set(e, E_UNAVAILABLE, "pg.unavailable", "%s: connection lost", what);
	if (!state && pg->fault[0])
		state = pg->fault;
	row = state ? sqlstate_find(state) : NULL;
	/* A standby or a server on its way down: the next borrower shall look for another. */
	if (state && (strncmp(state, "57P", 3) == 0 || strcmp(state, "25006") == 0))
		pg->lost = true;
	if (!text)
		text = PQerrorMessage(pg->c);
	(void)err_set(e, row ? row->code : E_INTERNAL, row ? row->slug : "pg.error", "%s: %s %.*s%s%s", what,
		      state ? state : "-----", (int)strcspn(text, "\n"), text,
		      constraint && *constraint ? " constraint " : "", constraint ? constraint : "");
	(void)snprintf(pg->constraint, sizeof(pg->constraint), "%s", constraint ? constraint : "");
	return e->code;
}

enum err_code pg_simple(struct pg *pg, const char *sql, const char *what, char tag_r[64], struct err *e)
{
	PGresult *r = pg_wire(pg, &(struct pg_wire){ .sql = sql, .simple = true });
	ExecStatusType st = r ? PQresultStatus(r) : PGRES_FATAL_ERROR;
	enum err_code code = OK;

	if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK && st != PGRES_EMPTY_QUERY)
		code = pg_fail(pg, r, what, e);
	else if (tag_r)
		(void)snprintf(tag_r, 64, "%s", PQcmdStatus(r));
	PQclear(r);
	return code;
}

/* ---- opening ---- */
static PGconn *dial(const char *dsn, const char *app)
{
	/* What stands before dbname are defaults that the connection string may override. */
	static const char *const keys[] = { "connect_timeout", "keepalives_idle", "keepalives_interval",
					    "keepalives_count", "tcp_user_timeout", "dbname", "client_encoding",
					    "application_name", NULL };
	const char *const values[] = { "3", "30", "10", "3", "15000", dsn, "UTF8", app ? app : "souk", NULL };

	return PQconnectdbParams(keys, values, 1);
}

static void no_notice(void *arg, const PGresult *r)
{
	(void)arg;
	(void)r; /* "relation exists, skipping" and the like */
}

/* All statements in one round trip. What the server refuses is E_INTERNAL pg.prepare. */
static enum err_code prepare_all(struct pg *pg, struct err *e)
{
	const struct pg_plans *p = &pg->pool->plans;
	enum err_code code = OK;
	bool sent = true;
	PGresult *r;

	if (pg->pool->pooler || p->n == 0)
		return OK;
	if (PQenterPipelineMode(pg->c) != 1)
		return err_set(e, E_INTERNAL, "pg.prepare", "no pipeline mode");
	for (size_t i = 0; i < p->n; i++) {
		if (pg->pool->is_replica && !(p->v[i].stmt->flags & PG_REPLICA))
			continue;
		sent = sent && PQsendPrepare(pg->c, p->v[i].stmt->name, p->v[i].sql, 0, NULL) == 1;
	}
	if (!sent || PQpipelineSync(pg->c) != 1) /* without the sync the server would keep its answers, and we wait */
		return err_set(e, E_UNAVAILABLE, "pg.unavailable", "preparing: %s", PQerrorMessage(pg->c));
	for (size_t i = 0; i < p->n; i++) {
		if (pg->pool->is_replica && !(p->v[i].stmt->flags & PG_REPLICA))
			continue;
		r = PQgetResult(pg->c);
		if (PQresultStatus(r) != PGRES_COMMAND_OK && !code) {
			code = pg_fail(pg, r, p->v[i].stmt->name, e);
			if (PQstatus(pg->c) == CONNECTION_OK && code != E_UNAVAILABLE) {
				char msg[ERR_MSG_LEN];

				(void)snprintf(msg, sizeof(msg), "%s", e->msg);
				code = err_set(e, E_INTERNAL, "pg.prepare", "%s", msg);
			}
		}
		PQclear(r);
		if (PQstatus(pg->c) != CONNECTION_OK)
			break;
		while ((r = PQgetResult(pg->c)))
			PQclear(r);
	}
	if (PQstatus(pg->c) == CONNECTION_OK) {
		pg_take_sync(pg);
		while (!pg->lost && (r = PQgetResult(pg->c)))
			PQclear(r);
		if (!code && !pg->lost && PQexitPipelineMode(pg->c) != 1)
			code = err_set(e, E_INTERNAL, "pg.prepare", "pipeline: %s", PQerrorMessage(pg->c));
	}
	if (!code && (pg->lost || PQstatus(pg->c) != CONNECTION_OK))
		code = err_set(e, E_UNAVAILABLE, "pg.unavailable", "connection lost while preparing");
	return code;
}

/* Raises the epoch of the event log when this cluster is another one than on record (outbox.h). */
static enum err_code check_cluster(struct pg *pg, struct err *e)
{
	enum err_code code = OK;
	char sql[96];
	PGresult *r;

	if (!pg->pool->schema || pg->pool->is_replica)
		return OK;
	(void)snprintf(sql, sizeof(sql), "SELECT %s.outbox_check_epoch()", pg->pool->schema);
	r = PQexec(pg->c, sql);
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		code = pg_fail(pg, PQstatus(pg->c) == CONNECTION_OK ? r : NULL, "outbox_check_epoch", e);
	PQclear(r);
	return code;
}

enum err_code pg_open_conn(struct pg *pg, struct err *e)
{
	enum err_code code = OK;

	pg_close_conn(pg);
	pg->c = dial(pg->dsn, pg->app);
	if (!pg->c || PQstatus(pg->c) != CONNECTION_OK) {
		const char *why = pg->c ? PQerrorMessage(pg->c) : "no memory";

		code = err_set(e, E_UNAVAILABLE, "pg.unavailable", "connect: %.*s", (int)strcspn(why, "\n"), why);
		e->retry_after_ms = 1000;
	} else {
		(void)PQsetNoticeReceiver(pg->c, no_notice, NULL);
		if (pg->pool && (prepare_all(pg, e) || check_cluster(pg, e)))
			code = e->code;
	}
	if (code)
		pg_close_conn(pg);
	return code;
}

void pg_close_conn(struct pg *pg)
{
	PQfinish(pg->c);
	pg->c = NULL;
	pg->lost = pg->in_tx = pg->committing = pg->marked = false;
	pg->effects_queued = false;
	pg->n_notes = pg->n_queued = 0;
}

bool pg_alive(struct pg *pg)
{
	struct pollfd p = { .fd = PQsocket(pg->c), .events = POLLIN };
	PGresult *r;
	bool fine;

	if (p.fd < 0)
		return false;
	if (poll(&p, 1, 0) == 0)
		return true;
	/* Something arrived unasked: a notice, a changed setting, or a farewell whose hang-up is still on its way. */
	if (PQconsumeInput(pg->c) != 1)
		return false;
	r = PQexec(pg->c, "");
	fine = PQresultStatus(r) == PGRES_EMPTY_QUERY && PQstatus(pg->c) == CONNECTION_OK;
	PQclear(r);
	return fine;
}

enum err_code pg_connect(const char *dsn, const char *app, struct pg **pg_r, struct err *e)
{
	struct pg *pg = calloc(1, sizeof(*pg));

	if (!pg)
		return err_set(e, E_INTERNAL, "common.internal", "no memory");
	pg->unlisted = true;
	pg->dsn = strdup(dsn ? dsn : "");
	pg->app = strdup(app ? app : "souk");
	if (!pg->dsn || !pg->app) {
		pg_disconnect(pg);
		return err_set(e, E_INTERNAL, "common.internal", "no memory");
	}
	if (pg_open_conn(pg, e)) {
		pg_disconnect(pg);
		return e->code;
	}
	*pg_r = pg;
	return OK;
}

void pg_use_schema(struct pg *pg, const char *schema)
{
	pg->schema = pg_schema_ok(schema) ? schema : NULL;
}

void pg_disconnect(struct pg *pg)
{
	if (!pg)
		return;
	pg_close_conn(pg);
	free((char *)(uintptr_t)pg->dsn);
	free((char *)(uintptr_t)pg->app);
	free(pg->notes);
	free(pg);
}

enum err_code pg_script(struct pg *pg, const char *sql, struct err *e)
{
	return pg_simple(pg, sql, "script", NULL, e);
}
