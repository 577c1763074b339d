#include <stdlib.h>
#include <string.h>

#include "checkout.pb-c.h"
#include "common/conf.h"
#include "common/daemon.h"
#include "common/idem.h"
#include "common/migrate.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "common/service.h"
#include "services/checkout/checkout.h"
#include "services/checkout/pay.h"
#include "services/checkout/sweeper.h"

extern const struct migration checkout_migrations[];

static const struct conf_key keys[] = {
	DAEMON_KEYS(checkout_conf, "CHECKOUT", "7005", "7105", "7205"),
	CONF(checkout_conf, cart_url, "CART_URL", "tcp://127.0.0.1:7004", 0, 0, 0, "where cart serves"),
	CONF(checkout_conf, catalog_url, "CATALOG_URL", "tcp://127.0.0.1:7002", 0, 0, 0, "where catalog serves"),
	CONF(checkout_conf, inventory_url, "INVENTORY_URL", "tcp://127.0.0.1:7003", 0, 0, 0, "where inventory serves"),
	CONF(checkout_conf, identity_url, "IDENTITY_URL", "tcp://127.0.0.1:7001", 0, 0, 0, "where identity serves"),
	CONF(checkout_conf, identity_bell_url, "IDENTITY_BELL_URL", "tcp://127.0.0.1:7101", 0, 0, 0,
	     "identity's doorbell"),
	CONF(checkout_conf, pay_url, "CHECKOUT_PAY_URL", "https://api.stripe.com", 0, 0, CONF_REQUIRED,
	     "the payment provider's API; a sandbox is another address"),
	CONF(checkout_conf, pay_key, "CHECKOUT_PAY_KEY", NULL, 0, 0, CONF_REQUIRED | CONF_SECRET,
	     "the provider's secret key"),
	CONF(checkout_conf, pay_publishable_key, "CHECKOUT_PAY_PUBLISHABLE_KEY", "", 0, 0, 0,
	     "the key that clients pay with"),
	CONF(checkout_conf, pay_webhook_secrets, "CHECKOUT_PAY_WEBHOOK_SECRETS", NULL, 0, 0,
	     CONF_REQUIRED | CONF_SECRET, "signing secret of webhooks; two, with a comma, while one is being replaced"),
	CONF(checkout_conf, ttl_s, "CHECKOUT_TTL_S", "900", 60, CHECKOUT_TTL_MAX, 0,
	     "seconds a checkout lives; its units are held for two minutes longer"),
	CONF(checkout_conf, inline_ms, "CHECKOUT_INLINE_MS", "3000", 200, 20000, 0,
	     "how long a request waits for the provider before 202, ms"),
	CONF(checkout_conf, pay_handles, "CHECKOUT_PAY_HANDLES", "16", 1, 256, 0, "calls to the provider at once"),
	CONF(checkout_conf, pay_queue, "CHECKOUT_PAY_QUEUE", "16", 0, 1024, 0,
	     "requests that may wait for such a call; more are refused"),
	CONF(checkout_conf, sweep_threads, "CHECKOUT_SWEEP_THREADS", "4", 1, 64, 0,
	     "threads that finish what nobody waits for"),
	CONF_END,
};

static const struct rpc_service services[] = { { &checkout__v1__checkout__descriptor, checkout_tables }, { 0 } };

static enum err_code open_peers(struct checkout_svc *svc, const struct rpc_keys *k, struct err *e)
{
	const struct checkout_conf *conf = svc->conf;
	const int ms = conf->d.resolve_ms;

	if (rpc_client_open("checkout", "cart", conf->cart_url, ms, k, &svc->cart, e) ||
	    rpc_client_open("checkout", "catalog", conf->catalog_url, ms, k, &svc->catalog, e) ||
	    rpc_client_open("checkout", "inventory", conf->inventory_url, ms, k, &svc->inventory, e) ||
	    rpc_client_open("checkout", "identity", conf->identity_url, ms, k, &svc->identity, e))
		return e->code;
	return OK;
}

static enum err_code open_parts(struct checkout_svc *svc, struct err *e)
{
	const struct checkout_conf *conf = svc->conf;
	const struct pay_conf pc = { conf->pay_url, conf->pay_key, conf->pay_handles, conf->pay_queue };

	/* The setting's own text is cut up: it lives as long as the process. */
	if (!checkout_secrets(svc, (char *)conf->pay_webhook_secrets))
		return err_set(e, E_INVALID, "conf.invalid", "CHECKOUT_PAY_WEBHOOK_SECRETS: one or two");
	if (keyring_load(conf->d.keys_dir, "checkout", &svc->ring, e) ||
	    key_load(conf->d.keys_dir, "index.key", &svc->index_key, e) || pay_open(&pc, &svc->pay, e))
		return e->code;
	idem_seal_with(svc->pool, svc->ring);
	return OK;
}

static const struct service_def def = { "checkout", keys, checkout_migrations, checkout_stmts };

int main(int argc, char **argv)
{
	struct checkout_conf conf = { 0 };
	struct checkout_svc svc = { .conf = &conf };
	struct service base = { 0 };
	struct rpc_server *server = NULL;
	struct inbox *inbox = NULL;
	struct timers *timers = NULL;
	struct err e = { 0 };
	int status;
	enum daemon_mode mode = daemon_init("checkout", argc, argv);

	if (service_begin(&def, mode, &conf, &status))
		return status;
	if (service_open(&def, &conf.d, &base, &e))
		return daemon_fail(&e);
	svc.pool = base.pool;
	if (open_peers(&svc, base.keys, &e) || open_parts(&svc, &e))
		return daemon_fail(&e);
	struct inbox_source sources[] = { { "identity", svc.identity, conf.identity_bell_url }, { 0 } };
	const struct inbox_conf in = { .consumer = "checkout", .pool = svc.pool, .handlers = checkout_inbox, .svc = &svc,
				       .sources = sources, .poll_ms = 1000, .lease_s = 10 };

	if (sweeper_start(&svc, conf.sweep_threads, &svc.sweeper, &e) ||
	    rpc_server_start(&conf.d, "checkout", services, base.keys, svc.pool, &svc, &server, &e) ||
	    inbox_start(&in, &inbox, &e) || timers_start(checkout_jobs, svc.pool, &svc, &timers, &e))
		return daemon_fail(&e);
	daemon_ready();
	(void)daemon_wait_stop();
	rpc_server_stop(server);
	sweeper_stop(svc.sweeper);
	inbox_stop(inbox);
	timers_stop(timers);
	pay_close(svc.pay);
	keyring_free(svc.ring);
	service_close(&base);
	return daemon_end();
}
