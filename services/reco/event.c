/* What reco hears: products and stock as they may be shown, what was put into carts, bought and rated, who wants no profile. */
#include <string.h>

#include "common/timeutil.h"
#include "events.pb-c.h"
#include "services/reco/collect.h"
#include "services/reco/reco.h"
#include "services/reco/reco_db_catalogue.h"
#include "services/reco/reco_db_collect.h"
#include "services/reco/reco_db_features.h"

#define MONTHS_MADE_MS (30 * 86400000LL) /* back from now: what job_months looks after, and a day less */

/* ---- catalogue and stock ---- */

static enum err_code on_product_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					struct err *e)
{
	const Events__V1__ProductChanged *m = (const void *)ev->msg;
	struct variant_in *in = arena_array(a, m->n_variants + 1, sizeof(*in));
	size_t n = 0;

	(void)svc;
	if (!m->product_id || !m->status)
		return err_set(e, E_INVALID, "common.invalid_input", "product.changed is incomplete");
	for (size_t i = 0; i < m->n_variants; i++)
		if (m->variants[i]->variant_id)
			in[n++] = (struct variant_in){ m->variants[i]->variant_id,
						       !m->variants[i]->has_active || m->variants[i]->active };
	return reco_db_product_told(pg, a, m->product_id, m->vendor_id, strcmp(m->status, "published") == 0,
				    ev->agg_version, in, n, e);
}

static enum err_code on_looks_new(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	const Events__V1__ProductChanged *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	return m->product_id ? reco_db_dirty_add(pg, m->product_id, e) : OK;
}

static enum err_code on_category_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					 struct err *e)
{
	const Events__V1__CategoryChanged *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	return m->category_id ? reco_db_dirty_category(pg, m->category_id, e) : OK;
}

static enum err_code on_vendor_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				       struct err *e)
{
	const Events__V1__VendorChanged *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	if (!m->vendor_id || !m->status)
		return OK;
	return reco_db_vendor_told(pg, m->vendor_id, strcmp(m->status, "approved") == 0, ev->agg_version, e);
}

static enum err_code on_stock_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				      struct err *e)
{
	const Events__V1__StockChanged *m = (const void *)ev->msg;
	const char *s = m->availability;

	(void)svc;
	if (!m->variant_id || !s || (strcmp(s, "in") != 0 && strcmp(s, "low") != 0 && strcmp(s, "out") != 0))
		return err_set(e, E_INVALID, "common.invalid_input", "stock.changed is incomplete");
	return reco_db_stock_told(pg, a, m->variant_id, s, ev->agg_version, e);
}

/* ---- what people did ---- */

static const char *some(const char *s)
{
	return s && *s ? s : NULL;
}

/* user_id, or NULL for a guest and for whoever wants no profile; *hidden_r: the latter. */
static enum err_code profile_of(struct pg *pg, struct arena *a, struct reco_svc *svc, const char *user_id,
				const char **user_r, bool *hidden_r, struct err *e)
{
	bool withheld = false;

	if (some(user_id) &&
	    reco_features_withheld(pg, a, user_id, strcmp(svc->conf->consent, "opt_in") == 0, &withheld, e))
		return e->code;
	*user_r = withheld ? NULL : some(user_id);
	*hidden_r = withheld;
	return OK;
}

static enum err_code put(struct pg *pg, struct arena *a, const struct event_in *in, size_t n, int64_t at, struct err *e)
{
	struct event_put_row *row = NULL;
	int64_t now = wall_ms();

	if (n == 0)
		return OK;
	/* The timer has made the months around now; a dead letter that is applied again may be of long ago. */
	if ((at < now - MONTHS_MADE_MS || at > now) && reco_db_partitions(pg, a, at, at, e))
		return e->code;
	return reco_db_event_put(pg, a, RECO_FROM_DAEMON, false, in, n, &row, e);
}

static enum err_code on_order_placed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				     struct err *e)
{
	const Events__V1__OrderPlaced *m = (const void *)ev->msg;
	struct event_in *in = arena_array(a, m->n_lines + 1, sizeof(*in));
	const char *user = NULL;
	bool hidden = false;
	size_t n = 0;

	if (!m->order_id || profile_of(pg, a, svc, m->user_id, &user, &hidden, e))
		return e->code;
	for (size_t i = 0; i < m->n_lines; i++)
		if (m->lines[i]->product_id)
			in[n++] = (struct event_in){
				.key = collect_key(a, "order", m->order_id, arena_printf(a, "%zu", i)),
				.ts = ev->occurred_at,
				.kind = RECO_PURCHASE,
				.user_id = user,
				.product_id = m->lines[i]->product_id,
				/* The order leads to the person; what was bought together is then not known either. */
				.order_id = hidden ? NULL : m->order_id,
				.qty = m->lines[i]->qty > 0 ? m->lines[i]->qty : 1,
			};
	return put(pg, a, in, n, ev->occurred_at, e);
}

/* A refund of some of the units of a line leaves it bought. */
static bool undone(const Events__V1__OrderChanged *m, const struct bought_row *row)
{
	for (size_t i = 0; i < m->n_lines; i++)
		if (m->lines[i]->product_id && strcmp(m->lines[i]->product_id, row->product_id) == 0 &&
		    m->lines[i]->qty >= row->qty)
			return true;
	return false;
}

static enum err_code undo(struct pg *pg, struct arena *a, const struct inbox_event *ev, bool all, struct err *e)
{
	const Events__V1__OrderChanged *m = (const void *)ev->msg;
	struct bought_row *rows = NULL;
	struct event_in *in;
	size_t n = 0, k = 0;

	if (!m->order_id || reco_db_bought(pg, a, m->order_id, &rows, &n, e))
		return e->code;
	in = arena_array(a, n + 1, sizeof(*in));
	for (size_t i = 0; i < n; i++)
		if (all || undone(m, &rows[i]))
			in[k++] = (struct event_in){ .key = collect_key(a, "undo", m->order_id, rows[i].key),
						     .ts = ev->occurred_at,
						     .kind = RECO_RETURN,
						     .user_id = rows[i].user_id,
						     .product_id = rows[i].product_id,
						     .order_id = m->order_id,
						     .qty = rows[i].qty };
	return put(pg, a, in, k, ev->occurred_at, e);
}

static enum err_code on_order_cancelled(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					struct err *e)
{
	(void)svc;
	return undo(pg, a, ev, true, e);
}

static enum err_code on_order_refunded(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				       struct err *e)
{
	(void)svc;
	return undo(pg, a, ev, false, e);
}

static enum err_code on_cart_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				     struct err *e)
{
	const Events__V1__CartChanged *m = (const void *)ev->msg;
	struct variant_row *added = NULL;
	const char *user = NULL;
	struct event_in *in;
	bool hidden = false;
	size_t n = 0;

	if (!m->cart_id || profile_of(pg, a, svc, m->user_id, &user, &hidden, e) ||
	    reco_db_cart_put(pg, a, m->cart_id, some(m->user_id), ev->agg_version, ev->occurred_at,
			     (const char *const *)m->variant_ids, m->n_variant_ids, &added, &n, e))
		return e->code;
	in = arena_array(a, n + 1, sizeof(*in));
	for (size_t i = 0; i < n; i++)
		in[i] = (struct event_in){ .key = collect_key(a, "cart", ev->event_id, added[i].variant_id),
					   .ts = ev->occurred_at,
					   .kind = RECO_CART,
					   .user_id = user,
					   .product_id = added[i].product_id,
					   .qty = 1 };
	return put(pg, a, in, n, ev->occurred_at, e);
}

static enum err_code on_review_moderated(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					 struct err *e)
{
	const Events__V1__ReviewChanged *m = (const void *)ev->msg;
	const char *user = NULL;
	bool hidden = false;

	if (!m->product_id || !m->review_id)
		return OK;
	if (reco_db_dirty_add(pg, m->product_id, e) || profile_of(pg, a, svc, m->user_id, &user, &hidden, e))
		return e->code;
	if (!m->status || strcmp(m->status, "approved") != 0 || m->rating < 1 || m->rating > 5)
		return OK;
	const struct event_in in = { .key = collect_key(a, "review", NULL, m->review_id),
				     .ts = ev->occurred_at,
				     .kind = RECO_RATING,
				     .user_id = user,
				     .product_id = m->product_id,
				     .qty = 1,
				     .rating = m->rating };

	return put(pg, a, &in, 1, ev->occurred_at, e);
}

/* ---- people ---- */

static enum err_code on_consent_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					struct err *e)
{
	const Events__V1__ConsentChanged *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	if (!m->user_id || !m->purpose || strcmp(m->purpose, "personalisation") != 0)
		return OK;
	if (reco_db_consent(pg, m->user_id, m->granted, e) || m->granted)
		return e->code;
	return reco_db_forget(pg, m->user_id, e);
}

static enum err_code on_user_erased(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				    struct err *e)
{
	const Events__V1__UserErased *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	if (!m->user_id)
		return OK;
	return reco_db_erased_add(pg, m->user_id, e) ? e->code : reco_db_forget(pg, m->user_id, e);
}

#define VENDOR(type) { "catalog", type, &events__v1__vendor_changed__descriptor, on_vendor_changed, NULL }

/* The sources in the order main opens them. */
const struct inbox_handler reco_inbox[] = {
	{ "catalog", "product.changed", &events__v1__product_changed__descriptor, on_product_changed, NULL },
	{ "catalog", "product.looks_new", &events__v1__product_changed__descriptor, on_looks_new, NULL },
	{ "catalog", "category.changed", &events__v1__category_changed__descriptor, on_category_changed, NULL },
	{ "catalog", "review.moderated", &events__v1__review_changed__descriptor, on_review_moderated, NULL },
	VENDOR("vendor.approved"),
	VENDOR("vendor.suspended"),
	VENDOR("vendor.changed"),
	{ "inventory", "stock.changed", &events__v1__stock_changed__descriptor, on_stock_changed, NULL },
	{ "cart", "cart.changed", &events__v1__cart_changed__descriptor, on_cart_changed, NULL },
	{ "checkout", "order.placed", &events__v1__order_placed__descriptor, on_order_placed, NULL },
	{ "checkout", "order.cancelled", &events__v1__order_changed__descriptor, on_order_cancelled, NULL },
	{ "checkout", "order.refunded", &events__v1__order_changed__descriptor, on_order_refunded, NULL },
	{ "identity", "user.consent_changed", &events__v1__consent_changed__descriptor, on_consent_changed, NULL },
	{ "identity", "user.erased", &events__v1__user_erased__descriptor, on_user_erased, NULL },
	{ 0 },
};
