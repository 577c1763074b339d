/*
 * The audit log: who changed which row, when, from what to what. Written by triggers (audit_attach in a migration), so that
 * no code can forget it; the runtime role can neither change nor bypass it. Committed rows are chained by hash, in batches.
 */
#ifndef SOUK_AUDIT_H
#define SOUK_AUDIT_H

#include "common/pg.h"

/* Chains up to max committed rows; a timer's job, one at a time in the whole schema. */
MUST_CHECK enum err_code audit_seal(struct pg *, int32_t max, struct arena *, int64_t *sealed_r, struct err *);

struct audit_filter { /* NULL or "": any. The first given of row, request, actor finds the rows by an index. */
	const char *table_name, *row_id, *request_id, *actor;
	int64_t before_id; /* only older rows; 0: from the newest */
};
struct audit_row {
	int64_t id, changed_at; /* ms */
	const char *actor, *request_id, *action, *table_name, *row_id;
	const char *before, *after; /* JSON; NULL when there was none */
	const char *hash;	    /* of the batch that seals it, hex; NULL until then */
};
/* Newest first. */
MUST_CHECK enum err_code audit_page(struct pg *, const struct audit_filter *, int32_t limit, struct arena *,
				    struct audit_row **rows_r, size_t *n_r, struct err *);

#endif
