/* PATCH and DELETE of /api/checkout/{checkout_id}. */
#include <string.h>

#include "common/check.h"
#include "services/checkout/begin.h"
#include "services/checkout/frozen.h"

RPC_HANDLER(update_checkout, Checkout__V1__UpdateCheckoutRequest, Checkout__V1__CheckoutView)
RPC_HANDLER(cancel_checkout, Checkout__V1__CheckoutRequest, Checkout__V1__CheckoutView)

const struct rpc_method checkout_update_methods[] = {
	{ "UpdateCheckout", update_checkout_, RPC_WRITE | RPC_KEYED, 0 },
	{ "CancelCheckout", cancel_checkout_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static enum err_code nothing(struct pg *pg, void *arg, struct err *e)
{
	(void)pg;
	(void)arg;
	(void)e;
	return OK;
}

static enum err_code finish(struct call *c)
{
	return c->idem ? call_tx(c, CALL_TX_ONLY, nothing, NULL) : OK;
}

static enum err_code check_tag(struct call *c, const struct checkout_row *row, const char *tag)
{
	if (!tag || checkout_tag_version(tag, row->id) == row->version)
		return OK;
	err_detail(&c->err, "If-Match", checkout_tag(c->arena, row->id, row->version), "It was changed meanwhile.");
	return err_set(&c->err, E_PRECOND, "common.precondition_failed", "tag %.60s", tag);
}

/* Ends it and waits for the confirmation; OK only when it is surely over without a payment. */
static enum err_code end_now(struct call *c, const char *id, enum saga_why why, struct saga_run *r)
{
	saga_run_inline(c, id, SAGA_END, why, r);
	if (saga_run(r, &c->err))
		return c->err.code;
	if (strcmp(r->row->state, "ordered") == 0) {
		err_detail(&c->err, "order_id", r->row->order_id, "It was paid at the old total.");
		return err_set(&c->err, E_CONFLICT, "checkout.already_ordered", "%s", id);
	}
	return OK;
}

static enum err_code cancel_checkout(struct call *c, const Checkout__V1__CheckoutRequest *in,
				     Checkout__V1__CheckoutView *out)
{
	struct checkout_row *row = NULL;
	struct saga_run r;

	if (checkout_find(c, in->checkout_id, in->hdr_cart_token, &row) || check_tag(c, row, in->hdr_if_match) ||
	    end_now(c, row->id, WHY_ABANDONED, &r) || checkout_fill_view(c, r.row, out))
		return c->err.code;
	if (strcmp(r.row->state, "expired") == 0 || strcmp(r.row->state, "cancelled") == 0 ||
	    strcmp(r.row->state, "refunded") == 0)
		return finish(c);
	out->has_hdr_retry_after = true;
	return checkout_pending(c, r.row, &out->hdr_location, &out->hdr_retry_after);
}

struct refreeze {
	struct begin *b;
	struct saga_state next;
	int64_t version;
};

/* While this one had ended, another checkout may have bought the very version of the cart that is frozen now. */
static enum err_code not_bought(struct pg *pg, const struct begin *b, struct err *e)
{
	struct checkout_row *other = NULL;
	bool found = false;

	if (checkout_db_live(pg, b->c->arena, b->n.cart_id, b->n.cart_version, &other, &found, e) || !found)
		return e->code;
	if (strcmp(other->state, "ordered") != 0)
		return err_set(e, E_CONFLICT, "checkout.live", "cart %s", b->n.cart_id);
	err_detail(e, "order_id", other->order_id, "This version of the cart is that order.");
	return err_set(e, E_CONFLICT, "checkout.already_ordered", "%s", other->id);
}

static enum err_code refreeze_tx(struct pg *pg, void *arg, struct err *e)
{
	struct refreeze *x = arg;
	bool won = false;

	if (not_bought(pg, x->b, e) || begin_take(pg, x->b, x->next.attempt, e))
		return e->code;
	if (checkout_db_refreeze(pg, &x->b->n, x->version, &x->next, &won, e)) {
		if (strcmp(pg_constraint(pg), "checkout_live") == 0)
			return err_set(e, E_CONFLICT, "checkout.live", "cart %s", x->b->n.cart_id);
		return e->code;
	}
	return won ? OK : err_set(e, E_CONFLICT, "checkout.live", "%s moved on", x->b->n.id);
}

static struct pg_bytes request_hash(struct call *c, const Checkout__V1__UpdateCheckoutRequest *in)
{
	struct pg_bytes b = frozen_pack(c->arena, &in->base);
	uint8_t *hash = arena_alloc(c->arena, SHA256_LEN);

	sha256(b.data, b.len, hash);
	return (struct pg_bytes){ hash, SHA256_LEN };
}

/* Attempt N + 1 of a checkout that has surely ended. */
static enum err_code freeze_again(struct begin *b, const struct checkout_row *row, Checkout__V1__CheckoutView *out)
{
	struct call *c = b->c;
	const struct checkout_svc *svc = c->svc;
	const struct saga_event wake = { .type = SAGA_WAKE };
	struct refreeze x = { .b = b, .version = row->version };
	struct saga_state old, open;
	struct saga_run r;

	b->n.id = row->id;
	b->n.order_id = row->order_id;
	b->cart_version = -1;
	if (begin_freeze(b) || begin_seal(b, row->id) || checkout_row_state(row, &old, &c->err))
		return c->err.code;
	if (strcmp(b->n.cart_id, row->cart_id) != 0 ||
	    !saga_reopen(&old, row->now_at, (int64_t)svc->conf->ttl_s * 1000, b->n.total_minor == 0, &open))
		return err_set(&c->err, E_GONE, "checkout.ended", "%s is %s", row->id, row->state);
	saga_step(&open, &wake, row->now_at, &x.next, &b->cmds);
	if (call_tx(c, CALL_TX_PLAIN, refreeze_tx, &x))
		return c->err.code;
	saga_run_inline(c, row->id, SAGA_WAKE, WHY_NONE, &r);
	r.given = &b->cmds;
	if (begin_drive(c, &r, out))
		return c->err.code;
	return finish(c);
}

static enum err_code update_checkout(struct call *c, const Checkout__V1__UpdateCheckoutRequest *in,
				     Checkout__V1__CheckoutView *out)
{
	struct begin b = { .c = c, .address = in->address, .address_id = in->address_id,
			   .shipping_method = in->shipping_method, .cart_token = in->hdr_cart_token,
			   .expected = in->expected_total };
	Checkout__V1__Person *person = NULL;
	Checkout__V1__Frozen *old = NULL;
	struct checkout_row *row = NULL;
	struct saga_run r;

	if (checkout_find(c, in->checkout_id, in->hdr_cart_token, &row) ||
	    checkout_open_person(c, "checkout.checkout.person", row->id, row->person, &person) ||
	    frozen_unpack(c->arena, row->frozen, &old, &c->err))
		return c->err.code;
	if (!b.address && !b.address_id)
		b.address = person->address;
	if (!b.shipping_method)
		b.shipping_method = old->shipping_method;
	b.email = person->email;
	b.n.locale = row->locale;
	begin_check(&b);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "update checkout");
	if (check_tag(c, row, in->hdr_if_match) || end_now(c, row->id, WHY_REPLACED, &r))
		return c->err.code;
	if (strcmp(r.row->state, "expired") != 0) {
		if (r.row->next_at == 0 || strncmp(r.row->state, "refund", 6) == 0)
			return checkout_end_error(c, r.row, NULL);
		c->err.retry_after_ms = 3000;
		return err_set(&c->err, E_UNAVAILABLE, "checkout.busy", "%s is %s", row->id, r.row->state);
	}
	if (strcmp(r.row->why, "replaced") != 0) /* it had ended before */
		return checkout_end_error(c, r.row, NULL);
	b.n.request_hash = request_hash(c, in);
	return freeze_again(&b, r.row, out);
}
