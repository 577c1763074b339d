/* A daemon's life: flags, signals, ready and draining, the settings all daemons share, the common part of starting. */
#ifndef SOUK_DAEMON_H
#define SOUK_DAEMON_H

#include "common/conf.h"
#include "common/migrate.h"
#include "common/pg.h"

enum daemon_mode {
	DAEMON_SERVE,
	DAEMON_MIGRATE,
	DAEMON_CHECK,
	DAEMON_PRINT_CONFIG,
	DAEMON_HEALTH,
	DAEMON_EXTRA, /* daemon_extra_modes: DAEMON_EXTRA + index */
};

struct daemon_mode_arg { /* a flag of one daemon alone; name NULL ends the table */
	const char *flag; /* "--bootstrap-admin" */
	const char *help;
	bool takes_value; /* the word after it, see daemon_arg */
	bool is_mode;	  /* else a plain option read by daemon_arg */
};

struct daemon_conf {
	const char *listen, *bell_listen, *admin_listen;
	const char *pg_dsn, *pg_migrate_dsn, *pg_replica_dsn, *pg_pooler;
	int pg_pool, contexts;
	const char *redis_url, *keys_dir, *log_level;
	int drain_ms, resolve_ms;
};

/* The rows of struct daemon_conf, which must be the member `d` of struct T. */
#define DAEMON_KEYS(T, X, port, bell_port, admin_port)                                             \
	CONF(T, d.listen, X "_LISTEN", "tcp://127.0.0.1:" port, 0, 0, 0, "address it serves on"), \
	CONF(T, d.bell_listen, X "_BELL_LISTEN", "tcp://127.0.0.1:" bell_port, 0, 0, 0, "address of its doorbell"), \
	CONF(T, d.admin_listen, X "_ADMIN_LISTEN", "127.0.0.1:" admin_port, 0, 0, 0, "host:port of /livez, /readyz, /metrics"), \
	CONF(T, d.pg_dsn, X "_PG_DSN", NULL, 0, 0, CONF_REQUIRED | CONF_SECRET, "libpq connection string of its role"), \
	CONF(T, d.pg_migrate_dsn, X "_PG_MIGRATE_DSN", NULL, 0, 0, CONF_SECRET, "direct connection string of the migrating role, for --migrate"), \
	CONF(T, d.pg_replica_dsn, X "_PG_REPLICA_DSN", NULL, 0, 0, CONF_SECRET, "read replica for reports; empty: none"), \
	CONF(T, d.pg_pooler, "PG_POOLER", "none", 0, 0, 0, "none, or transaction behind a transaction pooler"), \
	CONF(T, d.pg_pool, X "_PG_POOL", "4", 1, 64, 0, "database connections"),               \
	CONF(T, d.contexts, X "_CONTEXTS", "64", 1, 1024, 0, "requests served at once"),       \
	CONF(T, d.redis_url, "REDIS_URL", "", 0, 0, CONF_SECRET, "redis://…; empty: without Redis"), \
	CONF(T, d.keys_dir, "SOUK_KEYS_DIR", NULL, 0, 0, CONF_REQUIRED, "folder of the key files (soukctl keys init)"), \
	CONF(T, d.log_level, "LOG_LEVEL", "info", 0, 0, 0, "debug, info, warning, error"),     \
	CONF(T, d.drain_ms, "DRAIN_MS", "5000", 0, 120000, 0, "how long it keeps answering after SIGTERM while callers move away"), \
	CONF(T, d.resolve_ms, "RESOLVE_MS", "5000", 100, 60000, 0, "how often names of peers are resolved again")

/* First call of main: parses the flags (a wrong one ends the process with a sentence), blocks signals, starts the log. */
enum daemon_mode daemon_init(const char *name, int argc, char **argv);
enum daemon_mode daemon_init_modes(const char *name, int argc, char **argv, const struct daemon_mode_arg *extra);
const char *daemon_arg(const char *flag); /* value of an extra flag; "" for one without; NULL when not given */
int daemon_fail(const struct err *e);	  /* one CRITICAL line; returns EXIT_FAILURE */

/*
 * What every daemon does between its settings and its own part: log level, admin port, key files, pool, epoch,
 * doorbell (rung after commits), migrate_check (retried while the database is away). keys_r may be NULL.
 */
struct rpc_keys;
MUST_CHECK enum err_code daemon_open(const struct daemon_conf *d, const char *name, const struct migration *own,
				     const struct pg_stmt *const *const *stmts, struct pg_pool **pool_r,
				     struct rpc_keys **keys_r, struct err *e);

void daemon_ready(void);
int daemon_wait_stop(void); /* blocks until TERM or INT and returns the signal; a second one ends the process */
bool daemon_draining(void); /* after daemon_wait_stop returned */
bool daemon_is_ready(void);
/* Names what does not work for now ("postgres"); readiness stays 200 with that word in its body. */
void daemon_degraded(const char *what, bool yes);
size_t daemon_degraded_list(const char *out[], size_t max);
const char *daemon_name(void);
const char *daemon_version(void);

#endif
