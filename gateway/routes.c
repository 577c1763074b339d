/* Every daemon's table in one place. */
#include "gateway/routes.h"

#include "cart.pb-c.h"
#include "catalog.pb-c.h"
#include "checkout.pb-c.h"
#include "common.pb-c.h"
#include "identity.pb-c.h"
#include "inventory.pb-c.h"
#include "notify.pb-c.h"
#include "reco.pb-c.h"
#include "search.pb-c.h"

const struct route_service gateway_services[] = {
	{ "identity", &identity__v1__identity__descriptor, identity_routes },
	{ "catalog", &catalog__v1__catalog__descriptor, catalog_routes },
	{ "inventory", &inventory__v1__inventory__descriptor, inventory_routes },
	{ "cart", &cart__v1__cart__descriptor, cart_routes },
	{ "checkout", &checkout__v1__checkout__descriptor, checkout_routes },
	{ "notify", &notify__v1__notify__descriptor, notify_routes },
	{ "search", &search__v1__search__descriptor, search_routes },
	{ "reco", &reco__v1__reco__descriptor, reco_routes },
	{ "gateway", &common__v1__node__descriptor, platform_routes }, /* itself, and the Node service of the others */
	{ 0 }
};
