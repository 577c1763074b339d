/* Variants as a vendor gives them: checks and the rows they become; shared by create, add and import. */
#ifndef SOUK_CATALOG_VARIANT_INPUT_H
#define SOUK_CATALOG_VARIANT_INPUT_H

#include "catalog.pb-c.h"
#include "common/call.h"

/* prefix "variants" or "variant": the start of the field names in details. */
void variant_input_check(struct err *e, const char *prefix, const Catalog__V1__VariantInput *v);
/* Inserts variant and base price and tells its initial stock. catalog.sku_taken names the SKU. */
MUST_CHECK enum err_code variant_input_add(struct pg *, struct arena *, const Catalog__V1__VariantInput *v,
					   const char *product_id, const char *vendor_id, int32_t position,
					   const char *reason, struct err *);

#endif
