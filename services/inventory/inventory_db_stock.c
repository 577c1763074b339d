#include "services/inventory/inventory_db.h"

#define STOCK_COLUMNS                                                                              \
	"s.sku, s.variant_id, s.vendor_id, s.state, s.on_hand, s.reserved, s.low_threshold, s.version," \
	" (extract(epoch FROM s.updated_at) * 1000)::bigint AS updated_at, s.backorder, s.active"

static const struct pg_col stock_cols[] = {
	PG_COL(stock_row, sku),	      PG_COL(stock_row, variant_id), PG_COL(stock_row, vendor_id),
	PG_COL(stock_row, state),     PG_COL(stock_row, on_hand),    PG_COL(stock_row, reserved),
	PG_COL(stock_row, low_threshold), PG_COL(stock_row, version), PG_COL(stock_row, updated_at),
	PG_COL(stock_row, backorder), PG_COL(stock_row, active),
};
#define STOCK_ROW .col = stock_cols, .ncol = 11, .row_size = sizeof(struct stock_row)

static const struct pg_stmt by_sku = {
	.name = "stock_by_sku",
	.sql = "SELECT " STOCK_COLUMNS " FROM inventory.stock s WHERE s.vendor_id = $1 AND s.sku = $2",
	STOCK_ROW,
};

enum err_code inventory_db_stock_by_sku(struct pg *pg, struct arena *a, const char *vendor_id, const char *sku,
					struct stock_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &by_sku, PG_ARGS(P(vendor_id), P(sku)), a, row_r, found_r, e);
}

static const struct pg_stmt page = {
	.name = "stock_page",
	.sql = "SELECT " STOCK_COLUMNS " FROM inventory.stock s WHERE s.vendor_id = $1 AND s.variant_id > $2 AND s.active"
	       " AND (NOT $3::boolean OR s.state <> 'in') AND ($4 = '' OR EXISTS (SELECT 1 FROM inventory.level v"
	       " WHERE v.variant_id = s.variant_id AND v.location_id = $4)) ORDER BY s.variant_id LIMIT $5::integer",
	STOCK_ROW,
};

enum err_code inventory_db_stock_page(struct pg *pg, struct arena *a, const char *vendor_id, const char *after,
				      bool low_only, const char *location_id, int32_t limit, struct stock_row **rows_r,
				      size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(vendor_id), P(after), P(low_only), P(location_id), P(limit)), a, rows_r, n_r,
		       e);
}

static const struct pg_stmt many = {
	.name = "stock_many",
	.sql = "SELECT " STOCK_COLUMNS " FROM inventory.stock s WHERE s.variant_id = ANY ($1::text[]) LIMIT 500",
	STOCK_ROW,
};

enum err_code inventory_db_stock_many(struct pg *pg, struct arena *a, const char *const *variant_ids, size_t n,
				      struct stock_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &many, PG_ARGS(pg_p_text_array(a, variant_ids, n)), a, rows_r, n_r, e);
}

static const struct pg_stmt lock = {
	.name = "stock_lock",
	.sql = "SELECT " STOCK_COLUMNS " FROM inventory.stock s WHERE s.variant_id = $1 AND s.version = $2 FOR UPDATE",
	STOCK_ROW,
};

enum err_code inventory_db_stock_lock(struct pg *pg, struct arena *a, const char *variant_id, int64_t version,
				      bool *found_r, struct err *e)
{
	struct stock_row *row;

	return pg_row(pg, &lock, PG_ARGS(P(variant_id), P(version)), a, &row, found_r, e);
}

static const struct pg_stmt put = {
	.name = "stock_put",
	.sql = "INSERT INTO inventory.stock AS s (variant_id, vendor_id, sku, active, catalog_version)"
	       " VALUES ($1, $2, $3, $4::boolean, $5::bigint) ON CONFLICT (variant_id) DO UPDATE SET sku = excluded.sku,"
	       " active = excluded.active, catalog_version = excluded.catalog_version, updated_at = now()"
	       " WHERE s.catalog_version < excluded.catalog_version",
};
static const struct pg_stmt put_level = {
	.name = "stock_put_level",
	.sql = "INSERT INTO inventory.level (variant_id, location_id) SELECT $1, o.id FROM inventory.location o"
	       " WHERE o.vendor_id = $2 AND NOT EXISTS (SELECT 1 FROM inventory.level v WHERE v.variant_id = $1)"
	       " ORDER BY o.priority, o.id LIMIT 1 ON CONFLICT DO NOTHING",
};

enum err_code inventory_db_stock_put(struct pg *pg, const char *variant_id, const char *vendor_id, const char *sku,
				     bool active, int64_t catalog_version, struct err *e)
{
	if (pg_exec(pg, &put, PG_ARGS(P(variant_id), P(vendor_id), P(sku), P(active), P(catalog_version)), NULL, e) ||
	    pg_exec(pg, &put_level, PG_ARGS(P(variant_id), P(vendor_id)), NULL, e))
		return e->code;
	return OK;
}

static const struct pg_col level_cols[] = {
	PG_COL(level_row, location_id),
	PG_COL(level_row, location_code),
	PG_COL(level_row, on_hand),
};
static const struct pg_stmt levels = {
	.name = "levels",
	.sql = "SELECT v.location_id, o.code AS location_code, v.on_hand FROM inventory.level v"
	       " JOIN inventory.location o ON o.id = v.location_id WHERE v.variant_id = $1"
	       " ORDER BY o.priority, o.id LIMIT 200",
	.col = level_cols,
	.ncol = 3,
	.row_size = sizeof(struct level_row),
};

enum err_code inventory_db_levels(struct pg *pg, struct arena *a, const char *variant_id, struct level_row **rows_r,
				  size_t *n_r, struct err *e)
{
	return pg_rows(pg, &levels, PG_ARGS(P(variant_id)), a, rows_r, n_r, e);
}

static const struct pg_col adjust_cols[] = {
	PG_COL(adjust_row, outcome),   PG_COL(adjust_row, on_hand), PG_COL(adjust_row, state_after),
	PG_COL(adjust_row, seq_after), PG_COL(adjust_row, moved),   PG_COL(adjust_row, vendor_id),
};
static const struct pg_stmt adjust = {
	.name = "stock_adjust",
	.sql = "SELECT outcome, on_hand, state_after, seq_after, moved, vendor_id FROM inventory.adjust($1, $2, $3::bigint,"
	       " $4::bigint, $5, $6, $7, $8, $9, $10, $11)",
	.col = adjust_cols,
	.ncol = 6,
	.row_size = sizeof(struct adjust_row),
};

enum err_code inventory_db_adjust(struct pg *pg, struct arena *a, const struct adjust_ask *q, struct adjust_row **row_r,
				  struct err *e)
{
	bool found = false;

	if (pg_row(pg, &adjust,
		   PG_ARGS(P(q->variant_id), P(q->location_id), q->set ? PG_NULL : P(q->value),
			   q->set ? P(q->value) : PG_NULL, P(q->kind), P(q->reason), P(q->operation_id), P(q->order_id),
			   P(q->reservation_id), P(q->actor), P(q->request_id)),
		   a, row_r, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_INTERNAL, "common.internal", "inventory.adjust returned no row");
}

static const struct pg_col configure_cols[] = {
	PG_COL(configure_row, outcome), PG_COL(configure_row, state_after), PG_COL(configure_row, seq_after),
	PG_COL(configure_row, moved),	PG_COL(configure_row, vendor_id),
};
static const struct pg_stmt configure = {
	.name = "stock_configure",
	.sql = "SELECT outcome, state_after, seq_after, moved, vendor_id"
	       " FROM inventory.configure($1, $2::bigint, $3::boolean)",
	.col = configure_cols,
	.ncol = 5,
	.row_size = sizeof(struct configure_row),
};

enum err_code inventory_db_configure(struct pg *pg, struct arena *a, const char *variant_id, int64_t low,
				     const bool *backorder, struct configure_row **row_r, struct err *e)
{
	bool found = false;

	if (pg_row(pg, &configure,
		   PG_ARGS(P(variant_id), low < 0 ? PG_NULL : P(low), backorder ? P(*backorder) : PG_NULL), a, row_r,
		   &found, e))
		return e->code;
	return found ? OK : err_set(e, E_INTERNAL, "common.internal", "inventory.configure returned no row");
}

static const struct pg_col movement_cols[] = {
	PG_COL(movement_row, seq),	  PG_COL(movement_row, delta), PG_COL(movement_row, on_hand_after),
	PG_COL(movement_row, moved_at),	  PG_COL(movement_row, kind),  PG_COL(movement_row, location_id),
	PG_COL(movement_row, reason),	  PG_COL(movement_row, order_id), PG_COL(movement_row, actor),
};
static const struct pg_stmt movements = {
	.name = "movements",
	.sql = "SELECT seq, delta, on_hand_after, (extract(epoch FROM at) * 1000)::bigint AS moved_at, kind, location_id,"
	       " reason, order_id, actor FROM inventory.movement WHERE variant_id = $1 AND seq < $2::bigint"
	       " ORDER BY seq DESC LIMIT $3::integer",
	.col = movement_cols,
	.ncol = 9,
	.row_size = sizeof(struct movement_row),
};

enum err_code inventory_db_movements(struct pg *pg, struct arena *a, const char *variant_id, int64_t before_seq,
				     int32_t limit, struct movement_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &movements, PG_ARGS(P(variant_id), P(before_seq), P(limit)), a, rows_r, n_r, e);
}

#define LOCATION_COLUMNS                                                                           \
	"o.id, o.code, o.name, o.country, o.priority, o.version,"                                  \
	" (extract(epoch FROM o.created_at) * 1000)::bigint AS created_at"
static const struct pg_col location_cols[] = {
	PG_COL(location_row, id),	PG_COL(location_row, code),	PG_COL(location_row, name),
	PG_COL(location_row, country),	PG_COL(location_row, priority), PG_COL(location_row, version),
	PG_COL(location_row, created_at),
};
#define LOCATION_ROW .col = location_cols, .ncol = 7, .row_size = sizeof(struct location_row)

static const struct pg_stmt locations = {
	.name = "locations",
	.sql = "SELECT " LOCATION_COLUMNS " FROM inventory.location o WHERE o.vendor_id = $1 AND o.id > $2"
	       " ORDER BY o.id LIMIT $3::integer",
	LOCATION_ROW,
};

enum err_code inventory_db_locations(struct pg *pg, struct arena *a, const char *vendor_id, const char *after,
				     int32_t limit, struct location_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &locations, PG_ARGS(P(vendor_id), P(after), P(limit)), a, rows_r, n_r, e);
}

static const struct pg_stmt location_add = {
	.name = "location_add",
	.sql = "INSERT INTO inventory.location AS o (id, vendor_id, code, name, country, priority)"
	       " VALUES ($1, $2, $3, $4, $5, $6::integer) ON CONFLICT (vendor_id, code) DO NOTHING"
	       " RETURNING " LOCATION_COLUMNS,
	LOCATION_ROW,
};

enum err_code inventory_db_location_add(struct pg *pg, struct arena *a, const char *id, const char *vendor_id,
					const char *code, const char *name, const char *country, int32_t priority,
					struct location_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &location_add, PG_ARGS(P(id), P(vendor_id), P(code), P(name), P(country), P(priority)), a, row_r,
		      found_r, e);
}

static const struct pg_stmt location_pick = {
	.name = "location_pick",
	.sql = "SELECT " LOCATION_COLUMNS " FROM inventory.location o WHERE o.vendor_id = $1 AND ($2::text IS NULL OR o.id = $2)"
	       " ORDER BY o.priority, o.id LIMIT 1",
	LOCATION_ROW,
};

enum err_code inventory_db_location_pick(struct pg *pg, struct arena *a, const char *vendor_id, const char *id,
					 struct location_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &location_pick, PG_ARGS(P(vendor_id), P(id)), a, row_r, found_r, e);
}

static const struct pg_stmt location_default = {
	.name = "location_default",
	.sql = "INSERT INTO inventory.location (id, vendor_id, code, name) SELECT $1, $2, 'main', 'Main warehouse'"
	       " WHERE NOT EXISTS (SELECT 1 FROM inventory.location WHERE vendor_id = $2)"
	       " ON CONFLICT (vendor_id, code) DO NOTHING",
};

enum err_code inventory_db_location_default(struct pg *pg, const char *new_id, const char *vendor_id, struct err *e)
{
	return pg_exec(pg, &location_default, PG_ARGS(P(new_id), P(vendor_id)), NULL, e);
}

const struct pg_stmt *const inventory_db_stock_stmts[] = {
	&by_sku,    &page,	   &many,	  &lock,	  &put,		     &put_level, &levels, &adjust,
	&configure, &movements, &locations, &location_add, &location_pick, &location_default, NULL,
};
