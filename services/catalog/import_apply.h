/* One staged row becomes (part of) a product. */
#ifndef SOUK_CATALOG_IMPORT_APPLY_H
#define SOUK_CATALOG_IMPORT_APPLY_H

#include "common/pg.h"
#include "services/catalog/catalog_db_import.h"

enum import_effect { IMPORT_CREATED, IMPORT_UPDATED, IMPORT_UNCHANGED };

/* In a transaction. A business refusal (SKU taken meanwhile …) is an error with details. */
MUST_CHECK enum err_code import_apply(struct pg *, struct arena *, const struct import_state *, const struct staged_row *,
				      enum import_effect *effect_r, struct err *);

#endif
