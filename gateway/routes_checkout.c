/* REST rows of souk-checkout. */
#include "gateway/routes.h"

#include "checkout.pb-c.h"

const struct route checkout_routes[] = {
	{ 0 }
};
