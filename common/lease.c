#include "common/lease.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/pg_mechanisms.h"
#include "common/timeutil.h"

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
struct owner_row {
	const char *owner;
};
static const struct pg_col owner_cols[] = { PG_COL(owner_row, owner) };
static const struct pg_stmt owners_stmt = {
	.name = "lease_owners",
	.sql = "SELECT owner FROM ${schema}.lease WHERE lease_until > now()"
	       " UNION SELECT owner FROM ${schema}.inbox_cursor WHERE lease_until > now() LIMIT 1000",
	.col = owner_cols, .ncol = 1, .row_size = sizeof(struct owner_row),
};
static const struct pg_stmt free_stmt = {
	.name = "lease_free",
	.sql = "UPDATE ${schema}.lease SET lease_until = '-infinity' WHERE owner = $1",
};
static const struct pg_stmt free_cursor_stmt = {
	.name = "lease_free_cursor",
	.sql = "UPDATE ${schema}.inbox_cursor SET lease_until = '-infinity' WHERE owner = $1",
};
const struct pg_stmt *const lease_stmts[] = { &take_stmt,   &release_stmt, &owners_stmt, &free_stmt, &free_cursor_stmt,
					      NULL };

static char owner[128];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_owner(void)
{
	char host[64] = "", hex[17], space[32] = "";
	uint8_t r[8];

	(void)gethostname(host, sizeof(host) - 1);
	(void)!readlink("/proc/self/ns/pid", space, sizeof(space) - 1); /* "pid:[4026531836]": whose numbers pids are */
	space[strcspn(space, "]")] = '\0';
	random_bytes(r, sizeof(r));
	hex_encode(r, sizeof(r), hex);
	(void)snprintf(owner, sizeof(owner), "%s.%s:%ld:%s", host, strlen(space) > 5 ? space + 5 : "", (long)getpid(), hex);
}

/* A process that could be asked for by its number is gone, or its number is ours by now. */
static bool gone(const char *text)
{
	const char *me = lease_owner(), *colon = strchr(me, ':');
	size_t n = (size_t)(colon - me) + 1;
	char *end;
	long pid;

	if (strncmp(text, me, n) != 0 || strcmp(text, me) == 0)
		return false;
	pid = strtol(text + n, &end, 10);
	return *end == ':' && pid > 0 && (pid == (long)getpid() || (kill((pid_t)pid, 0) && errno == ESRCH));
}

struct freeing {
	struct arena *arena;
};

static enum err_code free_dead(struct pg *pg, void *arg, struct err *e)
{
	struct freeing *f = arg;
	struct owner_row *rows;
	size_t n;

	if (pg_rows(pg, &owners_stmt, PG_NONE, f->arena, &rows, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		if (gone(rows[i].owner) && (pg_exec(pg, &free_stmt, PG_ARGS(P(rows[i].owner)), NULL, e) ||
					    pg_exec(pg, &free_cursor_stmt, PG_ARGS(P(rows[i].owner)), NULL, e)))
			return e->code;
	return OK;
}

enum err_code lease_free_dead(struct pg_pool *pool, struct err *e)
{
	const struct pg_actor who = { "system", "" };
	struct freeing f = { arena_new("leases", 1 << 20) };

	enum err_code code = pg_tx(pool, mono_ms() + 5000, &who, free_dead, &f, e);

	arena_free(f.arena);
	return code;
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
