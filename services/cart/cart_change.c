#include "services/cart/cart_change.h"

#include <string.h>

#include "common/crypto.h"
#include "common/id.h"
#include "common/idem.h"
#include "common/outbox.h"
#include "events.pb-c.h"
#include "services/cart/cart_rules.h"
#include "services/cart/cart_view.h"

static enum err_code make_cart(struct cart_change *ch, struct pg *pg, struct cart_row **row_r, struct err *e)
{
	struct call *c = ch->c;
	struct pg_bytes hash = { NULL, 0 };
	const char *user = c->who.kind == WHO_USER ? c->who.user_id : NULL;
	char id[ID_LEN], token[44];

	id_new("crt", id);
	if (!user) {
		random_token(token);
		ch->new_token = arena_strdup(c->arena, token);
		hash = cart_token_hash(c->arena, token);
	}
	if (cart_db_make(pg, c->arena, arena_strdup(c->arena, id), user, hash, ch->currency, row_r, e))
		return e->code;
	ch->fresh = strcmp((*row_r)->id, id) == 0;
	/* Who said that there is no cart is too late when another call has made one meanwhile. */
	if (ch->if_match && *ch->if_match && !ch->fresh)
		return cart_stale(c->arena, *row_r, e);
	return OK;
}

static enum err_code told(struct cart_change *ch, struct pg *pg, const struct cart_row *cart, struct err *e)
{
	Events__V1__CartChanged m = EVENTS__V1__CART_CHANGED__INIT;
	struct line_row *lines = NULL;
	size_t n = 0;

	if (cart_db_lines(pg, ch->c->arena, cart->id, &lines, &n, e))
		return e->code;
	ch->is.lines = lines;
	ch->is.n = n;
	m.cart_id = (char *)cart->id;
	m.user_id = (char *)cart->user_id;
	m.variant_ids = arena_alloc(ch->c->arena, (n + 1) * sizeof(*m.variant_ids));
	for (size_t i = 0; i < n; i++)
		m.variant_ids[m.n_variant_ids++] = (char *)lines[i].variant_id;
	return outbox_put(pg, "cart", cart->id, cart->version, "cart.changed", &m.base, e);
}

/* A cart that was made just now is ours alone, and its version 1 is this change. */
static enum err_code lock_cart(struct cart_change *ch, struct pg *pg, struct cart_row *cart, int64_t version,
			       struct cart_row **locked_r, struct err *e)
{
	bool found = false;

	*locked_r = cart;
	if (ch->fresh)
		return OK;
	if (cart_db_touch(pg, ch->c->arena, cart->id, version > 0 ? version : -1, locked_r, &found, e))
		return e->code;
	return found ? OK : cart_stale(ch->c->arena, cart, e);
}

static enum err_code keep(struct cart_change *ch, struct pg *pg, struct cart_row *cart, struct err *e)
{
	ch->is.cart = cart;
	cart->currency = ch->currency;
	ch->is.n_coupons = 0;
	return ch->fresh ? OK : cart_db_coupons(pg, ch->c->arena, cart->id, &ch->is.coupons, &ch->is.n_coupons, e);
}

static enum err_code change_tx(struct pg *pg, void *arg, struct err *e)
{
	struct cart_change *ch = arg;
	struct call *c = ch->c;
	struct cart_row *cart = NULL, *locked = NULL;
	int64_t version = -1;

	ch->new_token = NULL;
	ch->fresh = false;
	if (cart_find(c, pg, ch->token, &cart, e))
		return e->code;
	if (ch->if_match && *ch->if_match) {
		version = cart_etag_version(ch->if_match, cart ? cart->id : NULL);
		if (version < 0 || (cart && version != cart->version))
			return cart_stale(c->arena, cart, e);
	}
	if (!cart && !ch->make)
		return err_set(e, E_NOT_FOUND, "cart.not_found", "no cart yet");
	if (!cart && make_cart(ch, pg, &cart, e))
		return e->code;
	if (lock_cart(ch, pg, cart, version, &locked, e) || ch->fn(ch, pg, locked, e) ||
	    (!ch->asked && cart_db_free_currency(pg, locked->id, e)) || (ch->asked && keep(ch, pg, locked, e)) ||
	    told(ch, pg, locked, e))
		return e->code;
	ch->cart_id = locked->id;
	idem_resource(c, locked->id);
	return OK;
}

static enum err_code nothing(struct pg *pg, void *arg, struct err *e)
{
	(void)pg;
	(void)arg;
	(void)e;
	return OK;
}

enum err_code cart_change_run(struct cart_change *ch, Cart__V1__CartView *out)
{
	struct call *c = ch->c;

	if (ch->need_match && (!ch->if_match || !*ch->if_match))
		return err_set(&c->err, E_PRECOND_REQ, "common.precondition_required", "no If-Match");
	/*
	 * The view asks other daemons, which no transaction may do: the key is begun with the change and finalised with
	 * the view. A retry after a crash in between finds the change done and only looks again.
	 */
	out->has_item_count = true;
	ch->cart_id = idem_resume(c);
	if (!ch->cart_id && call_tx(c, CALL_TX_FIRST, change_tx, ch))
		return c->err.code;
	if (ch->is.cart ? cart_view_of(c, &ch->is, ch->asked, out) : cart_view(c, ch->cart_id, out))
		return c->err.code;
	out->cart_token = (char *)ch->new_token;
	if (c->idem_key && *c->idem_key)
		return call_tx(c, CALL_TX_LAST, nothing, NULL);
	return OK;
}
