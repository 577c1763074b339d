#include "common/pg_mechanisms.h"

const struct pg_stmt *const *const pg_mechanism_stmts[] = {
	idem_stmts,
	NULL,
};
