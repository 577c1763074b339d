/* The lines of a cart: see, add, set, remove. A cart promises no stock; it checks it, so that the buyer hears early. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/idem.h"
#include "common/money.h"
#include "services/cart/cart.h"
#include "services/cart/cart_change.h"
#include "services/cart/cart_remote.h"
#include "services/cart/cart_view.h"

RPC_HANDLER(cart_get, Cart__V1__GetCartRequest, Cart__V1__CartView)
RPC_HANDLER(cart_add_item, Cart__V1__AddItemRequest, Cart__V1__CartView)
RPC_HANDLER(cart_set_item, Cart__V1__SetItemRequest, Cart__V1__CartView)
RPC_HANDLER(cart_remove_item, Cart__V1__RemoveItemRequest, Cart__V1__CartView)
RPC_HANDLER(cart_clear, Cart__V1__ClearRequest, Cart__V1__CartView)

const struct rpc_method cart_line_methods[] = {
	{ "GetCart", cart_get_, RPC_READ, 0 },
	{ "AddItem", cart_add_item_, RPC_WRITE | RPC_KEYED, 0 },
	{ "SetItem", cart_set_item_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RemoveItem", cart_remove_item_, RPC_WRITE | RPC_KEYED, 0 },
	{ "Clear", cart_clear_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static enum err_code cart_get(struct call *c, const Cart__V1__GetCartRequest *in, Cart__V1__CartView *out)
{
	struct cart_row *cart = NULL;
	struct pg *pg;
	enum err_code code;

	if (call_pg(c, &pg))
		return c->err.code;
	code = cart_find(c, pg, in->hdr_cart_token, &cart, &c->err);
	pg_return(pg);
	return code ? code : cart_view(c, cart ? cart->id : NULL, out);
}

/* ---- what the article costs and whether enough is left, before any transaction opens ---- */

struct offer {
	struct cart_asked asked;
	const char *variant_id;
	struct money price;
	bool backorder;
	int64_t left;
};

/* All variants of the cart are asked about at once, so that its view need not ask again. */
static const char **all_variants(struct call *c, const struct line_row *lines, size_t n, const char *variant_id,
				 size_t *n_r)
{
	const char **ids = arena_array(c->arena, n + 1, sizeof(*ids));
	size_t k = 0;

	ids[k++] = variant_id;
	for (size_t i = 0; i < n && n <= CART_LINES_MAX; i++)
		if (strcmp(lines[i].variant_id, variant_id) != 0 && k < CART_LINES_MAX)
			ids[k++] = lines[i].variant_id;
	*n_r = k;
	return ids;
}

static enum err_code ask_offer(struct call *c, const char *variant_id, const char *currency,
			       const struct line_row *lines, size_t n, struct offer *o)
{
	Catalog__V1__VariantsReply *variants = NULL;
	Inventory__V1__AvailabilityReply *available = NULL;
	const Catalog__V1__VariantInfo *i;
	const Inventory__V1__Availability *a;
	size_t n_ids = 0;
	const char **ids = all_variants(c, lines, n, variant_id, &n_ids);

	if (cart_remote_variants(c, ids, n_ids, currency, &variants) ||
	    cart_remote_available(c, ids, n_ids, &available))
		return c->err.code;
	o->asked = (struct cart_asked){ variants, available };
	i = cart_remote_variant(variants, variant_id);
	if (!i) {
		err_detail(&c->err, "variant_id", NULL, "is not known");
		return err_set(&c->err, E_NOT_FOUND, "cart.variant_unknown", "%s", variant_id);
	}
	if (!i->sellable && i->price)
		return err_set(&c->err, E_CONFLICT, "cart.not_sellable", "%s", variant_id);
	if (!i->price)
		return err_set(&c->err, E_CONFLICT, "cart.no_price", "%s in %s", variant_id, currency);
	if (money_from_pb(i->price, &o->price, &c->err))
		return c->err.code;
	a = cart_remote_left(available, variant_id);
	o->variant_id = variant_id;
	o->backorder = a && a->backorder;
	o->left = a && a->available > 0 ? a->available : 0;
	return OK;
}

static enum err_code enough(struct arena *arena, const struct offer *o, int32_t qty, struct err *e)
{
	if (o->backorder || o->left >= qty)
		return OK;
	err_detail(e, "qty", arena_printf(arena, "%lld", (long long)o->left), "%d wanted, %lld available", qty,
		   (long long)o->left);
	return err_set(e, E_CONFLICT, "cart.out_of_stock", "%s", o->variant_id);
}

/* The currency of the caller's cart, or NULL while it holds nothing, and its lines; line_r only with line_id. */
static enum err_code peek(struct call *c, const char *token, const char *line_id, const char **currency_r,
			  struct line_row **lines_r, size_t *n_r, const struct line_row **line_r)
{
	struct cart_row *cart = NULL;
	struct line_row *lines = NULL;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;

	if (call_pg(c, &pg))
		return c->err.code;
	code = cart_find(c, pg, token, &cart, &c->err);
	if (!code && cart)
		code = cart_db_lines(pg, c->arena, cart->id, &lines, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	*currency_r = cart ? cart->currency : NULL;
	*lines_r = lines;
	*n_r = n;
	for (size_t i = 0; line_id && i < n; i++)
		if (strcmp(lines[i].id, line_id) == 0)
			return *line_r = &lines[i], OK;
	return line_id ? err_set(&c->err, E_NOT_FOUND, cart ? "cart.line_unknown" : "cart.not_found", "%s", line_id) : OK;
}

/* ---- add ---- */

static enum err_code add_line(struct cart_change *ch, struct pg *pg, const struct cart_row *cart, struct err *e)
{
	const Cart__V1__AddItemRequest *in = ch->in;
	const struct offer *o = ch->extra;
	struct line_row *lines = NULL;
	size_t n = 0;
	int32_t qty = in->qty;
	char id[ID_LEN];

	if (cart->currency && strcmp(cart->currency, money_cur(&o->price)) != 0)
		return err_set(e, E_CONFLICT, "cart.currency_mix", "%s into %s", money_cur(&o->price), cart->currency);
	if (!ch->fresh && cart_db_lines(pg, ch->c->arena, cart->id, &lines, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		if (strcmp(lines[i].variant_id, o->variant_id) == 0)
			qty += lines[i].qty;
	if (qty > CART_QTY_MAX) {
		err_detail(e, "qty", NULL, "the cart would hold %d, at most %d are allowed", qty, CART_QTY_MAX);
		return err_set(e, E_INVALID, "cart.qty_range", "%d", qty);
	}
	if (qty == in->qty && n >= CART_LINES_MAX)
		return err_set(e, E_RULE, "cart.full", "%zu lines", n);
	if (enough(ch->c->arena, o, qty, e))
		return e->code;
	id_new("lin", id);
	if (!cart->currency && cart_db_currency(pg, cart->id, money_cur(&o->price), e))
		return e->code;
	return cart_db_line_put(pg, id, cart->id, o->variant_id, qty, money_minor(o->price), e);
}

static enum err_code cart_add_item(struct call *c, const Cart__V1__AddItemRequest *in, Cart__V1__CartView *out)
{
	struct cart_svc *svc = c->svc;
	struct offer offer = { 0 };
	struct cart_change ch = { .c = c, .token = in->hdr_cart_token, .if_match = in->hdr_if_match, .make = true,
				  .fn = add_line, .in = in, .extra = &offer };
	struct line_row *lines = NULL;
	const char *currency = NULL;
	size_t n = 0;

	check_id(&c->err, "variant_id", in->variant_id, "var");
	check_range(&c->err, "qty", in->qty, 1, CART_QTY_MAX);
	if (in->currency)
		check_currency(&c->err, "currency", in->currency);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "add item");
	if (idem_resume(c)) /* done before: what is on offer today does not matter */
		return cart_change_run(&ch, out);
	if (peek(c, in->hdr_cart_token, NULL, &currency, &lines, &n, NULL))
		return c->err.code;
	if (currency && in->currency && strcmp(currency, in->currency) != 0)
		return err_set(&c->err, E_CONFLICT, "cart.currency_mix", "%s into %s", in->currency, currency);
	if (!currency)
		currency = in->currency ? in->currency : svc->conf->currency;
	if (ask_offer(c, in->variant_id, currency, lines, n, &offer))
		return c->err.code;
	ch.currency = arena_strdup(c->arena, money_cur(&offer.price)); /* the reply outlives the offer */
	ch.asked = &offer.asked;
	return cart_change_run(&ch, out);
}

/* ---- set, remove, clear ---- */

static enum err_code set_line(struct cart_change *ch, struct pg *pg, const struct cart_row *cart, struct err *e)
{
	const Cart__V1__SetItemRequest *in = ch->in;
	const struct offer *o = ch->extra;
	bool found = false;

	if (in->qty == 0 ? cart_db_line_del(pg, cart->id, in->line_id, &found, e)
			 : cart_db_line_set(pg, cart->id, in->line_id, in->qty, money_minor(o->price), &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "cart.line_unknown", "%s", in->line_id);
}

static enum err_code cart_set_item(struct call *c, const Cart__V1__SetItemRequest *in, Cart__V1__CartView *out)
{
	struct offer offer = { 0 };
	struct cart_change ch = { .c = c, .token = in->hdr_cart_token, .if_match = in->hdr_if_match,
				  .need_match = true, .fn = set_line, .in = in, .extra = &offer };
	const struct line_row *line = NULL;
	struct line_row *lines = NULL;
	const char *currency = NULL;
	size_t n = 0;

	check_id(&c->err, "line_id", in->line_id, "lin");
	if (!in->has_qty)
		err_detail(&c->err, "qty", NULL, "is required");
	check_range(&c->err, "qty", in->qty, 0, CART_QTY_MAX);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "set item");
	if (idem_resume(c)) /* done before: the line may be gone by now */
		return cart_change_run(&ch, out);
	if (peek(c, in->hdr_cart_token, in->line_id, &currency, &lines, &n, &line))
		return c->err.code;
	if (in->qty > 0 && (ask_offer(c, line->variant_id, currency, lines, n, &offer) ||
			    (in->qty > line->qty && enough(c->arena, &offer, in->qty, &c->err))))
		return c->err.code;
	if (in->qty > 0) {
		ch.currency = currency;
		ch.asked = &offer.asked;
	}
	return cart_change_run(&ch, out);
}

static enum err_code remove_line(struct cart_change *ch, struct pg *pg, const struct cart_row *cart, struct err *e)
{
	const char *line_id = ch->in;
	bool found = false;

	if (cart_db_line_del(pg, cart->id, line_id, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "cart.line_unknown", "%s", line_id);
}

static enum err_code cart_remove_item(struct call *c, const Cart__V1__RemoveItemRequest *in, Cart__V1__CartView *out)
{
	struct cart_change ch = { .c = c, .token = in->hdr_cart_token, .if_match = in->hdr_if_match,
				  .need_match = true, .fn = remove_line, .in = in->line_id };

	check_id(&c->err, "line_id", in->line_id, "lin");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "remove item");
	return cart_change_run(&ch, out);
}

static enum err_code clear_lines(struct cart_change *ch, struct pg *pg, const struct cart_row *cart, struct err *e)
{
	(void)ch;
	if (cart_db_lines_clear(pg, cart->id, e))
		return e->code;
	return cart_db_coupons_clear(pg, cart->id, e);
}

static enum err_code cart_clear(struct call *c, const Cart__V1__ClearRequest *in, Cart__V1__CartView *out)
{
	struct cart_change ch = { .c = c, .token = in->hdr_cart_token, .if_match = in->hdr_if_match,
				  .need_match = true, .fn = clear_lines };

	return cart_change_run(&ch, out);
}
