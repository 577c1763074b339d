/* The inventory daemon's inside: its state and the tables of its handler files. */
#ifndef SOUK_INVENTORY_H
#define SOUK_INVENTORY_H

#include "common/call.h"
#include "common/daemon.h"
#include "common/inbox.h"
#include "common/rpc.h"
#include "common/timer.h"

#define RESERVE_LINES_MAX 100
#define RESERVE_QTY_MAX 1000000
#define RESERVE_TTL_MIN 1
#define RESERVE_TTL_MAX 1800

struct reserve_queue;

struct inventory_conf {
	struct daemon_conf d;
	const char *catalog_url, *catalog_bell_url;
	int owner_unit_cap; /* units of one variant that one owner may hold unpaid; 0 = no cap */
	int expiry_grace_s; /* how long past its time an orphaned reservation waits for checkout */
	int combine_max;    /* requests for one variant in one statement */
};

struct inventory_svc {
	const struct inventory_conf *conf;
	struct pg_pool *pool;
	struct reserve_queue *queue;
};

extern const struct rpc_method inventory_reserve_methods[];
extern const struct rpc_method inventory_reservation_methods[];
extern const struct rpc_method inventory_stock_methods[];
extern const struct rpc_method inventory_location_methods[];

extern const struct pg_stmt *const *const inventory_stmts[];
extern const struct rpc_service inventory_services[]; /* all of the above, for rpc_bind */

extern const struct inbox_handler inventory_inbox[];
extern const struct timer_job inventory_jobs[];

#endif
