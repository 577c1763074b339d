/*
 * Combining: reservations of one variant that arrive while a statement for that variant runs wait here and go
 * together in the next one, in arrival order, at most combine_max of them. A hot SKU then costs one commit per batch
 * instead of one per buyer; a cold one waits for nobody. This file owns the daemon's only queue and lock.
 */
#ifndef SOUK_RESERVE_QUEUE_H
#define SOUK_RESERVE_QUEUE_H

#include "services/inventory/inventory_db.h"
#include "services/inventory/inventory.h"

enum reserve_outcome { RESERVE_OK, RESERVE_KNOWN, RESERVE_SHORT, RESERVE_CAPPED, RESERVE_UNKNOWN };

struct reserve_queue *reserve_queue_new(int combine_max);
void reserve_queue_free(struct reserve_queue *);

struct reserve_result {
	enum reserve_outcome outcome;
	int64_t available;  /* what was left when this request was looked at */
	int64_t expires_at; /* when the outcome is RESERVE_OK */
};

/*
 * Reserves ask->qty of one variant. An error means that nothing is known to be reserved (E_UNAVAILABLE: ask again with
 * the same key).
 */
MUST_CHECK enum err_code reserve_queue_run(struct inventory_svc *, struct call *, const char *variant_id,
					   const struct reserve_ask *ask, struct reserve_result *result_r);

/* "ok" -> RESERVE_OK …; an unknown word is an error of ours. */
MUST_CHECK enum err_code reserve_outcome_parse(const char *word, enum reserve_outcome *r, struct err *);

#endif
