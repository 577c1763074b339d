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

/*
 * Waits for PostgreSQL as long as it takes (until TERM: then E_UNAVAILABLE); a schema that does not fit is an error.
 * From here on every commit that put an event rings the doorbell. stmts as in pg_pool_open.
 */
MUST_CHECK enum err_code service_open(const struct daemon_conf *conf, const char *name, const struct migration *own,
				      const struct pg_stmt *const *const *stmts, struct service *s_r, struct err *e);
/* --check: settings, key files, schema, and every statement prepared and described over the direct connection. */
MUST_CHECK enum err_code service_check(const struct daemon_conf *conf, const char *name, const struct migration *own,
				       const struct pg_stmt *const *const *stmts, struct err *e);
void service_close(struct service *s); /* after the rpc server, inbox and timers have stopped */

#endif
