#include "tests/support/pg_fixture.h"

#include <libpq-fe.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/crypto.h"
#include "common/timeutil.h"

#define SCHEMA_SQL SOUK_SOURCE_DIR "/deploy/postgres/schema.sql"
#define ROLE_LOCK  "7308622" /* roles belong to the cluster: one test at a time touches them */

struct pg_fixture {
	char name[64], daemon[48];
	char *admin_dsn, *dsn, *migrate_dsn;
	PGconn *cluster; /* the database of TEST_PG_ADMIN */
	PGconn *admin;	 /* our database */
	char *text[16]; /* the last answers, in turn */
	size_t n_text;
	char *dsns[16];
	size_t n_dsns;
	bool kept;
};

static void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "test database: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

static PGresult *query(PGconn *c, const char *sql)
{
	PGresult *r = PQexec(c, sql);
	ExecStatusType st = PQresultStatus(r);

	if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK && st != PGRES_EMPTY_QUERY) {
		(void)fprintf(stderr, "%s\n", sql);
		die("statement failed", PQerrorMessage(c));
	}
	return r;
}

static void silent(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

static PGconn *dial(const char *dsn)
{
	PGconn *c = PQconnectdb(dsn);

	if (PQstatus(c) != CONNECTION_OK)
		die("cannot connect", PQerrorMessage(c));
	(void)PQsetNoticeProcessor(c, silent, NULL);
	return c;
}

static void add_pair(struct buf *b, const char *key, const char *value)
{
	buf_fmt(b, "%s%s='", b->len ? " " : "", key);
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			buf_char(b, '\\');
		buf_char(b, *value);
	}
	buf_char(b, '\'');
}

/* TEST_PG_ADMIN with another database and user. */
static char *make_dsn(const char *base, const char *db, const char *user)
{
	char *why = NULL;
	PQconninfoOption *opts = PQconninfoParse(base, &why);
	struct buf b;

	if (!opts)
		die("TEST_PG_ADMIN cannot be read", why ? why : "");
	buf_init(&b, 4096);
	for (PQconninfoOption *o = opts; o->keyword; o++)
		if (o->val && strcmp(o->keyword, "dbname") != 0 && (!user || strcmp(o->keyword, "user") != 0))
			add_pair(&b, o->keyword, o->val);
	add_pair(&b, "dbname", db);
	if (user)
		add_pair(&b, "user", user);
	PQconninfoFree(opts);
	return b.data;
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	struct buf b;
	char chunk[4096];
	size_t n;

	if (!f)
		die(path, "cannot be opened");
	buf_init(&b, 1 << 20);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(&b, chunk, n);
	(void)fclose(f);
	return b.data;
}

/* Databases of test programs that were killed: named after a process that is gone, and nobody is connected. */
static void drop_leftovers(PGconn *c)
{
	PGresult *r = query(c, "SELECT d.datname FROM pg_database d WHERE d.datname ~ '^souk_t_[0-9]+_[0-9a-f]+$'"
			       " AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datname = d.datname) LIMIT 100");

	for (int i = 0; i < PQntuples(r); i++) {
		const char *name = PQgetvalue(r, i, 0);
		long pid = strtol(name + strlen("souk_t_"), NULL, 10);
		char sql[128];

		if (pid <= 0 || kill((pid_t)pid, 0) == 0)
			continue;
		(void)snprintf(sql, sizeof(sql), "DROP DATABASE IF EXISTS %s", name);
		PQclear(PQexec(c, sql)); /* somebody else may be faster */
	}
	PQclear(r);
}

void pg_fixture_add_bare(struct pg_fixture *f, const char *daemon)
{
	char *sql = read_file(SCHEMA_SQL), set[128];

	(void)snprintf(set, sizeof(set), "SET souk.daemon = '%s'", daemon);
	PQclear(query(f->cluster, "SELECT pg_advisory_lock(" ROLE_LOCK ")"));
	PQclear(query(f->admin, set));
	PQclear(query(f->admin, sql));
	PQclear(query(f->cluster, "SELECT pg_advisory_unlock(" ROLE_LOCK ")"));
	free(sql);
}

void pg_fixture_add(struct pg_fixture *f, const char *daemon, const struct migration *own)
{
	struct err e = { 0 };

	pg_fixture_add_bare(f, daemon);
	if (migrate_run(f->migrate_dsn, daemon, own, &e))
		die(e.slug, e.msg);
}

static bool exists(struct pg_fixture *f)
{
	PGresult *r = PQexecParams(f->cluster, "SELECT 1 FROM pg_database WHERE datname = $1", 1, NULL,
				   &(const char *){ f->name }, NULL, NULL, 0);
	bool found = PQntuples(r) > 0;

	PQclear(r);
	return found;
}

struct pg_fixture *pg_fixture_open(const char *daemon, const struct migration *own)
{
	const char *base = getenv("TEST_PG_ADMIN"), *keep = getenv("TEST_PG_KEEP");
	struct pg_fixture *f = calloc(1, sizeof(*f));
	char sql[128], role[64];
	uint32_t r;

	if (!base || !*base)
		die("TEST_PG_ADMIN is not set",
		    "give the connection string of a superuser, e.g. \"host=/run/postgresql user=postgres dbname=postgres\"");
	if (!f)
		die("memory", "none");
	f->cluster = dial(base);
	drop_leftovers(f->cluster);
	f->kept = keep && *keep;
	random_bytes(&r, sizeof(r));
	if (f->kept)
		(void)snprintf(f->name, sizeof(f->name), "%s", keep);
	else
		(void)snprintf(f->name, sizeof(f->name), "souk_t_%ld_%08x", (long)getpid(), r);
	(void)snprintf(f->daemon, sizeof(f->daemon), "%s", daemon);
	if (!f->kept || !exists(f)) {
		(void)snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE template0", f->name);
		PQclear(query(f->cluster, sql));
	}
	(void)snprintf(role, sizeof(role), "souk_%s", daemon);
	f->admin_dsn = make_dsn(base, f->name, NULL);
	f->dsn = make_dsn(base, f->name, role);
	f->migrate_dsn = make_dsn(base, f->name, "souk_migrate");
	f->admin = dial(f->admin_dsn);
	pg_fixture_add(f, daemon, own);
	return f;
}

void pg_fixture_close(struct pg_fixture *f)
{
	char sql[128];

	if (!f)
		return;
	PQfinish(f->admin);
	(void)snprintf(sql, sizeof(sql), "DROP DATABASE IF EXISTS %s WITH (FORCE)", f->name);
	if (!f->kept)
		PQclear(query(f->cluster, sql));
	PQfinish(f->cluster);
	for (size_t i = 0; i < f->n_dsns; i++)
		free(f->dsns[i]);
	free(f->admin_dsn);
	free(f->dsn);
	free(f->migrate_dsn);
	for (size_t i = 0; i < sizeof(f->text) / sizeof(f->text[0]); i++)
		free(f->text[i]);
	free(f);
}

const char *pg_fixture_dsn(const struct pg_fixture *f)
{
	return f->dsn;
}

const char *pg_fixture_migrate_dsn(const struct pg_fixture *f)
{
	return f->migrate_dsn;
}

const char *pg_fixture_admin_dsn(const struct pg_fixture *f)
{
	return f->admin_dsn;
}

const char *pg_fixture_dsn_as(struct pg_fixture *f, const char *role)
{
	if (f->n_dsns == sizeof(f->dsns) / sizeof(f->dsns[0]))
		die("dsn", "too many roles");
	return f->dsns[f->n_dsns++] = make_dsn(f->admin_dsn, f->name, role);
}

struct pg_pool *pg_fixture_pool(struct pg_fixture *f, const struct pg_stmt *const *const *stmts, int n)
{
	const struct pg_conf conf = { .dsn = f->dsn, .pool = n, .app = f->daemon, .schema = f->daemon };
	struct pg_pool *pool = NULL;
	struct err e = { 0 };

	if (pg_pool_open(&conf, stmts, &pool, &e))
		die(e.slug, e.msg);
	return pool;
}

static PGresult *formatted(struct pg_fixture *f, const char *fmt, va_list ap)
{
	char *sql = NULL;
	PGresult *r;

	if (vasprintf(&sql, fmt, ap) < 0)
		die("memory", "none");
	r = query(f->admin, sql);
	free(sql);
	return r;
}

void pg_fixture_sql(struct pg_fixture *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	PQclear(formatted(f, fmt, ap));
	va_end(ap);
}

int64_t pg_fixture_i64(struct pg_fixture *f, const char *fmt, ...)
{
	PGresult *r;
	int64_t v;
	va_list ap;

	va_start(ap, fmt);
	r = formatted(f, fmt, ap);
	va_end(ap);
	if (PQntuples(r) == 0)
		die(fmt, "no row");
	v = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	return v;
}

const char *pg_fixture_text(struct pg_fixture *f, const char *fmt, ...)
{
	PGresult *r;
	size_t at;
	va_list ap;

	va_start(ap, fmt);
	r = formatted(f, fmt, ap);
	va_end(ap);
	if (PQntuples(r) == 0)
		die(fmt, "no row");
	at = f->n_text++ % (sizeof(f->text) / sizeof(f->text[0]));
	free(f->text[at]);
	f->text[at] = strdup(PQgetvalue(r, 0, 0));
	PQclear(r);
	return f->text[at];
}

void pg_fixture_settle(struct pg_fixture *f)
{
	int64_t target = pg_fixture_i64(f, "SELECT pg_current_xact_id()::text::bigint");

	for (int i = 0; i < 10000; i++) {
		if (pg_fixture_i64(f, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint") > target)
			return;
		sleep_ms(2);
	}
	die("horizon", "a transaction of the cluster stays open");
}

const char *pg_fixture_unaudited(struct pg_fixture *f, const char *daemon)
{
	return pg_fixture_text(f, "SELECT coalesce(string_agg(t, ' '), '') FROM %s.audit_unaudited() AS t", daemon);
}
