/* The statements of schema inventory, one function each. Quantities are units. */
#ifndef SOUK_INVENTORY_DB_H
#define SOUK_INVENTORY_DB_H

#include "common/pg.h"

/* ---- reservations ---- */
struct reserve_ask {
	const char *key, *id, *owner;
	int32_t qty, ttl_s;
};
struct reserve_answer {
	int32_t ord;
	const char *outcome; /* ok, known, short, capped, unknown */
	int64_t available;   /* before this request */
	int64_t expires_at;  /* of an ok one */
	const char *state_after;
	int64_t seq_after;
	bool moved;
	const char *vendor_id;
};
MUST_CHECK enum err_code inventory_db_reserve_batch(struct pg *, struct arena *, const char *variant_id,
						    const struct reserve_ask *, size_t n, int64_t cap,
						    struct reserve_answer **rows_r, size_t *n_r, struct err *);

struct reserve_line_answer {
	const char *variant_id, *outcome;
	int64_t available;
	const char *state_after;
	int64_t seq_after;
	bool moved;
	const char *vendor_id;
};
MUST_CHECK enum err_code inventory_db_reserve_cart(struct pg *, struct arena *, const struct reserve_ask *,
						   const char *const *variants, const int64_t *qtys, size_t n,
						   int64_t cap, struct reserve_line_answer **rows_r, size_t *n_r,
						   struct err *);

struct reservation_row {
	const char *id, *key, *state;
	int64_t expires_at;
	bool hold;
};
struct reservation_line_row {
	const char *variant_id;
	int32_t qty;
};
MUST_CHECK enum err_code inventory_db_reservation(struct pg *, struct arena *, const char *key,
						  struct reservation_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code inventory_db_reservation_lines(struct pg *, struct arena *, const char *reservation_id,
							struct reservation_line_row **rows_r, size_t *n_r,
							struct err *);
/* New end of life; never past created_at + 30 min unless hold. found_r false: not active. */
MUST_CHECK enum err_code inventory_db_extend(struct pg *, struct arena *, const char *key, int32_t ttl_s, bool hold,
					     bool *found_r, struct err *);

struct finish_row {
	const char *reservation_id, *outcome; /* done, missing, sold, released */
	const char *variant_id, *vendor_id, *state_after;
	int64_t seq_after;
	bool moved;
};
/* state: "sold" or "released". One row per line when done, else one row. An unknown key is ended by "released". */
MUST_CHECK enum err_code inventory_db_finish(struct pg *, struct arena *, const char *key, const char *state,
					     const char *order_id, const char *reason, const char *actor,
					     const char *request_id, struct finish_row **rows_r, size_t *n_r,
					     struct err *);
/* Counts the units as put back; found_r false when the reservation did not sell that many. */
MUST_CHECK enum err_code inventory_db_line_restock(struct pg *, const char *key, const char *variant_id, int32_t qty,
						   bool *found_r, struct err *);
/* Remembers an operation; fresh_r false when it was there. */
MUST_CHECK enum err_code inventory_db_operation(struct pg *, const char *id, bool *fresh_r, struct err *);
/* Keys of active, unheld reservations past their time and grace, oldest first, at most limit. */
struct key_row {
	const char *key;
};
MUST_CHECK enum err_code inventory_db_expired(struct pg *, struct arena *, int32_t grace_s, int32_t limit,
					      struct key_row **rows_r, size_t *n_r, struct err *);
/* Locks that reservation when it is still one of those: it may have been held or prolonged since it was listed. */
MUST_CHECK enum err_code inventory_db_still_expired(struct pg *, struct arena *, const char *key, int32_t grace_s,
						    bool *yes_r, struct err *);

/* ---- stock ---- */
struct stock_row {
	const char *sku, *variant_id, *vendor_id, *state;
	int64_t on_hand, reserved, low_threshold, version, updated_at;
	bool backorder, active;
};
MUST_CHECK enum err_code inventory_db_stock_by_sku(struct pg *, struct arena *, const char *vendor_id, const char *sku,
						   struct stock_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code inventory_db_stock_page(struct pg *, struct arena *, const char *vendor_id, const char *after,
						 bool low_only, const char *location_id, int32_t limit,
						 struct stock_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code inventory_db_stock_many(struct pg *, struct arena *, const char *const *variant_ids, size_t n,
						 struct stock_row **rows_r, size_t *n_r, struct err *);
/* Takes a row lock and compares the version; found_r false when it is another one. */
MUST_CHECK enum err_code inventory_db_stock_lock(struct pg *, struct arena *, const char *variant_id, int64_t version,
						 bool *found_r, struct err *);
/* Makes the row and a level at the vendor's default location, or follows the catalog's later version of SKU and active. */
MUST_CHECK enum err_code inventory_db_stock_put(struct pg *, const char *variant_id, const char *vendor_id,
						const char *sku, bool active, int64_t catalog_version, struct err *);

struct level_row {
	const char *location_id, *location_code;
	int64_t on_hand;
};
MUST_CHECK enum err_code inventory_db_levels(struct pg *, struct arena *, const char *variant_id,
					     struct level_row **rows_r, size_t *n_r, struct err *);

struct adjust_ask {
	const char *variant_id, *location_id;
	bool set;		/* value is the wanted total at the location, else a delta */
	int64_t value;
	const char *kind, *reason, *operation_id, *order_id, *reservation_id, *actor, *request_id;
};
struct adjust_row {
	const char *outcome; /* done, same, known, unknown, reserved, range */
	int64_t on_hand;
	const char *state_after;
	int64_t seq_after;
	bool moved;
	const char *vendor_id;
};
MUST_CHECK enum err_code inventory_db_adjust(struct pg *, struct arena *, const struct adjust_ask *,
					     struct adjust_row **row_r, struct err *);
struct configure_row {
	const char *outcome; /* done, unknown, owed */
	const char *state_after;
	int64_t seq_after;
	bool moved;
	const char *vendor_id;
};
/* low < 0 and backorder NULL keep what is there. */
MUST_CHECK enum err_code inventory_db_configure(struct pg *, struct arena *, const char *variant_id, int64_t low,
						const bool *backorder, struct configure_row **row_r, struct err *);

struct movement_row {
	int64_t seq, delta, on_hand_after, moved_at;
	const char *kind, *location_id, *reason, *order_id, *actor;
};
MUST_CHECK enum err_code inventory_db_movements(struct pg *, struct arena *, const char *variant_id, int64_t before_seq,
						int32_t limit, struct movement_row **rows_r, size_t *n_r, struct err *);

/* ---- locations ---- */
struct location_row {
	const char *id, *code, *name, *country;
	int32_t priority;
	int64_t version, created_at;
};
MUST_CHECK enum err_code inventory_db_locations(struct pg *, struct arena *, const char *vendor_id, const char *after,
						int32_t limit, struct location_row **rows_r, size_t *n_r, struct err *);
/* found_r false when the vendor has that code already. */
MUST_CHECK enum err_code inventory_db_location_add(struct pg *, struct arena *, const char *id, const char *vendor_id,
						   const char *code, const char *name, const char *country,
						   int32_t priority, struct location_row **row_r, bool *found_r,
						   struct err *);
/* The vendor's location by id, or its first by priority when id is NULL (made when it has none). */
MUST_CHECK enum err_code inventory_db_location_pick(struct pg *, struct arena *, const char *vendor_id, const char *id,
						    struct location_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code inventory_db_location_default(struct pg *, const char *new_id, const char *vendor_id,
						       struct err *);

extern const struct pg_stmt *const inventory_db_reservation_stmts[];
extern const struct pg_stmt *const inventory_db_stock_stmts[];

#endif
