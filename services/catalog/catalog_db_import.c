#include "services/catalog/catalog_db_import.h"

#define IMPORT_COLUMNS                                                                             \
	"id, vendor_id, name, format, policy, currency, category_attribute, state, message, header, publish, bytes, chunks," \
	" parsed_chunks, parsed_bytes, rows_read, rows_bad, rows_applied, created, updated, unchanged,"              \
	" (extract(epoch FROM created_at) * 1000)::bigint AS created_at,"                                            \
	" coalesce((extract(epoch FROM finished_at) * 1000)::bigint, 0) AS finished_at, carry, digest"
static const struct pg_col import_cols[] = {
	PG_COL(import_state, id),	    PG_COL(import_state, vendor_id),	PG_COL(import_state, name),
	PG_COL(import_state, format),	    PG_COL(import_state, policy),	PG_COL(import_state, currency),
	PG_COL(import_state, category_attribute), PG_COL(import_state, state),	PG_COL(import_state, message),
	PG_COL(import_state, header),	    PG_COL(import_state, publish),	PG_COL(import_state, bytes),
	PG_COL(import_state, chunks),	    PG_COL(import_state, parsed_chunks), PG_COL(import_state, parsed_bytes),
	PG_COL(import_state, rows_read),    PG_COL(import_state, rows_bad),	PG_COL(import_state, rows_applied),
	PG_COL(import_state, created),	    PG_COL(import_state, updated),	PG_COL(import_state, unchanged),
	PG_COL(import_state, created_at),   PG_COL(import_state, finished_at),	PG_COL(import_state, carry),
	PG_COL(import_state, digest),
};
#define IMPORT_ROW .col = import_cols, .ncol = 25, .row_size = sizeof(struct import_state)

static const struct pg_stmt add = {
	.name = "import_add",
	.sql = "INSERT INTO catalog.import (id, vendor_id, name, format, policy, publish, currency, category_attribute)"
	       " VALUES ($1, $2, $3, $4, $5, $6::boolean, $7, $8)",
};
static const struct pg_stmt one = {
	.name = "import",
	.sql = "SELECT " IMPORT_COLUMNS " FROM catalog.import WHERE id = $1 AND ($2::text IS NULL OR vendor_id = $2)",
	IMPORT_ROW,
};
static const struct pg_stmt one_locked = {
	.name = "import_locked",
	.sql = "SELECT " IMPORT_COLUMNS " FROM catalog.import WHERE id = $1 AND ($2::text IS NULL OR vendor_id = $2)"
	       " FOR UPDATE",
	IMPORT_ROW,
};
static const struct pg_stmt page = {
	.name = "imports",
	.sql = "SELECT " IMPORT_COLUMNS " FROM catalog.import WHERE vendor_id = $1 AND ($2::text IS NULL OR id < $2)"
	       " ORDER BY id DESC LIMIT $3::integer",
	IMPORT_ROW,
};
static const struct pg_stmt next = {
	.name = "import_next",
	.sql = "UPDATE catalog.import SET touched_at = clock_timestamp() WHERE id = (SELECT i.id FROM catalog.import i"
	       " WHERE i.state IN ('validating', 'applying') ORDER BY i.touched_at, i.id LIMIT 1) RETURNING " IMPORT_COLUMNS,
	IMPORT_ROW,
};

enum err_code catalog_db_import_add(struct pg *pg, const struct import_state *s, struct err *e)
{
	return pg_exec(pg, &add,
		       PG_ARGS(P(s->id), P(s->vendor_id), P(s->name), P(s->format), P(s->policy), P(s->publish),
			       P(s->currency), P(s->category_attribute)),
		       NULL, e);
}

enum err_code catalog_db_import(struct pg *pg, struct arena *a, const char *id, const char *vendor_id, bool lock,
				struct import_state **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, lock ? &one_locked : &one, PG_ARGS(P(id), P(vendor_id)), a, row_r, found_r, e);
}

enum err_code catalog_db_imports(struct pg *pg, struct arena *a, const char *vendor_id, const char *before,
				 int32_t limit, struct import_state **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &page, PG_ARGS(P(vendor_id), P(before), P(limit)), a, rows_r, n_r, e);
}

enum err_code catalog_db_import_next(struct pg *pg, struct arena *a, struct import_state **row_r, bool *found_r,
				     struct err *e)
{
	return pg_row(pg, &next, PG_NONE, a, row_r, found_r, e);
}

/* ---- chunks ---- */

static const struct pg_stmt chunk_expect = {
	.name = "import_chunk_expect",
	.sql = "UPDATE catalog.import SET chunks = chunks + 1, bytes = bytes + octet_length($3::bytea), touched_at = now()"
	       " WHERE id = $1 AND chunks = $2::bigint AND state = 'receiving'",
};
static const struct pg_stmt chunk_add = {
	.name = "import_chunk_add",
	.sql = "INSERT INTO catalog.import_chunk (import_id, seq, data) VALUES ($1, $2::bigint, $3::bytea)",
};
static const struct pg_col chunk_cols[] = { PG_COL(chunk_row, data) };
static const struct pg_stmt chunk = {
	.name = "import_chunk",
	.sql = "SELECT data FROM catalog.import_chunk WHERE import_id = $1 AND seq = $2::bigint",
	.col = chunk_cols,
	.ncol = 1,
	.row_size = sizeof(struct chunk_row),
};
static const struct pg_stmt parsed = {
	.name = "import_parsed",
	.sql = "UPDATE catalog.import SET parsed_chunks = $2::bigint, parsed_bytes = $3::bigint, carry = $4::bytea,"
	       " header = $5, rows_read = $6::bigint, rows_bad = $7::bigint WHERE id = $1",
};

enum err_code catalog_db_import_chunk_add(struct pg *pg, const char *id, int64_t seq, struct pg_bytes data, bool *fresh_r,
					  struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &chunk_expect, PG_ARGS(P(id), P(seq), P(data)), &n, e))
		return e->code;
	*fresh_r = n == 1;
	return n == 1 ? pg_exec(pg, &chunk_add, PG_ARGS(P(id), P(seq), P(data)), NULL, e) : OK;
}

enum err_code catalog_db_import_chunk(struct pg *pg, struct arena *a, const char *id, int64_t seq,
				      struct chunk_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &chunk, PG_ARGS(P(id), P(seq)), a, row_r, found_r, e);
}

enum err_code catalog_db_import_parsed(struct pg *pg, const struct import_state *s, struct err *e)
{
	return pg_exec(pg, &parsed,
		       PG_ARGS(P(s->id), P(s->parsed_chunks), P(s->parsed_bytes), P(s->carry), P(s->header),
			       P(s->rows_read), P(s->rows_bad)),
		       NULL, e);
}

static const struct pg_stmt state_set = {
	.name = "import_state",
	.sql = "UPDATE catalog.import SET state = $2, message = $3, finished_at = CASE WHEN $2 IN"
	       " ('done', 'rejected', 'failed', 'cancelled') THEN now() END WHERE id = $1",
};

enum err_code catalog_db_import_state(struct pg *pg, const char *id, const char *state, const char *message,
				      struct err *e)
{
	return pg_exec(pg, &state_set, PG_ARGS(P(id), P(state), P(message)), NULL, e);
}

static const struct pg_stmt complete = {
	.name = "import_complete",
	.sql = "UPDATE catalog.import SET state = 'validating', digest = $2::bytea WHERE id = $1",
};

enum err_code catalog_db_import_complete(struct pg *pg, const char *id, struct pg_bytes digest, struct err *e)
{
	return pg_exec(pg, &complete, PG_ARGS(P(id), digest.len ? P(digest) : PG_NULL), NULL, e);
}

/* ---- staged rows ---- */

static const struct pg_stmt row_add = {
	.name = "import_row_add",
	.sql = "INSERT INTO catalog.import_row AS r (import_id, row, key, doc) VALUES ($1, $2::bigint, $3, $4::jsonb)"
	       " ON CONFLICT (import_id, key) DO UPDATE SET doc = jsonb_set(r.doc, '{variants}',"
	       " (r.doc -> 'variants') || (excluded.doc -> 'variants'))",
};
static const struct pg_stmt error_add = {
	.name = "import_error_add",
	.sql = "INSERT INTO catalog.import_error (import_id, row, field, message, value) VALUES ($1, $2::bigint, $3, $4, $5)",
};
static const struct pg_stmt check_twice = {
	.name = "import_check_twice",
	.sql = "INSERT INTO catalog.import_error (import_id, row, field, message, value)"
	       " SELECT $1, s.row, 'sku', 'occurs more than once in this import', left(s.sku, 200) FROM (SELECT r.row,"
	       " v ->> 'sku' AS sku, row_number() OVER (PARTITION BY v ->> 'sku' ORDER BY r.row) AS nth"
	       " FROM catalog.import_row r, jsonb_array_elements(r.doc -> 'variants') AS v WHERE r.import_id = $1) s"
	       " WHERE s.nth > 1",
};
static const struct pg_stmt check_taken = {
	.name = "import_check_taken",
	.sql = "INSERT INTO catalog.import_error (import_id, row, field, message, value)"
	       " SELECT $1, r.row, 'sku', 'belongs to another of your products', left(k.sku, 200) FROM catalog.import i"
	       " JOIN catalog.import_row r ON r.import_id = i.id CROSS JOIN LATERAL jsonb_array_elements(r.doc -> 'variants')"
	       " AS v JOIN catalog.variant k ON k.vendor_id = i.vendor_id AND k.sku = v ->> 'sku'"
	       " JOIN catalog.product p ON p.id = k.product_id WHERE i.id = $1 AND p.import_key IS DISTINCT FROM r.key",
};
static const struct pg_stmt check_category = {
	.name = "import_check_category",
	.sql = "INSERT INTO catalog.import_error (import_id, row, field, message, value)"
	       " SELECT $1, r.row, 'categories', 'is not the slug of a category', left(s, 200) FROM catalog.import_row r"
	       " CROSS JOIN LATERAL jsonb_array_elements_text(r.doc -> 'categories') AS s WHERE r.import_id = $1"
	       " AND NOT EXISTS (SELECT 1 FROM catalog.category c WHERE c.slug = s)",
};
static const struct pg_stmt mark_bad = {
	.name = "import_mark_bad",
	.sql = "WITH bad AS (UPDATE catalog.import_row r SET bad = true WHERE r.import_id = $1 AND NOT r.bad AND EXISTS"
	       " (SELECT 1 FROM catalog.import_error e WHERE e.import_id = $1 AND e.row = r.row) RETURNING 1)"
	       " UPDATE catalog.import SET rows_bad = rows_bad + (SELECT count(*) FROM bad) WHERE id = $1",
};

enum err_code catalog_db_import_row_add(struct pg *pg, const char *id, int64_t row, const char *key, const char *doc,
					struct err *e)
{
	return pg_exec(pg, &row_add, PG_ARGS(P(id), P(row), P(key), P(doc)), NULL, e);
}

enum err_code catalog_db_import_error_add(struct pg *pg, const char *id, int64_t row, const char *field,
					  const char *message, const char *value, struct err *e)
{
	return pg_exec(pg, &error_add, PG_ARGS(P(id), P(row), P(field), P(message), P(value)), NULL, e);
}

enum err_code catalog_db_import_cross_check(struct pg *pg, const char *id, struct err *e)
{
	if (pg_exec(pg, &check_twice, PG_ARGS(P(id)), NULL, e) || pg_exec(pg, &check_taken, PG_ARGS(P(id)), NULL, e) ||
	    pg_exec(pg, &check_category, PG_ARGS(P(id)), NULL, e))
		return e->code;
	return pg_exec(pg, &mark_bad, PG_ARGS(P(id)), NULL, e);
}

static const struct pg_col staged_cols[] = {
	PG_COL(staged_row, row),
	PG_COL(staged_row, key),
	PG_COL(staged_row, doc),
};
static const struct pg_stmt rows = {
	.name = "import_rows",
	.sql = "SELECT row, key, doc FROM catalog.import_row WHERE import_id = $1 AND NOT bad ORDER BY row LIMIT $2::integer",
	.col = staged_cols,
	.ncol = 3,
	.row_size = sizeof(struct staged_row),
};
static const struct pg_stmt row_drop = {
	.name = "import_row_drop",
	.sql = "DELETE FROM catalog.import_row WHERE import_id = $1 AND row = $2::bigint",
};
static const struct pg_stmt row_bad = {
	.name = "import_row_bad",
	.sql = "UPDATE catalog.import_row SET bad = true WHERE import_id = $1 AND row = $2::bigint",
};
static const struct pg_stmt count = {
	.name = "import_count",
	.sql = "UPDATE catalog.import SET rows_applied = rows_applied + $2::bigint, created = created + $3::bigint,"
	       " updated = updated + $4::bigint, unchanged = unchanged + $5::bigint, rows_bad = rows_bad + $6::bigint"
	       " WHERE id = $1",
};
static const struct pg_stmt clean_chunks = {
	.name = "import_clean_chunks",
	.sql = "DELETE FROM catalog.import_chunk WHERE import_id = $1",
};
static const struct pg_stmt clean_rows = {
	.name = "import_clean_rows",
	.sql = "DELETE FROM catalog.import_row WHERE import_id = $1",
};
static const struct pg_stmt forgotten = {
	.name = "import_forgotten",
	.sql = "WITH gone AS (UPDATE catalog.import SET state = 'cancelled', message = 'the upload was never finished',"
	       " finished_at = now() WHERE state = 'receiving'"
	       " AND touched_at < now() - make_interval(mins => $1::integer) RETURNING id)"
	       " DELETE FROM catalog.import_chunk c USING gone WHERE c.import_id = gone.id",
};

enum err_code catalog_db_import_rows(struct pg *pg, struct arena *a, const char *id, int32_t limit,
				     struct staged_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &rows, PG_ARGS(P(id), P(limit)), a, rows_r, n_r, e);
}

enum err_code catalog_db_import_row_done(struct pg *pg, const char *id, int64_t row, bool bad, struct err *e)
{
	return pg_exec(pg, bad ? &row_bad : &row_drop, PG_ARGS(P(id), P(row)), NULL, e);
}

enum err_code catalog_db_import_count(struct pg *pg, const char *id, int64_t applied, int64_t created, int64_t updated,
				      int64_t unchanged, int64_t bad, struct err *e)
{
	return pg_exec(pg, &count, PG_ARGS(P(id), P(applied), P(created), P(updated), P(unchanged), P(bad)), NULL, e);
}

enum err_code catalog_db_import_clean(struct pg *pg, const char *id, struct err *e)
{
	if (pg_exec(pg, &clean_chunks, PG_ARGS(P(id)), NULL, e))
		return e->code;
	return pg_exec(pg, &clean_rows, PG_ARGS(P(id)), NULL, e);
}

enum err_code catalog_db_import_forgotten(struct pg *pg, int32_t minutes, struct err *e)
{
	return pg_exec(pg, &forgotten, PG_ARGS(P(minutes)), NULL, e);
}

static const struct pg_col error_cols[] = {
	PG_COL(import_error_row, n),	   PG_COL(import_error_row, row),   PG_COL(import_error_row, field),
	PG_COL(import_error_row, message), PG_COL(import_error_row, value),
};
static const struct pg_stmt errors = {
	.name = "import_errors",
	.sql = "SELECT n, row, field, message, value FROM catalog.import_error WHERE import_id = $1 AND n > $2::bigint"
	       " ORDER BY n LIMIT $3::integer",
	.col = error_cols,
	.ncol = 5,
	.row_size = sizeof(struct import_error_row),
};

enum err_code catalog_db_import_errors(struct pg *pg, struct arena *a, const char *id, int64_t after, int32_t limit,
				       struct import_error_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &errors, PG_ARGS(P(id), P(after), P(limit)), a, rows_r, n_r, e);
}

/* ---- the product a row stands for ---- */

static const struct pg_col product_cols[] = {
	PG_COL(import_product_row, id),		 PG_COL(import_product_row, slug),
	PG_COL(import_product_row, status),	 PG_COL(import_product_row, import_hash),
	PG_COL(import_product_row, version),
};
static const struct pg_stmt product = {
	.name = "import_product",
	.sql = "SELECT id, slug, status, import_hash, version FROM catalog.product WHERE vendor_id = $1 AND import_key = $2"
	       " FOR UPDATE",
	.col = product_cols,
	.ncol = 5,
	.row_size = sizeof(struct import_product_row),
};
static const struct pg_col variant_cols[] = {
	PG_COL(import_variant_row, id),
	PG_COL(import_variant_row, product_id),
};
static const struct pg_stmt variant = {
	.name = "import_variant",
	.sql = "SELECT id, product_id FROM catalog.variant WHERE vendor_id = $1 AND sku = $2",
	.col = variant_cols,
	.ncol = 2,
	.row_size = sizeof(struct import_variant_row),
};

enum err_code catalog_db_import_product(struct pg *pg, struct arena *a, const char *vendor_id, const char *key,
					struct import_product_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &product, PG_ARGS(P(vendor_id), P(key)), a, row_r, found_r, e);
}

enum err_code catalog_db_import_variant(struct pg *pg, struct arena *a, const char *vendor_id, const char *sku,
					struct import_variant_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &variant, PG_ARGS(P(vendor_id), P(sku)), a, row_r, found_r, e);
}

const struct pg_stmt *const catalog_db_import_stmts[] = {
	&add,	      &one,	    &one_locked,  &page,	 &next,	       &chunk_expect, &chunk_add, &chunk,
	&parsed,      &state_set,   &complete,	  &row_add,	  &error_add,	 &check_twice, &check_taken,  &check_category,
	&mark_bad,    &rows,	    &row_drop,	  &row_bad,	 &count,       &clean_chunks, &clean_rows,
	&forgotten,   &errors,	    &product,	  &variant,	 NULL,
};
