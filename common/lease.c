#include "common/lease.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/pg_mechanisms.h"

static const struct pg_stmt take_stmt = {
	.name = "lease_take",
	.sql = "INSERT INTO ${schema}.lease AS l (name, owner, lease_until)"
	       " VALUES ($1, $2, now() + make_interval(secs => $3::int))"
	       " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until"
	       " WHERE l.lease_until < now() OR l.owner = excluded.owner",
};
static const struct pg_stmt release_stmt = {
	.name = "lease_release",
	.sql = "DELETE FROM ${schema}.lease WHERE name = $1 AND owner = $2",
};
const struct pg_stmt *const lease_stmts[] = { &take_stmt, &release_stmt, NULL };

static char owner[128];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_owner(void)
{
	char host[64] = "", hex[17];
	uint8_t r[8];

	(void)gethostname(host, sizeof(host) - 1);
	random_bytes(r, sizeof(r));
	hex_encode(r, sizeof(r), hex);
	(void)snprintf(owner, sizeof(owner), "%s:%ld:%s", host, (long)getpid(), hex);
}

const char *lease_owner(void)
{
	(void)pthread_once(&once, make_owner);
	return owner;
}

enum err_code lease_take(struct pg *pg, const char *name, int seconds, bool *mine_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &take_stmt, PG_ARGS(P(name), P(lease_owner()), P((int32_t)seconds)), &n, e))
		return e->code;
	*mine_r = n > 0;
	return OK;
}

enum err_code lease_release(struct pg *pg, const char *name, struct err *e)
{
	return pg_exec(pg, &release_stmt, PG_ARGS(P(name), P(lease_owner())), NULL, e);
}
