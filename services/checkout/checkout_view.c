#include "services/checkout/checkout_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "services/checkout/frozen.h"

int64_t checkout_tag_version(const char *tag, const char *id)
{
	size_t n = strlen(id);
	int64_t v = 0;

	if (!tag || strncmp(tag, id, n) != 0 || tag[n] != '-' || !tag[n + 1] || strlen(tag + n) > 17)
		return -1;
	for (const char *p = tag + n + 1; *p; p++) {
		if (*p < '0' || *p > '9')
			return -1;
		v = v * 10 + (*p - '0');
	}
	return v;
}

char *checkout_tag(struct arena *a, const char *id, int64_t version)
{
	return arena_printf(a, "%s-%" PRId64, id, version);
}

bool checkout_is_mine(const struct call *c, const struct checkout_row *row, const char *cart_token)
{
	uint8_t hash[SHA256_LEN];

	if (row->user_id)
		return c->who.kind == WHO_USER && strcmp(c->who.user_id, row->user_id) == 0;
	if (!cart_token || !*cart_token || row->token_hash.len != SHA256_LEN)
		return false;
	sha256(cart_token, strlen(cart_token), hash);
	return ct_equal(hash, row->token_hash.data, SHA256_LEN);
}

enum err_code checkout_find(struct call *c, const char *id, const char *cart_token, struct checkout_row **row_r)
{
	bool found = false;
	struct pg *pg;

	if (!id || strlen(id) > 40)
		return err_set(&c->err, E_NOT_FOUND, "checkout.not_found", "no id");
	if (call_pg(c, &pg))
		return c->err.code;
	if (checkout_db_get(pg, c->arena, id, row_r, &found, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	if (!found || !checkout_is_mine(c, *row_r, cart_token))
		return err_set(&c->err, E_NOT_FOUND, "checkout.not_found", "%s", id);
	return OK;
}

enum err_code checkout_open_person(struct call *c, const char *column, const char *row_id, struct pg_bytes sealed,
				   Checkout__V1__Person **p_r)
{
	const struct checkout_svc *svc = c->svc;
	ProtobufCAllocator al = arena_pb(c->arena);
	struct pg_bytes plain = { 0 };

	if (sealed.data && crypto_open(svc->ring, column, row_id, sealed, c->arena, &plain, &c->err))
		return c->err.code;
	*p_r = checkout__v1__person__unpack(&al, plain.len, plain.data ? plain.data : (const uint8_t *)"");
	return *p_r ? OK : err_set(&c->err, E_INTERNAL, "common.internal", "%s of %s cannot be read", column, row_id);
}

static enum err_code fill_payment(struct call *c, const struct checkout_row *row, Checkout__V1__CheckoutView *out)
{
	const struct checkout_svc *svc = c->svc;
	Checkout__V1__Payment *p;
	const char *secret = NULL;

	if (row->free)
		return OK;
	p = arena_alloc(c->arena, sizeof(*p));
	checkout__v1__payment__init(p);
	p->provider = (char *)"stripe";
	p->publishable_key = (char *)svc->conf->pay_publishable_key;
	p->payment_intent_id = (char *)row->pi_id;
	p->status = (char *)row->pay_status;
	p->error_code = (char *)row->pay_code;
	p->error_message = (char *)row->pay_message;
	if (strcmp(row->state, "payment_pending") == 0 && row->client_secret.data &&
	    crypto_open_text(svc->ring, "checkout.checkout.client_secret", row->id, row->client_secret, c->arena, &secret,
			     &c->err))
		return c->err.code;
	p->client_secret = (char *)secret;
	out->payment = p;
	return OK;
}

static void fill_frozen(struct call *c, const Checkout__V1__Frozen *f, Checkout__V1__CheckoutView *out)
{
	out->lines = arena_array(c->arena, f->n_lines + 1, sizeof(*out->lines));
	for (size_t i = 0; i < f->n_lines; i++)
		out->lines[out->n_lines++] = f->lines[i]->line;
	out->discounts = f->discounts;
	out->n_discounts = f->n_discounts;
	out->coupon_problems = f->coupon_problems;
	out->n_coupon_problems = f->n_coupon_problems;
	out->totals = f->totals;
	out->shipping_method = f->shipping_method;
	out->shipping_name = f->shipping_name;
}

enum err_code checkout_fill_view(struct call *c, const struct checkout_row *row, Checkout__V1__CheckoutView *out)
{
	Checkout__V1__Frozen *f = NULL;
	Checkout__V1__Person *person = NULL;

	if (frozen_unpack(c->arena, row->frozen, &f, &c->err) ||
	    checkout_open_person(c, "checkout.checkout.person", row->id, row->person, &person) || fill_payment(c, row, out))
		return c->err.code;
	fill_frozen(c, f, out);
	out->id = (char *)row->id;
	out->state = (char *)row->state;
	out->reason = *row->why ? (char *)row->why : NULL;
	out->cart_id = (char *)row->cart_id;
	out->currency = (char *)row->currency;
	out->address = person->address;
	out->email = person->email;
	out->order_number = (char *)row->order_number;
	if (strcmp(row->state, "ordered") == 0)
		out->order_id = (char *)row->order_id;
	out->has_expires_at = out->has_created_at = out->has_version = true;
	out->expires_at = row->expires_at;
	out->created_at = row->created_at;
	out->version = row->version;
	out->hdr_etag = checkout_tag(c->arena, row->id, row->version);
	return OK;
}

enum err_code checkout_end_error(struct call *c, const struct checkout_row *row, const struct err *refused)
{
	static const struct {
		const char *why, *slug;
		enum err_code code;
	} ends[] = {
		{ "out_of_stock", "inventory.out_of_stock", E_CONFLICT },
		{ "timeout", "checkout.expired", E_GONE },
		{ "abandoned", "checkout.ended", E_GONE },
		{ "replaced", "checkout.ended", E_GONE },
		{ "provider_down", "checkout.provider_down", E_UNAVAILABLE },
		{ "payment_refused", "checkout.payment_refused", E_RULE },
		{ "payment_canceled", "checkout.payment_canceled", E_GONE },
		{ "mismatch", "checkout.payment_mismatch", E_CONFLICT },
		{ "stock_gone", "checkout.stock_gone", E_CONFLICT },
		{ "capture_failed", "checkout.capture_failed", E_CONFLICT },
	};

	if (refused && refused->code) {
		err_copy(&c->err, refused);
		return c->err.code;
	}
	if (strncmp(row->state, "refund", 6) == 0)
		return err_set(&c->err, E_CONFLICT, "checkout.refunded", "%s: %s", row->id, row->why);
	if (strcmp(row->why, "provider_down") == 0)
		c->err.retry_after_ms = 5000;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (strcmp(ends[i].why, row->why) == 0)
			return err_set(&c->err, ends[i].code, ends[i].slug, "%s is %s", row->id, row->state);
	return err_set(&c->err, E_GONE, "checkout.ended", "%s is %s/%s", row->id, row->state, row->why);
}

enum err_code checkout_pending(struct call *c, const struct checkout_row *row, char **location_r, int32_t *retry_after_r)
{
	*location_r = arena_printf(c->arena, "/api/checkout/%s", row->id);
	*retry_after_r = 2;
	c->err.retry_after_ms = 2000;
	return err_set(&c->err, E_PENDING, "checkout.pending", "%s is %s", row->id, row->state);
}
