/* Reserve: all lines of a cart or none; and how much of a variant is left. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "inventory.pb-c.h"
#include "services/inventory/inventory.h"
#include "services/inventory/reservation.h"
#include "services/inventory/reserve_queue.h"
#include "services/inventory/stock_event.h"

RPC_HANDLER(inventory_reserve, Inventory__V1__ReserveRequest, Inventory__V1__Reservation)
RPC_HANDLER(inventory_availability, Inventory__V1__AvailabilityRequest, Inventory__V1__AvailabilityReply)

const struct rpc_method inventory_reserve_methods[] = {
	{ "Reserve", inventory_reserve_, RPC_WRITE | RPC_INTERNAL, 0 },
	{ "GetAvailability", inventory_availability_, RPC_READ | RPC_INTERNAL, 0 },
	{ 0 },
};

struct want {
	const char *variant_id;
	int64_t qty;
};

static int want_cmp(const void *a, const void *b)
{
	return strcmp(((const struct want *)a)->variant_id, ((const struct want *)b)->variant_id);
}

/* The lines sorted by variant with duplicates added up: two lines of one variant must not each see the same stock. */
static enum err_code want_lines(struct call *c, const Inventory__V1__ReserveRequest *in, struct want **want_r,
				size_t *n_r)
{
	struct want *w = arena_alloc(c->arena, (in->n_lines + 1) * sizeof(*w));
	size_t n = 0;

	if (in->n_lines < 1 || in->n_lines > RESERVE_LINES_MAX)
		err_detail(&c->err, "lines", NULL, "must be 1 to %d lines", RESERVE_LINES_MAX);
	for (size_t i = 0; i < in->n_lines && i < RESERVE_LINES_MAX; i++) {
		check_id(&c->err, "lines.variant_id", in->lines[i]->variant_id, "var");
		check_range(&c->err, "lines.qty", in->lines[i]->qty, 1, RESERVE_QTY_MAX);
		w[i] = (struct want){ in->lines[i]->variant_id, in->lines[i]->qty };
	}
	check_text(&c->err, "reservation_key", in->reservation_key, 8, 100);
	check_range(&c->err, "ttl_s", in->ttl_s, RESERVE_TTL_MIN, RESERVE_TTL_MAX);
	if (in->owner && *in->owner)
		check_text(&c->err, "owner", in->owner, 1, 64);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "reserve");
	qsort(w, in->n_lines, sizeof(*w), want_cmp);
	for (size_t i = 0; i < in->n_lines; i++) {
		if (n > 0 && strcmp(w[n - 1].variant_id, w[i].variant_id) == 0)
			w[n - 1].qty += w[i].qty;
		else
			w[n++] = w[i];
	}
	for (size_t i = 0; i < n; i++)
		if (w[i].qty > RESERVE_QTY_MAX)
			return err_set(&c->err, E_INVALID, "common.invalid_input", "summed quantity of %s",
				       w[i].variant_id);
	*want_r = w;
	*n_r = n;
	return OK;
}

/* Names a refused line for the client. */
static void refuse_line(struct call *c, const struct want *w, enum reserve_outcome out, int64_t available)
{
	char field[64];

	snprintf(field, sizeof(field), "lines.%s", w->variant_id);
	if (out == RESERVE_CAPPED)
		err_detail(&c->err, field, NULL, "more units than one buyer may hold unpaid");
	else
		err_detail(&c->err, field, arena_printf(c->arena, "%lld", (long long)(available > 0 ? available : 0)),
			   "%lld wanted, %lld available", (long long)w->qty, (long long)(available > 0 ? available : 0));
}

static enum err_code refused(struct call *c, bool capped)
{
	if (capped)
		return err_set(&c->err, E_RULE, "inventory.owner_cap", "unit cap of one owner");
	return err_set(&c->err, E_CONFLICT, "inventory.out_of_stock", "not enough stock");
}

struct cart_tx {
	struct inventory_svc *svc;
	struct call *c;
	struct reserve_ask ask;
	const struct want *want;
	size_t n;
	struct reserve_line_answer *rows;
	size_t n_rows;
};

static enum err_code cart_tx(struct pg *pg, void *arg, struct err *e)
{
	struct cart_tx *t = arg;
	struct arena *a = t->c->arena;
	const char **variants = arena_alloc(a, t->n * sizeof(*variants));
	int64_t *qtys = arena_alloc(a, t->n * sizeof(*qtys));

	for (size_t i = 0; i < t->n; i++) {
		variants[i] = t->want[i].variant_id;
		qtys[i] = t->want[i].qty;
	}
	if (inventory_db_reserve_cart(pg, a, &t->ask, variants, qtys, t->n, t->svc->conf->owner_unit_cap, &t->rows,
				      &t->n_rows, e))
		return e->code;
	if (t->n_rows != t->n)
		return err_set(e, E_INTERNAL, "common.internal", "%zu answers for %zu lines", t->n_rows, t->n);
	for (size_t i = 0; i < t->n; i++)
		if (stock_event_put(pg, t->rows[i].moved, t->rows[i].variant_id, t->rows[i].vendor_id,
				    t->rows[i].state_after, t->rows[i].seq_after, e))
			return e->code;
	return OK;
}

/* Several variants: the ordinary path. */
static enum err_code reserve_cart(struct inventory_svc *svc, struct call *c, const struct reserve_ask *ask,
				  const struct want *want, size_t n, Inventory__V1__Reservation *reply)
{
	struct cart_tx t = { .svc = svc, .c = c, .ask = *ask, .want = want, .n = n };
	bool capped = false, bad = false;

	if (call_tx(c, CALL_TX_PLAIN, cart_tx, &t))
		return c->err.code;
	for (size_t i = 0; i < n; i++) {
		enum reserve_outcome out;

		if (reserve_outcome_parse(t.rows[i].outcome, &out, &c->err))
			return c->err.code;
		if (out == RESERVE_OK || out == RESERVE_KNOWN)
			continue;
		refuse_line(c, &want[i], out, t.rows[i].available);
		bad = true;
		capped |= out == RESERVE_CAPPED;
	}
	return bad ? refused(c, capped) : reservation_fill(c, ask->key, reply);
}

static void answer_new(struct call *c, const struct reserve_ask *ask, const char *variant_id, int64_t expires_at,
		       Inventory__V1__Reservation *out)
{
	Inventory__V1__ReserveLine *l = arena_alloc(c->arena, sizeof(*l));

	inventory__v1__reserve_line__init(l);
	l->variant_id = (char *)(uintptr_t)variant_id;
	l->has_qty = true;
	l->qty = ask->qty;
	out->reservation_id = arena_strdup(c->arena, ask->id);
	out->reservation_key = (char *)(uintptr_t)ask->key;
	out->state = (char *)(uintptr_t)"active";
	out->has_expires_at = true;
	out->expires_at = expires_at;
	out->lines = arena_alloc(c->arena, sizeof(*out->lines));
	out->lines[out->n_lines++] = l;
}

static enum err_code reserve_one(struct inventory_svc *svc, struct call *c, const struct reserve_ask *ask,
				 const struct want *want, Inventory__V1__Reservation *out)
{
	struct reserve_result r;

	if (reserve_queue_run(svc, c, want->variant_id, ask, &r))
		return c->err.code;
	if (r.outcome == RESERVE_KNOWN)
		return reservation_fill(c, ask->key, out);
	if (r.outcome == RESERVE_OK)
		return answer_new(c, ask, want->variant_id, r.expires_at, out), OK;
	refuse_line(c, want, r.outcome, r.available);
	return refused(c, r.outcome == RESERVE_CAPPED);
}

static enum err_code inventory_reserve(struct call *c, const Inventory__V1__ReserveRequest *in,
				       Inventory__V1__Reservation *out)
{
	struct inventory_svc *svc = c->svc;
	struct want *want = NULL;
	size_t n = 0;
	char id[ID_LEN];

	if (call_service(c, "checkout") || want_lines(c, in, &want, &n))
		return c->err.code;
	id_new("rsv", id);
	struct reserve_ask ask = { .key = in->reservation_key, .id = id, .owner = in->owner ? in->owner : "",
				   .qty = (int32_t)want[0].qty, .ttl_s = in->ttl_s };

	return n == 1 ? reserve_one(svc, c, &ask, &want[0], out) : reserve_cart(svc, c, &ask, want, n, out);
}

static enum err_code inventory_availability(struct call *c, const Inventory__V1__AvailabilityRequest *in,
					    Inventory__V1__AvailabilityReply *out)
{
	struct stock_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;

	if (call_service(c, "cart,checkout,catalog,search,reco"))
		return c->err.code;
	if (in->n_variant_ids > 500)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "%zu variants", in->n_variant_ids);
	if (call_pg(c, &pg))
		return c->err.code;
	code = inventory_db_stock_many(pg, c->arena, (const char *const *)in->variant_ids, in->n_variant_ids, &rows, &n,
				       &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_alloc(c->arena, (n + 1) * sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Inventory__V1__Availability *v = arena_alloc(c->arena, sizeof(*v));

		inventory__v1__availability__init(v);
		v->variant_id = (char *)rows[i].variant_id;
		v->has_available = v->has_backorder = true;
		v->available = rows[i].on_hand - rows[i].reserved;
		v->backorder = rows[i].backorder;
		v->state = (char *)rows[i].state;
		out->data[out->n_data++] = v;
	}
	return OK;
}
