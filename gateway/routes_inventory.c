/* REST rows of souk-inventory. */
#include "gateway/routes.h"

#include "inventory.pb-c.h"

const struct route inventory_routes[] = {
	{ 0 }
};
