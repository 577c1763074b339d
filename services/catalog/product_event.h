/* Tells product.changed. */
#ifndef SOUK_CATALOG_PRODUCT_EVENT_H
#define SOUK_CATALOG_PRODUCT_EVENT_H

#include "common/pg.h"

/* In the transaction of the change. previous_slug NULL: it did not change. */
MUST_CHECK enum err_code product_told(struct pg *, struct arena *, const char *id, const char *vendor_id,
				      const char *status, const char *slug, const char *previous_slug, int64_t version,
				      struct err *);
/* Tells inventory how many units a new variant starts with. */
MUST_CHECK enum err_code initial_stock_told(struct pg *, const char *variant_id, const char *vendor_id, const char *sku,
					    int64_t on_hand, const char *reason, struct err *);

#endif
