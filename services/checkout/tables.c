/* Everything the daemon serves and runs, in one place for main and tests. */
#include <string.h>

#include "common/idem.h"
#include "common/timeutil.h"
#include "services/checkout/admin_db.h"
#include "services/checkout/checkout.h"
#include "services/checkout/checkout_db.h"
#include "services/checkout/checkout_db_rules.h"
#include "services/checkout/order_db.h"
#include "services/checkout/order_db_read.h"
#include "services/checkout/refund_db.h"
#include "services/checkout/report.h"
#include "services/checkout/report_db.h"
#include "services/checkout/saga_figures.h"

const struct rpc_method *const checkout_tables[] = {
	checkout_estimate_methods, checkout_start_methods,  checkout_read_methods,	   checkout_update_methods,
	checkout_confirm_methods,  checkout_webhook_methods, checkout_order_methods,  checkout_order_change_methods,
	checkout_invoice_methods,  checkout_vendor_methods, checkout_return_methods,	   checkout_ledger_methods,
	checkout_refund_methods,   checkout_promotion_methods, checkout_tax_methods,  checkout_shipping_methods,
	checkout_report_methods,   NULL,
};

const struct pg_stmt *const *const checkout_stmts[] = {
	checkout_db_stmts, checkout_db_rules_stmts, order_db_stmts,   order_db_read_stmts,
	refund_db_stmts,   return_db_stmts,	    promotion_db_stmts, shipping_db_stmts,
	report_db_stmts,   NULL,
};

bool checkout_secrets(struct checkout_svc *svc, char *text)
{
	char *item;
	size_t n = 0;

	memset(svc->secrets, 0, sizeof(svc->secrets));
	while ((item = strsep(&text, ","))) {
		if (!*item)
			continue;
		if (n == CHECKOUT_SECRETS)
			return false;
		svc->secrets[n++] = item;
	}
	return n > 0;
}

/* ---- periodic work beside the sweeper ---- */

static enum err_code forget(void *arg, struct arena *a, struct err *e)
{
	struct checkout_svc *svc = arg;
	int64_t removed = 0;
	struct pg *pg;

	(void)a;
	if (pg_borrow(svc->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	if (idem_sweep(pg, &removed, e) == OK && checkout_db_events_prune(pg, e))
		removed = 0;
	pg_return(pg);
	return e->code;
}

const struct timer_job checkout_jobs[] = {
	{ "forget_keys", 600000, true, forget },
	{ "sagas", 5000, false, saga_figures },
	{ "reports", 10000, true, checkout_reports },
	{ 0 },
};
