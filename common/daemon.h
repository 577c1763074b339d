/*
 * What every daemon's main() has in common: flags, signals, readiness, the end.
 *
 *	enum daemon_mode mode = daemon_init("cart", argc, argv);
 *	if (service_begin(&def, mode, &conf, &status))	return status;		settings, and modes that do not serve
 *	…
 *	daemon_ready();
 *	daemon_wait_stop();
 *	rpc_server_stop(srv); …
 *	return daemon_end();
 */
#ifndef SOUK_DAEMON_H
#define SOUK_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

#include "common/conf.h"
#include "common/err.h"

enum daemon_mode {
	DAEMON_SERVE = 0,
	DAEMON_MIGRATE,
	DAEMON_CHECK, /* --check: settings, schema, statements; then exit */
	DAEMON_PRINT_CONFIG,
	DAEMON_HEALTH,
	DAEMON_EXTRA = 100 /* a daemon's own modes start here */
};

struct daemon_mode_arg {
	const char *flag; /* "--bootstrap-admin"; NULL ends */
	int mode;	  /* DAEMON_EXTRA + n */
	bool takes_value; /* "--flag VALUE": see daemon_value */
	const char *help;
};

/*
 * Reads the flags, blocks TERM, INT and HUP for all threads to come, ignores PIPE, starts the log. --help and
 * --version print and exit 0; an unknown flag says so and exits 2. Call first, before any thread.
 */
enum daemon_mode daemon_init(const char *name, int argc, char **argv);
/* The same with modes of its own; returns one of enum daemon_mode or extra[].mode. */
int daemon_init_modes(const char *name, int argc, char **argv, const struct daemon_mode_arg *extra);
const char *daemon_value(void); /* the value of an extra flag; NULL when none */

const char *daemon_name(void);
const char *daemon_version(void);

/* Settings that all daemons share. Put it first as member `d`, with DAEMON_KEYS in the table. */
struct daemon_conf {
	const char *listen, *bell_listen, *admin_listen;
	const char *pg_dsn, *pg_migrate_dsn, *pg_replica_dsn;
	int pg_pool;
	int contexts;
	const char *pg_pooler; /* none | transaction */
	const char *redis_url;
	const char *keys_dir;
	const char *log_level;
	int drain_ms, resolve_ms;
	const char *otlp_url;
};
/* DAEMON_KEYS(cart_conf, "CART", "7004", "7104", "7204") */
#define DAEMON_KEYS(T, X, port, bell_port, admin_port)                                                     \
	CONF(T, d.listen, X "_LISTEN", "tcp://127.0.0.1:" port, 0, 0, CONF_REQUIRED,                      \
	     "nng address to serve on"),                                                                  \
	CONF(T, d.bell_listen, X "_BELL_LISTEN", "tcp://127.0.0.1:" bell_port, 0, 0, 0,                   \
	     "nng address of the doorbell; empty: none"),                                                 \
	CONF(T, d.admin_listen, X "_ADMIN_LISTEN", "127.0.0.1:" admin_port, 0, 0, 0,                      \
	     "HTTP address of /livez, /readyz and /metrics; port 0: any; empty: none"),                   \
	CONF(T, d.pg_dsn, X "_PG_DSN", NULL, 0, 0, CONF_REQUIRED | CONF_SECRET,                           \
	     "libpq connection string of the runtime role"),                                              \
	CONF(T, d.pg_migrate_dsn, X "_PG_MIGRATE_DSN", "", 0, 0, CONF_SECRET,                             \
	     "direct connection string for --migrate and --check; empty: " X "_PG_DSN"),                  \
	CONF(T, d.pg_replica_dsn, X "_PG_REPLICA_DSN", "", 0, 0, CONF_SECRET,                             \
	     "read replica for reports and exports; empty: none"),                                        \
	CONF(T, d.pg_pool, X "_PG_POOL", "8", 1, 256, 0, "connections to the primary"),                   \
	CONF(T, d.contexts, X "_CONTEXTS", "64", 1, 1024, 0, "requests handled at once"),                 \
	CONF_ENUM(T, d.pg_pooler, "PG_POOLER", "none", "none|transaction", 0,                             \
		  "transaction: a pooler that shares connections per transaction is in front"),           \
	CONF(T, d.redis_url, "REDIS_URL", "", 0, 0, CONF_SECRET, "redis://host:port/db; empty: no cache"), \
	CONF(T, d.keys_dir, "SOUK_KEYS_DIR", NULL, 0, 0, CONF_REQUIRED, "folder of the key files"),       \
	CONF_ENUM(T, d.log_level, "LOG_LEVEL", "INFO", "DEBUG|INFO|WARNING|ERROR|CRITICAL", 0,            \
		  "least level that is logged"),                                                          \
	CONF(T, d.drain_ms, "DRAIN_MS", "5000", 0, 60000, 0,                                              \
	     "after TERM: how long peers are told to go elsewhere before new work is refused, ms"),       \
	CONF(T, d.resolve_ms, "RESOLVE_MS", "5000", 100, 600000, 0, "how often peer names are resolved, ms"), \
	CONF(T, d.otlp_url, "OTLP_URL", "", 0, 250, 0,                                                     \
	     "collector that takes traces by OTLP over HTTP, http://collector:4318; empty: none are sent")

/* Applies log_level and loads the cursor key (cursor_init) from keys_dir. */
MUST_CHECK enum err_code daemon_apply(const struct daemon_conf *conf, struct err *e);
/* The connection string for migrations and checks: pg_migrate_dsn, else pg_dsn. */
const char *daemon_migrate_dsn(const struct daemon_conf *conf);

/* Logs one CRITICAL line and returns EXIT_FAILURE. */
int daemon_fail(const struct err *e);
/* The last line of main: flushes the log, returns EXIT_SUCCESS. */
int daemon_end(void);

enum daemon_state { DAEMON_STARTING, DAEMON_READY, DAEMON_DRAINING };
void daemon_ready(void); /* readyz turns 200; one INFO line */
enum daemon_state daemon_state(void);
bool daemon_draining(void);

/*
 * Waits for TERM or INT (HUP is tolerated), turns the state to draining, returns the signal. Another TERM or INT
 * after that ends the process at once.
 */
int daemon_wait_stop(void);
void daemon_stop(void); /* from any thread: as if TERM had come */

/*
 * A lost dependency by name ("postgresql", "redis"): shown by /readyz (still 200) and Node.Health. Idempotent; logs
 * the change. At most 8 names.
 */
void daemon_degraded(const char *what, bool on);
/* Copies the current names; returns how many. */
#define DAEMON_DEGRADED_MAX 8
size_t daemon_degraded_list(char out[DAEMON_DEGRADED_MAX][32]);

#endif
