/* The copy of the catalogue kept fresh: what events name is fetched, an empty copy is filled by a walk. */
#ifndef SOUK_RECO_CATALOGUE_H
#define SOUK_RECO_CATALOGUE_H

#include "catalog.pb-c.h"
#include "inventory.pb-c.h"
#include "services/reco/reco.h"

/* Jobs of the timer. */
MUST_CHECK enum err_code catalogue_changes(void *svc, struct arena *, struct err *);
MUST_CHECK enum err_code catalogue_fill(void *svc, struct arena *, struct err *);

/* One product as catalog and inventory tell it, in a transaction. stock: of its variants, in any order. */
MUST_CHECK enum err_code catalogue_put(struct pg *, struct arena *, const Catalog__V1__ExportedProduct *,
				       const Inventory__V1__AvailabilityReply *stock, struct err *);

#endif
