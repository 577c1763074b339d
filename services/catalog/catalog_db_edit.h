/* Changing products in schema catalog. Each change of a product's parts counts the product's version up (product_touch). */
#ifndef SOUK_CATALOG_DB_EDIT_H
#define SOUK_CATALOG_DB_EDIT_H

#include "common/pg.h"

struct product_new {
	const char *id, *vendor_id, *slug, *title, *description, *brand, *status, *tax_class, *attributes;
	const char *import_key; /* NULL: not of an import */
	struct pg_bytes import_hash;
};
/* found_r false when the slug is taken. */
MUST_CHECK enum err_code catalog_db_product_add(struct pg *, const struct product_new *, bool *found_r, struct err *);

/*
 * Locks the vendor's product and counts its version up; found_r false: not the vendor's, deleted, or not at `version`
 * (-1: any).
 */
struct touched_row {
	const char *id, *slug, *status;
	int64_t version;
};
MUST_CHECK enum err_code catalog_db_product_touch(struct pg *, struct arena *, const char *id, const char *vendor_id,
						  int64_t version, struct touched_row **row_r, bool *found_r,
						  struct err *);
struct product_patch { /* NULL keeps */
	const char *title, *slug, *description, *brand, *tax_class, *attributes;
};
/* A taken slug breaks constraint product_slug. */
MUST_CHECK enum err_code catalog_db_product_patch(struct pg *, const char *id, const struct product_patch *,
						  struct err *);
MUST_CHECK enum err_code catalog_db_product_status(struct pg *, const char *id, const char *status, struct err *);
MUST_CHECK enum err_code catalog_db_product_import_hash(struct pg *, const char *id, struct pg_bytes hash,
							struct err *);
MUST_CHECK enum err_code catalog_db_product_categories(struct pg *, struct arena *, const char *id,
						       const char *const *category_ids, size_t n, struct err *);
MUST_CHECK enum err_code catalog_db_refresh(struct pg *, const char *product_id, struct err *); /* price and availability */

struct variant_new {
	const char *id, *product_id, *vendor_id, *sku, *title, *options, *ean;
	int32_t weight_g; /* -1: not known */
	int32_t position;
};
/* A SKU the vendor has already breaks constraint variant_sku. */
MUST_CHECK enum err_code catalog_db_variant_add(struct pg *, const struct variant_new *, struct err *);
struct variant_patch { /* NULL and -1 keep */
	const char *sku, *title, *options, *ean;
	int32_t weight_g, position;
	const bool *active;
};
MUST_CHECK enum err_code catalog_db_variant_patch(struct pg *, const char *product_id, const char *id,
						  const struct variant_patch *, bool *found_r, struct err *);
MUST_CHECK enum err_code catalog_db_variant_count(struct pg *, struct arena *, const char *product_id, int64_t *n_r,
						  struct err *);

/* The base price when starts_at is 0, else one more sale. compare -1: none. found_r false: not that product's variant. */
MUST_CHECK enum err_code catalog_db_price_put(struct pg *, const char *id, const char *product_id,
					      const char *variant_id, const char *currency, int64_t minor, int64_t compare,
					      int64_t starts_at, int64_t ends_at, bool *found_r, struct err *);
MUST_CHECK enum err_code catalog_db_price_del(struct pg *, const char *product_id, const char *variant_id, const char *id,
					      bool *found_r, struct err *);
MUST_CHECK enum err_code catalog_db_media_put(struct pg *, const char *id, const char *product_id, const char *key,
					      const char *alt, int32_t position, const char *variant_id, bool *found_r,
					      struct err *);
MUST_CHECK enum err_code catalog_db_media_del(struct pg *, const char *product_id, const char *id, bool *found_r,
					      struct err *);

/* What an event tells; seen by product_id. */
struct ref_row {
	const char *variant_id, *sku;
	bool active;
};
MUST_CHECK enum err_code catalog_db_refs(struct pg *, struct arena *, const char *product_id, struct ref_row **rows_r,
					 size_t *n_r, struct err *);

/* ---- what other daemons' events change ---- */
struct product_key_row {
	const char *id, *slug;
	int64_t version;
};
/*
 * Sets the variant's availability, unless a later transition (seq) is known already, and its product's; found_r tells
 * whether it did, row_r of which product.
 */
MUST_CHECK enum err_code catalog_db_availability(struct pg *, struct arena *, const char *variant_id, const char *state,
						 int64_t seq, struct product_key_row **row_r, bool *found_r, struct err *);
/*
 * Notes a sale of n products, each once or more often, and who bought them ("" is a guest, remembered by nobody);
 * sold_count adds what was noted (at most limit notes) to days and products.
 */
MUST_CHECK enum err_code catalog_db_sold(struct pg *, struct arena *, const char *user_id, const char *const *product_ids,
					 const int64_t *qty, size_t n, struct err *);
MUST_CHECK enum err_code catalog_db_sold_count(struct pg *, int32_t limit, struct err *);
MUST_CHECK enum err_code catalog_db_sold_decay(struct pg *, struct err *); /* forgets days past 30 */
/* Products whose sale began or ended since their price was last made true; makes it true. */
MUST_CHECK enum err_code catalog_db_price_edges(struct pg *, struct arena *, int32_t limit,
						struct product_key_row **rows_r, size_t *n_r, struct err *);

extern const struct pg_stmt *const catalog_db_edit_stmts[];

#endif
