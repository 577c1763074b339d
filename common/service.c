#include "common/service.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/admin.h"
#include "common/crypto.h"
#include "common/doorbell.h"
#include "common/idem.h"
#include "common/lease.h"
#include "common/log.h"
#include "common/outbox.h"
#include "common/rpc_server.h"

#define WAIT_MS 200

static enum err_code schema_fits(const char *dsn, const char *name, const struct migration *own, struct err *e)
{
	struct pg *pg = NULL;
	enum err_code code;

	if (pg_connect(dsn, name, &pg, e))
		return e->code;
	code = migrate_check(pg, name, own, e);
	pg_disconnect(pg);
	return code;
}

/* Nobody waits for signals yet, so a TERM is taken here. */
static bool told_to_stop(int64_t ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	return sigtimedwait(&set, NULL, &t) > 0;
}

static enum err_code wait_for_schema(const char *dsn, const char *name, const struct migration *own, struct err *e)
{
	bool said = false;
	enum err_code code;

	while ((code = schema_fits(dsn, name, own, e)) == E_UNAVAILABLE) {
		if (!said)
			log_err(LVL_WARNING, "waiting for PostgreSQL", e);
		said = true;
		if (told_to_stop(WAIT_MS))
			return err_set(e, E_UNAVAILABLE, "common.draining", "told to stop while waiting for PostgreSQL");
		err_clear(e);
	}
	return code;
}

static enum err_code open_parts(const struct service_def *def, const struct daemon_conf *conf, struct service *s,
				struct err *e)
{
	const char *name = def->name;
	char app[64];
	const struct pg_conf pg = {
		.dsn = conf->pg_dsn, .replica_dsn = conf->pg_replica_dsn, .pool = conf->pg_pool, .app = app,
		.schema = name,
		.transaction_pooler = conf->pg_pooler && strcmp(conf->pg_pooler, "transaction") == 0,
	};

	(void)snprintf(app, sizeof(app), "souk-%s", name);
	if (admin_start(conf->admin_listen, &s->admin, e) || rpc_keys_load(conf->keys_dir, name, &s->keys, e) ||
	    keyring_load(conf->keys_dir, name, &s->ring, e) || wait_for_schema(conf->pg_dsn, name, def->migrations, e) ||
	    pg_pool_open(&pg, def->stmts, &s->pool, e))
		return e->code;
	idem_seal_with(s->pool, s->ring);
	if (lease_free_dead(s->pool, e)) { /* only hastens what time does anyway */
		log_err(LVL_WARNING, "leases of a predecessor are waited for", e);
		err_clear(e);
	}
	if (conf->bell_listen && *conf->bell_listen) {
		if (doorbell_open(conf->bell_listen, name, &s->bell, e))
			return e->code;
		outbox_ring_by(s->pool, s->bell);
	}
	return OK;
}

enum err_code service_open(const struct service_def *def, const struct daemon_conf *conf, struct service *s_r,
			   struct err *e)
{
	struct service s = { 0 };

	if (open_parts(def, conf, &s, e)) {
		service_close(&s);
		return e->code;
	}
	*s_r = s;
	return OK;
}

/* Behind a pooler the direct connection is that of the migrations, acting as the schema's owner. */
static enum err_code connect_direct(const struct daemon_conf *conf, const char *name, struct pg **pg_r, struct err *e)
{
	bool pooler = conf->pg_pooler && strcmp(conf->pg_pooler, "transaction") == 0;
	bool as_owner = pooler && conf->pg_migrate_dsn && *conf->pg_migrate_dsn;
	struct pg *pg = NULL;
	char sql[96];

	if (pg_connect(as_owner ? conf->pg_migrate_dsn : conf->pg_dsn, name, &pg, e))
		return e->code;
	(void)snprintf(sql, sizeof(sql), "SET ROLE souk_%s_owner", name);
	if (as_owner && pg_script(pg, sql, e)) {
		pg_disconnect(pg);
		return e->code;
	}
	*pg_r = pg;
	return OK;
}

static enum err_code check(const struct service_def *def, const struct daemon_conf *conf, struct err *e)
{
	const char *name = def->name;
	struct rpc_keys *keys = NULL;
	struct keyring *ring = NULL;
	struct pg *pg = NULL;

	if (rpc_keys_load(conf->keys_dir, name, &keys, e) == OK && keyring_load(conf->keys_dir, name, &ring, e) == OK &&
	    connect_direct(conf, name, &pg, e) == OK) {
		pg_use_schema(pg, name);
		if (migrate_check(pg, name, def->migrations, e) == OK && pg_check_stmts(pg, def->stmts, e) == OK)
			log_msg(LVL_INFO, "settings, keys, schema and statements are well", LF_S("daemon", name));
	}
	pg_disconnect(pg);
	keyring_free(ring);
	rpc_keys_free(keys);
	return e->code;
}

bool service_begin(const struct service_def *def, int mode, void *conf, int *status_r)
{
	const struct daemon_conf *d = conf;
	struct err e = { 0 };
	bool done = true;

	if (conf_load(def->keys, conf, &e)) {
		*status_r = daemon_fail(&e);
		return true;
	}
	*status_r = EXIT_SUCCESS;
	if (mode == DAEMON_PRINT_CONFIG)
		conf_print(def->keys, conf);
	else if (daemon_apply(d, &e))
		*status_r = daemon_fail(&e);
	else if (mode == DAEMON_HEALTH)
		*status_r = rpc_health(d, def->name);
	else if ((mode == DAEMON_MIGRATE && migrate_run(daemon_migrate_dsn(d), def->name, def->migrations, &e)) ||
		 (mode == DAEMON_CHECK && check(def, d, &e)))
		*status_r = daemon_fail(&e);
	else
		done = mode == DAEMON_MIGRATE || mode == DAEMON_CHECK;
	return done;
}

void service_close(struct service *s)
{
	pg_pool_close(s->pool);
	doorbell_close(s->bell);
	admin_stop(s->admin);
	rpc_keys_free(s->keys);
	keyring_free(s->ring);
	*s = (struct service){ 0 };
}
