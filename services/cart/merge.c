/* A guest's cart becomes the user's at login. Repeating it is harmless: a cart already merged into this one is done. */
#include <string.h>

#include "common/id.h"
#include "services/cart/cart.h"
#include "services/cart/cart_change.h"
#include "services/cart/cart_rules.h"
#include "services/cart/cart_view.h"

RPC_HANDLER(cart_merge, Cart__V1__MergeRequest, Cart__V1__CartView)

const struct rpc_method cart_merge_methods[] = {
	{ "Merge", cart_merge_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

struct merge {
	enum merge_policy policy;
	const char *token;
};

static const struct line_row *of_variant(const struct line_row *lines, size_t n, const char *variant_id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(lines[i].variant_id, variant_id) == 0)
			return &lines[i];
	return NULL;
}

static enum err_code merge_line(struct pg *pg, const struct merge *m, const struct cart_row *user,
				const struct line_row *mine, const struct line_row *theirs, struct err *e)
{
	int32_t qty = mine ? cart_merge_qty(m->policy, mine->qty, theirs->qty) : theirs->qty;
	int64_t seen = mine ? mine->seen_minor : theirs->seen_minor;
	char id[ID_LEN];

	id_new("lin", id);
	return cart_db_line_put(pg, id, user->id, theirs->variant_id, qty, seen, e);
}

/* The guest's lines into the user's cart, which stays one that can be bought: no more lines than any cart. */
static enum err_code merge_lines(struct pg *pg, const struct merge *m, const struct cart_row *user,
				 const struct line_row *mine, size_t n_mine, const struct line_row *theirs, size_t n_theirs,
				 struct err *e)
{
	size_t n = n_mine;

	for (size_t i = 0; i < n_theirs; i++) {
		const struct line_row *same = of_variant(mine, n_mine, theirs[i].variant_id);

		if (!same && ++n > CART_LINES_MAX)
			return err_set(e, E_RULE, "cart.full", "%zu and %zu lines", n_mine, n_theirs);
		if (merge_line(pg, m, user, same, &theirs[i], e))
			return e->code;
	}
	return OK;
}

/*
 * The guest cart's lines stay with it as what it brought: when an order of them is placed after all, so many units leave
 * the user's cart (event.c). A line that gave way to the user's own brought nothing.
 */
static enum err_code leave_out_same(struct pg *pg, const struct cart_row *guest, const struct line_row *mine, size_t n_mine,
				    const struct line_row *theirs, size_t n_theirs, struct err *e)
{
	bool found;

	for (size_t i = 0; i < n_theirs; i++)
		if (of_variant(mine, n_mine, theirs[i].variant_id) &&
		    cart_db_line_del(pg, guest->id, theirs[i].id, &found, e))
			return e->code;
	return OK;
}

static enum err_code merge_carts(struct cart_change *ch, struct pg *pg, const struct cart_row *user, struct err *e)
{
	const struct merge *m = ch->in;
	struct arena *a = ch->c->arena;
	struct cart_row *guest = NULL, *locked = NULL;
	struct line_row *mine = NULL, *theirs = NULL;
	size_t n_mine = 0, n_theirs = 0;
	bool found = false;

	if (cart_db_by_token(pg, a, cart_token_hash(a, m->token), &guest, &found, e))
		return e->code;
	if (!found || guest->user_id)
		return err_set(e, E_NOT_FOUND, "cart.not_found", "token of no guest cart");
	if (guest->merged_into && strcmp(guest->merged_into, user->id) == 0)
		return OK;
	if (cart_db_touch(pg, a, guest->id, -1, &locked, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "cart.not_found", "the guest cart is %s", guest->state);
	if (cart_db_lines(pg, a, user->id, &mine, &n_mine, e) || cart_db_lines(pg, a, guest->id, &theirs, &n_theirs, e))
		return e->code;
	if (n_mine && n_theirs && strcmp(user->currency, guest->currency) != 0)
		return err_set(e, E_CONFLICT, "cart.currency_mix", "%s into %s", guest->currency, user->currency);
	if (n_theirs && cart_db_currency(pg, user->id, guest->currency, e))
		return e->code;
	if (merge_lines(pg, m, user, mine, n_mine, theirs, n_theirs, e) ||
	    (m->policy == MERGE_KEEP_USER && leave_out_same(pg, guest, mine, n_mine, theirs, n_theirs, e)))
		return e->code;
	if (cart_db_coupons_copy(pg, guest->id, user->id, e) || cart_db_close_merged(pg, guest->id, user->id, e))
		return e->code;
	return OK;
}

static enum err_code cart_merge(struct call *c, const Cart__V1__MergeRequest *in, Cart__V1__CartView *out)
{
	struct merge m = { .token = in->hdr_cart_token };
	struct cart_change ch = { .c = c, .if_match = in->hdr_if_match, .need_match = true, .make = true,
				  .fn = merge_carts, .in = &m };

	if (call_user(c))
		return c->err.code;
	if (!cart_merge_policy(in->policy, &m.policy)) {
		err_detail(&c->err, "policy", NULL, "must be sum, keep_user or keep_guest");
		return err_set(&c->err, E_INVALID, "common.invalid_input", "merge policy");
	}
	if (!m.token || !*m.token || strlen(m.token) > 100) {
		err_detail(&c->err, "X-Cart-Token", NULL, "is required");
		return err_set(&c->err, E_INVALID, "cart.token_required", "merge without a token");
	}
	return cart_change_run(&ch, out);
}
