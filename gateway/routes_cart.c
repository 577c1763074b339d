/* REST rows of souk-cart. */
#include "gateway/routes.h"

#include "cart.pb-c.h"

const struct route cart_routes[] = {
	{ 0 }
};
