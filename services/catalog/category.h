/* What the category handlers share. */
#ifndef SOUK_CATALOG_CATEGORY_H
#define SOUK_CATALOG_CATEGORY_H

#include "catalog.pb-c.h"
#include "common/call.h"
#include "services/catalog/catalog_db_vendor.h"

Catalog__V1__Category *category_msg(struct arena *a, const struct category_row *r);
/* Tells category.changed; in the transaction of the change. */
MUST_CHECK enum err_code category_told(struct pg *, const char *id, const char *slug, int64_t version, struct err *);

#endif
