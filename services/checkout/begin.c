#include "services/checkout/begin.h"

#include <inttypes.h>
#include <string.h>

#include "common/check.h"
#include "services/checkout/checkout_db_rules.h"
#include "services/checkout/checkout_remote.h"
#include "services/checkout/frozen.h"

static void check_address(struct err *e, const Checkout__V1__Address *a)
{
	check_text(e, "address.name", a->name, 1, 120);
	check_text(e, "address.line1", a->line1, 1, 200);
	check_text(e, "address.line2", a->line2, 0, 200);
	check_text(e, "address.city", a->city, 1, 120);
	check_text(e, "address.region", a->region, 0, 80);
	check_text(e, "address.postal_code", a->postal_code, 0, 20);
	check_country(e, "address.country", a->country);
	if (a->phone && *a->phone)
		check_phone(e, "address.phone", a->phone);
}

void begin_check(struct begin *b)
{
	struct err *e = &b->c->err;

	if (b->address && b->address_id)
		err_detail(e, "address_id", NULL, "cannot be given together with address");
	else if (b->address)
		check_address(e, b->address);
	else if (b->address_id)
		check_id(e, "address_id", b->address_id, NULL);
	else
		err_detail(e, "address", NULL, "is required");
	if (b->address_id && b->c->who.kind != WHO_USER)
		err_detail(e, "address_id", NULL, "needs a signed-in user");
	check_text(e, "shipping_method", b->shipping_method, 1, 40);
	check_money(e, "expected_total", b->expected, 0, INT64_MAX);
	if (b->c->who.kind != WHO_USER || b->email)
		check_email(e, "email", b->email);
}

/* ---- who and where ---- */

static enum err_code stored_address(struct begin *b)
{
	Identity__V1__Address *a = NULL;

	if (checkout_remote_address(b->c, b->c->who.user_id, b->address_id, &a))
		return b->c->err.code;
	b->where.name = a->name;
	b->where.line1 = a->line1;
	b->where.line2 = a->line2;
	b->where.city = a->city;
	b->where.region = a->region;
	b->where.postal_code = a->postal_code;
	b->where.country = a->country;
	b->where.phone = a->phone;
	return OK;
}

static enum err_code find_person(struct begin *b)
{
	struct call *c = b->c;
	const struct checkout_svc *svc = c->svc;
	uint8_t index[SHA256_LEN];
	char hex[SHA256_HEX_LEN];

	checkout__v1__address__init(&b->where);
	checkout__v1__person__init(&b->person);
	if (b->address)
		b->where = *b->address;
	else if (stored_address(b))
		return c->err.code;
	b->person.address = &b->where;
	b->n.buyer = c->who.user_id;
	if (c->who.kind == WHO_USER)
		return OK;
	b->person.email = (char *)b->email;
	crypto_blind_index(&svc->index_key, "email", crypto_normal_email(c->arena, b->email), index);
	hex_encode(index, SHA256_LEN, hex);
	b->n.buyer = arena_strdup(c->arena, hex);
	return OK;
}

/* ---- what and for how much ---- */

static enum err_code check_total(struct begin *b)
{
	struct call *c = b->c;
	char text[MONEY_TEXT_LEN];
	struct money expected;

	if (money_from_pb(b->expected, &expected, &c->err))
		return c->err.code;
	if (money_equal(expected, b->f.total))
		return OK;
	err_detail(&c->err, "expected_total", arena_printf(c->arena, "%" PRId64, money_minor(b->f.total)),
		   "The total is now %s.", money_format(b->f.total, text));
	return err_set(&c->err, E_CONFLICT, "checkout.price_changed", "expected %" PRId64, money_minor(expected));
}

enum err_code begin_freeze(struct begin *b)
{
	struct call *c = b->c;
	uint8_t *hash;

	if (find_person(b))
		return c->err.code;
	const struct freeze_in in = {
		.cart_token = b->cart_token, .cart_version = b->cart_version, .country = b->where.country,
		.region = b->where.region ? b->where.region : "", .shipping_method = b->shipping_method,
		.buyer = b->n.buyer, .strict = true,
	};

	if (freeze_cart(c, &in, &b->f) || check_total(b))
		return c->err.code;
	b->n.cart_id = b->f.cart_id;
	b->n.cart_version = b->f.cart_version;
	b->n.currency = b->f.currency;
	b->n.user_id = c->who.kind == WHO_USER ? c->who.user_id : NULL;
	b->n.total_minor = money_minor(b->f.total);
	b->n.frozen = frozen_pack(c->arena, &b->f.frozen->base);
	if (!b->n.user_id && b->cart_token) {
		hash = arena_alloc(c->arena, SHA256_LEN);
		sha256(b->cart_token, strlen(b->cart_token), hash);
		b->n.token_hash = (struct pg_bytes){ hash, SHA256_LEN };
	}
	return OK;
}

enum err_code begin_seal(struct begin *b, const char *checkout_id)
{
	const struct checkout_svc *svc = b->c->svc;

	return crypto_seal(svc->ring, "checkout.checkout.person", checkout_id,
			   frozen_pack(b->c->arena, &b->person.base), b->c->arena, &b->n.person, &b->c->err);
}

enum err_code begin_take(struct pg *pg, struct begin *b, int32_t attempt, struct err *e)
{
	const char *outcome = "";

	for (size_t i = 0; i < b->f.n_promos; i++) {
		if (checkout_db_promo_take(pg, b->c->arena, b->f.promo_ids[i], b->n.id, attempt, b->n.buyer, &outcome, e))
			return e->code;
		if (strcmp(outcome, "ok") != 0 && strcmp(outcome, "known") != 0)
			return err_set(e, E_CONFLICT, "checkout.promotion_gone", "%s: %s", b->f.promo_ids[i], outcome);
	}
	return OK;
}

enum err_code begin_drive(struct call *c, struct saga_run *r, Checkout__V1__CheckoutView *out)
{
	enum saga_st st = SAGA_ST_MAX_;

	if (saga_run(r, &c->err))
		return c->err.code;
	if (r->answered)
		return OK;
	(void)saga_state_parse(r->row->state, &st);
	if (st != SAGA_ORDERED && (saga_terminal(st) || !saga_live(st) || st == SAGA_EXPIRING || st == SAGA_CANCELLING_PI))
		return checkout_end_error(c, r->row, &r->refused);
	if (checkout_fill_view(c, r->row, out))
		return c->err.code;
	if (st == SAGA_ORDERED || (st == SAGA_PAYMENT_PENDING && !r->unsure))
		return OK;
	out->has_hdr_retry_after = true;
	return checkout_pending(c, r->row, &out->hdr_location, &out->hdr_retry_after);
}
