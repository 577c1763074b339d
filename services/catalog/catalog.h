/* The catalog daemon's inside: its state and the tables of its handler files. */
#ifndef SOUK_CATALOG_H
#define SOUK_CATALOG_H

#include "common/cache.h"
#include "common/daemon.h"
#include "common/doorbell.h"
#include "common/inbox.h"
#include "common/rpc.h"
#include "common/timer.h"

#define CATALOG_VARIANTS_MAX 100
#define CATALOG_CATEGORIES_MAX 20
#define CATALOG_MEDIA_MAX 50
#define CATALOG_DERIVED_MAX 10000 /* categories in all, up to which imports may make more */
#define CATALOG_PRICE_MAX 100000000000LL
#define CATALOG_JSON_MAX 65536
#define CATALOG_VALUE_MAX 10000 /* bytes of one attribute */

struct catalog_conf {
	struct daemon_conf d;
	const char *inventory_url, *inventory_bell_url; /* whose events it takes */
	const char *checkout_url, *checkout_bell_url;
	const char *identity_url, *identity_bell_url;
	const char *self_url, *self_bell_url; /* its own events, to drop caches */
	const char *currency;	  /* of readers that name none */
	const char *media_base;	  /* prefix of media URLs */
	const char *store_url, *store_region, *store_access_key, *store_secret_key; /* of the object store; "": none */
	int picture_max_kib;
};

struct catalog_svc {
	const struct catalog_conf *conf;
	struct pg_pool *pool;
	struct cache *cache;	/* generations of cached answers */
	struct doorbell *bell;
};

extern const struct rpc_method catalog_vendor_methods[];
extern const struct rpc_method catalog_category_methods[];
extern const struct rpc_method catalog_product_methods[];
extern const struct rpc_method catalog_own_methods[];
extern const struct rpc_method catalog_variant_methods[];
extern const struct rpc_method catalog_upload_methods[];
extern const struct rpc_method catalog_review_methods[];
extern const struct rpc_method catalog_import_methods[];
extern const struct rpc_method catalog_export_methods[];

extern const struct pg_stmt *const *const catalog_stmts[];
extern const struct rpc_service catalog_services[]; /* all of the above, for rpc_bind */

extern const struct inbox_handler catalog_inbox[];
extern const struct timer_job catalog_jobs[];

#endif
