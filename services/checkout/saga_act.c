#include "services/checkout/saga_act.h"

#include <string.h>

#include "common/log.h"
#include "common/timeutil.h"
#include "services/checkout/checkout_remote.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_db.h"
#include "services/checkout/order_write.h"
#include "services/checkout/pay.h"

#define STOCK_MIN_S 60

static struct saga_event ev(enum saga_ev type)
{
	return (struct saga_event){ .type = type };
}

static const struct checkout_svc *svc_of(const struct act *x)
{
	return x->c->svc;
}

static struct pay_call pay_call_of(const struct act *x)
{
	return (struct pay_call){ svc_of(x)->pay, x->c->arena, x->pay_timeout_ms };
}

/* The saga's own view of rereserved, which the row in hand may not have yet. */
static char *stock_key(const struct act *x)
{
	struct checkout_row r = *x->row;

	r.rereserved = x->s->rereserved;
	return order_reservation_key(x->c->arena, &r);
}

/* Something that only a person can look into; alerts are made of these lines. */
static void alert(const struct act *x, const char *what, const struct pay_reply *r)
{
	log_msg(LVL_CRITICAL, what, LF_S("checkout_id", x->row->id), LF_S("payment_intent", x->row->pi_id),
		LF_I("status", r->status), LF_S("code", r->code), LF_S("provider_says", r->text));
}

/* ---- stock ---- */

static bool definite(enum err_code code)
{
	return code == E_INVALID || code == E_NOT_FOUND || code == E_CONFLICT || code == E_RULE || code == E_GONE;
}

static struct saga_event reserve(struct act *x)
{
	Checkout__V1__Frozen *f = NULL;
	struct stock_line *lines;
	const char *state = "";
	int64_t ttl = (x->s->expires_at - x->row->now_at) / 1000 + STOCK_AFTER_S;
	enum err_code code;

	if (frozen_unpack(x->c->arena, x->row->frozen, &f, &x->c->err))
		return ev(EV_RESERVE_UNKNOWN);
	lines = arena_array(x->c->arena, f->n_lines + 1, sizeof(*lines));
	for (size_t i = 0; i < f->n_lines; i++)
		lines[i] = (struct stock_line){ f->lines[i]->line->variant_id, f->lines[i]->line->qty };
	ttl = ttl < STOCK_MIN_S ? STOCK_MIN_S : ttl > STOCK_HOLD_S ? STOCK_HOLD_S : ttl;
	code = checkout_remote_reserve(x->c, stock_key(x), lines, f->n_lines, (int32_t)ttl,
				       x->row->user_id ? x->row->user_id : x->row->cart_id, &state);
	if (!code)
		return ev(strcmp(state, "released") == 0 ? EV_RESERVE_REFUSED : EV_RESERVE_OK);
	if (!definite(code))
		return ev(EV_RESERVE_UNKNOWN);
	err_copy(x->refused, &x->c->err);
	return ev(EV_RESERVE_REFUSED);
}

static struct saga_event sell(struct act *x)
{
	enum err_code code = checkout_remote_sell(x->c, stock_key(x), x->row->order_id);

	if (!code)
		return ev(EV_SELL_OK);
	/* Only inventory's own word lets go of the goods; any other refusal is asked again and looked into. */
	return ev(err_is(&x->c->err, "inventory.reservation_gone") ? EV_SELL_GONE : EV_SELL_UNKNOWN);
}

static struct saga_event release(struct act *x)
{
	if (!checkout_remote_release(x->c, stock_key(x), saga_why_name(x->s->why)))
		return ev(EV_RELEASE_OK);
	return ev(err_is(&x->c->err, "inventory.reservation_sold") ? EV_RELEASE_SOLD : EV_RELEASE_UNKNOWN);
}

static struct saga_event restock(struct act *x)
{
	char *key = stock_key(x);

	if (!checkout_remote_restock(x->c, arena_printf(x->c->arena, "%s:undo", key), key, NULL, 0, "payment failed"))
		return ev(EV_RESTOCK_OK);
	/* Sold to nobody: there is nothing to put back. */
	return ev(err_is(&x->c->err, "inventory.not_sold") ? EV_RESTOCK_OK : EV_RESTOCK_UNKNOWN);
}

static void hold(struct act *x)
{
	if (checkout_remote_hold(x->c, stock_key(x), STOCK_HOLD_S))
		log_err(LVL_WARNING, "a reservation could not be prolonged", &x->c->err);
}

/* ---- the payment ---- */

static const char *cut(struct arena *a, const char *s, size_t max)
{
	return *s ? arena_strndup(a, s, max) : NULL;
}

static void learn(struct act *x, const struct pay_intent *pi)
{
	x->facts->pay_seen = true;
	x->facts->pay_status = cut(x->c->arena, pi->status_word, 40);
	x->facts->pay_code = cut(x->c->arena, pi->error_code, 60);
	x->facts->pay_message = cut(x->c->arena, pi->error_message, 200);
	x->facts->received = pi->amount_received;
}

/* The intent is ours and for what was frozen; carts can be edited in another tab while it is paid. */
static bool differs(const struct act *x, const struct pay_intent *pi)
{
	if (strcasecmp(pi->currency, x->row->currency) != 0 || pi->amount != x->row->total_minor ||
	    strcmp(pi->checkout_id, x->row->id) != 0)
		return true;
	return pi->status == PI_SUCCEEDED && pi->amount_received != x->row->total_minor;
}

static struct saga_event seen(struct act *x, const struct pay_reply *r)
{
	struct saga_event e = { .type = EV_PI_SEEN, .pi = r->intent.status, .mismatch = differs(x, &r->intent) };

	learn(x, &r->intent);
	if (e.mismatch)
		alert(x, "a payment intent does not match its checkout", r);
	return e;
}

static struct saga_event created(struct act *x, const struct pay_reply *r)
{
	if (differs(x, &r->intent)) { /* never shown to the buyer: nothing can be paid on it */
		alert(x, "the provider made another intent than asked for", r);
		return ev(EV_PI_UNKNOWN);
	}
	if (crypto_seal_text(svc_of(x)->ring, "checkout.checkout.client_secret", x->row->id, r->intent.client_secret,
			     x->c->arena, &x->facts->client_secret, &x->c->err))
		return ev(EV_PI_UNKNOWN);
	x->facts->pi_id = r->intent.id;
	learn(x, &r->intent);
	return ev(EV_PI_CREATED);
}

char *act_create_key(struct arena *a, const char *checkout_id, int32_t pi_n)
{
	return arena_printf(a, "%s.%d.create", checkout_id, (int)pi_n);
}

char *act_create_params(struct arena *a, const struct checkout_row *row, int32_t pi_n)
{
	return pay_create_params(a, row->id, row->order_id, pi_n, row->total_minor, row->currency);
}

/* Key and body as they are stored, which a newer build might compute differently. */
static bool stored_attempt(struct act *x, struct attempt_row **at_r)
{
	bool found = false;
	struct pg *pg;

	if (pg_borrow(x->c->pool, x->c->deadline_ms, &pg, &x->c->err))
		return false;
	if (checkout_db_attempt(pg, x->c->arena, x->row->id, x->s->pi_n, at_r, &found, &x->c->err))
		found = false;
	pg_return(pg);
	return found;
}

static struct saga_event find_pi(struct act *x)
{
	struct pay_call pc = pay_call_of(x);
	struct pay_reply r = { 0 };

	switch (pay_find(&pc, x->row->id, x->s->pi_n, x->s->begun_at / 1000 - 300, &r)) {
	case PAY_OK:
		return *r.intent.client_secret ? created(x, &r) : ev(EV_LOOK_UNKNOWN);
	case PAY_REFUSED:
		return ev(EV_PI_NONE);
	default:
		return ev(EV_LOOK_UNKNOWN);
	}
}

static struct saga_event create_pi(struct act *x)
{
	struct pay_call pc = pay_call_of(x);
	struct attempt_row computed = { 0 }, *at = &computed;
	struct pay_reply r = { 0 };

	if (x->fresh_attempt) {
		computed.idem_key = act_create_key(x->c->arena, x->row->id, x->s->pi_n);
		computed.params = act_create_params(x->c->arena, x->row, x->s->pi_n);
	} else if (!stored_attempt(x, &at)) {
		return ev(EV_PI_UNKNOWN);
	} else if (x->row->now_at - at->created_at > PAY_KEY_MS) {
		return find_pi(x);
	}
	switch (pay_create(&pc, at->idem_key, at->params, &r)) {
	case PAY_OK:
		return created(x, &r);
	case PAY_NOT_SENT:
		x->refused->retry_after_ms = 5000;
		(void)err_set(x->refused, E_UNAVAILABLE, "checkout.provider_down", "HTTP %d %s %s", r.status, r.code, r.text);
		return ev(EV_PI_NOT_SENT);
	case PAY_REFUSED:
		if (r.mismatch_of_key) /* another key would hide what went wrong */
			alert(x, "an idempotency key was used with other parameters", &r);
		(void)err_set(x->refused, E_RULE, "checkout.payment_refused", "%s: %s", r.code, r.text);
		return ev(EV_PI_REFUSED);
	case PAY_UNKNOWN:
		break;
	}
	return ev(EV_PI_UNKNOWN);
}

static struct saga_event retrieve(struct act *x)
{
	struct pay_call pc = pay_call_of(x);
	struct pay_reply r = { 0 };

	if (pay_retrieve(&pc, x->row->pi_id ? x->row->pi_id : "", &r) != PAY_OK)
		return ev(EV_LOOK_UNKNOWN);
	return seen(x, &r);
}

static char *pi_key(const struct act *x, const char *verb)
{
	return arena_printf(x->c->arena, "%s.%s.%d", x->row->pi_id, verb, (int)x->s->key_n);
}

static struct saga_event capture(struct act *x)
{
	struct pay_call pc = pay_call_of(x);
	struct pay_reply r = { 0 };
	struct saga_event e;

	switch (pay_capture(&pc, pi_key(x, "capture"), x->row->pi_id, x->row->total_minor, &r)) {
	case PAY_OK:
		e = seen(x, &r);
		return e.pi == PI_SUCCEEDED && !e.mismatch ? ev(EV_CAPTURE_OK) : e;
	case PAY_REFUSED:
		if (!*r.intent.id)
			return ev(EV_CAPTURE_UNKNOWN); /* look before believing it */
		e = seen(x, &r);
		return e.pi == PI_CAPTURABLE ? ev(EV_CAPTURE_REFUSED) : e;
	default:
		return ev(EV_CAPTURE_UNKNOWN);
	}
}

static struct saga_event cancel(struct act *x)
{
	struct pay_call pc = pay_call_of(x);
	struct pay_reply r = { 0 };

	switch (pay_cancel(&pc, pi_key(x, "cancel"), x->row->pi_id, &r)) {
	case PAY_OK:
		learn(x, &r.intent);
		return ev(r.intent.status == PI_CANCELED ? EV_CANCEL_OK : EV_CANCEL_UNKNOWN);
	case PAY_REFUSED:
		if (!*r.intent.id)
			return ev(EV_CANCEL_UNKNOWN);
		learn(x, &r.intent);
		if (r.intent.status == PI_CANCELED)
			return ev(EV_CANCEL_OK);
		return ev(r.intent.status == PI_SUCCEEDED ? EV_CANCEL_SUCCEEDED : EV_CANCEL_BUSY);
	default:
		return ev(EV_CANCEL_UNKNOWN);
	}
}

/* ---- giving the money of a dead checkout back ---- */

/* r tells of the refund, whoever made it. PAY_REFUSED when looking: there is none. */
static enum pay_result give_back(const struct act *x, const struct owed_row *owed, bool look, struct pay_reply *r)
{
	struct pay_call pc = pay_call_of(x);
	struct pay_reply known = { 0 };
	enum pay_result res;

	if (look || owed->age_ms > PAY_KEY_MS) {
		res = pay_find_refund(&pc, x->row->pi_id, owed->id, r);
		if (look || res != PAY_REFUSED)
			return res;
	}
	res = pay_refund(&pc, arena_printf(x->c->arena, "%s.%d", owed->id, (int)x->s->key_n), x->row->pi_id,
			 owed->amount_minor, owed->id, r);
	if (res != PAY_REFUSED || !pay_already_refunded(r))
		return res;
	res = pay_find_repaid(&pc, x->row->pi_id, owed->id, owed->amount_minor, &known);
	if (res == PAY_OK)
		*r = known;
	return res;
}

static struct saga_event refund(struct act *x, bool look)
{
	struct owed_row *owed = NULL;
	struct pay_reply r = { 0 };
	enum pay_result res;
	bool found = false;
	struct pg *pg;

	if (pg_borrow(x->c->pool, x->c->deadline_ms, &pg, &x->c->err))
		return ev(EV_REFUND_UNKNOWN);
	if (order_db_owed(pg, x->c->arena, x->row->pi_id, &owed, &found, &x->c->err)) {
		pg_return(pg);
		return ev(EV_REFUND_UNKNOWN);
	}
	pg_return(pg);
	if (!found)
		return ev(EV_REFUND_OK); /* nothing of it is left with the provider */
	res = give_back(x, owed, look, &r);
	if (res == PAY_OK && !pay_refund_dead(&r.refund)) {
		x->facts->provider_refund_id = r.refund.id;
		return ev(EV_REFUND_OK);
	}
	if (res == PAY_REFUSED && look)
		return ev(EV_REFUND_NONE);
	if (res == PAY_NOT_SENT || res == PAY_UNKNOWN)
		return ev(EV_REFUND_UNKNOWN);
	alert(x, "a refund was refused", &r);
	return ev(EV_REFUND_REFUSED);
}

struct saga_event act_perform(struct act *x, enum saga_cmd cmd)
{
	err_clear(&x->c->err);
	switch (cmd) {
	case CMD_RESERVE:
		return reserve(x);
	case CMD_EXTEND:
		hold(x);
		break;
	case CMD_CREATE_PI:
		return create_pi(x);
	case CMD_FIND_PI:
		return find_pi(x);
	case CMD_RETRIEVE_PI:
		return retrieve(x);
	case CMD_SELL:
		return sell(x);
	case CMD_CAPTURE:
		return capture(x);
	case CMD_CANCEL_PI:
		return cancel(x);
	case CMD_RELEASE:
		return release(x);
	case CMD_RESTOCK:
		return restock(x);
	case CMD_REFUND:
		return refund(x, false);
	case CMD_FIND_REFUND:
		return refund(x, true);
	case CMD_WRITE_ORDER:
	case CMD_TELL_ENDED:
	case CMD_TELL_REFUNDED:
	case SAGA_CMD_MAX_:
		break;
	}
	return ev(SAGA_WAKE);
}
