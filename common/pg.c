/* Statements: parameters out, rows into the arena. */
#include "common/pg_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/timeutil.h"

struct pg_param pg_p_text(const char *s)
{
	return (struct pg_param){ .type = PG_TEXT, .is_null = !s, .v.text = s };
}

struct pg_param pg_p_i32(int32_t v)
{
	return (struct pg_param){ .type = PG_I32, .v.i = v };
}

struct pg_param pg_p_i64(int64_t v)
{
	return (struct pg_param){ .type = PG_I64, .v.i = v };
}

struct pg_param pg_p_bool(bool v)
{
	return (struct pg_param){ .type = PG_BOOL, .v.i = v };
}

struct pg_param pg_p_f64(double v)
{
	return (struct pg_param){ .type = PG_F64, .v.f = v };
}

struct pg_param pg_p_bytes(struct pg_bytes b)
{
	return (struct pg_param){ .type = PG_BYTES, .is_null = !b.data, .v.bytes = b };
}

struct pg_param pg_p_text_array(struct arena *a, const char *const *v, size_t n)
{
	size_t len = 3;
	char *out, *p;

	for (size_t i = 0; i < n; i++)
		len += v[i] ? 2 * strlen(v[i]) + 3 : 5;
	p = out = arena_alloc(a, len);
	*p++ = '{';
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*p++ = ',';
		if (!v[i]) {
			memcpy(p, "NULL", 4);
			p += 4;
			continue;
		}
		*p++ = '"';
		for (const char *s = v[i]; *s; s++) {
			if (*s == '"' || *s == '\\')
				*p++ = '\\';
			*p++ = *s;
		}
		*p++ = '"';
	}
	*p++ = '}';
	*p = '\0';
	return pg_p_text(out);
}

struct pg_param pg_p_i64_array(struct arena *a, const int64_t *v, size_t n)
{
	char *out = arena_alloc(a, n * 21 + 3), *p = out;

	*p++ = '{';
	for (size_t i = 0; i < n; i++)
		p += snprintf(p, 22, "%s%lld", i ? "," : "", (long long)v[i]);
	*p++ = '}';
	*p = '\0';
	return pg_p_text(out);
}

/* ---- sending ---- */
struct bound {
	const char *values[PG_PARAMS_MAX];
	int lengths[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
	char number[PG_PARAMS_MAX][32];
};

static bool bind(struct bound *b, const struct pg_param *p, size_t n)
{
	if (n > PG_PARAMS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		b->lengths[i] = b->formats[i] = 0;
		b->values[i] = b->number[i];
		if (p[i].is_null) {
			b->values[i] = NULL;
			continue;
		}
		switch (p[i].type) {
		case PG_TEXT:
			b->values[i] = p[i].v.text;
			break;
		case PG_I32:
		case PG_I64:
			(void)snprintf(b->number[i], sizeof(b->number[i]), "%lld", (long long)p[i].v.i);
			break;
		case PG_BOOL:
			(void)snprintf(b->number[i], sizeof(b->number[i]), "%s", p[i].v.i ? "t" : "f");
			break;
		case PG_F64:
			(void)snprintf(b->number[i], sizeof(b->number[i]), "%.17g", p[i].v.f);
			break;
		case PG_BYTES:
			if (p[i].v.bytes.len > INT32_MAX / 2)
				return false;
			b->values[i] = p[i].v.bytes.data;
			b->lengths[i] = (int)p[i].v.bytes.len;
			b->formats[i] = 1;
			break;
		}
	}
	return true;
}

static PGresult *send_plan(struct pg *pg, const struct pg_stmt *st, const struct pg_plan *plan, const struct bound *b,
			   size_t n)
{
	struct pg_wire w = { .sql = plan ? plan->sql : st->sql, .n = (int)n, .values = b->values,
			     .lengths = b->lengths, .formats = b->formats };
	int64_t start = mono_us();
	PGresult *r;

	if (plan && !pg->pool->pooler)
		w.name = st->name;
	r = pg_wire(pg, &w);
	if (plan)
		metric_observe(plan->seconds, (double)(mono_us() - start) / 1e6);
	return r;
}

static enum err_code run(struct pg *pg, const struct pg_stmt *st, const struct pg_param *p, size_t n, PGresult **r_r,
			 struct err *e)
{
	const struct pg_plan *plan = pg->pool ? pg_plans_find(&pg->pool->plans, st) : NULL;
	struct bound b;
	PGresult *r;
	ExecStatusType status;

	if (!plan && !pg->unlisted)
		return err_set(e, E_INTERNAL, "pg.statement", "%s is not in the pool's table", st->name);
	if (pg->pool && pg->pool->is_replica && !(st->flags & PG_REPLICA))
		return err_set(e, E_INTERNAL, "pg.statement", "%s may not run on the replica", st->name);
	if (!bind(&b, p, n))
		return err_set(e, E_INTERNAL, "pg.statement", "%s: too many or too large parameters", st->name);
	r = send_plan(pg, st, plan, &b, n);
	if (!r && !pg->in_tx && plan && plan->plain_read && pg_open_conn(pg, e) == OK)
		r = send_plan(pg, st, plan, &b, n);
	status = r ? PQresultStatus(r) : PGRES_FATAL_ERROR;
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		enum err_code code = pg_fail(pg, r, st->name, e);

		PQclear(r);
		return code;
	}
	*r_r = r;
	return OK;
}

enum err_code pg_exec(struct pg *pg, const struct pg_stmt *st, const struct pg_param *p, size_t n, int64_t *affected_r,
		      struct err *e)
{
	PGresult *r = NULL;

	if (run(pg, st, p, n, &r, e))
		return e->code;
	if (affected_r)
		*affected_r = strtoll(PQcmdTuples(r), NULL, 10);
	PQclear(r);
	return OK;
}

enum err_code pg_later(struct pg *pg, const struct pg_stmt *st, const struct pg_param *p, size_t n, struct err *e)
{
	const struct pg_plan *plan = pg->pool ? pg_plans_find(&pg->pool->plans, st) : NULL;
	struct bound b;

	if (!pg->in_tx || !plan) /* nothing will follow, or what pg_exec refuses */
		return pg_exec(pg, st, p, n, NULL, e);
	if (!bind(&b, p, n))
		return err_set(e, E_INTERNAL, "pg.statement", "%s: too many or too large parameters", st->name);
	if (pg_queue(pg,
		     &(struct pg_wire){ .name = pg->pool->pooler ? NULL : st->name, .sql = plan->sql, .n = (int)n,
					.values = b.values, .lengths = b.lengths, .formats = b.formats },
		     st->name, e))
		return e->code;
	pg->effects_queued = true;
	return OK;
}

/* ---- rows ---- */
static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\x6869" -> "hi" */
static bool get_bytes(struct arena *a, const char *s, size_t len, struct pg_bytes *out)
{
	size_t n = len / 2 - 1;
	uint8_t *p;

	if (len < 2 || s[0] != '\\' || s[1] != 'x' || len % 2)
		return false;
	p = arena_alloc(a, n + 1);
	for (size_t i = 0; i < n; i++) {
		int hi = nibble(s[2 + 2 * i]), lo = nibble(s[3 + 2 * i]);

		if (hi < 0 || lo < 0)
			return false;
		p[i] = (uint8_t)(hi << 4 | lo);
	}
	*out = (struct pg_bytes){ p, n };
	return true;
}

static bool get_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(s, &end, 10);
	return !errno && end != s && !*end && *out >= min && *out <= max;
}

static bool get(struct arena *a, enum pg_type type, const char *s, size_t len, void *at)
{
	int64_t i = 0;
	char *end;

	switch (type) {
	case PG_TEXT:
		*(const char **)at = arena_dup(a, s, len);
		return true;
	case PG_I32:
		if (!get_int(s, INT32_MIN, INT32_MAX, &i))
			return false;
		*(int32_t *)at = (int32_t)i;
		return true;
	case PG_I64:
		return get_int(s, INT64_MIN, INT64_MAX, at);
	case PG_BOOL:
		*(bool *)at = s[0] == 't';
		return len == 1;
	case PG_F64:
		*(double *)at = strtod(s, &end);
		return end != s && !*end;
	case PG_BYTES:
		return get_bytes(a, s, len, at);
	}
	return false;
}

static enum err_code copy_rows(const struct pg_stmt *st, const PGresult *r, struct arena *a, void **rows_r,
			       struct err *e)
{
	size_t n = (size_t)PQntuples(r);
	char *rows = n ? arena_array(a, n, st->row_size) : NULL;

	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQnfields(r) != st->ncol || !st->row_size)
		return err_set(e, E_INTERNAL, "pg.statement", "%s gives %d columns, its table has %d", st->name,
			       PQnfields(r), st->ncol);
	for (int c = 0; c < st->ncol; c++)
		if (!pg_type_fits(PQftype(r, c), st->col[c].type))
			return err_set(e, E_INTERNAL, "pg.statement", "%s column %s has type %u", st->name,
				       st->col[c].name, PQftype(r, c));
	for (size_t i = 0; i < n; i++) {
		for (int c = 0; c < st->ncol; c++) {
			void *at = rows + i * st->row_size + st->col[c].offset;

			if (!PQgetisnull(r, (int)i, c) &&
			    !get(a, st->col[c].type, PQgetvalue(r, (int)i, c), (size_t)PQgetlength(r, (int)i, c), at))
				return err_set(e, E_INTERNAL, "pg.statement", "%s column %s cannot be read", st->name,
					       st->col[c].name);
		}
		if (arena_over(a))
			return err_set(e, E_INTERNAL, "pg.rows", "%s: the request's memory is used up", st->name);
	}
	*rows_r = rows;
	return OK;
}

enum err_code pg_rows(struct pg *pg, const struct pg_stmt *st, const struct pg_param *p, size_t n, struct arena *a,
		      void *rows_r, size_t *n_r, struct err *e)
{
	PGresult *r = NULL;
	void *rows = NULL;
	enum err_code code;

	if (run(pg, st, p, n, &r, e))
		return e->code;
	code = copy_rows(st, r, a, &rows, e);
	if (!code) {
		memcpy(rows_r, &rows, sizeof(rows));
		*n_r = (size_t)PQntuples(r);
	}
	PQclear(r);
	return code;
}

static bool make_wires(struct pg *pg, const struct pg_read *v, size_t n, struct arena *a, struct pg_wire *w,
		       bool *plain_r, struct err *e)
{
	*plain_r = !pg->in_tx;
	for (size_t i = 0; i < n; i++) {
		const struct pg_plan *plan = pg->pool ? pg_plans_find(&pg->pool->plans, v[i].stmt) : NULL;
		struct bound *b = arena_alloc(a, sizeof(*b));

		if (!plan || pg->pool->is_replica || !bind(b, v[i].p, v[i].n)) {
			(void)err_set(e, E_INTERNAL, "pg.statement", "%s cannot be sent with others", v[i].stmt->name);
			return false;
		}
		*plain_r = *plain_r && plan->plain_read;
		w[i] = (struct pg_wire){ .name = pg->pool->pooler ? NULL : v[i].stmt->name, .sql = plan->sql,
					 .n = (int)v[i].n, .values = b->values, .lengths = b->lengths,
					 .formats = b->formats };
	}
	return true;
}

static enum err_code copy_many(struct pg *pg, const struct pg_read *v, size_t n, PGresult *const *r, void **rows,
			       struct arena *a, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (!r[i] || PQresultStatus(r[i]) != PGRES_TUPLES_OK)
			return pg_fail(pg, r[i], v[i].stmt->name, e);
		if (copy_rows(v[i].stmt, r[i], a, &rows[i], e))
			return e->code;
	}
	return OK;
}

enum err_code pg_reads(struct pg *pg, const struct pg_read *v, size_t n, struct arena *a, struct err *e)
{
	struct pg_wire w[PG_READS_MAX];
	PGresult *r[PG_READS_MAX];
	void *rows[PG_READS_MAX] = { NULL };
	enum err_code code;
	bool plain, sent;

	if (n == 0 || n > PG_READS_MAX)
		return err_set(e, E_INTERNAL, "pg.statement", "%zu statements at once", n);
	if (!make_wires(pg, v, n, a, w, &plain, e) || pg_flush(pg, e))
		return e->code;
	sent = pg_wire_many(pg, w, r, n);
	if (!sent && plain) {
		for (size_t i = 0; i < n; i++)
			PQclear(r[i]);
		if (pg_open_conn(pg, e))
			return e->code;
		sent = pg_wire_many(pg, w, r, n);
	}
	code = sent ? copy_many(pg, v, n, r, rows, a, e) : pg_fail(pg, NULL, v[0].stmt->name, e);
	for (size_t i = 0; i < n; i++) {
		if (!code) {
			memcpy(v[i].rows_r, &rows[i], sizeof(rows[i]));
			*v[i].n_r = (size_t)PQntuples(r[i]);
		}
		PQclear(r[i]);
	}
	return code;
}

enum err_code pg_row(struct pg *pg, const struct pg_stmt *st, const struct pg_param *p, size_t n, struct arena *a,
		     void *row_r, bool *found_r, struct err *e)
{
	void *rows = NULL;
	size_t got = 0;

	if (pg_rows(pg, st, p, n, a, &rows, &got, e))
		return e->code;
	if (got > 1)
		return err_set(e, E_INTERNAL, "pg.rows", "%s: %zu rows, expected one", st->name, got);
	if (got)
		memcpy(row_r, &rows, sizeof(rows));
	*found_r = got > 0;
	return OK;
}

enum err_code pg_one(struct pg *pg, const struct pg_stmt *st, const struct pg_param *p, size_t n, struct arena *a,
		     void *row_r, struct err *e)
{
	bool found = false;

	if (pg_row(pg, st, p, n, a, row_r, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_INTERNAL, "pg.rows", "%s: no row", st->name);
	return OK;
}

const char *pg_constraint(const struct pg *pg)
{
	return pg->constraint;
}
