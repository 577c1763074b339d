/* The statements of a pool: their texts with the schema filled in, found again by address; and their check. */
#include "common/pg_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/pg_mechanisms.h"

#define MARK "${schema}"

bool pg_schema_ok(const char *schema)
{
	size_t n = schema ? strspn(schema, "abcdefghijklmnopqrstuvwxyz_") : 0;

	return n > 0 && n <= 40 && !schema[n];
}

char *pg_expand(const char *sql, const char *schema)
{
	struct buf b;
	const char *p;

	buf_init(&b, 4 << 20);
	while ((p = strstr(sql, MARK))) {
		buf_add(&b, sql, (size_t)(p - sql));
		buf_str(&b, schema);
		sql = p + strlen(MARK);
	}
	buf_str(&b, sql);
	if (buf_over(&b)) {
		buf_free(&b);
		return NULL;
	}
	return b.data ? b.data : calloc(1, 1);
}

/* A SELECT that calls no function of a schema ("name.name(") and locks nothing: running it twice changes nothing. */
static bool plain_read(const char *sql)
{
	while (isspace((unsigned char)*sql))
		sql++;
	if (strncasecmp(sql, "SELECT", 6) != 0 || strcasestr(sql, "FOR UPDATE") || strcasestr(sql, "FOR SHARE") ||
	    strcasestr(sql, "FOR NO KEY") || strcasestr(sql, "FOR KEY") || strcasestr(sql, "nextval"))
		return false;
	for (const char *p = strchr(sql, '('); p; p = strchr(p + 1, '(')) {
		const char *q = p;

		while (q > sql && (isalnum((unsigned char)q[-1]) || q[-1] == '_'))
			q--;
		if (q < p && q > sql && q[-1] == '.')
			return false;
	}
	return true;
}

static size_t hash(const struct pg_stmt *st)
{
	uintptr_t x = (uintptr_t)st;

	return (size_t)((x >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20);
}

const struct pg_plan *pg_plans_find(const struct pg_plans *p, const struct pg_stmt *st)
{
	if (!p->slot)
		return NULL;
	for (size_t i = hash(st) & p->mask; p->slot[i]; i = (i + 1) & p->mask)
		if (p->v[p->slot[i] - 1].stmt == st)
			return &p->v[p->slot[i] - 1];
	return NULL;
}

static enum err_code plan_add(struct pg_plans *p, const struct pg_stmt *st, const char *schema, struct err *e)
{
	struct pg_plan *plan = &p->v[p->n];
	char labels[128];
	size_t i;

	if (st->ncol > 0 && st->row_size == 0)
		return err_set(e, E_INTERNAL, "pg.statement", "%s: columns without row_size", st->name);
	for (size_t k = 0; k < p->n; k++) {
		if (p->v[k].stmt == st)
			return OK;
		if (strcmp(p->v[k].stmt->name, st->name) == 0)
			return err_set(e, E_INTERNAL, "pg.statement", "two statements are named %s", st->name);
	}
	plan->stmt = st;
	plan->own = strstr(st->sql, MARK) != NULL;
	if (plan->own && !schema)
		return err_set(e, E_INTERNAL, "pg.statement", "%s needs a pool with a schema", st->name);
	plan->sql = plan->own ? pg_expand(st->sql, schema) : (char *)(uintptr_t)st->sql;
	if (!plan->sql)
		return err_set(e, E_INTERNAL, "pg.statement", "%s: no memory", st->name);
	plan->plain_read = plain_read(plan->sql);
	plan->seconds = metric_histogram("souk_pg_statement_seconds", "Statements, from sending to the last row.",
					 metric_labels(labels, sizeof(labels), "statement", st->name, NULL));
	for (i = hash(st) & p->mask; p->slot[i]; i = (i + 1) & p->mask)
		;
	p->slot[i] = (uint32_t)++p->n;
	return OK;
}

static size_t count(const struct pg_stmt *const *const *tables)
{
	size_t n = 0;

	for (size_t t = 0; tables && tables[t]; t++)
		for (size_t i = 0; tables[t][i]; i++)
			n++;
	return n;
}

enum err_code pg_plans_make(struct pg_plans *p, const struct pg_stmt *const *const *own, const char *schema,
			    struct err *e)
{
	const struct pg_stmt *const *const *sets[] = { schema ? pg_mechanism_stmts : NULL, own };
	size_t n = 0, cap = 16;

	for (size_t s = 0; s < ARRAY_LEN(sets); s++)
		n += count(sets[s]);
	while (cap < 2 * n + 2)
		cap *= 2;
	*p = (struct pg_plans){ .v = calloc(n + 1, sizeof(*p->v)), .slot = calloc(cap, sizeof(*p->slot)),
				.mask = cap - 1 };
	if (!p->v || !p->slot)
		return err_set(e, E_INTERNAL, "pg.statement", "no memory");
	for (size_t s = 0; s < ARRAY_LEN(sets); s++)
		for (size_t t = 0; sets[s] && sets[s][t]; t++)
			for (size_t i = 0; sets[s][t][i]; i++)
				if (plan_add(p, sets[s][t][i], schema, e))
					return e->code;
	return OK;
}

void pg_plans_free(struct pg_plans *p)
{
	for (size_t i = 0; p->v && i < p->n; i++)
		if (p->v[i].own)
			free(p->v[i].sql);
	free(p->v);
	free(p->slot);
	*p = (struct pg_plans){ 0 };
}

bool pg_type_fits(Oid column, enum pg_type wanted)
{
	switch (wanted) {
	case PG_TEXT:
		return column != 17; /* bytea would come as \x… */
	case PG_I32:
		return column == 23 || column == 21;
	case PG_I64:
		return column == 20 || column == 23 || column == 21;
	case PG_BOOL:
		return column == 16;
	case PG_F64:
		return column == 701 || column == 700 || column == 1700;
	case PG_BYTES:
		return column == 17;
	}
	return false;
}

/* ---- the check of --check and of the tests ---- */
static enum err_code check_columns(const struct pg_stmt *st, const PGresult *r, struct err *e)
{
	if (PQnparams(r) > PG_PARAMS_MAX)
		return err_set(e, E_INTERNAL, "pg.statement", "%s has %d parameters", st->name, PQnparams(r));
	if (st->ncol == 0)
		return OK;
	if (st->row_size == 0 || PQnfields(r) != st->ncol)
		return err_set(e, E_INTERNAL, "pg.statement", "%s gives %d columns, its table has %d", st->name,
			       PQnfields(r), st->ncol);
	for (int i = 0; i < st->ncol; i++) {
		if (strcmp(PQfname(r, i), st->col[i].name) != 0)
			return err_set(e, E_INTERNAL, "pg.statement", "%s column %d is %s, its table says %s",
				       st->name, i + 1, PQfname(r, i), st->col[i].name);
		if (!pg_type_fits(PQftype(r, i), st->col[i].type))
			return err_set(e, E_INTERNAL, "pg.statement", "%s column %s has type %u", st->name,
				       st->col[i].name, PQftype(r, i));
	}
	return OK;
}

static enum err_code check_one(struct pg *pg, const struct pg_stmt *st, struct err *e)
{
	char *sql = pg_expand(st->sql, pg->schema ? pg->schema : "");
	PGresult *r = sql ? PQprepare(pg->c, "", sql, 0, NULL) : NULL;
	enum err_code code = OK;

	free(sql);
	if (!r || PQresultStatus(r) != PGRES_COMMAND_OK) {
		code = pg_fail(pg, r, st->name, e);
	} else {
		PQclear(r);
		r = PQdescribePrepared(pg->c, "");
		if (!r || PQresultStatus(r) != PGRES_COMMAND_OK)
			code = pg_fail(pg, r, st->name, e);
		else
			code = check_columns(st, r, e);
	}
	PQclear(r);
	return code;
}

enum err_code pg_check_stmts(struct pg *pg, const struct pg_stmt *const *const *stmts, struct err *e)
{
	const struct pg_stmt *const *const *sets[] = { pg->schema ? pg_mechanism_stmts : NULL, stmts };

	for (size_t s = 0; s < ARRAY_LEN(sets); s++)
		for (size_t t = 0; sets[s] && sets[s][t]; t++)
			for (size_t i = 0; sets[s][t][i]; i++)
				if (check_one(pg, sets[s][t][i], e))
					return e->code;
	return OK;
}
