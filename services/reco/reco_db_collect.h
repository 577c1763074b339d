/* What people did, on its way in: events with the features they change at once; carts, consents, erasure. */
#ifndef SOUK_RECO_DB_COLLECT_H
#define SOUK_RECO_DB_COLLECT_H

#include "common/pg.h"

enum reco_source { RECO_FROM_PAGE = 1, RECO_FROM_DAEMON = 2, RECO_FROM_IMPORT = 3 };

/* A row on its way in. NULL texts are absent. */
struct event_in {
	const char *key; /* a UUID: 32 hexadecimal digits */
	int64_t ts;	 /* epoch ms */
	int32_t kind;	 /* enum reco_kind */
	const char *user_id, *session_id, *product_id, *order_id, *request_id, *placement;
	int32_t position; /* 0: none */
	int32_t qty;
	int32_t rating; /* 0: none */
};
struct event_put_row {
	int64_t known; /* rows whose product is known (with known_only; else all) */
	int64_t put;   /* of them those not here before, each once */
};
/*
 * Puts events and what they change in user_item, in one statement. known_only: rows of unknown products are left out.
 * Events of pages are told apart by key alone, those of others by key and time. A page's add_to_cart of somebody signed
 * in does not count as liking: the cart tells the same.
 */
MUST_CHECK enum err_code reco_db_event_put(struct pg *, struct arena *, enum reco_source, bool known_only,
					   const struct event_in *, size_t n, struct event_put_row **row_r, struct err *);
/* Partitions for events of these times, when they are not there yet. */
MUST_CHECK enum err_code reco_db_partitions(struct pg *, struct arena *, int64_t from_ms, int64_t until_ms, struct err *);
/* Drops whole months of events older than keep months, 0 keeps all; and of answers, which are kept four months at most. */
MUST_CHECK enum err_code reco_db_partitions_drop(struct pg *, struct arena *, int32_t keep_months,
						 int32_t *dropped_r, struct err *);
/* Keys of pages' events and visitors nobody saw for long, old carts; a bounded piece of each. */
MUST_CHECK enum err_code reco_db_sweep(struct pg *, int64_t *removed_r, struct err *);

/* ---- purchases ---- */
/* The lines of an order that are not undone yet. */
struct bought_row {
	const char *key, *user_id, *product_id;
	int32_t qty;
};
MUST_CHECK enum err_code reco_db_bought(struct pg *, struct arena *, const char *order_id, struct bought_row **rows_r,
					size_t *n_r, struct err *);

/* ---- carts ---- */
struct variant_row {
	const char *variant_id, *product_id;
};
/*
 * Remembers what a cart holds and answers with what came in since the version before; nothing (and n 0) when a later
 * version is known already.
 */
MUST_CHECK enum err_code reco_db_cart_put(struct pg *, struct arena *, const char *cart_id, const char *user_id,
					  int64_t version, int64_t at_ms, const char *const *variant_ids, size_t n,
					  struct variant_row **added_r, size_t *n_added_r, struct err *);

/* ---- people ---- */
MUST_CHECK enum err_code reco_db_consent(struct pg *, const char *user_id, bool granted, struct err *);
MUST_CHECK enum err_code reco_db_erased_add(struct pg *, const char *user_id, struct err *);
/* What is kept of a user, and of the sessions he came in as, belongs to nobody from now on. */
MUST_CHECK enum err_code reco_db_forget(struct pg *, const char *user_id, struct err *);

/* ---- the watermark ---- */
struct counted_row {
	int64_t events; /* counted now */
	bool more;	/* there are more that could be counted */
};
/* Counts the next events, about limit of them, into item_day; in a transaction. */
MUST_CHECK enum err_code reco_db_count(struct pg *, struct arena *, int32_t limit, struct counted_row **row_r,
				       struct err *);

extern const struct pg_stmt *const reco_db_collect_stmts[];

#endif
