/* What the cart asks of others: articles and their prices from catalog, what is left from inventory. */
#ifndef SOUK_CART_REMOTE_H
#define SOUK_CART_REMOTE_H

#include "catalog.pb-c.h"
#include "common/call.h"
#include "inventory.pb-c.h"

/* Unknown ids are missing from the answers. At most 500 ids. */
MUST_CHECK enum err_code cart_remote_variants(struct call *c, const char *const *ids, size_t n, const char *currency,
					      Catalog__V1__VariantsReply **out_r);
MUST_CHECK enum err_code cart_remote_available(struct call *c, const char *const *ids, size_t n,
					       Inventory__V1__AvailabilityReply **out_r);
/* The entry of that variant, or NULL. */
const Catalog__V1__VariantInfo *cart_remote_variant(const Catalog__V1__VariantsReply *r, const char *id);
const Inventory__V1__Availability *cart_remote_left(const Inventory__V1__AvailabilityReply *r, const char *id);

#endif
