/* The search daemon's inside: its state and the tables of its handler files. */
#ifndef SOUK_SEARCH_H
#define SOUK_SEARCH_H

#include "common/cache.h"
#include "common/daemon.h"
#include "common/inbox.h"
#include "common/rpc.h"
#include "common/rpc_client.h"
#include "common/timer.h"

struct dict;
struct engine_os;
struct known;
struct suggest;
struct beside;

struct search_conf {
	struct daemon_conf d;
	const char *catalog_url, *catalog_bell_url; /* whose products it keeps */
	const char *checkout_url, *checkout_bell_url; /* what sold */
	const char *identity_url, *identity_bell_url; /* who is erased */
	const char *reco_url, *reco_bell_url;	      /* what was clicked, and what is recommended */
	int reco_ms;	      /* to wait for recommendations; 0: none */
	const char *lang;     /* of the catalogue's texts: ISO 639-1 */
	const char *currency; /* of readers that name none */
	int cache_s;	      /* life of a cached answer */
	const char *engine, *os_url, *os_user, *os_password, *os_ca_file, *os_index; /* OPENSEARCH_* */
	int os_timeout_ms;
	int suggest_products, suggest_people, suggest_days;
};

struct search_svc {
	const struct search_conf *conf;
	struct pg_pool *pool;
	struct cache *cache;
	struct rpc_client *catalog;
	struct dict *dict;
	struct known *known;
	struct suggest *suggest;
	struct rpc_client *reco; /* NULL: no recommendations */
	struct beside *beside;
	struct engine_os *os; /* NULL: engine pg */
};

extern const struct rpc_method search_find_methods[];
extern const struct rpc_method search_suggest_methods[];
extern const struct rpc_method search_admin_methods[];

extern const struct pg_stmt *const *const search_stmts[];
extern const struct rpc_service search_services[];
extern const struct inbox_handler search_inbox[];
extern const struct timer_job search_jobs[];

#endif
