/*
 * A database of its own for a test: made on the server of TEST_PG_ADMIN (a superuser's connection string) under a
 * name nobody else has, with the roles and schemas of deploy/postgres/schema.sql, migrated as `--migrate` does it, dropped
 * at the end. Several tests may run at once. Whatever goes wrong here ends the test program with a line that says what.
 */
#ifndef SOUK_PG_FIXTURE_H
#define SOUK_PG_FIXTURE_H

#include "common/migrate.h"

struct pg_fixture;

/* own may be NULL: the mechanisms alone. TEST_PG_KEEP names a database to use and to leave there, for measurements. */
struct pg_fixture *pg_fixture_open(const char *daemon, const struct migration *own);
/* Another daemon's roles and schema in the same database. */
void pg_fixture_add(struct pg_fixture *, const char *daemon, const struct migration *own);
/* Roles and schema only, nothing migrated. */
void pg_fixture_add_bare(struct pg_fixture *, const char *daemon);
void pg_fixture_close(struct pg_fixture *); /* NULL is fine */

const char *pg_fixture_dsn(const struct pg_fixture *);	       /* runtime role of the first daemon */
const char *pg_fixture_dsn_as(struct pg_fixture *, const char *role); /* any role; valid until the end */
const char *pg_fixture_migrate_dsn(const struct pg_fixture *); /* souk_migrate */
const char *pg_fixture_admin_dsn(const struct pg_fixture *);   /* superuser, this database */

/* A pool of the first daemon's runtime role with its schema. Close it before the fixture. */
struct pg_pool *pg_fixture_pool(struct pg_fixture *, const struct pg_stmt *const *const *stmts, int n);

/* As superuser. The value forms give the first column of the first row; none is a failure. */
void pg_fixture_sql(struct pg_fixture *, const char *fmt, ...) PRINTF_LIKE(2, 3);
int64_t pg_fixture_i64(struct pg_fixture *, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "" for NULL. Valid for the next 15 calls of this function. */
const char *pg_fixture_text(struct pg_fixture *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * Waits until every transaction of the cluster that was open at the call has ended: other tests' too hold back what
 * outbox_fetch and audit_seal may touch. Not while this test holds one open itself.
 */
void pg_fixture_settle(struct pg_fixture *);

/* Tables of the schema that no trigger audits and no reason excuses: "" when all is well, else their names. */
const char *pg_fixture_unaudited(struct pg_fixture *, const char *daemon);

#endif
