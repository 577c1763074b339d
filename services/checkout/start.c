/* POST /api/checkout. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/idem.h"
#include "common/timeutil.h"
#include "services/checkout/begin.h"
#include "services/checkout/frozen.h"

RPC_HANDLER(start_checkout, Checkout__V1__StartCheckoutRequest, Checkout__V1__CheckoutView)

const struct rpc_method checkout_start_methods[] = {
	{ "StartCheckout", start_checkout_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

/* The same request again, whoever carries it: without what proves the caller. */
static struct pg_bytes request_hash(struct call *c, const Checkout__V1__StartCheckoutRequest *in)
{
	Checkout__V1__StartCheckoutRequest copy = *in;
	uint8_t *hash = arena_alloc(c->arena, SHA256_LEN);
	struct pg_bytes b;

	copy.hdr_cart_token = copy.hdr_accept_language = NULL;
	b = frozen_pack(c->arena, &copy.base);
	sha256(b.data, b.len, hash);
	return (struct pg_bytes){ hash, SHA256_LEN };
}

/* "crt_…-7" -> cart id and version. */
static bool split_tag(struct call *c, const char *tag, const char **cart_id_r, int64_t *version_r)
{
	const char *dash = tag ? strrchr(tag, '-') : NULL;

	if (!dash || dash == tag || dash - tag > 40)
		return false;
	*cart_id_r = arena_strndup(c->arena, tag, (size_t)(dash - tag));
	*version_r = checkout_tag_version(tag, *cart_id_r);
	return *version_r >= 0;
}

static const char *locale_of(struct call *c, const Checkout__V1__StartCheckoutRequest *in)
{
	if (in->locale && *in->locale)
		return in->locale;
	if (in->hdr_accept_language && strlen(in->hdr_accept_language) >= 2 && in->hdr_accept_language[0] >= 'a' &&
	    in->hdr_accept_language[0] <= 'z')
		return arena_strndup(c->arena, in->hdr_accept_language, strcspn(in->hdr_accept_language, ",; ") < 10 ?
					     strcspn(in->hdr_accept_language, ",; ") : 2);
	return "en";
}

static enum err_code find_live(struct call *c, const char *cart_id, int64_t version, struct checkout_row **row_r)
{
	bool found = false;
	struct pg *pg;

	*row_r = NULL;
	if (call_pg(c, &pg))
		return c->err.code;
	if (checkout_db_live(pg, c->arena, cart_id, version, row_r, &found, &c->err) == OK && !found)
		*row_r = NULL;
	pg_return(pg);
	return c->err.code;
}


static enum err_code store_tx(struct pg *pg, void *arg, struct err *e)
{
	struct begin *b = arg;

	if (begin_take(pg, b, 1, e))
		return e->code;
	if (checkout_db_insert(pg, &b->n, &b->s, e)) {
		if (strcmp(pg_constraint(pg), "checkout_live") == 0)
			return err_set(e, E_CONFLICT, "checkout.live", "cart %s", b->n.cart_id);
		return e->code;
	}
	return OK;
}

static enum err_code now_of(struct call *c, int64_t *now_r)
{
	const struct checkout_svc *svc = c->svc;
	struct pg *pg;

	if (svc->clock_ms) {
		*now_r = mono_ms() + svc->clock_ms;
		return OK;
	}
	if (call_pg(c, &pg))
		return c->err.code;
	if (checkout_db_now(pg, c->arena, now_r, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	return OK;
}

/* Stores the new checkout with its first step taken. */
static enum err_code store(struct begin *b, const char **id_r)
{
	struct call *c = b->c;
	const struct checkout_svc *svc = c->svc;
	const struct saga_event wake = { .type = SAGA_WAKE };
	char id[ID_LEN], order_id[ID_LEN];
	struct saga_state open;
	int64_t now = 0;

	id_new("chk", id);
	id_new("ord", order_id);
	b->n.id = arena_strdup(c->arena, id);
	b->n.order_id = arena_strdup(c->arena, order_id);
	if (begin_seal(b, b->n.id) || now_of(c, &now))
		return c->err.code;
	saga_begin(&open, now, (int64_t)svc->conf->ttl_s * 1000, b->n.total_minor == 0);
	saga_step(&open, &wake, now, &b->s, &b->cmds);
	idem_resource(c, b->n.id);
	if (call_tx(c, CALL_TX_FIRST, store_tx, b))
		return c->err.code;
	*id_r = b->n.id;
	return OK;
}

static enum err_code nothing(struct pg *pg, void *arg, struct err *e)
{
	(void)pg;
	(void)arg;
	(void)e;
	return OK;
}

/* The answer is known: it belongs to the key from now on. */
static enum err_code finish(struct call *c)
{
	return c->idem ? call_tx(c, CALL_TX_LAST, nothing, NULL) : OK;
}

/* The row as store() wrote it. */
static struct checkout_row *new_row(struct begin *b)
{
	struct checkout_row *r = arena_alloc(b->c->arena, sizeof(*r));

	*r = (struct checkout_row){
		.id = b->n.id, .cart_id = b->n.cart_id, .user_id = b->n.user_id, .buyer = b->n.buyer,
		.order_id = b->n.order_id, .currency = b->n.currency, .locale = b->n.locale,
		.state = saga_state_name(b->s.st), .why = saga_why_name(b->s.why), .token_hash = b->n.token_hash,
		.request_hash = b->n.request_hash, .frozen = b->n.frozen, .person = b->n.person,
		.cart_version = b->n.cart_version, .total_minor = b->n.total_minor, .begun_at = b->s.begun_at,
		.expires_at = b->s.expires_at, .next_at = b->s.next_at, .version = 1, .created_at = b->s.begun_at,
		.now_at = b->s.begun_at, .attempt = b->s.attempt, .pi_n = b->s.pi_n, .key_n = b->s.key_n,
		.free = b->s.free, .reserved = b->s.reserved, .leased = true,
	};
	return r;
}

static enum err_code answer(struct call *c, struct pg *pg, const struct checkout_row *row, struct err *e)
{
	Checkout__V1__CheckoutView *out = (Checkout__V1__CheckoutView *)(uintptr_t)c->out;

	(void)pg;
	checkout__v1__checkout_view__init(out);
	if (checkout_fill_view(c, row, out)) {
		if (e != &c->err)
			err_copy(e, &c->err);
		return e->code;
	}
	out->hdr_location = arena_printf(c->arena, "/api/checkout/%s", row->id);
	return OK;
}

static enum err_code drive_new(struct begin *b, const char *id, Checkout__V1__CheckoutView *out)
{
	struct saga_run r;

	saga_run_inline(b->c, id, SAGA_WAKE, WHY_NONE, &r);
	r.given = &b->cmds;
	r.row = new_row(b);
	r.rest = answer;
	r.tx_flags = CALL_TX_LAST;
	if (begin_drive(b->c, &r, out))
		return b->c->err.code;
	if (r.answered)
		return OK;
	out->hdr_location = arena_printf(b->c->arena, "/api/checkout/%s", id);
	return finish(b->c);
}

/* One that exists already: driven on if it has not come to rest, and shown with 200. */
static enum err_code drive_known(struct call *c, struct checkout_row *row, Checkout__V1__CheckoutView *out)
{
	struct saga_run r;

	saga_run_inline(c, row->id, SAGA_WAKE, WHY_NONE, &r);
	out->has_hdr_status = true;
	out->hdr_status = 200;
	if (strcmp(row->state, "payment_pending") == 0 && !row->leased && row->expires_at > row->now_at)
		return checkout_fill_view(c, row, out) ? c->err.code : finish(c);
	r.row = row;
	if (begin_drive(c, &r, out))
		return c->err.code;
	return finish(c);
}

/* Another cart, address or total: the old one ends, confirmed, before a new one begins. */
static enum err_code end_live(struct call *c, const struct checkout_row *live)
{
	struct saga_run r;

	if (strcmp(live->state, "ordered") == 0) {
		err_detail(&c->err, "order_id", live->order_id, "This version of the cart is that order.");
		return err_set(&c->err, E_CONFLICT, "checkout.already_ordered", "%s", live->id);
	}
	saga_run_inline(c, live->id, SAGA_END, WHY_REPLACED, &r);
	if (saga_run(&r, &c->err))
		return c->err.code;
	if (strcmp(r.row->state, "ordered") == 0) {
		err_detail(&c->err, "order_id", r.row->order_id, "The previous checkout of this cart was paid.");
		return err_set(&c->err, E_CONFLICT, "checkout.already_ordered", "%s", live->id);
	}
	if (strcmp(r.row->state, "expired") == 0 || strcmp(r.row->state, "cancelled") == 0)
		return OK;
	c->err.retry_after_ms = 3000;
	return err_set(&c->err, E_UNAVAILABLE, "checkout.busy", "%s is %s", live->id, r.row->state);
}

/* A key whose first attempt died goes on with what that one began, unless the provider was away then. */
static enum err_code resume(struct call *c, Checkout__V1__CheckoutView *out, bool *done_r)
{
	const char *id = idem_resume(c);
	struct checkout_row *row = NULL;
	bool found = false;
	struct pg *pg;

	*done_r = false;
	if (!id)
		return OK;
	if (call_pg(c, &pg))
		return c->err.code;
	if (checkout_db_get(pg, c->arena, id, &row, &found, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	if (!found || strcmp(row->why, "provider_down") == 0)
		return OK;
	*done_r = true;
	return drive_known(c, row, out);
}

static enum err_code start_checkout(struct call *c, const Checkout__V1__StartCheckoutRequest *in,
				    Checkout__V1__CheckoutView *out)
{
	struct begin b = { .c = c, .address = in->address, .address_id = in->address_id, .email = in->email,
			   .shipping_method = in->shipping_method, .cart_token = in->hdr_cart_token,
			   .expected = in->expected_total };
	const char *cart_id = NULL, *id = NULL;
	struct checkout_row *live = NULL;
	bool done = false;

	begin_check(&b);
	if (in->locale)
		check_language(&c->err, "locale", in->locale);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "start checkout");
	if (!in->hdr_if_match)
		return err_set(&c->err, E_PRECOND_REQ, "common.precondition_required", "cart tag");
	if (!split_tag(c, in->hdr_if_match, &cart_id, &b.cart_version))
		return err_set(&c->err, E_PRECOND, "cart.version", "tag %.60s", in->hdr_if_match);
	if (resume(c, out, &done) || done)
		return c->err.code;
	b.n.request_hash = request_hash(c, in);
	b.n.locale = locale_of(c, in);
	for (int round = 0; round < 2; round++) {
		if (find_live(c, cart_id, b.cart_version, &live))
			return c->err.code;
		if (live && !checkout_is_mine(c, live, in->hdr_cart_token))
			return err_set(&c->err, E_NOT_FOUND, "cart.not_found", "cart %s", cart_id);
		if (live && live->request_hash.len == SHA256_LEN &&
		    memcmp(live->request_hash.data, b.n.request_hash.data, SHA256_LEN) == 0)
			return drive_known(c, live, out);
		if (live && end_live(c, live))
			return c->err.code;
		if (begin_freeze(&b))
			return c->err.code;
		if (strcmp(b.f.cart_id, cart_id) != 0)
			return err_set(&c->err, E_PRECOND, "cart.version", "the cart is %s", b.f.cart_id);
		if (!store(&b, &id))
			return drive_new(&b, id, out);
		if (!err_is(&c->err, "checkout.live"))
			return c->err.code;
		err_clear(&c->err); /* a second click was faster: its checkout is ours */
	}
	return err_set(&c->err, E_CONFLICT, "checkout.live", "cart %s", cart_id);
}
