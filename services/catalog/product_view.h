/* Building the message of one product, for everybody or for its vendor. */
#ifndef SOUK_CATALOG_PRODUCT_VIEW_H
#define SOUK_CATALOG_PRODUCT_VIEW_H

#include "catalog.pb-c.h"
#include "common/call.h"
#include "services/catalog/catalog_db_product.h"

/*
 * vendor_id NULL: the public view (published, of an approved vendor; else catalog.product_unknown). Otherwise that vendor's
 * own view with all prices, of any status but deleted.
 */
MUST_CHECK enum err_code product_view(struct call *c, struct pg *pg, const char *id_or_slug, const char *vendor_id,
				      const char *currency, Catalog__V1__Product *out, struct err *e);

Catalog__V1__ProductCard *product_card(struct arena *a, const struct card_row *r, const char *currency, bool own);
Common__V1__Money *minor_money(struct arena *a, int64_t minor, const char *currency);
/* The currency asked for, checked, or the configured one. */
const char *asked_currency(struct call *c, const char *currency);

#endif
