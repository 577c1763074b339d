/* Bulk imports in schema catalog. */
#ifndef SOUK_CATALOG_DB_IMPORT_H
#define SOUK_CATALOG_DB_IMPORT_H

#include "common/pg.h"

struct import_state {
	const char *id, *vendor_id, *name, *format, *policy, *currency, *category_attribute, *state, *message, *header;
	bool publish;
	int64_t bytes, chunks, parsed_chunks, parsed_bytes, rows_read, rows_bad, rows_applied, created, updated, unchanged,
		created_at, finished_at;
	struct pg_bytes carry, digest; /* digest: of the whole file, once it has come */
};
MUST_CHECK enum err_code catalog_db_import_add(struct pg *, const struct import_state *, struct err *);
/* lock: for update. vendor_id NULL: anybody's. */
MUST_CHECK enum err_code catalog_db_import(struct pg *, struct arena *, const char *id, const char *vendor_id, bool lock,
					   struct import_state **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code catalog_db_imports(struct pg *, struct arena *, const char *vendor_id, const char *before,
					    int32_t limit, struct import_state **rows_r, size_t *n_r, struct err *);
/* The import to be worked on that has waited longest for its turn, which is taken; found_r false when there is none. */
MUST_CHECK enum err_code catalog_db_import_next(struct pg *, struct arena *, struct import_state **row_r, bool *found_r,
						struct err *);
/* Stores the chunk when seq is the one expected; fresh_r false otherwise. */
MUST_CHECK enum err_code catalog_db_import_chunk_add(struct pg *, const char *id, int64_t seq, struct pg_bytes data,
						     bool *fresh_r, struct err *);
struct chunk_row {
	struct pg_bytes data;
};
MUST_CHECK enum err_code catalog_db_import_chunk(struct pg *, struct arena *, const char *id, int64_t seq,
						 struct chunk_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code catalog_db_import_parsed(struct pg *, const struct import_state *, struct err *);
MUST_CHECK enum err_code catalog_db_import_state(struct pg *, const char *id, const char *state, const char *message,
						 struct err *);
/* The whole file has come. */
MUST_CHECK enum err_code catalog_db_import_complete(struct pg *, const char *id, struct pg_bytes digest, struct err *);
/* Adds a staged row; one with the same key gets its variants. */
MUST_CHECK enum err_code catalog_db_import_row_add(struct pg *, const char *id, int64_t row, const char *key,
						   const char *doc, struct err *);
MUST_CHECK enum err_code catalog_db_import_error_add(struct pg *, const char *id, int64_t row, const char *field,
						     const char *message, const char *value, struct err *);
/* Finds SKUs that occur twice or belong to another product, and categories that do not exist; marks their rows bad. */
MUST_CHECK enum err_code catalog_db_import_cross_check(struct pg *, const char *id, struct err *);

struct staged_row {
	int64_t row;
	const char *key, *doc;
};
MUST_CHECK enum err_code catalog_db_import_rows(struct pg *, struct arena *, const char *id, int32_t limit,
						struct staged_row **rows_r, size_t *n_r, struct err *);
/* The row is done with: dropped, or kept as bad. */
MUST_CHECK enum err_code catalog_db_import_row_done(struct pg *, const char *id, int64_t row, bool bad, struct err *);
MUST_CHECK enum err_code catalog_db_import_count(struct pg *, const char *id, int64_t applied, int64_t created,
						 int64_t updated, int64_t unchanged, int64_t bad, struct err *);
/* Drops chunks and staged rows of a finished import. */
MUST_CHECK enum err_code catalog_db_import_clean(struct pg *, const char *id, struct err *);
/* Uploads that were never closed: cancelled after that many minutes. */
MUST_CHECK enum err_code catalog_db_import_forgotten(struct pg *, int32_t minutes, struct err *);

struct import_error_row {
	int64_t n, row;
	const char *field, *message, *value;
};
MUST_CHECK enum err_code catalog_db_import_errors(struct pg *, struct arena *, const char *id, int64_t after,
						  int32_t limit, struct import_error_row **rows_r, size_t *n_r,
						  struct err *);

/* ---- the product a row stands for ---- */
struct import_product_row {
	const char *id, *slug, *status;
	struct pg_bytes import_hash;
	int64_t version;
};
MUST_CHECK enum err_code catalog_db_import_product(struct pg *, struct arena *, const char *vendor_id, const char *key,
						   struct import_product_row **row_r, bool *found_r, struct err *);
struct import_variant_row {
	const char *id, *product_id;
};
MUST_CHECK enum err_code catalog_db_import_variant(struct pg *, struct arena *, const char *vendor_id, const char *sku,
						   struct import_variant_row **row_r, bool *found_r, struct err *);

extern const struct pg_stmt *const catalog_db_import_stmts[];

#endif
