/* What the vendor handlers share. */
#ifndef SOUK_CATALOG_VENDOR_H
#define SOUK_CATALOG_VENDOR_H

#include "common/call.h"

/* OK when the token's vendor exists and is approved; else 403 "catalog.vendor_not_approved". */
MUST_CHECK enum err_code vendor_approved(struct call *c, struct pg *pg, struct err *e);

#endif
