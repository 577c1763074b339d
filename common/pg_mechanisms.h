/* The statements that every pool with a schema carries: those of the mechanisms in common/. */
#ifndef SOUK_PG_MECHANISMS_H
#define SOUK_PG_MECHANISMS_H

#include "common/pg.h"

extern const struct pg_stmt *const *const pg_mechanism_stmts[]; /* NULL-ended */

extern const struct pg_stmt *const audit_stmts[];
extern const struct pg_stmt *const idem_stmts[];
extern const struct pg_stmt *const inbox_stmts[];
extern const struct pg_stmt *const lease_stmts[];
extern const struct pg_stmt *const node_stmts[];
extern const struct pg_stmt *const outbox_stmts[];
extern const struct pg_stmt *const tx_stmts[];

#endif
