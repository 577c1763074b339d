#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/rpc_server.h"
#include "common/service.h"
#include "services/reco/hot.h"
#include "services/reco/job_train.h"
#include "services/reco/reco.h"
#include "services/reco/serve.h"
#include "services/reco/shelf.h"
#include "services/reco/visitors.h"

extern const struct migration reco_migrations[];

enum { TRAIN = DAEMON_EXTRA };

static const struct daemon_mode_arg modes[] = {
	{ "--train", TRAIN, false, "carry out the training that waits, then exit" },
	{ 0 },
};

static const struct conf_key reco_keys[] = {
	DAEMON_KEYS(reco_conf, "RECO", "7007", "7107", "7207"),
	CONF(reco_conf, identity_url, "IDENTITY_URL", "tcp://127.0.0.1:7001", 0, 0, 0, "where identity serves"),
	CONF(reco_conf, identity_bell_url, "IDENTITY_BELL_URL", "tcp://127.0.0.1:7101", 0, 0, 0, "identity's doorbell"),
	CONF(reco_conf, catalog_url, "CATALOG_URL", "tcp://127.0.0.1:7002", 0, 0, 0, "where catalog serves"),
	CONF(reco_conf, catalog_bell_url, "CATALOG_BELL_URL", "tcp://127.0.0.1:7102", 0, 0, 0, "catalog's doorbell"),
	CONF(reco_conf, inventory_url, "INVENTORY_URL", "tcp://127.0.0.1:7003", 0, 0, 0, "where inventory serves"),
	CONF(reco_conf, inventory_bell_url, "INVENTORY_BELL_URL", "tcp://127.0.0.1:7103", 0, 0, 0,
	     "inventory's doorbell"),
	CONF(reco_conf, cart_url, "CART_URL", "tcp://127.0.0.1:7004", 0, 0, 0, "where cart serves"),
	CONF(reco_conf, cart_bell_url, "CART_BELL_URL", "tcp://127.0.0.1:7104", 0, 0, 0, "cart's doorbell"),
	CONF(reco_conf, checkout_url, "CHECKOUT_URL", "tcp://127.0.0.1:7005", 0, 0, 0, "where checkout serves"),
	CONF(reco_conf, checkout_bell_url, "CHECKOUT_BELL_URL", "tcp://127.0.0.1:7105", 0, 0, 0, "checkout's doorbell"),
	CONF_ENUM(reco_conf, consent, "RECO_CONSENT", "opt_out", "opt_out|opt_in", 0,
		  "opt_in: nobody signed in has a profile before agreeing to personalisation"),
	CONF(reco_conf, model_dir, "RECO_MODEL_DIR", "/var/lib/souk/models", 1, 500, CONF_REQUIRED,
	     "folder of the trained models, shared by all replicas unless RECO_STORE_URL is set"),
	CONF(reco_conf, store_url, "RECO_STORE_URL", "", 0, 300, 0,
	     "bucket of an S3 store that models are put into and fetched from, https://bucket.s3.region.amazonaws.com; empty: none"),
	CONF(reco_conf, store_region, "RECO_STORE_REGION", "us-east-1", 1, 60, 0, "the store's region, for signatures"),
	CONF(reco_conf, store_access_key, "RECO_STORE_ACCESS_KEY", "", 0, 200, CONF_SECRET, "who may read and write the bucket"),
	CONF(reco_conf, store_secret_key, "RECO_STORE_SECRET_KEY", "", 0, 200, CONF_SECRET, "the key to sign with"),
	CONF(reco_conf, keep_months, "RECO_KEEP_MONTHS", "25", 0, 600, 0, "how long events are kept, months; 0: for ever"),
	CONF(reco_conf, visitor_events, "RECO_VISITOR_EVENTS", "1000", 1, 1000000, 0,
	     "views, clicks and additions to the cart of one visitor in an hour (impressions: ten times as many); more are"
	     " dropped"),
	CONF(reco_conf, cache_s, "RECO_CACHE_S", "3600", 0, 86400, 0, "life of a cached answer, s; 0: none"),
	CONF(reco_conf, retrain_h, "RECO_RETRAIN_H", "24", 0, 720, 0, "hours between trainings; 0: only when told to"),
	CONF(reco_conf, train_events, "RECO_TRAIN_EVENTS", "3000000", 1000, 100000000, 0,
	     "a training learns from the latest so many events; about 270 MiB of memory a million"),
	CONF(reco_conf, train_outside, "RECO_TRAIN_OUTSIDE", "false", 0, 0, 0,
	     "trainings only wait here; `souk-reco --train` is run elsewhere, where there is memory for them"),
	CONF(reco_conf, canary_percent, "RECO_CANARY_PERCENT", "10", 0, 99, 0,
	     "share of the visitors who get a routine retrain before the others; 0: everybody at once"),
	CONF(reco_conf, canary_h, "RECO_CANARY_H", "6", 0, 720, 0,
	     "hours until a canary becomes the main model or is withdrawn; 0: a person decides, unless it is surely worse"),
	CONF_END,
};

struct peers {
	struct rpc_client *identity, *catalog, *inventory, *cart, *checkout;
};

static enum err_code open_peers(const struct reco_conf *conf, const struct rpc_keys *keys, struct peers *p, struct err *e)
{
	if (rpc_client_open("reco", "identity", conf->identity_url, conf->d.resolve_ms, keys, &p->identity, e) ||
	    rpc_client_open("reco", "catalog", conf->catalog_url, conf->d.resolve_ms, keys, &p->catalog, e) ||
	    rpc_client_open("reco", "inventory", conf->inventory_url, conf->d.resolve_ms, keys, &p->inventory, e) ||
	    rpc_client_open("reco", "cart", conf->cart_url, conf->d.resolve_ms, keys, &p->cart, e))
		return e->code;
	return rpc_client_open("reco", "checkout", conf->checkout_url, conf->d.resolve_ms, keys, &p->checkout, e);
}

static void close_peers(struct peers *p)
{
	rpc_client_close(p->identity);
	rpc_client_close(p->catalog);
	rpc_client_close(p->inventory);
	rpc_client_close(p->cart);
	rpc_client_close(p->checkout);
}

static const struct service_def def = { "reco", reco_keys, reco_migrations, reco_stmts };

static int serve(const struct reco_conf *conf)
{
	struct reco_svc svc = { .conf = conf };
	struct service base = { 0 };
	struct peers peers = { 0 };
	struct rpc_server *server = NULL;
	struct inbox *inbox = NULL;
	struct timers *timers = NULL;
	struct err e = { 0 };

	if (service_open(&def, &conf->d, &base, &e))
		return daemon_fail(&e);
	svc.pool = base.pool;
	svc.visitors = visitors_new();
	svc.serve = serve_new();
	svc.hot = hot_new();
	if (shelf_open(conf, &svc.shelf, &e))
		return daemon_fail(&e);
	if (cache_open(conf->d.redis_url, 4, 200, &svc.cache, &e) || open_peers(conf, base.keys, &peers, &e))
		return daemon_fail(&e);
	svc.catalog = peers.catalog;
	svc.inventory = peers.inventory;
	struct inbox_source sources[] = { { "catalog", peers.catalog, conf->catalog_bell_url },
					  { "inventory", peers.inventory, conf->inventory_bell_url },
					  { "cart", peers.cart, conf->cart_bell_url },
					  { "checkout", peers.checkout, conf->checkout_bell_url },
					  { "identity", peers.identity, conf->identity_bell_url },
					  { 0 } };
	const struct inbox_conf in = { .consumer = "reco", .pool = svc.pool, .handlers = reco_inbox, .svc = &svc,
				       .sources = sources, .poll_ms = 500, .lease_s = 10 };

	if (rpc_server_start(&conf->d, "reco", reco_services, base.keys, svc.pool, &svc, &server, &e) ||
	    inbox_start(&in, &inbox, &e) || timers_start(reco_jobs, svc.pool, &svc, &timers, &e))
		return daemon_fail(&e);
	timers_kick(timers, "months"); /* a daemon that was away for long finds no partition to write to */
	daemon_ready();
	(void)daemon_wait_stop();
	rpc_server_stop(server);
	inbox_stop(inbox);
	timers_stop(timers);
	train_stop(&svc);
	close_peers(&peers);
	cache_close(svc.cache);
	service_close(&base);
	visitors_free(svc.visitors);
	hot_free(svc.hot);
	shelf_close(svc.shelf);
	serve_free(svc.serve);
	return daemon_end();
}

struct trainer {
	struct reco_svc *svc;
	atomic_bool stop, told; /* told: the main thread waits no more */
	enum err_code code;
	struct err err;
};

static void *work(void *arg)
{
	struct trainer *t = arg;
	bool done = false;

	t->code = train_run(t->svc, &t->stop, &done, &t->err);
	if (!atomic_load(&t->told))
		daemon_stop();
	return NULL;
}

/*
 * Beside the daemon, with a pool of its own and no port. The main thread is the one that waits for signals: the linear
 * algebra has threads of its own, older than main and open to any signal that no other thread is waiting for.
 */
static int train(const struct reco_conf *conf)
{
	const struct pg_conf pg = { .dsn = conf->d.pg_dsn, .replica_dsn = conf->d.pg_replica_dsn, .pool = 2,
				    .transaction_pooler = strcmp(conf->d.pg_pooler, "transaction") == 0,
				    .app = "souk-reco-train", .schema = "reco" };
	struct reco_svc svc = { .conf = conf };
	struct trainer t = { .svc = &svc };
	pthread_t worker;

	if (shelf_open(conf, &svc.shelf, &t.err) || pg_pool_open(&pg, reco_stmts, &svc.pool, &t.err))
		return daemon_fail(&t.err);
	if (pthread_create(&worker, NULL, work, &t) != 0)
		abort();
	(void)daemon_wait_stop();
	atomic_store(&t.told, true);
	atomic_store(&t.stop, true);
	pthread_join(worker, NULL);
	pg_pool_close(svc.pool);
	shelf_close(svc.shelf);
	return t.code ? daemon_fail(&t.err) : daemon_end();
}

int main(int argc, char **argv)
{
	struct reco_conf conf = { 0 };
	int status, mode = daemon_init_modes("reco", argc, argv, modes);

	if (service_begin(&def, mode, &conf, &status))
		return status;
	if (mode == TRAIN)
		return train(&conf);
	return serve(&conf);
}
