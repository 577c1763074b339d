/* POST /api/orders/confirm: the same settling that a webhook brings about; whoever is second gets the first one's order. */
#include <string.h>

#include "common/check.h"
#include "services/checkout/checkout_view.h"
#include "services/checkout/order_view.h"
#include "services/checkout/order_write.h"
#include "services/checkout/saga_run.h"

RPC_HANDLER(confirm_order, Checkout__V1__ConfirmOrderRequest, Checkout__V1__Order)

const struct rpc_method checkout_confirm_methods[] = {
	{ "ConfirmOrder", confirm_order_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static enum err_code nothing(struct pg *pg, void *arg, struct err *e)
{
	(void)pg;
	(void)arg;
	(void)e;
	return OK;
}

/* Confirming is idempotent by itself: a second click that stored its key first does not make this answer wrong. */
static enum err_code finish(struct call *c)
{
	if (!c->idem || !call_tx(c, CALL_TX_ONLY, nothing, NULL))
		return OK;
	if (!err_is(&c->err, "idem.in_flight"))
		return c->err.code;
	err_clear(&c->err);
	return OK;
}

static enum err_code fill(struct call *c, const struct order_parts *p, Checkout__V1__Order *out)
{
	if (order_fill(c, p, out))
		return c->err.code;
	if (!p->order->user_id)
		out->order_token = order_token(c->arena, c->svc, p->order->id);
	out->hdr_location = arena_printf(c->arena, "/api/orders/%s", p->order->id);
	return OK;
}

static enum err_code ordered(struct call *c, const struct checkout_row *row, Checkout__V1__Order *out)
{
	struct order_parts p;

	if (order_load(c, row->order_id, &p) || fill(c, &p, out))
		return c->err.code;
	return finish(c);
}

/* The order that this very transaction writes. */
static enum err_code answer(struct call *c, struct pg *pg, const struct checkout_row *row, struct err *e)
{
	Checkout__V1__Order *out = (Checkout__V1__Order *)(uintptr_t)c->out;
	struct order_parts p;

	checkout__v1__order__init(out);
	if (strcmp(row->state, "ordered") != 0)
		return err_set(e, E_INTERNAL, "common.internal", "%s is %s", row->id, row->state);
	if (order_load_in(pg, c->arena, row->order_id, &p, e))
		return e->code;
	if (fill(c, &p, out)) {
		if (e != &c->err)
			err_copy(e, &c->err);
		return e->code;
	}
	return OK;
}

static enum err_code still_pending(struct call *c, const struct checkout_row *row, Checkout__V1__Order *out)
{
	out->checkout_id = (char *)row->id;
	out->checkout_state = (char *)row->state;
	out->has_hdr_retry_after = true;
	return checkout_pending(c, row, &out->hdr_location, &out->hdr_retry_after);
}

/* Looked at, and not paid: declined, or the buyer has something to do yet. */
static enum err_code unpaid(struct call *c, const struct checkout_row *row)
{
	if (row->pay_code) {
		err_detail(&c->err, "payment", row->pay_code, "%s",
			   row->pay_message ? row->pay_message : "The payment was declined.");
		return err_set(&c->err, E_CONFLICT, "checkout.payment_declined", "%s: %s", row->id, row->pay_code);
	}
	err_detail(&c->err, "payment", row->pay_status, "The payment is not made yet.");
	return err_set(&c->err, E_CONFLICT, "checkout.not_paid", "%s is %s", row->id,
		       row->pay_status ? row->pay_status : "");
}

static enum err_code confirm_order(struct call *c, const Checkout__V1__ConfirmOrderRequest *in, Checkout__V1__Order *out)
{
	struct checkout_row *row = NULL;
	enum saga_st st = SAGA_ST_MAX_;
	struct saga_run r;

	if (!check_id(&c->err, "checkout_id", in->checkout_id, "chk"))
		return err_set(&c->err, E_INVALID, "common.invalid_input", "confirm");
	if (checkout_find(c, in->checkout_id, in->hdr_cart_token, &row))
		return c->err.code;
	saga_run_inline(c, row->id, SAGA_SETTLE, WHY_NONE, &r);
	r.row = row;
	r.rest = answer;
	r.tx_flags = CALL_TX_ONLY;
	if (saga_run(&r, &c->err))
		return c->err.code;
	if (r.answered)
		return OK;
	(void)saga_state_parse(r.row->state, &st);
	if (st == SAGA_ORDERED)
		return ordered(c, r.row, out);
	if (saga_terminal(st) || !saga_live(st))
		return checkout_end_error(c, r.row, &r.refused);
	if (st == SAGA_PAYMENT_PENDING && !r.unsure && r.row->pay_status && strcmp(r.row->pay_status, "processing") != 0)
		return unpaid(c, r.row);
	return still_pending(c, r.row, out);
}
