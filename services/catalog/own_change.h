/* The one way a vendor changes a product: locked and counted up, changed, prices made true, told, shown; in one transaction. */
#ifndef SOUK_CATALOG_OWN_CHANGE_H
#define SOUK_CATALOG_OWN_CHANGE_H

#include "catalog.pb-c.h"
#include "common/call.h"
#include "services/catalog/catalog_db_edit.h"

struct own_change {
	struct call *c;
	const char *product_id, *if_match;
	enum err_code (*fn)(struct own_change *, struct pg *, const struct touched_row *before, struct err *);
	const void *in;
	Catalog__V1__Product *out; /* NULL: nothing to show (deleted) */
};
/* Checks vendor.catalog and the id's form first. */
MUST_CHECK enum err_code own_change_run(struct own_change *ch);

#endif
