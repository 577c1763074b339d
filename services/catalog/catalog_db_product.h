/* Reading products in schema catalog. Prices are minor units of the currency asked for. */
#ifndef SOUK_CATALOG_DB_PRODUCT_H
#define SOUK_CATALOG_DB_PRODUCT_H

#include "services/catalog/catalog_db_vendor.h"

enum list_sort { SORT_NEWEST, SORT_PRICE, SORT_PRICE_DOWN, SORT_RATING, SORT_BEST };

struct list_filter {
	const char *currency;
	const char *category_id, *vendor_id, *brand; /* NULL: any */
	bool has_price_min, has_price_max, in_stock;
	int64_t price_min, price_max;
	int32_t rating_min; /* 0: any */
	const char *const *attr_names, *const *attr_values;
	size_t n_attrs;
	enum list_sort sort;
	bool after; /* a page follows (key, id) */
	int64_t key;
	const char *id;
	int32_t limit;
};
struct card_row {
	const char *id, *slug, *title, *brand, *vendor_id, *vendor_name, *availability, *image_key, *status;
	bool has_price, has_compare;
	int64_t minor, compare_at_minor, published_at, version, key; /* key: the sort key */
	int32_t rating_x100, rating_count;
};
MUST_CHECK enum err_code catalog_db_list(struct pg *, struct arena *, const struct list_filter *,
					 struct card_row **rows_r, size_t *n_r, struct err *);
/* A vendor's own products of any status but deleted, oldest id first. status, q NULL: any. */
MUST_CHECK enum err_code catalog_db_own_list(struct pg *, struct arena *, const char *vendor_id, const char *status,
					     const char *q, const char *currency, const char *after, int32_t limit,
					     struct card_row **rows_r, size_t *n_r, struct err *);

struct product_row {
	const char *id, *slug, *title, *description, *brand, *status, *tax_class, *attributes, *availability;
	const char *vendor_id, *vendor_name, *vendor_slug, *vendor_status;
	int64_t rating_sum, created_at, updated_at, published_at, version;
	int32_t rating_count;
	int32_t edge_s; /* seconds to the next edge of a sale in that currency; -1: none */
};
/* id or slug; of any status but deleted. vendor_id not NULL: only that vendor's. */
MUST_CHECK enum err_code catalog_db_product(struct pg *, struct arena *, const char *id_or_slug, const char *vendor_id,
					    const char *currency, struct product_row **row_r, bool *found_r,
					    struct err *);
struct variant_row {
	const char *id, *product_id, *sku, *title, *options, *ean, *availability;
	int32_t weight_g, position; /* weight -1: not known */
	bool active, has_price, has_compare;
	int64_t minor, compare_at_minor, version;
};
struct price_row {
	const char *id, *variant_id, *currency;
	int64_t minor, compare_at_minor, starts_at, ends_at; /* compare -1: none; starts_at 0: the base price */
};
struct media_row {
	const char *id, *key, *alt, *variant_id;
	int32_t position;
};
struct product_whole {
	struct product_row *product; /* NULL: there is none, as for catalog_db_product */
	struct variant_row *variants;
	struct category_row *categories;
	struct media_row *media;
	struct price_row *prices; /* only for its vendor */
	size_t n_variants, n_categories, n_media, n_prices;
};
/* A product with all its parts in one round trip (two when it is named by its slug); parts without a product mean nothing. */
MUST_CHECK enum err_code catalog_db_product_whole(struct pg *, struct arena *, const char *id_or_slug,
						  const char *vendor_id, const char *currency,
						  struct product_whole *whole_r, struct err *);

/* What cart and checkout need to know of variants. */
struct info_row {
	const char *variant_id, *product_id, *vendor_id, *vendor_name, *sku, *product_title, *variant_title,
		*product_slug, *image_key, *tax_class, *category_ids; /* category_ids joined by " " */
	bool has_price, has_compare, sellable;
	int64_t minor, compare_at_minor;
	int32_t weight_g, commission_bp;
};
MUST_CHECK enum err_code catalog_db_infos(struct pg *, struct arena *, const char *const *variant_ids, size_t n,
					  const char *currency, struct info_row **rows_r, size_t *n_r, struct err *);

extern const struct pg_stmt *const catalog_db_product_stmts[];

#endif
