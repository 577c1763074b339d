#include <stdlib.h>

#include "common/conf.h"
#include "common/daemon.h"
#include "common/migrate.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "common/service.h"
#include "services/catalog/catalog.h"

extern const struct migration catalog_migrations[];

static const struct conf_key catalog_keys[] = {
	DAEMON_KEYS(catalog_conf, "CATALOG", "7002", "7102", "7202"),
	CONF(catalog_conf, self_url, "CATALOG_URL", "tcp://127.0.0.1:7002", 0, 0, 0, "where catalog serves"),
	CONF(catalog_conf, self_bell_url, "CATALOG_BELL_URL", "tcp://127.0.0.1:7102", 0, 0, 0, "catalog's doorbell"),
	CONF(catalog_conf, inventory_url, "INVENTORY_URL", "tcp://127.0.0.1:7003", 0, 0, 0, "where inventory serves"),
	CONF(catalog_conf, inventory_bell_url, "INVENTORY_BELL_URL", "tcp://127.0.0.1:7103", 0, 0, 0,
	     "inventory's doorbell"),
	CONF(catalog_conf, checkout_url, "CHECKOUT_URL", "tcp://127.0.0.1:7005", 0, 0, 0, "where checkout serves"),
	CONF(catalog_conf, checkout_bell_url, "CHECKOUT_BELL_URL", "tcp://127.0.0.1:7105", 0, 0, 0,
	     "checkout's doorbell"),
	CONF(catalog_conf, identity_url, "IDENTITY_URL", "tcp://127.0.0.1:7001", 0, 0, 0, "where identity serves"),
	CONF(catalog_conf, identity_bell_url, "IDENTITY_BELL_URL", "tcp://127.0.0.1:7101", 0, 0, 0,
	     "identity's doorbell"),
	CONF(catalog_conf, currency, "CATALOG_CURRENCY", "USD", 0, 3, CONF_REQUIRED,
	     "currency of readers that name none"),
	CONF(catalog_conf, media_base, "CATALOG_MEDIA_BASE", "/media/", 0, 200, 0, "prefix of media URLs"),
	CONF(catalog_conf, store_url, "CATALOG_STORE_URL", "", 0, 300, 0,
	     "object store with its bucket, https://bucket.s3.eu-central-1.amazonaws.com; empty: no uploads"),
	CONF(catalog_conf, store_region, "CATALOG_STORE_REGION", "us-east-1", 1, 60, 0, "the store's region, for signatures"),
	CONF(catalog_conf, store_access_key, "CATALOG_STORE_ACCESS_KEY", "", 0, 200, CONF_SECRET, "who signs uploads"),
	CONF(catalog_conf, store_secret_key, "CATALOG_STORE_SECRET_KEY", "", 0, 200, CONF_SECRET, "the key to sign with"),
	CONF(catalog_conf, picture_max_kib, "CATALOG_PICTURE_MAX_KIB", "10240", 1, 102400, 0, "largest picture, KiB"),
	CONF_END,
};

static enum err_code open_peers(const struct catalog_conf *conf, const struct rpc_keys *keys,
				struct inbox_source sources[5], struct err *e)
{
	const struct {
		const char *name, *url, *bell;
	} peers[] = {
		{ "catalog", conf->self_url, conf->self_bell_url },
		{ "inventory", conf->inventory_url, conf->inventory_bell_url },
		{ "checkout", conf->checkout_url, conf->checkout_bell_url },
		{ "identity", conf->identity_url, conf->identity_bell_url },
	};

	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		sources[i] = (struct inbox_source){ peers[i].name, NULL, peers[i].bell };
		if (rpc_client_open("catalog", peers[i].name, peers[i].url, conf->d.resolve_ms, keys, &sources[i].rpc, e))
			return e->code;
	}
	return OK;
}

static const struct service_def def = { "catalog", catalog_keys, catalog_migrations, catalog_stmts };

int main(int argc, char **argv)
{
	struct catalog_conf conf = { 0 };
	struct catalog_svc svc = { .conf = &conf };
	struct service base = { 0 };
	struct inbox_source sources[5] = { 0 };
	struct rpc_server *server = NULL;
	struct inbox *inbox = NULL;
	struct timers *timers = NULL;
	struct err e = { 0 };
	int status;
	enum daemon_mode mode = daemon_init("catalog", argc, argv);

	if (service_begin(&def, mode, &conf, &status))
		return status;
	if (service_open(&def, &conf.d, &base, &e))
		return daemon_fail(&e);
	svc.pool = base.pool;
	svc.bell = base.bell;
	if (cache_open(conf.d.redis_url, 4, 200, &svc.cache, &e) || open_peers(&conf, base.keys, sources, &e))
		return daemon_fail(&e);
	const struct inbox_conf in = { .consumer = "catalog", .pool = svc.pool, .handlers = catalog_inbox, .svc = &svc,
				       .sources = sources, .poll_ms = 1000, .lease_s = 10 };

	if (rpc_server_start(&conf.d, "catalog", catalog_services, base.keys, svc.pool, &svc, &server, &e) ||
	    inbox_start(&in, &inbox, &e) || timers_start(catalog_jobs, svc.pool, &svc, &timers, &e))
		return daemon_fail(&e);
	daemon_ready();
	(void)daemon_wait_stop();
	rpc_server_stop(server);
	inbox_stop(inbox);
	timers_stop(timers);
	cache_close(svc.cache);
	service_close(&base);
	return daemon_end();
}
