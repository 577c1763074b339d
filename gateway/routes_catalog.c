/* REST rows of souk-catalog. */
#include "gateway/routes.h"

#include "catalog.pb-c.h"

const struct route catalog_routes[] = {
	{ 0 }
};
