/*
 * The feature store, to read: for training up to an instant, for serving as it is now. Both are made by the same
 * statements of what an event weighs (reco.liking, reco.growth in the schema), so that they cannot differ.
 */
#ifndef SOUK_RECO_DB_FEATURES_H
#define SOUK_RECO_DB_FEATURES_H

#include "common/pg.h"

enum reco_kind {
	RECO_VIEW = 1,
	RECO_CLICK = 2,
	RECO_IMPRESSION = 3,
	RECO_CART = 4,
	RECO_PURCHASE = 5,
	RECO_RATING = 6,
	RECO_RETURN = 7, /* a purchase undone */
};
#define RECO_KINDS(k) (1 << (k)) /* a set of kinds: RECO_KINDS(RECO_VIEW) | … */

/* ---- training ---- */

/* One thing done. Texts live until the arena of the page is reset. */
struct reco_event {
	int64_t ts; /* epoch ms */
	int32_t kind;
	const char *subject;	/* user id, else session; NULL: nobody */
	const char *session_id; /* NULL when not told */
	const char *product_id;
	const char *order_id; /* purchases */
	int32_t qty, rating;
	double weight; /* reco.liking: 1 a view, 3 into the cart, 5 a purchase, …; not decayed */
	const char *key;
};
struct reco_range {
	int64_t from, until; /* epoch ms: from <= ts < until; nothing of any kind at or past until is seen */
	int32_t kinds;	     /* RECO_KINDS(…) | … */
	bool own;	     /* only events that belong to somebody */
};
/* The instant from which on the range has about the latest n events; its own begin when it has fewer. */
MUST_CHECK enum err_code reco_features_latest(struct pg_pool *, const struct reco_range *, int32_t n, int64_t *from_r,
					      struct err *);
/*
 * Everything in the range by rising (ts, key), page by page: fn per row, from 0 until it is not OK or the rows end. Each
 * page is its own statement on its own borrowed connection (the replica, where there is one), so that a long training
 * holds no snapshot; rows that arrive meanwhile with a ts before until may or may not be seen, so until should be a
 * little in the past. after resumes behind a row: its ts and key; key NULL: from the start.
 */
typedef enum err_code reco_event_fn(void *arg, const struct reco_event *, struct err *);
MUST_CHECK enum err_code reco_features_stream(struct pg_pool *, const struct reco_range *, int64_t after_ts,
					      const char *after_key, reco_event_fn *, void *arg, struct err *);
struct reco_range_row {
	int64_t events, subjects, products; /* in the range; who belongs to nobody is no subject */
	int64_t first, last;		    /* epoch ms; 0: none */
};
MUST_CHECK enum err_code reco_features_count(struct pg *, struct arena *, const struct reco_range *,
					     struct reco_range_row **row_r, struct err *);

/* The decayed history of all subjects as it was at an instant, of the events before it: one row per (subject, product). */
struct reco_item_row {
	const char *subject, *product_id;
	double w; /* weight at the instant: half after 60 days */
	int32_t n_view, n_cart, n_buy, rating;
	int64_t last_at; /* epoch ms */
};
MUST_CHECK enum err_code reco_features_as_of(struct pg *, struct arena *, int64_t at, const char *subject,
					     struct reco_item_row **rows_r, size_t *n_r, struct err *);

/* ---- serving ---- */

/*
 * What a person did, newest first: rows of user_item of the user and of the session (either may be NULL), at most limit.
 * w is the weight now. An event that was answered 202 is in it.
 */
struct reco_history_row {
	const char *product_id;
	double w;
	int32_t n_view, n_cart, n_buy, rating;
	int64_t last_at, last_view_at, last_cart_at, last_buy_at; /* epoch ms; 0: never */
};
MUST_CHECK enum err_code reco_features_history(struct pg *, struct arena *, const char *user_id, const char *session_id,
					       int32_t limit, struct reco_history_row **rows_r, size_t *n_r, struct err *);
/* The last things done in order, newest first, views, clicks, carts and purchases: for session models. */
struct reco_recent_row {
	int64_t ts;
	int32_t kind;
	const char *product_id;
};
MUST_CHECK enum err_code reco_features_recent(struct pg *, struct arena *, const char *user_id, const char *session_id,
					      int32_t limit, struct reco_recent_row **rows_r, size_t *n_r, struct err *);
/* True when nothing of this user may be used: withheld consent, or erased. opt_in: without a yes, too. */
MUST_CHECK enum err_code reco_features_withheld(struct pg *, struct arena *, const char *user_id, bool opt_in,
						bool *withheld_r, struct err *);

/*
 * Both in one round trip; limit 0: no history. What withheld_r forbids to use is not to be used. user_id, session_id NULL:
 * none.
 */
struct reco_who {
	const char *user_id, *session_id;
	bool opt_in;
};
MUST_CHECK enum err_code reco_features_person(struct pg *, struct arena *, const struct reco_who *, int32_t limit,
					      bool *withheld_r, struct reco_history_row **rows_r, size_t *n_r, struct err *);

/* What sold and was looked at in the last days, decayed (half after half_life_days), of products that may be shown. */
struct reco_popular_row {
	const char *product_id;
	double score;
	int64_t n_buy, n_view;
};
/* category: id or slug, NULL: all. Best first; a shop without any event gets the newest products, score 0. */
MUST_CHECK enum err_code reco_features_popular(struct pg *, struct arena *, const char *category, int32_t days,
					       double half_life_days, int32_t limit, struct reco_popular_row **rows_r,
					       size_t *n_r, struct err *);

/* What serving filters on. Unknown products are absent. */
struct reco_product_row {
	const char *product_id, *vendor_id, *title, *brand, *categories; /* categories: ids divided by U+001F */
	bool shown;    /* published, vendor approved, in stock: now */
	int64_t price; /* minor units in the currency asked for; -1: none */
	int32_t rating_x100, rating_count;
	int64_t published_at;
};
MUST_CHECK enum err_code reco_features_products(struct pg *, struct arena *, const char *const *ids, size_t n,
						const char *currency, struct reco_product_row **rows_r, size_t *n_r,
						struct err *);
/* The same for all products after an id, by id: at most limit; training and content neighbours. */
MUST_CHECK enum err_code reco_features_all_products(struct pg *, struct arena *, const char *after, int32_t limit,
						    struct reco_product_row **rows_r, size_t *n_r, struct err *);

/*
 * The last look before an answer, in one round trip: which of the products named may be shown now, the pins of a placement
 * that hold now and may be shown (beside product_id those of it, too), and what is in the user's carts (known through
 * cart.changed).
 */
struct reco_shown_row {
	const char *product_id, *vendor_id;
};
struct reco_pin_row {
	const char *product_id, *vendor_id;
	int32_t position;
};
struct reco_id_row {
	const char *id;
};
struct reco_look {
	const char *const *ids;
	size_t n_ids;
	const char *placement, *product_id, *user_id; /* NULL: no pins, no product, nobody's cart */
	struct reco_shown_row *shown; /* from here on: what is found */
	struct reco_pin_row *pins;    /* by position */
	struct reco_id_row *cart;
	size_t n_shown, n_pins, n_cart;
};
MUST_CHECK enum err_code reco_features_look(struct pg *, struct arena *, struct reco_look *, struct err *);

extern const struct pg_stmt *const reco_db_features_stmts[];

#endif
