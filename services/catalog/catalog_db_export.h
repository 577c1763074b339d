/* Products as those see them who keep a copy of the catalogue: whole, with what other tables say of them. */
#ifndef SOUK_CATALOG_DB_EXPORT_H
#define SOUK_CATALOG_DB_EXPORT_H

#include "common/pg.h"

/* Lists are one text: their items end in U+001F, the parts of an item are divided by U+001E. */
struct export_row {
	const char *id, *slug, *title, *description, *brand, *vendor_id, *vendor_name, *vendor_slug, *attributes;
	const char *categories; /* id, slug, name; with ancestors */
	const char *codes, *variant_titles, *availability;
	const char *prices; /* currency, minor, compare_at or -1 */
	const char *image_key;
	int32_t rating_x100, rating_count, sold_30d;
	int64_t published_at, version;
	bool visible;
	const char *variants; /* ids of those that are sold */
};
/* Of any status but deleted; in no order. */
MUST_CHECK enum err_code catalog_db_export_ids(struct pg *, struct arena *, const char *const *ids, size_t n_ids,
					       struct export_row **rows_r, size_t *n_r, struct err *);
/* The published ones of approved vendors whose id is greater than after; vendor_id NULL: anybody's. */
MUST_CHECK enum err_code catalog_db_export_walk(struct pg *, struct arena *, const char *after, const char *vendor_id,
						int32_t limit, struct export_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code catalog_db_export_count(struct pg *, struct arena *, int64_t *n_r, struct err *);

extern const struct pg_stmt *const catalog_db_export_stmts[];

#endif
