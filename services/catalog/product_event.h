/* Tells product.changed and its kin. */
#ifndef SOUK_CATALOG_PRODUCT_EVENT_H
#define SOUK_CATALOG_PRODUCT_EVENT_H

#include "common/pg.h"

/* In the transaction of the change. previous_slug NULL: it did not change. */
MUST_CHECK enum err_code product_told(struct pg *, struct arena *, const char *id, const char *vendor_id,
				      const char *status, const char *slug, const char *previous_slug, int64_t version,
				      struct err *);
/*
 * What the public sees of it is new though the vendor changed nothing: availability, reviews. Cached answers go when this
 * comes back from the outbox, that is after the commit; dropped earlier they would be filled from before it.
 */
MUST_CHECK enum err_code product_looks_new(struct pg *, const char *id, const char *slug, int64_t version, struct err *);
/* Tells inventory how many units a new variant starts with. */
MUST_CHECK enum err_code initial_stock_told(struct pg *, const char *variant_id, const char *vendor_id, const char *sku,
					    int64_t on_hand, const char *reason, struct err *);

#endif
