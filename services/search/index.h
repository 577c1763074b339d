/* Keeping the copy: products that changed are fetched from catalog and put in; the rebuild walks over all of them. */
#ifndef SOUK_SEARCH_INDEX_H
#define SOUK_SEARCH_INDEX_H

#include "catalog.pb-c.h"
#include "services/search/search.h"

/* Timer jobs, each bounded to about half a second so that neither waits long for the other. */
MUST_CHECK enum err_code index_changes(void *svc, struct arena *, struct err *);
MUST_CHECK enum err_code index_rebuild(void *svc, struct arena *, struct err *);
MUST_CHECK enum err_code index_tiers(void *svc, struct arena *, struct err *); /* what sells enough, by the sales of now */

/*
 * Puts products into the searched slot, and into the other one while it is rebuilt; those not visible, and ids without a
 * product, are taken out. other_only: only into the slot that is being built.
 */
struct index_batch {
	struct search_svc *svc;
	struct arena *arena;
	Catalog__V1__ExportedProduct *const *products;
	size_t n_products;
	const char *const *ids; /* of all that may be in the index so far */
	size_t n_ids;
	bool other_only;
	bool last; /* the slot that is being built takes over in the same transaction */
};
MUST_CHECK enum err_code index_put(struct pg *, const struct index_batch *, struct err *);

#endif
