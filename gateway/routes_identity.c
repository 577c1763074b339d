/* REST rows of souk-identity. */
#include "gateway/routes.h"

#include "identity.pb-c.h"

const struct route identity_routes[] = {
	{ 0 }
};
