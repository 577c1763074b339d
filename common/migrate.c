/* Applies and checks migrations. The texts are ours; the schema's name is checked before it goes into them. */
#include "common/migrate.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/pg_internal.h"

#define TRIES 3 /* of one migration that met a lock or a deadlock */

struct set {
	const char *name;
	const struct migration *m;
};

struct recorded {
	int32_t version;
	const char *sha256;
	int32_t min_binary_schema;
};
static const struct pg_col recorded_cols[] = { PG_COL(recorded, version), PG_COL(recorded, sha256),
					       PG_COL(recorded, min_binary_schema) };

static int newest(const struct migration *m)
{
	int v = 0;

	for (; m && m->slug; m++)
		v = m->version;
	return v;
}

/* ---- reading the record ---- */
static enum err_code read_record(struct pg *pg, const char *schema, const char *set, struct arena *a,
				 struct recorded **rows_r, size_t *n_r, struct err *e)
{
	bool before = pg->unlisted;
	struct pg_stmt st = {
		.name = "migration_record",
		.sql = arena_printf(a,
				    "SELECT version, sha256, min_binary_schema FROM %s.migration"
				    " WHERE set_name = $1 ORDER BY version LIMIT 10000",
				    schema),
		.col = recorded_cols, .ncol = 3, .row_size = sizeof(struct recorded),
	};
	enum err_code code;

	pg->unlisted = true;
	code = pg_rows(pg, &st, PG_ARGS(P(set)), a, rows_r, n_r, e);
	pg->unlisted = before;
	return code;
}

static const struct recorded *find(const struct recorded *r, size_t n, int version)
{
	for (size_t i = 0; i < n; i++)
		if (r[i].version == version)
			return &r[i];
	return NULL;
}

static enum err_code check_set(const char *schema, const struct set *s, const struct recorded *r, size_t n,
			       bool all, struct err *e)
{
	for (const struct migration *m = s->m; m && m->slug; m++) {
		const struct recorded *is = find(r, n, m->version);

		if (!is && all)
			return err_set(e, E_INTERNAL, "migrate.missing", "schema %s lacks migration %s/%04d_%s: run --migrate",
				       schema, s->name, m->version, m->slug);
		if (is && strcmp(is->sha256, m->sha256) != 0)
			return err_set(e, E_INTERNAL, "migrate.changed", "migration %s/%04d_%s of schema %s was changed after it ran",
				       s->name, m->version, m->slug, schema);
	}
	for (size_t i = 0; all && i < n; i++)
		if (r[i].min_binary_schema > newest(s->m))
			return err_set(e, E_INTERNAL, "migrate.too_old",
				       "schema %s at %s/%04d needs a program that knows %04d, this one knows %04d", schema,
				       s->name, r[i].version, r[i].min_binary_schema, newest(s->m));
	return OK;
}

enum err_code migrate_check(struct pg *pg, const char *schema, const struct migration *own, struct err *e)
{
	const struct set sets[] = { { "common", common_migrations }, { schema, own } };
	struct arena *a = arena_new("migrate", 4 << 20);
	enum err_code code = OK;

	if (!pg_schema_ok(schema))
		code = err_set(e, E_INTERNAL, "conf.invalid", "schema name");
	for (size_t i = 0; !code && i < ARRAY_LEN(sets); i++) {
		struct recorded *r = NULL;
		size_t n = 0;

		code = read_record(pg, schema, sets[i].name, a, &r, &n, e);
		if (code == E_INTERNAL)
			code = err_set(e, E_INTERNAL, "migrate.missing", "schema %s cannot be read: run --migrate", schema);
		if (!code)
			code = check_set(schema, &sets[i], r, n, true, e);
	}
	arena_free(a);
	return code;
}

/* ---- applying ---- */
static enum err_code script(struct pg *pg, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
static enum err_code script(struct pg *pg, struct err *e, const char *fmt, ...)
{
	char sql[1200];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(sql, sizeof(sql), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(sql))
		return err_set(e, E_INTERNAL, "migrate.failed", "script too long");
	return pg_script(pg, sql, e);
}

/* Tidying up after an error that is already known. */
static void tidy(struct pg *pg, const char *sql)
{
	struct err e = { 0 };

	if (pg_script(pg, sql, &e))
		pg->lost = true;
}

static enum err_code bootstrap(struct pg *pg, const char *schema, struct err *e)
{
	/* The second look happens under the lock: two first runs at once. */
	if (script(pg, e,
		   "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('souk.migrate.%s', 0));"
		   "SET LOCAL ROLE souk_%s_owner;"
		   "CREATE TABLE IF NOT EXISTS %s.migration (set_name text NOT NULL, version integer NOT NULL,"
		   " slug text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),"
		   " build text NOT NULL, min_binary_schema integer NOT NULL DEFAULT 0, PRIMARY KEY (set_name, version));"
		   "REVOKE ALL ON %s.migration FROM souk_%s; GRANT SELECT ON %s.migration TO souk_%s; COMMIT",
		   schema, schema, schema, schema, schema, schema, schema)) {
		char msg[ERR_MSG_LEN];

		tidy(pg, "ROLLBACK");
		(void)snprintf(msg, sizeof(msg), "%s", e->msg);
		return err_set(e, e->code == E_UNAVAILABLE ? E_UNAVAILABLE : E_INTERNAL, "migrate.failed",
			       "schema %s and its roles (deploy/postgres/schema.sql) cannot be used: %s", schema, msg);
	}
	return OK;
}

/* "-- min-binary-schema: 12" and "-- no-transaction" among the comment lines at the top. */
static bool header(const char *sql, const char *word, int *value_r)
{
	while (strncmp(sql, "--", 2) == 0) {
		const char *p = sql + 2 + strspn(sql + 2, " ");

		if (strncmp(p, word, strlen(word)) == 0) {
			*value_r = (int)strtol(p + strlen(word), NULL, 10);
			return true;
		}
		p = strchr(sql, '\n');
		if (!p)
			break;
		sql = p + 1;
	}
	return false;
}

static enum err_code record(struct pg *pg, const char *schema, const char *set, const struct migration *m,
			    struct err *e)
{
	int min = 0;

	(void)header(m->sql, "min-binary-schema:", &min);
	return script(pg, e,
		      "INSERT INTO %s.migration (set_name, version, slug, sha256, build, min_binary_schema)"
		      " VALUES ('%s', %d, '%s', '%s', '%s', %d)",
		      schema, set, m->version, m->slug, m->sha256, SOUK_VERSION, min);
}

static enum err_code known(struct pg *pg, const char *schema, const struct set *s, const struct migration *m,
			   bool *known_r, struct err *e)
{
	struct arena *a = arena_new("migrate", 4 << 20);
	struct recorded *r = NULL;
	size_t n = 0;
	enum err_code code = read_record(pg, schema, s->name, a, &r, &n, e);

	if (!code)
		code = check_set(schema, s, r, n, false, e);
	if (!code)
		*known_r = find(r, n, m->version) != NULL;
	arena_free(a);
	return code;
}

static enum err_code apply_locked(struct pg *pg, const char *schema, const struct set *s, const struct migration *m,
				  bool tx, struct err *e)
{
	bool done = false;
	enum err_code code;
	char *sql;

	/* The wait for the advisory lock above is as long as it takes; that for tables in use is not. */
	if (script(pg, e, "SET %s lock_timeout = '5s'; SET %s ROLE souk_%s_owner", tx ? "LOCAL" : "SESSION",
		   tx ? "LOCAL" : "SESSION", schema) ||
	    known(pg, schema, s, m, &done, e))
		return e->code;
	if (done)
		return OK;
	sql = pg_expand(m->sql, schema);
	code = sql ? pg_script(pg, sql, e) : err_set(e, E_INTERNAL, "migrate.failed", "no memory");
	free(sql);
	if (code) {
		char msg[ERR_MSG_LEN];

		(void)snprintf(msg, sizeof(msg), "%s", e->msg);
		return err_set(e, code == E_RETRY || code == E_UNAVAILABLE ? code : E_INTERNAL, "migrate.failed",
			       "migration %s/%04d_%s: %s", s->name, m->version, m->slug, msg);
	}
	return record(pg, schema, s->name, m, e);
}

static enum err_code apply(struct pg *pg, const char *schema, const struct set *s, const struct migration *m,
			   struct err *e)
{
	int unused = 0;
	bool tx = !header(m->sql, "no-transaction", &unused);
	enum err_code code;

	code = script(pg, e, "SET lock_timeout = 0; SET statement_timeout = 0; %s"
		      "SELECT pg_catalog.%s(pg_catalog.hashtextextended('souk.migrate.%s', 0))",
		      tx ? "BEGIN; " : "", tx ? "pg_advisory_xact_lock" : "pg_advisory_lock", schema);
	if (!code)
		code = apply_locked(pg, schema, s, m, tx, e);
	if (tx) {
		if (!code)
			code = pg_script(pg, "COMMIT", e);
		if (code)
			tidy(pg, "ROLLBACK");
	} else {
		tidy(pg, "RESET ROLE; SELECT pg_catalog.pg_advisory_unlock_all()");
	}
	return code;
}

enum err_code migrate_run(const char *dsn, const char *schema, const struct migration *own, struct err *e)
{
	const struct set sets[] = { { "common", common_migrations }, { schema, own } };
	struct pg *pg = NULL;
	enum err_code code;

	if (!pg_schema_ok(schema) || strcmp(schema, "common") == 0)
		return err_set(e, E_INTERNAL, "conf.invalid", "schema name");
	if (pg_connect(dsn, "souk-migrate", &pg, e))
		return e->code;
	code = bootstrap(pg, schema, e);
	for (size_t i = 0; !code && i < ARRAY_LEN(sets); i++)
		for (const struct migration *m = sets[i].m; !code && m && m->slug; m++)
			for (int try = 1; try <= TRIES; try++) {
				err_clear(e);
				code = apply(pg, schema, &sets[i], m, e);
				if (code != E_RETRY && code != E_UNAVAILABLE)
					break;
			}
	pg_disconnect(pg);
	return code;
}
