/* souk-identity: users, passwords, sessions, second factor, roles, vendors' teams, API keys, addresses. */
#include <stdlib.h>

#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "common/service.h"
#include "services/identity/identity.h"

enum { BOOTSTRAP = DAEMON_EXTRA };

static const struct daemon_mode_arg modes[] = {
	{ "--bootstrap-admin", BOOTSTRAP, true, "EMAIL: print a one-time token for the first administrator, once" },
	{ 0 },
};

static const struct conf_key keys[] = {
	DAEMON_KEYS(identity_conf, "IDENTITY", "7001", "7101", "7201"),
	CONF(identity_conf, catalog_url, "CATALOG_URL", "tcp://127.0.0.1:7002", 0, 0, 0, "catalog's address, for its events"),
	CONF(identity_conf, catalog_bell_url, "CATALOG_BELL_URL", "tcp://127.0.0.1:7102", 0, 0, 0, "catalog's doorbell"),
	CONF(identity_conf, issuer, "IDENTITY_ISSUER", "souk", 1, 63, 0, "iss of access tokens; the gateway expects the same"),
	CONF(identity_conf, access_ttl_s, "IDENTITY_ACCESS_TTL_S", "900", 10, 900, 0, "life of an access token, s"),
	CONF(identity_conf, argon2_memory_kib, "IDENTITY_ARGON2_MEMORY_KIB", "19456", 8192, 1048576, 0,
	     "memory of one password hash, KiB; raising it rehashes at the next login"),
	CONF(identity_conf, argon2_passes, "IDENTITY_ARGON2_PASSES", "2", 1, 20, 0, "passes of one password hash"),
	CONF(identity_conf, hash_permits, "IDENTITY_HASH_PERMITS", "0", 0, 64, 0,
	     "password hashes at once; 0: half the processors, at least one"),
	CONF(identity_conf, hash_queue, "IDENTITY_HASH_QUEUE", "50", 0, 1000, 0,
	     "logins that may wait for a hash; more are 503 (never more than half of the contexts)"),
	CONF(identity_conf, verified_only, "IDENTITY_VERIFIED_ONLY", "false", 0, 0, 0,
	     "no login before the e-mail address is verified"),
	CONF(identity_conf, address_free, "IDENTITY_ADDRESS_FAILURES", "100", 1, 1000000, 0,
	     "failed logins from one address within the hour before it is slowed down"),
	CONF(identity_conf, sessions_max, "IDENTITY_SESSIONS_MAX", "20", 1, 1000, 0,
	     "sessions of a user at once; a further login ends the one used longest ago"),
	CONF(identity_conf, fresh_login_s, "IDENTITY_FRESH_LOGIN_S", "900", 1, 86400, 0,
	     "how long after login an account may be erased without logging in again, s"),
	CONF_END
};

static int bootstrap(const struct identity_conf *conf, struct service *s, struct err *e)
{
	struct identity_svc svc;
	int code = EXIT_SUCCESS;

	if (identity_svc_open(conf, s->pool, &svc, e))
		return daemon_fail(e);
	if (identity_bootstrap(&svc, daemon_value(), e))
		code = daemon_fail(e);
	identity_svc_close(&svc);
	service_close(s);
	return code;
}

static const struct service_def def = { "identity", keys, identity_migrations, identity_stmts };

int main(int argc, char **argv)
{
	struct identity_conf conf = { 0 };
	struct identity_svc svc;
	struct service s;
	struct rpc_client *catalog;
	struct rpc_server *server;
	struct timers *timers;
	struct inbox *inbox;
	struct err e = { 0 };
	int status, mode = daemon_init_modes("identity", argc, argv, modes);

	if (service_begin(&def, mode, &conf, &status))
		return status;
	if (mode == BOOTSTRAP) /* a serving process may have these ports */
		conf.d.admin_listen = conf.d.bell_listen = "";
	if (service_open(&def, &conf.d, &s, &e))
		return daemon_fail(&e);
	if (mode == BOOTSTRAP)
		return bootstrap(&conf, &s, &e);
	if (identity_svc_open(&conf, s.pool, &svc, &e))
		return daemon_fail(&e);
	if (rpc_client_open("identity", "catalog", conf.catalog_url, conf.d.resolve_ms, s.keys, &catalog, &e))
		return daemon_fail(&e);
	struct inbox_source sources[] = { { "catalog", catalog, conf.catalog_bell_url }, { 0 } };
	struct inbox_conf pull = {
		.consumer = "identity", .pool = s.pool, .handlers = identity_inbox, .svc = &svc, .sources = sources,
		.poll_ms = 1000, .lease_s = 10,
	};
	if (inbox_start(&pull, &inbox, &e) || timers_start(identity_jobs, s.pool, &svc, &timers, &e))
		return daemon_fail(&e);
	if (rpc_server_start(&conf.d, "identity", identity_services, s.keys, s.pool, &svc, &server, &e))
		return daemon_fail(&e);
	daemon_ready();
	daemon_wait_stop();
	rpc_server_stop(server);
	inbox_stop(inbox);
	timers_stop(timers);
	rpc_client_close(catalog);
	service_close(&s);
	identity_svc_close(&svc);
	return daemon_end();
}
