#include "services/checkout/checkout_remote.h"

#include "common/rpc_client.h"
#include "inventory.pb-c.h"
#include "services/checkout/checkout.h"

static const struct rpc_opts as_buyer = { .retry_read = true };
static const struct rpc_opts read_only = { .as_service = true, .retry_read = true };
static const struct rpc_opts effect = { .as_service = true }; /* idempotent by its own key, repeated by the saga */

enum err_code checkout_remote_cart(struct call *c, const char *cart_token, int64_t version,
				   Cart__V1__CartForCheckoutReply **out_r)
{
	const struct checkout_svc *svc = c->svc;
	Cart__V1__CartForCheckoutRequest in = CART__V1__CART_FOR_CHECKOUT_REQUEST__INIT;

	in.hdr_cart_token = (char *)cart_token;
	in.has_version = version >= 0;
	in.version = version;
	return rpc_call(svc->cart, c, "cart.v1.Cart/CartForCheckout", &in.base,
			&cart__v1__cart_for_checkout_reply__descriptor, out_r, &as_buyer);
}

enum err_code checkout_remote_variants(struct call *c, const char *const *ids, size_t n, const char *currency,
				       Catalog__V1__VariantsReply **out_r)
{
	const struct checkout_svc *svc = c->svc;
	Catalog__V1__VariantsRequest in = CATALOG__V1__VARIANTS_REQUEST__INIT;

	in.n_variant_ids = n;
	in.variant_ids = (char **)ids;
	in.currency = (char *)currency;
	return rpc_call(svc->catalog, c, "catalog.v1.Catalog/GetVariants", &in.base,
			&catalog__v1__variants_reply__descriptor, out_r, &read_only);
}

enum err_code checkout_remote_address(struct call *c, const char *user_id, const char *address_id,
				      Identity__V1__Address **out_r)
{
	const struct checkout_svc *svc = c->svc;
	Identity__V1__AddressRequest in = IDENTITY__V1__ADDRESS_REQUEST__INIT;

	in.user_id = (char *)user_id;
	in.address_id = (char *)address_id;
	return rpc_call(svc->identity, c, "identity.v1.Identity/GetAddressFor", &in.base,
			&identity__v1__address__descriptor, out_r, &read_only);
}

enum err_code checkout_remote_contact(struct call *c, const char *user_id, Identity__V1__Contact **out_r)
{
	const struct checkout_svc *svc = c->svc;
	Identity__V1__ContactRequest in = IDENTITY__V1__CONTACT_REQUEST__INIT;

	in.user_id = (char *)user_id;
	return rpc_call(svc->identity, c, "identity.v1.Identity/GetContact", &in.base,
			&identity__v1__contact__descriptor, out_r, &read_only);
}

/* ---- stock ---- */

static Inventory__V1__ReserveLine **lines_of(struct arena *a, const struct stock_line *lines, size_t n)
{
	Inventory__V1__ReserveLine **p = arena_array(a, n + 1, sizeof(*p));

	for (size_t i = 0; i < n; i++) {
		p[i] = arena_alloc(a, sizeof(**p));
		inventory__v1__reserve_line__init(p[i]);
		p[i]->variant_id = (char *)lines[i].variant_id;
		p[i]->has_qty = true;
		p[i]->qty = lines[i].qty;
	}
	return p;
}

enum err_code checkout_remote_reserve(struct call *c, const char *key, const struct stock_line *lines, size_t n,
				      int32_t ttl_s, const char *owner, const char **state_r)
{
	const struct checkout_svc *svc = c->svc;
	Inventory__V1__ReserveRequest in = INVENTORY__V1__RESERVE_REQUEST__INIT;
	Inventory__V1__Reservation *out = NULL;

	in.reservation_key = (char *)key;
	in.lines = lines_of(c->arena, lines, n);
	in.n_lines = n;
	in.has_ttl_s = true;
	in.ttl_s = ttl_s;
	in.owner = (char *)owner;
	if (rpc_call(svc->inventory, c, "inventory.v1.Inventory/Reserve", &in.base,
		     &inventory__v1__reservation__descriptor, &out, &effect))
		return c->err.code;
	*state_r = out->state ? out->state : "";
	return OK;
}

static enum err_code on_reservation(struct call *c, const char *method, Inventory__V1__ReservationRequest *in)
{
	const struct checkout_svc *svc = c->svc;
	Inventory__V1__Reservation *out = NULL;

	return rpc_call(svc->inventory, c, method, &in->base, &inventory__v1__reservation__descriptor, &out, &effect);
}

enum err_code checkout_remote_sell(struct call *c, const char *key, const char *order_id)
{
	Inventory__V1__ReservationRequest in = INVENTORY__V1__RESERVATION_REQUEST__INIT;

	in.reservation_key = (char *)key;
	in.order_id = (char *)order_id;
	return on_reservation(c, "inventory.v1.Inventory/Sell", &in);
}

enum err_code checkout_remote_release(struct call *c, const char *key, const char *reason)
{
	Inventory__V1__ReservationRequest in = INVENTORY__V1__RESERVATION_REQUEST__INIT;

	in.reservation_key = (char *)key;
	in.reason = (char *)reason;
	return on_reservation(c, "inventory.v1.Inventory/Release", &in);
}

enum err_code checkout_remote_hold(struct call *c, const char *key, int32_t ttl_s)
{
	Inventory__V1__ReservationRequest in = INVENTORY__V1__RESERVATION_REQUEST__INIT;

	in.reservation_key = (char *)key;
	in.has_ttl_s = true;
	in.ttl_s = ttl_s;
	in.has_hold = true;
	in.hold = true;
	return on_reservation(c, "inventory.v1.Inventory/Extend", &in);
}

enum err_code checkout_remote_restock(struct call *c, const char *operation_id, const char *key,
				      const struct stock_line *lines, size_t n, const char *reason)
{
	const struct checkout_svc *svc = c->svc;
	Inventory__V1__RestockRequest in = INVENTORY__V1__RESTOCK_REQUEST__INIT;
	Inventory__V1__Reservation *out = NULL;

	in.operation_id = (char *)operation_id;
	in.reservation_key = (char *)key;
	in.lines = lines_of(c->arena, lines, n);
	in.n_lines = n;
	in.reason = (char *)reason;
	return rpc_call(svc->inventory, c, "inventory.v1.Inventory/Restock", &in.base,
			&inventory__v1__reservation__descriptor, &out, &effect);
}
