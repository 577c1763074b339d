/* The ends of a reservation: sold, released, prolonged, put back. Each may be asked again and answers the same. */
#include "services/inventory/reservation.h"

#include <string.h>

#include "common/check.h"
#include "services/inventory/inventory.h"
#include "services/inventory/inventory_db.h"
#include "services/inventory/stock_event.h"

RPC_HANDLER(inventory_sell, Inventory__V1__ReservationRequest, Inventory__V1__Reservation)
RPC_HANDLER(inventory_release, Inventory__V1__ReservationRequest, Inventory__V1__Reservation)
RPC_HANDLER(inventory_extend, Inventory__V1__ReservationRequest, Inventory__V1__Reservation)
RPC_HANDLER(inventory_get_reservation, Inventory__V1__ReservationRequest, Inventory__V1__Reservation)
RPC_HANDLER(inventory_restock, Inventory__V1__RestockRequest, Inventory__V1__Reservation)

const struct rpc_method inventory_reservation_methods[] = {
	{ "Sell", inventory_sell_, RPC_WRITE | RPC_INTERNAL, 0 },
	{ "Release", inventory_release_, RPC_WRITE | RPC_INTERNAL, 0 },
	{ "Extend", inventory_extend_, RPC_WRITE | RPC_INTERNAL, 0 },
	{ "GetReservation", inventory_get_reservation_, RPC_READ | RPC_INTERNAL, 0 },
	{ "Restock", inventory_restock_, RPC_WRITE | RPC_INTERNAL, 0 },
	{ 0 },
};

enum err_code reservation_fill(struct call *c, const char *key, Inventory__V1__Reservation *out)
{
	struct reservation_row *r = NULL;
	struct reservation_line_row *lines = NULL;
	size_t n = 0;
	bool found = false;
	struct pg *pg;
	enum err_code code;

	if (call_pg(c, &pg))
		return c->err.code;
	code = inventory_db_reservation(pg, c->arena, key, &r, &found, &c->err);
	if (!code && found)
		code = inventory_db_reservation_lines(pg, c->arena, r->id, &lines, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	if (!found)
		return err_set(&c->err, E_NOT_FOUND, "inventory.reservation_unknown", "key %s", key);
	out->reservation_id = (char *)r->id;
	out->reservation_key = (char *)r->key;
	out->state = (char *)r->state;
	out->has_expires_at = true;
	out->expires_at = r->expires_at;
	out->lines = arena_alloc(c->arena, (n + 1) * sizeof(*out->lines));
	for (size_t i = 0; i < n; i++) {
		Inventory__V1__ReserveLine *l = arena_alloc(c->arena, sizeof(*l));

		inventory__v1__reserve_line__init(l);
		l->variant_id = (char *)lines[i].variant_id;
		l->has_qty = true;
		l->qty = lines[i].qty;
		out->lines[out->n_lines++] = l;
	}
	return OK;
}

struct finish_tx {
	struct call *c;
	const char *key, *state, *order_id, *reason;
	const char *outcome, *id;
};

static enum err_code finish_tx(struct pg *pg, void *arg, struct err *e)
{
	struct finish_tx *t = arg;
	struct finish_row *rows = NULL;
	size_t n = 0;

	if (inventory_db_finish(pg, t->c->arena, t->key, t->state, t->order_id, t->reason, call_actor(t->c),
				t->c->request_id, &rows, &n, e))
		return e->code;
	if (n == 0)
		return err_set(e, E_INTERNAL, "common.internal", "reservation %s has no lines", t->key);
	t->outcome = rows[0].outcome;
	t->id = rows[0].reservation_id;
	for (size_t i = 0; i < n; i++)
		if (stock_event_put(pg, rows[i].moved, rows[i].variant_id, rows[i].vendor_id, rows[i].state_after,
				    rows[i].seq_after, e))
			return e->code;
	return OK;
}

static enum err_code finished(const struct finish_tx *t, Inventory__V1__Reservation *out)
{
	out->reservation_id = (char *)(uintptr_t)t->id;
	out->reservation_key = (char *)(uintptr_t)t->key;
	out->state = (char *)(uintptr_t)t->state;
	return OK;
}

static enum err_code check_key(struct call *c, const char *key)
{
	if (call_service(c, "checkout"))
		return c->err.code;
	check_text(&c->err, "reservation_key", key, 8, 100);
	return c->err.n_details ? err_set(&c->err, E_INVALID, "common.invalid_input", "reservation key") : OK;
}

static enum err_code inventory_sell(struct call *c, const Inventory__V1__ReservationRequest *in,
				    Inventory__V1__Reservation *out)
{
	struct finish_tx t = { .c = c, .key = in->reservation_key, .state = "sold", .order_id = in->order_id,
			       .reason = in->reason };

	if (check_key(c, in->reservation_key))
		return c->err.code;
	check_text(&c->err, "order_id", in->order_id, 8, 64);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "sell");
	if (call_tx(c, CALL_TX_PLAIN, finish_tx, &t))
		return c->err.code;
	if (strcmp(t.outcome, "released") == 0 || strcmp(t.outcome, "missing") == 0)
		return err_set(&c->err, E_CONFLICT, "inventory.reservation_gone", "%s is %s", in->reservation_key,
			       t.outcome);
	return finished(&t, out);
}

static enum err_code inventory_release(struct call *c, const Inventory__V1__ReservationRequest *in,
				       Inventory__V1__Reservation *out)
{
	struct finish_tx t = { .c = c, .key = in->reservation_key, .state = "released", .reason = in->reason };

	if (check_key(c, in->reservation_key) || call_tx(c, CALL_TX_PLAIN, finish_tx, &t))
		return c->err.code;
	if (strcmp(t.outcome, "sold") == 0)
		return err_set(&c->err, E_CONFLICT, "inventory.reservation_sold", "%s is sold", in->reservation_key);
	return finished(&t, out);
}

static enum err_code inventory_extend(struct call *c, const Inventory__V1__ReservationRequest *in,
				      Inventory__V1__Reservation *out)
{
	struct pg *pg;
	bool found = false;
	enum err_code code;

	if (check_key(c, in->reservation_key))
		return c->err.code;
	check_range(&c->err, "ttl_s", in->ttl_s, RESERVE_TTL_MIN, RESERVE_TTL_MAX);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "extend");
	if (call_pg(c, &pg))
		return c->err.code;
	code = inventory_db_extend(pg, c->arena, in->reservation_key, in->ttl_s, in->hold, &found, &c->err);
	pg_return(pg);
	if (code)
		return code;
	return reservation_fill(c, in->reservation_key, out); /* its state tells when it was too late */
}

static enum err_code inventory_get_reservation(struct call *c, const Inventory__V1__ReservationRequest *in,
					       Inventory__V1__Reservation *out)
{
	if (check_key(c, in->reservation_key))
		return c->err.code;
	return reservation_fill(c, in->reservation_key, out);
}

/* ---- restock ---- */

struct restock_tx {
	struct call *c;
	const Inventory__V1__RestockRequest *in;
};

static enum err_code restock_line(struct pg *pg, struct restock_tx *t, const struct reservation_row *r,
				  const char *order_id, const char *variant_id, int32_t qty, struct err *e)
{
	struct arena *a = t->c->arena;
	const char *const ids[] = { variant_id };
	struct stock_row *stock = NULL;
	struct location_row *loc = NULL;
	struct adjust_row *done = NULL;
	size_t n = 0;
	bool found = false;

	if (inventory_db_line_restock(pg, t->in->reservation_key, variant_id, qty, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_RULE, "inventory.restock_too_much", "%s of %s", variant_id, t->in->reservation_key);
	if (inventory_db_stock_many(pg, a, ids, 1, &stock, &n, e))
		return e->code;
	if (n != 1)
		return err_set(e, E_INTERNAL, "common.internal", "no stock row of %s", variant_id);
	if (inventory_db_location_pick(pg, a, stock->vendor_id, NULL, &loc, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_INTERNAL, "common.internal", "vendor %s has no location", stock->vendor_id);
	struct adjust_ask ask = {
		.variant_id = variant_id, .location_id = loc->id, .value = qty, .kind = "restock",
		.reason = t->in->reason, .reservation_id = r->id, .order_id = order_id, .actor = call_actor(t->c),
		.request_id = t->c->request_id,
	};

	if (inventory_db_adjust(pg, a, &ask, &done, e))
		return e->code;
	if (strcmp(done->outcome, "done") != 0)
		return err_set(e, E_INTERNAL, "common.internal", "restock of %s: %s", variant_id, done->outcome);
	return stock_event_put(pg, done->moved, variant_id, done->vendor_id, done->state_after, done->seq_after, e);
}

static bool has_line(const struct reservation_line_row *lines, size_t n, const char *variant_id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(lines[i].variant_id, variant_id) == 0)
			return true;
	return false;
}

static enum err_code restock_tx(struct pg *pg, void *arg, struct err *e)
{
	struct restock_tx *t = arg;
	struct reservation_row *r = NULL;
	struct reservation_line_row *lines = NULL;
	size_t n = 0;
	bool fresh = false, found = false;

	if (inventory_db_operation(pg, t->in->operation_id, &fresh, e))
		return e->code;
	if (!fresh)
		return OK;
	if (inventory_db_reservation(pg, t->c->arena, t->in->reservation_key, &r, &found, e))
		return e->code;
	if (!found || strcmp(r->state, "sold") != 0)
		return err_set(e, E_CONFLICT, "inventory.not_sold", "%s", t->in->reservation_key);
	if (inventory_db_reservation_lines(pg, t->c->arena, r->id, &lines, &n, e))
		return e->code;
	if (t->in->n_lines == 0) { /* lines come in the order of their variants: the lock order */
		for (size_t i = 0; i < n; i++)
			if (restock_line(pg, t, r, NULL, lines[i].variant_id, lines[i].qty, e))
				return e->code;
		return OK;
	}
	for (size_t k = 0; k < t->in->n_lines; k++)
		if (!has_line(lines, n, t->in->lines[k]->variant_id))
			return err_set(e, E_RULE, "inventory.restock_too_much", "%s is not in %s",
				       t->in->lines[k]->variant_id, t->in->reservation_key);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < t->in->n_lines; k++)
			if (strcmp(t->in->lines[k]->variant_id, lines[i].variant_id) == 0 &&
			    restock_line(pg, t, r, NULL, lines[i].variant_id, t->in->lines[k]->qty, e))
				return e->code;
	return OK;
}

static enum err_code inventory_restock(struct call *c, const Inventory__V1__RestockRequest *in,
				       Inventory__V1__Reservation *out)
{
	struct restock_tx t = { .c = c, .in = in };

	if (check_key(c, in->reservation_key))
		return c->err.code;
	check_text(&c->err, "operation_id", in->operation_id, 8, 100);
	if (in->n_lines > RESERVE_LINES_MAX)
		err_detail(&c->err, "lines", NULL, "at most %d lines", RESERVE_LINES_MAX);
	for (size_t i = 0; i < in->n_lines && i < RESERVE_LINES_MAX; i++) {
		check_id(&c->err, "lines.variant_id", in->lines[i]->variant_id, "var");
		check_range(&c->err, "lines.qty", in->lines[i]->qty, 1, RESERVE_QTY_MAX);
	}
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "restock");
	if (call_tx(c, CALL_TX_PLAIN, restock_tx, &t))
		return c->err.code;
	return reservation_fill(c, in->reservation_key, out);
}
