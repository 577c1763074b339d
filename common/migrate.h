/*
 * Schema migrations: numbered append-only SQL files embedded in the binary.
 *
 * common/migrations/ holds the tables every schema has (outbox, inbox, idempotency, audit, leases); its files
 * name the schema as ${schema}. They are applied before the daemon's own. Both are recorded in
 * <schema>.migration(set_name, version, slug, sha256, applied_at, build, min_binary_schema).
 */
#ifndef SOUK_MIGRATE_H
#define SOUK_MIGRATE_H

#include "common/pg.h"

struct migration {
	int version;
	const char *slug; /* NULL ends a table */
	const char *sql;
	const char *sha256; /* hex of the file */
};
extern const struct migration common_migrations[];

/*
 * Applies what is missing, each in its own transaction under an advisory lock, as role <schema>_owner
 * (souk_<d>_owner). Safe to run twice and at once. A recorded hash that differs from ours is an error.
 */
MUST_CHECK enum err_code migrate_run(const char *dsn, const char *schema, const struct migration *own, struct err *);

/* What a starting daemon asks: are all of ours applied with these hashes, and does the schema still accept us? */
MUST_CHECK enum err_code migrate_check(struct pg *, const char *schema, const struct migration *own, struct err *);

#endif
