/*
 * One row per REST endpoint. A daemon's rows live in routes_<svc>.c, which exports
 * `const struct route <svc>_routes[]` ended by {0}; routes.c lists the tables. At start every row is checked against
 * the proto service block (method exists, in/out are its messages, path variables and required names are fields),
 * and the OpenAPI document is generated from the same rows.
 *
 *	{ "POST", "/api/cart/items", "cart", "AddItem",
 *	  &cart__v1__add_item_request__descriptor, &cart__v1__cart__descriptor,
 *	  .status = 201, .auth = AUTH_OPTIONAL, .rate = RATE_WRITE, .required = "variant_id qty",
 *	  .tag = "cart", .doc = "Adds a variant to the cart." },
 *	{ "GET", "/api/products/{product_id}", "catalog", "GetProduct",
 *	  &catalog__v1__get_product_request__descriptor, &catalog__v1__product__descriptor,
 *	  .auth = AUTH_OPTIONAL, .rate = RATE_READ, .cache = CACHE_DETAIL, .gens = "product:{product_id}",
 *	  .flags = ROUTE_READ, .tag = "products", .doc = "One product by id or slug." },
 *
 * Path: `{name}` is one whole segment and fills the request field `name` (string or integer). A literal segment wins
 * over a variable one at the same place, so /api/products/import and /api/products/{product_id} may both exist.
 * Query parameters fill request fields by name (repeat a parameter for a repeated field; `a.b` is not understood;
 * money by `<field>.amount` is not either: use int32/int64 fields such as price_min). Money, Json and other message
 * fields come from the body only. A body is read for POST, PUT and PATCH; an empty one counts as {}.
 * hdr_* and raw_body fields are filled by the gateway only, and only where the message has them.
 */
#ifndef SOUK_GATEWAY_ROUTE_H
#define SOUK_GATEWAY_ROUTE_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

enum route_auth {
	AUTH_NONE = 0,	/* Authorization is not even looked at (login, webhooks) */
	AUTH_OPTIONAL,	/* a token is honoured and must then be valid; without one the caller is anonymous */
	AUTH_USER,	/* any valid token: shop, vendor or admin audience */
	AUTH_VENDOR,	/* audience vendor; perm is checked as well when set */
	AUTH_ADMIN,	/* audience admin; perm is checked as well when set */
};

enum rate_class {
	RATE_NONE = 0,	/* health, documents */
	RATE_READ,	/* anonymous: counted locally, reconciled every 100 ms; users: exact */
	RATE_WRITE,	/* exact for all; shares the caller's budget with RATE_READ */
	RATE_AUTH,	/* exact per address, own small budget; closed (503) when Redis is gone */
	RATE_SUGGEST,	/* own budget */
	RATE_EVENTS,	/* own budget */
};

/*
 * Cached answers are public: only for routes whose answer does not depend on the caller. The key is the route, the
 * canonical query, the path variables, and (when the request has hdr_accept_language) the language.
 * gens names what makes the answer stale: words separated by spaces, `{name}` replaced by the request's value of the
 * path variable or query parameter (a word whose variable is absent is left out). The owner increments the Redis
 * key "gen:<word>" with cache_incr (life at least 1 h) and rings its doorbell with the same word as changed id,
 * for every name the thing can be asked by:
 *	product changed		gen:product:<id>  gen:product:<slug>  gen:products
 *	category changed	gen:category:<id> gen:category:<slug> gen:categories
 *	vendor changed		gen:vendor:<id>   gen:vendor:<slug>   gen:vendors (its name stands in its products) and gen:products
 */
enum cache_policy {
	CACHE_NONE = 0,
	CACHE_LISTING,	/* 5 min in Redis, at most 5 s in the process */
	CACHE_DETAIL,	/* 15 min in Redis, at most 5 s in the process; shortened by a reply field hdr_max_age (int32, s) */
};

enum route_flags {
	ROUTE_READ = 1,		 /* no effect: may be retried on another peer (GET rows without it are not retried) */
	ROUTE_IDEM_REQUIRED = 2, /* no Idempotency-Key: 400 */
	ROUTE_IF_MATCH = 4,	 /* no If-Match: 428; where the message has hdr_if_match it is optional without this flag */
	ROUTE_RAW = 8,		 /* the body goes unparsed into raw_body, the header named by raw_header into hdr_signature */
	ROUTE_STREAM_IMPORT = 16, /* body streamed by ImportBegin/ImportChunk/ImportClose of the same service; rpc = ImportBegin */
	ROUTE_COOKIE = 32,	 /* takes the refresh cookie: from a browser it needs an allow-listed Origin or X-Requested-With */
	ROUTE_NO_IDEM = 64,	 /* a key is ignored (set by itself for /api/auth) */
	ROUTE_IDEM_ANON = 128,	 /* a key is allowed without cart token or login: the message itself names its scope */
	ROUTE_EMPTY = 256,	 /* what a page can do without: when the daemon is away, 200 with an empty answer */
};

struct route {
	const char *method;	/* GET POST PUT PATCH DELETE; HEAD and OPTIONS come by themselves */
	const char *path;	/* "/api/cart/items/{line_id}" */
	const char *service;	/* daemon: "cart" */
	const char *rpc;	/* method of its proto service block: "AddItem" */
	const ProtobufCMessageDescriptor *in, *out;
	int status;		/* 0 = 200; 204 sends no body */
	enum route_auth auth;
	const char *perm;	/* "vendor.catalog"; NULL: none */
	enum rate_class rate;
	enum cache_policy cache;
	const char *gens;	/* see cache_policy */
	unsigned flags;		/* enum route_flags */
	const char *required;	/* "variant_id qty": request fields that must be present (path variables always are) */
	const char *raw_header;	/* ROUTE_RAW: "Stripe-Signature" */
	size_t max_body;	/* 0 = 64 KiB; at most 1 MiB - 4 KiB except ROUTE_STREAM_IMPORT (0 = the configured limit) */
	int timeout_ms;		/* 0 = the configured default (5 s) */
	const char *also;	/* "202 404": further statuses that the OpenAPI document would not see from the rest of the row */
	const char *produces;	/* "image/svg+xml": what hdr_content_type of the answer says; NULL: JSON */
	const char *doc;	/* one sentence for the OpenAPI document */
	const char *tag;	/* section of the document */
};

#endif
