/* The cart daemon's inside: its state and the tables of its handler files. */
#ifndef SOUK_CART_H
#define SOUK_CART_H

#include "common/daemon.h"
#include "common/inbox.h"
#include "common/rpc.h"
#include "common/timer.h"

#define CART_LINES_MAX 100
#define CART_QTY_MAX 999
#define CART_COUPONS_MAX 5

struct cart_conf {
	struct daemon_conf d;
	const char *catalog_url, *inventory_url;
	const char *checkout_url, *checkout_bell_url, *identity_url, *identity_bell_url; /* whose events it takes */
	const char *currency;  /* of a first line that names none */
	int guest_days, user_days, idle_min;
};

struct cart_svc {
	const struct cart_conf *conf;
	struct pg_pool *pool;
	struct rpc_client *catalog, *inventory;
};

extern const struct rpc_method cart_line_methods[];
extern const struct rpc_method cart_coupon_methods[];
extern const struct rpc_method cart_merge_methods[];
extern const struct rpc_method cart_checkout_methods[];

extern const struct pg_stmt *const *const cart_stmts[];
extern const struct rpc_service cart_services[]; /* all of the above, for rpc_bind */

extern const struct inbox_handler cart_inbox[];
extern const struct timer_job cart_jobs[];

#endif
