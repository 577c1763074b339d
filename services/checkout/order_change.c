/* Cancelling an order: the buyer before anything was shipped, or an administrator likewise. Money and stock go back. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/outbox.h"
#include "events.pb-c.h"
#include "services/checkout/checkout_view.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_view.h"
#include "services/checkout/refund_db.h"
#include "services/checkout/refund_make.h"
#include "services/checkout/sweeper.h"

RPC_HANDLER(cancel_order, Checkout__V1__CancelOrderRequest, Checkout__V1__Order)
RPC_HANDLER(admin_cancel_order, Checkout__V1__CancelOrderRequest, Checkout__V1__Order)

const struct rpc_method checkout_order_change_methods[] = {
	{ "CancelOrder", cancel_order_, RPC_WRITE | RPC_KEYED, 0 },
	{ "AdminCancelOrder", admin_cancel_order_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

struct cancel {
	struct call *c;
	const char *order_id, *token, *reason, *tag, *refund_id;
	bool admin;
	Checkout__V1__Order *out;
};

/* What was not put back by an earlier refund. */
static enum err_code put_back(struct pg *pg, struct cancel *x, const struct order_row *o, struct err *e)
{
	struct oline_row *lines = NULL;
	const char **variants;
	int64_t *qtys;
	size_t n = 0, k = 0;

	if (oline_db_of(pg, x->c->arena, o->id, NULL, &lines, &n, e))
		return e->code;
	variants = arena_array(x->c->arena, n + 1, sizeof(*variants));
	qtys = arena_array(x->c->arena, n + 1, sizeof(*qtys));
	for (size_t i = 0; i < n; i++) {
		if (lines[i].qty <= lines[i].refunded_qty)
			continue;
		variants[k] = lines[i].variant_id;
		qtys[k++] = lines[i].qty - lines[i].refunded_qty;
	}
	if (k == 0)
		return OK;
	return restock_db_put(pg, x->c->arena, arena_printf(x->c->arena, "%s:cancel", o->id), o->reservation_key, o->id,
			      variants, qtys, k, "order cancelled", e);
}

static enum err_code tell(struct pg *pg, const struct order_row *o, struct err *e)
{
	Events__V1__OrderChanged m = EVENTS__V1__ORDER_CHANGED__INIT;

	m.order_id = (char *)o->id;
	m.user_id = (char *)o->user_id;
	m.status = (char *)"cancelled";
	return outbox_put(pg, "order", o->id, o->version + 1, "order.cancelled", &m.base, e);
}

static enum err_code check_tag(struct cancel *x, const struct order_row *o, struct err *e)
{
	if (!x->tag || checkout_tag_version(x->tag, o->id) == o->version)
		return OK;
	err_detail(e, "If-Match", checkout_tag(x->c->arena, o->id, o->version), "It was changed meanwhile.");
	return err_set(e, E_PRECOND, "common.precondition_failed", "tag %.60s", x->tag);
}

static enum err_code refund_rest(struct pg *pg, struct cancel *x, const struct order_row *o, struct err *e)
{
	const struct refund_ask ask = { .id = x->refund_id, .reason = x->reason };
	int64_t amount = 0;

	if (o->total == 0)
		return OK;
	if (refund_make(pg, x->c->arena, o, &ask, &amount, e) == OK || !err_is(e, "refund.nothing"))
		return e->code;
	err_clear(e); /* all of it was refunded before */
	return OK;
}

static enum err_code fill_again(struct pg *pg, struct cancel *x, struct err *e)
{
	struct order_parts p = { 0 };
	bool found = false;

	if (order_db_get(pg, x->c->arena, x->order_id, &p.order, &found, e) ||
	    vorder_db_of_order(pg, x->c->arena, x->order_id, &p.vendors, &p.n_vendors, e) ||
	    oline_db_of(pg, x->c->arena, x->order_id, NULL, &p.lines, &p.n_lines, e))
		return e->code;
	checkout__v1__order__init(x->out);
	if (order_fill(x->c, &p, x->out)) {
		err_copy(e, &x->c->err);
		return e->code;
	}
	return OK;
}

static enum err_code cancel_tx(struct pg *pg, void *arg, struct err *e)
{
	struct cancel *x = arg;
	struct order_row *o = NULL;
	bool found = false, done = false;

	if (order_db_lock(pg, x->c->arena, x->order_id, &o, &found, e))
		return e->code;
	if (!found || (!x->admin && !order_is_mine(x->c, o, x->token)))
		return err_set(e, E_NOT_FOUND, "order.not_found", "%s", x->order_id);
	if (check_tag(x, o, e) || order_db_cancel(pg, o->id, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_CONFLICT, "order.not_cancellable", "%s is %s/%s", o->id, o->status, o->fulfilment_status);
	if (refund_rest(pg, x, o, e) || put_back(pg, x, o, e) || tell(pg, o, e))
		return e->code;
	return fill_again(pg, x, e);
}

static enum err_code cancel(struct call *c, const Checkout__V1__CancelOrderRequest *in, bool admin,
			    Checkout__V1__Order *out)
{
	const struct checkout_svc *svc = c->svc;
	char id[ID_LEN];
	struct cancel x = { .c = c, .order_id = in->order_id, .token = in->hdr_order_token, .tag = in->hdr_if_match,
			    .reason = in->reason && *in->reason ? in->reason : "order cancelled", .admin = admin,
			    .out = out };

	check_text(&c->err, "reason", in->reason, 0, 300);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "cancel order");
	if (!in->order_id || strlen(in->order_id) > 40)
		return err_set(&c->err, E_NOT_FOUND, "order.not_found", "no id");
	id_new("rfd", id);
	x.refund_id = arena_strdup(c->arena, id);
	if (call_tx(c, CALL_TX_ONLY, cancel_tx, &x))
		return c->err.code;
	sweeper_kick(svc->sweeper);
	return OK;
}

static enum err_code cancel_order(struct call *c, const Checkout__V1__CancelOrderRequest *in, Checkout__V1__Order *out)
{
	return cancel(c, in, false, out);
}

static enum err_code admin_cancel_order(struct call *c, const Checkout__V1__CancelOrderRequest *in,
					Checkout__V1__Order *out)
{
	if (call_perm(c, "admin.orders"))
		return c->err.code;
	return cancel(c, in, true, out);
}
