#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/rpc_server.h"
#include "common/service.h"
#include "services/search/beside.h"
#include "services/search/dict.h"
#include "services/search/engine_os.h"
#include "services/search/known.h"
#include "services/search/search.h"
#include "services/search/suggest.h"

extern const struct migration search_migrations[];

static const struct conf_key search_keys[] = {
	DAEMON_KEYS(search_conf, "SEARCH", "7006", "7106", "7206"),
	CONF(search_conf, catalog_url, "CATALOG_URL", "tcp://127.0.0.1:7002", 0, 0, 0, "where catalog serves"),
	CONF(search_conf, catalog_bell_url, "CATALOG_BELL_URL", "tcp://127.0.0.1:7102", 0, 0, 0, "catalog's doorbell"),
	CONF(search_conf, checkout_url, "CHECKOUT_URL", "tcp://127.0.0.1:7005", 0, 0, 0, "where checkout serves"),
	CONF(search_conf, checkout_bell_url, "CHECKOUT_BELL_URL", "tcp://127.0.0.1:7105", 0, 0, 0,
	     "checkout's doorbell"),
	CONF(search_conf, identity_url, "IDENTITY_URL", "tcp://127.0.0.1:7001", 0, 0, 0, "where identity serves"),
	CONF(search_conf, identity_bell_url, "IDENTITY_BELL_URL", "tcp://127.0.0.1:7101", 0, 0, 0,
	     "identity's doorbell"),
	CONF(search_conf, reco_url, "RECO_URL", "tcp://127.0.0.1:7007", 0, 0, 0, "where reco serves"),
	CONF(search_conf, reco_bell_url, "RECO_BELL_URL", "tcp://127.0.0.1:7107", 0, 0, 0, "reco's doorbell"),
	CONF(search_conf, reco_ms, "SEARCH_RECO_MS", "50", 0, 1000, 0,
	     "longest wait for recommendations beside the matches, ms; 0: none are asked for"),
	CONF(search_conf, lang, "SEARCH_LANGUAGE", "en", 2, 2, CONF_REQUIRED,
	     "language of the catalogue's texts (ISO 639-1); after a change: POST /api/admin/search/reindex"),
	CONF(search_conf, currency, "SEARCH_CURRENCY", "USD", 3, 3, CONF_REQUIRED, "currency of readers that name none"),
	CONF(search_conf, cache_s, "SEARCH_CACHE_S", "300", 0, 3600, 0, "life of a cached answer, s; 0: none"),
	CONF_ENUM(search_conf, engine, "SEARCH_ENGINE", "pg", "pg|opensearch", 0,
		  "what finds products; opensearch: OpenSearch 2 or Elasticsearch 8, with pg in its place while it is away"),
	CONF(search_conf, os_url, "OPENSEARCH_URL", "", 0, 0, 0, "https://host:port of the engine opensearch"),
	CONF(search_conf, os_user, "OPENSEARCH_USER", "", 0, 0, 0, "who searches and writes there"),
	CONF(search_conf, os_password, "OPENSEARCH_PASSWORD", "", 0, 0, CONF_SECRET, "the password"),
	CONF(search_conf, os_ca_file, "OPENSEARCH_CA_FILE", "", 0, 0, 0, "certificates it is verified by; else the system's"),
	CONF(search_conf, os_index, "OPENSEARCH_INDEX", "souk-products", 0, 0, 0,
	     "alias that is searched; indexes are called by it and a number"),
	CONF(search_conf, os_timeout_ms, "OPENSEARCH_TIMEOUT_MS", "800", 20, 10000, 0,
	     "time for what a search asks of it, ms; after that pg answers"),
	CONF(search_conf, suggest_products, "SEARCH_SUGGEST_PRODUCTS", "100000", 1, 1000000, 0,
	     "products that suggestions know, those that sell first"),
	CONF(search_conf, suggest_people, "SEARCH_SUGGEST_PEOPLE", "5", 2, 10000, 0,
	     "people who must have made a query within 30 days before it is suggested to others"),
	CONF(search_conf, suggest_days, "SEARCH_SUGGEST_DAYS", "2", 1, 30, 0, "and on so many different days"),
	CONF_END,
};

struct peers { /* whose events it takes; catalog and reco are called too */
	struct rpc_client *checkout, *identity;
};

static enum err_code open_peers(const struct search_conf *conf, const struct rpc_keys *keys, struct search_svc *svc,
				struct peers *p, struct err *e)
{
	if (rpc_client_open("search", "catalog", conf->catalog_url, conf->d.resolve_ms, keys, &svc->catalog, e) ||
	    rpc_client_open("search", "checkout", conf->checkout_url, conf->d.resolve_ms, keys, &p->checkout, e) ||
	    rpc_client_open("search", "identity", conf->identity_url, conf->d.resolve_ms, keys, &p->identity, e))
		return e->code;
	return rpc_client_open("search", "reco", conf->reco_url, conf->d.resolve_ms, keys, &svc->reco, e);
}

static enum err_code open_engine(const struct search_conf *conf, struct engine_os **os_r, struct err *e)
{
	const struct engine_os_conf os = { .url = conf->os_url, .user = conf->os_user, .password = conf->os_password,
					   .ca_file = conf->os_ca_file, .alias = conf->os_index,
					   .timeout_ms = conf->os_timeout_ms };

	return strcmp(conf->engine, "opensearch") == 0 ? engine_os_open(&os, os_r, e) : OK;
}

static const struct service_def def = { "search", search_keys, search_migrations, search_stmts };

int main(int argc, char **argv)
{
	struct search_conf conf = { 0 };
	struct search_svc svc = { .conf = &conf };
	struct service base = { 0 };
	struct peers peers = { 0 };
	struct rpc_server *server = NULL;
	struct inbox *inbox = NULL;
	struct timers *timers = NULL;
	struct err e = { 0 };
	int status;
	enum daemon_mode mode = daemon_init("search", argc, argv);

	if (service_begin(&def, mode, &conf, &status))
		return status;
	if (service_open(&def, &conf.d, &base, &e))
		return daemon_fail(&e);
	svc.pool = base.pool;
	svc.dict = dict_new();
	svc.known = known_new();
	svc.suggest = suggest_new();
	svc.beside = beside_new();
	if (cache_open(conf.d.redis_url, 4, 200, &svc.cache, &e) ||
	    open_engine(&conf, &svc.os, &e) || open_peers(&conf, base.keys, &svc, &peers, &e))
		return daemon_fail(&e);
	struct inbox_source sources[] = { { "catalog", svc.catalog, conf.catalog_bell_url },
					  { "checkout", peers.checkout, conf.checkout_bell_url },
					  { "identity", peers.identity, conf.identity_bell_url },
					  { "reco", svc.reco, conf.reco_bell_url },
					  { 0 } };
	const struct inbox_conf in = { .consumer = "search", .pool = svc.pool, .handlers = search_inbox, .svc = &svc,
				       .sources = sources, .poll_ms = 500, .lease_s = 10 };

	if (rpc_server_start(&conf.d, "search", search_services, base.keys, svc.pool, &svc, &server, &e) ||
	    inbox_start(&in, &inbox, &e) || timers_start(search_jobs, svc.pool, &svc, &timers, &e) ||
	    suggest_start(&svc, &e))
		return daemon_fail(&e);
	daemon_ready();
	(void)daemon_wait_stop();
	rpc_server_stop(server);
	inbox_stop(inbox);
	timers_stop(timers);
	suggest_stop(&svc);
	rpc_client_close(svc.catalog);
	rpc_client_close(peers.checkout);
	rpc_client_close(peers.identity);
	rpc_client_close(svc.reco);
	cache_close(svc.cache);
	service_close(&base);
	dict_free(svc.dict);
	known_free(svc.known);
	suggest_free(svc.suggest);
	beside_free(svc.beside);
	engine_os_close(svc.os);
	return daemon_end();
}
