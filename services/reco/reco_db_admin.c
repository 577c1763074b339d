#include "services/reco/reco_db_admin.h"

static const struct pg_col status_cols[] = {
	PG_COL(status_row, events),	   PG_COL(status_row, products),      PG_COL(status_row, lag_ms),
	PG_COL(status_row, last_event_at), PG_COL(status_row, model_version), PG_COL(status_row, filled),
};
/* Rows of events are taken from the statistics: they are too many to count for a look. */
static const struct pg_stmt status = {
	.name = "status",
	.sql = "SELECT coalesce((SELECT sum(greatest(c.reltuples, 0)) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
	       " WHERE i.inhparent = 'reco.event'::regclass), 0)::bigint AS events,"
	       " (SELECT count(*) FROM reco.product) AS products,"
	       " (SELECT (extract(epoch FROM now() - m.at) * 1000)::bigint FROM reco.watermark m WHERE m.name = 'item_day')"
	       " AS lag_ms,"
	       " coalesce((SELECT (extract(epoch FROM max(v.ts)) * 1000)::bigint FROM reco.event v), 0) AS last_event_at,"
	       " (SELECT m.version FROM reco.deployment d JOIN reco.model m ON m.id = d.model_id WHERE d.variant = 'main')"
	       " AS model_version, (SELECT f.filled FROM reco.filling f WHERE f.one) AS filled",
	.col = status_cols,
	.ncol = 6,
	.row_size = sizeof(struct status_row),
};

enum err_code reco_db_status(struct pg *pg, struct arena *a, struct status_row **row_r, struct err *e)
{
	return pg_one(pg, &status, PG_NONE, a, row_r, e);
}

/* ---- pins ---- */

static const struct pg_col pin_cols[] = {
	PG_COL(pin_row, id),	   PG_COL(pin_row, placement), PG_COL(pin_row, product_id), PG_COL(pin_row, for_product_id),
	PG_COL(pin_row, position), PG_COL(pin_row, starts_at), PG_COL(pin_row, ends_at),    PG_COL(pin_row, created_at),
};
static const struct pg_stmt pins = {
	.name = "pins",
	.sql = "SELECT id, placement, product_id, for_product_id, position,"
	       " coalesce((extract(epoch FROM starts_at) * 1000)::bigint, 0) AS starts_at,"
	       " coalesce((extract(epoch FROM ends_at) * 1000)::bigint, 0) AS ends_at,"
	       " (extract(epoch FROM created_at) * 1000)::bigint AS created_at FROM reco.pin"
	       " WHERE ($1::text IS NULL OR placement = $1) AND id > $2 ORDER BY id LIMIT $3::integer",
	.col = pin_cols,
	.ncol = 8,
	.row_size = sizeof(struct pin_row),
};
static const struct pg_stmt pin_add = {
	.name = "pin_add",
	.sql = "INSERT INTO reco.pin (id, placement, product_id, for_product_id, position, starts_at, ends_at)"
	       " VALUES ($1, $2, $3, $4, $5::integer, to_timestamp(nullif($6::bigint, 0) / 1000.0),"
	       " to_timestamp(nullif($7::bigint, 0) / 1000.0))",
};
static const struct pg_stmt pin_drop = {
	.name = "pin_drop",
	.sql = "DELETE FROM reco.pin WHERE id = $1",
};

enum err_code reco_db_pins(struct pg *pg, struct arena *a, const char *placement, const char *after, int32_t limit,
			   struct pin_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &pins, PG_ARGS(P(placement), P(after), P(limit)), a, rows_r, n_r, e);
}

enum err_code reco_db_pin_add(struct pg *pg, const struct pin_row *r, struct err *e)
{
	return pg_exec(pg, &pin_add,
		       PG_ARGS(P(r->id), P(r->placement), P(r->product_id), P(r->for_product_id), P(r->position),
			       P(r->starts_at), P(r->ends_at)),
		       NULL, e);
}

enum err_code reco_db_pin_drop(struct pg *pg, const char *id, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &pin_drop, PG_ARGS(P(id)), &n, e))
		return e->code;
	*found_r = n > 0;
	return OK;
}

/* ---- people ---- */

static const struct pg_col person_cols[] = { PG_COL(person_row, user_id) };
static const struct pg_stmt withheld_of = {
	.name = "withheld_of",
	.sql = "SELECT i.user_id FROM unnest($1::text[]) AS i(user_id)"
	       " WHERE EXISTS (SELECT 1 FROM reco.opt_out o WHERE o.user_id = i.user_id)"
	       " OR EXISTS (SELECT 1 FROM reco.erased d WHERE d.user_id = i.user_id)"
	       " OR ($2::boolean AND NOT EXISTS (SELECT 1 FROM reco.opt_in n WHERE n.user_id = i.user_id)) ORDER BY 1",
	.col = person_cols,
	.ncol = 1,
	.row_size = sizeof(struct person_row),
};

enum err_code reco_db_withheld_of(struct pg *pg, struct arena *a, const char *const *ids, size_t n, bool opt_in,
				  struct person_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &withheld_of, PG_ARGS(pg_p_text_array(a, ids, n), P(opt_in)), a, rows_r, n_r, e);
}

const struct pg_stmt *const reco_db_admin_stmts[] = { &status, &pins, &pin_add, &pin_drop, &withheld_of, NULL };
