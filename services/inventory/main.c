#include <stdlib.h>

#include "common/conf.h"
#include "common/daemon.h"
#include "common/migrate.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "common/service.h"
#include "services/inventory/inventory.h"
#include "services/inventory/reserve_queue.h"

extern const struct migration inventory_migrations[];

static const struct conf_key inventory_keys[] = {
	DAEMON_KEYS(inventory_conf, "INVENTORY", "7003", "7103", "7203"),
	CONF(inventory_conf, catalog_url, "CATALOG_URL", "tcp://127.0.0.1:7002", 0, 0, 0, "where catalog serves"),
	CONF(inventory_conf, catalog_bell_url, "CATALOG_BELL_URL", "tcp://127.0.0.1:7102", 0, 0, 0,
	     "catalog's doorbell"),
	CONF(inventory_conf, owner_unit_cap, "INVENTORY_OWNER_UNIT_CAP", "1000", 0, 1000000000, 0,
	     "units of one variant that one buyer may hold unpaid; 0: no cap"),
	CONF(inventory_conf, expiry_grace_s, "INVENTORY_EXPIRY_GRACE_S", "300", 0, 86400, 0,
	     "seconds past its time before an orphaned reservation is released"),
	CONF(inventory_conf, combine_max, "INVENTORY_COMBINE_MAX", "32", 1, 64, 0,
	     "reservations of one variant combined into one statement"),
	CONF_END,
};

static const struct service_def def = { "inventory", inventory_keys, inventory_migrations, inventory_stmts };

int main(int argc, char **argv)
{
	struct inventory_conf conf = { 0 };
	struct inventory_svc svc = { .conf = &conf };
	struct service base = { 0 };
	struct rpc_client *catalog = NULL;
	struct rpc_server *server = NULL;
	struct inbox *inbox = NULL;
	struct timers *timers = NULL;
	struct err e = { 0 };
	int status;
	enum daemon_mode mode = daemon_init("inventory", argc, argv);

	if (service_begin(&def, mode, &conf, &status))
		return status;
	if (service_open(&def, &conf.d, &base, &e))
		return daemon_fail(&e);
	svc.pool = base.pool;
	svc.queue = reserve_queue_new(conf.combine_max);
	if (rpc_client_open("inventory", "catalog", conf.catalog_url, conf.d.resolve_ms, base.keys, &catalog, &e))
		return daemon_fail(&e);
	struct inbox_source sources[] = { { "catalog", catalog, conf.catalog_bell_url }, { 0 } };
	const struct inbox_conf in = { .consumer = "inventory", .pool = svc.pool, .handlers = inventory_inbox,
				       .svc = &svc, .sources = sources, .poll_ms = 1000, .lease_s = 10 };

	if (rpc_server_start(&conf.d, "inventory", inventory_services, base.keys, svc.pool, &svc, &server, &e) ||
	    inbox_start(&in, &inbox, &e) || timers_start(inventory_jobs, svc.pool, &svc, &timers, &e))
		return daemon_fail(&e);
	daemon_ready();
	(void)daemon_wait_stop();
	rpc_server_stop(server);
	inbox_stop(inbox);
	timers_stop(timers);
	reserve_queue_free(svc.queue);
	service_close(&base);
	return daemon_end();
}
