/* What the gateway answers itself, and the Node service that every daemon has. */
#include "common.pb-c.h"
#include "gateway/routes.h"

#define NOTHING &common__v1__empty__descriptor, &common__v1__empty__descriptor
#define OWN .rate = RATE_NONE, .tag = "platform"
#define NODE(perm_) .auth = AUTH_ADMIN, .perm = (perm_), .tag = "admin operation"

const struct route platform_routes[] = {
	{ "GET", "/healthz", "gateway", "healthz", NOTHING, OWN, .doc = "The gateway runs." },
	{ "GET", "/readyz", "gateway", "readyz", NOTHING, OWN,
	  .doc = "Ready (perhaps degraded), or 503 while starting or draining." },
	{ "GET", "/api/openapi.json", "gateway", "openapi", NOTHING, OWN, .doc = "This document." },
	{ "GET", "/api/docs", "gateway", "docs", NOTHING, OWN, .doc = "This document, for reading." },
	{ "GET", "/.well-known/jwks.json", "gateway", "jwks", NOTHING, OWN,
	  .doc = "The public keys of access tokens (RFC 7517)." },

	{ "GET", "/media/{key}", "gateway", "media", &common__v1__media_request__descriptor, &common__v1__empty__descriptor,
	  OWN, .status = 302, .also = "400 404", .doc = "A picture, where no CDN stands in front." },
	{ "GET", "/media/{folder}/{key}", "gateway", "media", &common__v1__media_request__descriptor,
	  &common__v1__empty__descriptor, OWN, .status = 302, .also = "400 404",
	  .doc = "A picture, where no CDN stands in front." },

	{ "GET", "/api/admin/services/{service}/health", "*", "Health", &common__v1__health_request__descriptor,
	  &common__v1__health_reply__descriptor, NODE("admin.events"), .rate = RATE_READ, .flags = ROUTE_READ,
	  .doc = "Version and state of a daemon." },
	{ "GET", "/api/admin/services/{service}/lag", "*", "EventLag", &common__v1__lag_request__descriptor,
	  &common__v1__lag_reply__descriptor, NODE("admin.events"), .rate = RATE_READ, .flags = ROUTE_READ,
	  .doc = "How far a daemon is behind the events of the others." },
	{ "GET", "/api/admin/services/{service}/dead-letters", "*", "DeadLetters",
	  &common__v1__dead_letters_request__descriptor, &common__v1__dead_letters_reply__descriptor,
	  NODE("admin.events"), .rate = RATE_READ, .flags = ROUTE_READ, .doc = "Events a daemon could not apply." },
	{ "POST", "/api/admin/services/{service}/dead-letters/replay", "*", "ReplayDeadLetter",
	  &common__v1__replay_dead_letter_request__descriptor, &common__v1__replay_dead_letter_reply__descriptor,
	  NODE("admin.events"), .rate = RATE_WRITE, .doc = "Applies a dead letter, or all of an aggregate, once more." },
	{ "GET", "/api/admin/services/{service}/audit", "*", "AuditPage", &common__v1__audit_page_request__descriptor,
	  &common__v1__audit_page_reply__descriptor, NODE("admin.audit"), .rate = RATE_READ, .flags = ROUTE_READ,
	  .doc = "The audit log of a daemon: who changed what, when, by which request." },
	{ 0 }
};
