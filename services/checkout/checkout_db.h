/* The statements of schema checkout around the saga, one function each. Times are ms, amounts minor units. */
#ifndef SOUK_CHECKOUT_DB_H
#define SOUK_CHECKOUT_DB_H

#include "common/pg.h"
#include "services/checkout/saga.h"

struct checkout_row {
	const char *id, *cart_id, *user_id /* NULL: guest */, *buyer, *order_id, *currency, *locale, *state, *why;
	const char *pi_id, *pay_status, *pay_code, *pay_message; /* NULL while unknown */
	const char *order_number;				 /* NULL: no order */
	struct pg_bytes token_hash, request_hash, frozen, person, client_secret;
	int64_t cart_version, total_minor, begun_at, expires_at, next_at, version, created_at, now_at;
	int32_t attempt, pi_n, key_n, tries;
	bool free, reserved, rereserved, sold, has_pi, pi_maybe, pi_dead, captured, refunded, ending;
	bool leased; /* somebody is acting on it now */
};
/* The saga's part of a row. E_INTERNAL for a state that this binary does not know. */
MUST_CHECK enum err_code checkout_row_state(const struct checkout_row *r, struct saga_state *s_r, struct err *e);

MUST_CHECK enum err_code checkout_db_get(struct pg *, struct arena *, const char *id, struct checkout_row **row_r,
					 bool *found_r, struct err *);
/* The live checkout of a cart, else the one that already bought this very version of it. */
MUST_CHECK enum err_code checkout_db_live(struct pg *, struct arena *, const char *cart_id, int64_t cart_version,
					  struct checkout_row **row_r, bool *found_r, struct err *);
struct checkout_now {
	int64_t now_at;
};
MUST_CHECK enum err_code checkout_db_now(struct pg *, struct arena *, int64_t *now_ms_r, struct err *);

struct checkout_new {
	const char *id, *cart_id, *user_id, *buyer, *order_id, *currency, *locale;
	int64_t cart_version, total_minor;
	struct pg_bytes token_hash, request_hash, frozen, person;
};
/* A live checkout of the cart exists: E_CONFLICT pg.constraint "checkout_live". */
MUST_CHECK enum err_code checkout_db_insert(struct pg *, const struct checkout_new *, const struct saga_state *,
					    struct err *);

/* What was learnt with an outcome; NULL and false leave the column alone. */
struct saga_facts {
	const char *pi_id;
	struct pg_bytes client_secret; /* sealed */
	bool pay_seen;
	const char *pay_status, *pay_code, *pay_message;
	int64_t received; /* what the provider has captured, 0 = not said */
	const char *provider_refund_id;
};
/*
 * Compare-and-set: won_r false when the row has moved on. lease_ms > 0: nobody else acts on it for that long; 0: free.
 */
MUST_CHECK enum err_code checkout_db_save(struct pg *, const char *id, int64_t version, const struct saga_state *,
					  int32_t lease_ms, const struct saga_facts *, bool *won_r, struct err *);
/* Newly frozen totals for the next attempt (PATCH); compare-and-set likewise. */
MUST_CHECK enum err_code checkout_db_refreeze(struct pg *, const struct checkout_new *, int64_t version,
					      const struct saga_state *, bool *won_r, struct err *);

struct id_row {
	const char *id;
};
/* Claims up to limit due checkouts for claim_ms: others do not get them meanwhile. */
MUST_CHECK enum err_code checkout_db_due(struct pg *, struct arena *, int32_t limit, int32_t claim_ms,
					 struct id_row **rows_r, size_t *n_r, struct err *);

struct unfinished_row {
	const char *state;
	int64_t n, oldest_ms; /* since this attempt began */
};
/* Unfinished sagas by state, of the 10000 due first. */
MUST_CHECK enum err_code checkout_db_unfinished(struct pg *, struct arena *, struct unfinished_row **rows_r, size_t *n_r,
						struct err *);

/* ---- payment attempts ---- */
struct attempt_row {
	const char *idem_key, *params;
	int64_t created_at;
};
/* Keeps what is already there (fresh_r false): key and parameters of an attempt never change. */
MUST_CHECK enum err_code checkout_db_attempt_put(struct pg *, const char *checkout_id, int32_t n, const char *key,
						 const char *params, bool *fresh_r, struct err *);
MUST_CHECK enum err_code checkout_db_attempt(struct pg *, struct arena *, const char *checkout_id, int32_t n,
					     struct attempt_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code checkout_db_attempt_pi(struct pg *, const char *checkout_id, int32_t n, const char *pi_id,
						struct err *);
MUST_CHECK enum err_code checkout_db_by_pi(struct pg *, struct arena *, const char *pi_id, struct id_row **row_r,
					   bool *found_r, struct err *);

/* ---- the provider's events ---- */
struct event_row {
	const char *id, *type, *object_id, *intent_id, *checkout_id;
	int32_t tries;
};
/*
 * fresh_r false: it was here before. delay_ms < 0: kept, nothing to do. settles: it only says that a payment moved on,
 * which is no news once there is an order.
 */
MUST_CHECK enum err_code checkout_db_event_put(struct pg *, const struct event_row *, const char *parked,
					       int32_t delay_ms, bool settles, bool *fresh_r, struct err *);
/* Marks due events as done that only say what an order already shows. */
MUST_CHECK enum err_code checkout_db_events_settled(struct pg *, struct err *);
MUST_CHECK enum err_code checkout_db_events_due(struct pg *, struct arena *, int32_t limit, struct event_row **rows_r,
						size_t *n_r, struct err *);
MUST_CHECK enum err_code checkout_db_event_done(struct pg *, const char *id, const char *parked, struct err *);
MUST_CHECK enum err_code checkout_db_event_later(struct pg *, const char *id, int32_t ms, struct err *);
MUST_CHECK enum err_code checkout_db_events_prune(struct pg *, struct err *);

/* ---- an erased user ---- */
MUST_CHECK enum err_code checkout_db_erase(struct pg *, const char *user_id, struct err *);

extern const struct pg_stmt *const checkout_db_stmts[];

#endif
