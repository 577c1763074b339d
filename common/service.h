/*
 * What every daemon opens before its own parts, in one call: admin port, pair keys, pool, schema check, epoch, doorbell.
 */
#ifndef SOUK_SERVICE_H
#define SOUK_SERVICE_H

#include "common/daemon.h"
#include "common/migrate.h"
#include "common/pg.h"
#include "common/rpc.h"

struct admin;
struct doorbell;
struct keyring;

struct service {
	struct pg_pool *pool;
	struct rpc_keys *keys;
	struct admin *admin;
	struct doorbell *bell;
	struct keyring *ring; /* data keys of this daemon: sealed columns, stored replies */
};

/* A daemon, as its main() names it once. */
struct service_def {
	const char *name;
	const struct conf_key *keys;
	const struct migration *migrations; /* its own; those of common/ go before them */
	const struct pg_stmt *const *const *stmts; /* as in pg_pool_open */
};

/*
 * After daemon_init: reads the settings into conf, whose first member is a struct daemon_conf, and in a mode that does
 * not serve (--print-config, --health, --migrate, --check) does what it asks. True: main() is done and returns *status_r
 * (an error has been logged). False: serve, or do what a mode of the daemon's own asks.
 * --check reads settings and key files, compares the schema, prepares every statement over the direct connection.
 */
MUST_CHECK bool service_begin(const struct service_def *def, int mode, void *conf, int *status_r);
/*
 * Waits for PostgreSQL as long as it takes (until TERM: then E_UNAVAILABLE); a schema that does not fit is an error.
 * From here on every commit that put an event rings the doorbell.
 */
MUST_CHECK enum err_code service_open(const struct service_def *def, const struct daemon_conf *conf, struct service *s_r,
				      struct err *e);
void service_close(struct service *s); /* after the rpc server, inbox and timers have stopped */

#endif
