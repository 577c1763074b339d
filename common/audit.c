#include "common/audit.h"

#include "common/pg_mechanisms.h"

struct sealed_row {
	int64_t n;
};
static const struct pg_col sealed_cols[] = { PG_COL(sealed_row, n) };
static const struct pg_stmt seal_stmt = {
	.name = "audit_seal", .sql = "SELECT ${schema}.audit_seal($1::int) AS n",
	.col = sealed_cols, .ncol = 1, .row_size = sizeof(struct sealed_row),
};

static const struct pg_col page_cols[] = {
	PG_COL(audit_row, id),	       PG_COL(audit_row, changed_at), PG_COL(audit_row, actor),
	PG_COL(audit_row, request_id), PG_COL(audit_row, action),     PG_COL(audit_row, table_name),
	PG_COL(audit_row, row_id),     PG_COL(audit_row, before),     PG_COL(audit_row, after),
	PG_COL(audit_row, hash),
};
/* One statement per index: a plan for "any of these may be NULL" would use none of them. */
#define PAGE(nm, where)                                                                                       \
	{                                                                                                     \
		.name = nm,                                                                                   \
		.sql = "SELECT l.id, (extract(epoch FROM l.changed_at) * 1000)::bigint AS changed_at, l.actor," \
		       " l.request_id, l.action, l.table_name, l.row_id, l.before::text AS before,"           \
		       " l.after::text AS after, (SELECT encode(b.hash, 'hex') FROM ${schema}.audit_batch b"    \
		       " WHERE (b.epoch, b.xid, b.id) >= (l.epoch, l.xid, l.id)"                               \
		       " ORDER BY b.epoch, b.xid, b.id LIMIT 1) AS hash FROM ${schema}.audit_log l"            \
		       " WHERE l.id < $1::bigint AND " where                                                  \
		       " AND ($3::text IS NULL OR l.table_name = $3) AND ($4::text IS NULL OR l.row_id = $4)" \
		       " AND ($5::text IS NULL OR l.request_id = $5) AND ($6::text IS NULL OR l.actor = $6)"  \
		       " ORDER BY l.id DESC LIMIT $2::int",                                                   \
		.col = page_cols, .ncol = 10, .row_size = sizeof(struct audit_row),                           \
	}
static const struct pg_stmt page_all = PAGE("audit_page_all", "true");
static const struct pg_stmt page_row = PAGE("audit_page_row", "l.table_name = $3 AND l.row_id = $4");
static const struct pg_stmt page_request = PAGE("audit_page_request", "l.request_id = $5");
static const struct pg_stmt page_actor = PAGE("audit_page_actor", "l.actor = $6");

const struct pg_stmt *const audit_stmts[] = { &seal_stmt, &page_all, &page_row, &page_request, &page_actor, NULL };

enum err_code audit_seal(struct pg *pg, int32_t max, struct arena *a, int64_t *sealed_r, struct err *e)
{
	struct sealed_row *row = NULL;

	if (pg_one(pg, &seal_stmt, PG_ARGS(P(max)), a, &row, e))
		return e->code;
	*sealed_r = row->n;
	return OK;
}

static const char *given(const char *s)
{
	return s && *s ? s : NULL;
}

enum err_code audit_page(struct pg *pg, const struct audit_filter *f, int32_t limit, struct arena *a,
			 struct audit_row **rows_r, size_t *n_r, struct err *e)
{
	const char *table = given(f->table_name), *row = given(f->row_id), *request = given(f->request_id);
	const char *actor = given(f->actor);
	const struct pg_stmt *st = table && row ? &page_row : request ? &page_request : actor ? &page_actor : &page_all;
	int64_t before = f->before_id > 0 ? f->before_id : INT64_MAX;

	return pg_rows(pg, st, PG_ARGS(P(before), P(limit), P(table), P(row), P(request), P(actor)), a, rows_r, n_r,
		       e);
}
