/* The checkout daemon's inside: its state and the tables of its handler files. */
#ifndef SOUK_CHECKOUT_H
#define SOUK_CHECKOUT_H

#include "common/call.h"
#include "common/crypto.h"
#include "common/daemon.h"
#include "common/inbox.h"
#include "common/rpc.h"
#include "common/timer.h"

/* A reservation outlives its checkout, so that an end in good order is never overtaken; inventory has a limit of its own. */
#define STOCK_HOLD_S	 1800 /* RESERVE_TTL_MAX of inventory */
#define STOCK_AFTER_S	 120
#define CHECKOUT_TTL_MAX (STOCK_HOLD_S - STOCK_AFTER_S)

struct pay;
struct sweeper;

struct checkout_conf {
	struct daemon_conf d;
	const char *cart_url, *catalog_url, *inventory_url, *identity_url, *identity_bell_url;
	const char *pay_url, *pay_key, *pay_publishable_key, *pay_webhook_secrets;
	int ttl_s;	 /* how long a checkout lives */
	int inline_ms;	 /* what a request waits for the provider; then 202 */
	int pay_handles; /* calls to the provider at once */
	int pay_queue;	 /* requests that may wait for one */
	int sweep_threads;
};

#define CHECKOUT_SECRETS 2
struct checkout_svc {
	const struct checkout_conf *conf;
	struct pg_pool *pool;
	struct rpc_client *cart, *catalog, *inventory, *identity;
	struct pay *pay;
	struct keyring *ring;
	struct key32 index_key;
	const char *secrets[CHECKOUT_SECRETS + 1]; /* of webhooks */
	struct sweeper *sweeper;		   /* NULL in tests that drive by hand */
	_Atomic int64_t clock_ms; /* PostgreSQL's clock minus mono_ms, as last seen; 0: not yet */
};

extern const struct rpc_method checkout_estimate_methods[];
extern const struct rpc_method checkout_start_methods[];
extern const struct rpc_method checkout_read_methods[];
extern const struct rpc_method checkout_update_methods[];
extern const struct rpc_method checkout_confirm_methods[];
extern const struct rpc_method checkout_webhook_methods[];
extern const struct rpc_method checkout_order_methods[];
extern const struct rpc_method checkout_order_change_methods[];
extern const struct rpc_method checkout_invoice_methods[];
extern const struct rpc_method checkout_vendor_methods[];
extern const struct rpc_method checkout_return_methods[];
extern const struct rpc_method checkout_ledger_methods[];
extern const struct rpc_method checkout_refund_methods[];
extern const struct rpc_method checkout_promotion_methods[];
extern const struct rpc_method checkout_tax_methods[];
extern const struct rpc_method checkout_shipping_methods[];
extern const struct rpc_method checkout_report_methods[];

extern const struct rpc_method *const checkout_tables[]; /* all of them, NULL-ended */
extern const struct pg_stmt *const *const checkout_stmts[];
extern const struct inbox_handler checkout_inbox[];
extern const struct timer_job checkout_jobs[];

/* Splits the comma list of secrets; at most two. False: none, or too many. text is cut up and must live on. */
bool checkout_secrets(struct checkout_svc *svc, char *text);

#endif
