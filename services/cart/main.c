#include <stdlib.h>

#include "common/conf.h"
#include "common/daemon.h"
#include "common/migrate.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "common/service.h"
#include "services/cart/cart.h"

extern const struct migration cart_migrations[];

static const struct conf_key cart_keys[] = {
	DAEMON_KEYS(cart_conf, "CART", "7004", "7104", "7204"),
	CONF(cart_conf, catalog_url, "CATALOG_URL", "tcp://127.0.0.1:7002", 0, 0, 0, "where catalog serves"),
	CONF(cart_conf, inventory_url, "INVENTORY_URL", "tcp://127.0.0.1:7003", 0, 0, 0, "where inventory serves"),
	CONF(cart_conf, checkout_url, "CHECKOUT_URL", "tcp://127.0.0.1:7005", 0, 0, 0, "where checkout serves"),
	CONF(cart_conf, checkout_bell_url, "CHECKOUT_BELL_URL", "tcp://127.0.0.1:7105", 0, 0, 0,
	     "checkout's doorbell"),
	CONF(cart_conf, identity_url, "IDENTITY_URL", "tcp://127.0.0.1:7001", 0, 0, 0, "where identity serves"),
	CONF(cart_conf, identity_bell_url, "IDENTITY_BELL_URL", "tcp://127.0.0.1:7101", 0, 0, 0,
	     "identity's doorbell"),
	CONF(cart_conf, currency, "CART_CURRENCY", "USD", 0, 3, CONF_REQUIRED,
	     "currency of a first line that names none"),
	CONF(cart_conf, guest_days, "CART_GUEST_DAYS", "7", 1, 3650, 0, "idle days before a guest's cart expires"),
	CONF(cart_conf, user_days, "CART_USER_DAYS", "90", 1, 3650, 0, "idle days before a user's cart expires"),
	CONF(cart_conf, idle_min, "CART_ABANDONED_MIN", "240", 1, 100000, 0,
	     "idle minutes before a user's cart counts as abandoned"),
	CONF_END,
};

static const struct service_def def = { "cart", cart_keys, cart_migrations, cart_stmts };

int main(int argc, char **argv)
{
	struct cart_conf conf = { 0 };
	struct cart_svc svc = { .conf = &conf };
	struct service base = { 0 };
	struct rpc_client *checkout = NULL, *identity = NULL;
	struct rpc_server *server = NULL;
	struct inbox *inbox = NULL;
	struct timers *timers = NULL;
	struct err e = { 0 };
	int status;
	enum daemon_mode mode = daemon_init("cart", argc, argv);

	if (service_begin(&def, mode, &conf, &status))
		return status;
	if (service_open(&def, &conf.d, &base, &e))
		return daemon_fail(&e);
	svc.pool = base.pool;
	if (rpc_client_open("cart", "catalog", conf.catalog_url, conf.d.resolve_ms, base.keys, &svc.catalog, &e) ||
	    rpc_client_open("cart", "inventory", conf.inventory_url, conf.d.resolve_ms, base.keys, &svc.inventory, &e) ||
	    rpc_client_open("cart", "checkout", conf.checkout_url, conf.d.resolve_ms, base.keys, &checkout, &e) ||
	    rpc_client_open("cart", "identity", conf.identity_url, conf.d.resolve_ms, base.keys, &identity, &e))
		return daemon_fail(&e);
	struct inbox_source sources[] = { { "checkout", checkout, conf.checkout_bell_url },
					  { "identity", identity, conf.identity_bell_url },
					  { 0 } };
	const struct inbox_conf in = { .consumer = "cart", .pool = svc.pool, .handlers = cart_inbox, .svc = &svc,
				       .sources = sources, .poll_ms = 1000, .lease_s = 10 };

	if (rpc_server_start(&conf.d, "cart", cart_services, base.keys, svc.pool, &svc, &server, &e) ||
	    inbox_start(&in, &inbox, &e) || timers_start(cart_jobs, svc.pool, &svc, &timers, &e))
		return daemon_fail(&e);
	daemon_ready();
	(void)daemon_wait_stop();
	rpc_server_stop(server);
	inbox_stop(inbox);
	timers_stop(timers);
	service_close(&base);
	return daemon_end();
}
