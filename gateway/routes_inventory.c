/* REST rows of souk-inventory. */
#include "gateway/routes.h"

#include "inventory.pb-c.h"

#define VENDOR .auth = AUTH_VENDOR, .perm = "vendor.inventory", .tag = "vendor inventory"

const struct route inventory_routes[] = {
	{ "GET", "/api/vendor/inventory", "inventory", "ListStock", &inventory__v1__list_stock_request__descriptor,
	  &inventory__v1__list_stock_reply__descriptor, VENDOR, .rate = RATE_READ, .flags = ROUTE_READ,
	  .doc = "The vendor's stock levels; low_stock=true shows only what is low or out." },
	{ "GET", "/api/vendor/inventory/{sku}", "inventory", "GetStock", &inventory__v1__get_stock_request__descriptor,
	  &inventory__v1__stock_level__descriptor, VENDOR, .rate = RATE_READ, .flags = ROUTE_READ,
	  .doc = "One SKU's stock with its locations." },
	{ "PUT", "/api/vendor/inventory/{sku}", "inventory", "PutStock", &inventory__v1__put_stock_request__descriptor,
	  &inventory__v1__stock_level__descriptor, VENDOR, .rate = RATE_WRITE,
	  .doc = "Sets the units at a location, the low-stock threshold or the backorder flag." },
	{ "POST", "/api/vendor/inventory/{sku}/adjustments", "inventory", "AdjustStock",
	  &inventory__v1__adjust_stock_request__descriptor, &inventory__v1__stock_level__descriptor, VENDOR,
	  .rate = RATE_WRITE, .flags = ROUTE_IDEM_REQUIRED, .status = 201, .required = "delta reason",
	  .doc = "Adds or removes units, with a reason that stays in the ledger." },
	{ "GET", "/api/vendor/inventory/{sku}/movements", "inventory", "ListMovements",
	  &inventory__v1__movements_request__descriptor, &inventory__v1__movements_reply__descriptor, VENDOR,
	  .rate = RATE_READ, .flags = ROUTE_READ, .doc = "The ledger of one SKU, newest first." },
	{ "GET", "/api/vendor/locations", "inventory", "ListLocations",
	  &inventory__v1__list_locations_request__descriptor, &inventory__v1__list_locations_reply__descriptor, VENDOR,
	  .rate = RATE_READ, .flags = ROUTE_READ, .doc = "The vendor's locations." },
	{ "POST", "/api/vendor/locations", "inventory", "CreateLocation",
	  &inventory__v1__create_location_request__descriptor, &inventory__v1__location__descriptor, VENDOR,
	  .rate = RATE_WRITE, .status = 201, .required = "code name", .doc = "Opens a location." },
	{ 0 },
};
