#include "common/pg_mechanisms.h"

const struct pg_stmt *const *const pg_mechanism_stmts[] = {
	audit_stmts, idem_stmts, inbox_stmts, lease_stmts, node_stmts, outbox_stmts, tx_stmts, NULL,
};
