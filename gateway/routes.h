/* The list of all route tables, one entry per daemon: name, proto service block, rows. */
#ifndef SOUK_GATEWAY_ROUTES_H
#define SOUK_GATEWAY_ROUTES_H

#include "gateway/route.h"

struct route_service {
	const char *name;			  /* "cart": also <NAME>_URL */
	const ProtobufCServiceDescriptor *desc;	  /* its proto service block */
	const struct route *rows;		  /* ended by {0} */
};

extern const struct route_service gateway_services[]; /* ended by {0} */

extern const struct route identity_routes[];
extern const struct route catalog_routes[];
extern const struct route inventory_routes[];
extern const struct route cart_routes[];
extern const struct route checkout_routes[];
extern const struct route notify_routes[];
extern const struct route search_routes[];
extern const struct route reco_routes[];
extern const struct route platform_routes[];

#endif
