#include "services/notify/notify_db.h"

#define TEMPLATE_COLUMNS                                                                           \
	"t.kind, t.lang, t.subject, t.text, t.html, t.updated_by, t.version, " DB_MS("t.updated_at") " AS updated_at"
static const struct pg_col template_cols[] = {
	PG_COL(template_row_db, kind),	     PG_COL(template_row_db, lang),    PG_COL(template_row_db, subject),
	PG_COL(template_row_db, text),	     PG_COL(template_row_db, html),    PG_COL(template_row_db, updated_by),
	PG_COL(template_row_db, version),    PG_COL(template_row_db, updated_at),
};
#define TEMPLATE_ROW .col = template_cols, .ncol = DB_NUM(template_cols), .row_size = sizeof(struct template_row_db)

static const struct pg_stmt one = {
	.name = "template",
	.sql = "SELECT " TEMPLATE_COLUMNS " FROM notify.template t WHERE t.kind = $1 AND t.lang = $2",
	TEMPLATE_ROW,
};
static const struct pg_stmt all = {
	.name = "templates",
	.sql = "SELECT " TEMPLATE_COLUMNS " FROM notify.template t ORDER BY t.kind, t.lang LIMIT 1000",
	TEMPLATE_ROW,
};
static const struct pg_stmt put = {
	.name = "template_put",
	.sql = "INSERT INTO notify.template AS t (kind, lang, subject, text, html, updated_by)"
	       " SELECT $1, $2, $3, $4, $5, $6 WHERE $7::bigint <= 0 OR EXISTS"
	       " (SELECT 1 FROM notify.template x WHERE x.kind = $1 AND x.lang = $2)"
	       " ON CONFLICT (kind, lang) DO UPDATE SET subject = excluded.subject, text = excluded.text,"
	       " html = excluded.html, updated_by = excluded.updated_by, updated_at = now(), version = t.version + 1"
	       " WHERE $7::bigint < 0 OR t.version = $7::bigint RETURNING " TEMPLATE_COLUMNS,
	TEMPLATE_ROW,
};
static const struct pg_stmt drop = {
	.name = "template_delete",
	.sql = "DELETE FROM notify.template WHERE kind = $1 AND lang = $2",
};

enum err_code notify_db_template(struct pg *pg, struct arena *a, const char *kind, const char *lang,
				 struct template_row_db **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &one, PG_ARGS(P(kind), P(lang)), a, row_r, found_r, e);
}

enum err_code notify_db_templates(struct pg *pg, struct arena *a, struct template_row_db **rows_r, size_t *n_r,
				  struct err *e)
{
	return pg_rows(pg, &all, PG_NONE, a, rows_r, n_r, e);
}

enum err_code notify_db_template_put(struct pg *pg, struct arena *a, const struct template_row_db *t, int64_t expected,
				     struct template_row_db **row_r, bool *done_r, struct err *e)
{
	return pg_row(pg, &put,
		      PG_ARGS(P(t->kind), P(t->lang), P(t->subject), P(t->text), P(t->html), P(t->updated_by), P(expected)), a,
		      row_r, done_r, e);
}

enum err_code notify_db_template_delete(struct pg *pg, const char *kind, const char *lang, struct err *e)
{
	return pg_exec(pg, &drop, PG_ARGS(P(kind), P(lang)), NULL, e);
}

const struct pg_stmt *const notify_db_template_stmts[] = { &one, &all, &put, &drop, NULL };
