/*
 * One imported row as a product: the names it may use, its checks, its canonical form. Pure: no I/O.
 *
 * Known names (aliases after the slash): key / id, sku, title, slug, description / short_description, brand / supplier,
 * tax_class, categories / category (slugs), attributes, media / images (keys), variants, and of a single variant:
 * variant_title, options, ean, weight_g, price, compare_at_price, currency, on_hand / stock. A price is
 * {"amount", "currency"}, an integer of minor units, or a decimal text of major units. Columns attr:NAME and option:NAME
 * fill attributes and options. Any other name becomes an attribute, without a leading attr_t_, attr_n_ or attr_b_.
 */
#ifndef SOUK_CATALOG_IMPORT_ROW_H
#define SOUK_CATALOG_IMPORT_ROW_H

#include <jansson.h>

#include "common/arena.h"
#include "common/err.h"

struct import_rules {
	const char *currency;		/* of prices without one */
	const char *category_attribute; /* its value names a category to derive; NULL: none */
};

/*
 * The canonical document: {"key","title","slug","description","brand","tax_class","categories":[],"derive":"…",
 * "attributes":{},"media":[],"variants":[{"sku","title","options","ean","weight_g","price","compare_at","currency",
 * "on_hand"}]} with absent members left out. NULL with details in e when something is wrong. The caller frees it.
 */
json_t *import_row_from_json(const json_t *row, const struct import_rules *rules, struct err *e);
json_t *import_row_from_csv(char *const *names, char *const *values, int n, const struct import_rules *rules,
			    struct err *e);

/* "19.99" in a currency of two digits -> 1999; false when it is not a plain decimal that fits. */
bool import_decimal(const char *s, int digits, int64_t *minor_r);

#endif
