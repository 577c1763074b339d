/* Promotions, kept by administrators. What a promotion is worth never changes once it is made; its limits and times do. */
#include <ctype.h>
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "services/checkout/admin_db.h"
#include "services/checkout/checkout_view.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_view.h"

RPC_HANDLER(list_promotions, Checkout__V1__ListPromotionsRequest, Checkout__V1__ListPromotionsReply)
RPC_HANDLER(create_promotion, Checkout__V1__Promotion, Checkout__V1__Promotion)
RPC_HANDLER(get_promotion, Checkout__V1__PromotionRequest, Checkout__V1__Promotion)
RPC_HANDLER(update_promotion, Checkout__V1__UpdatePromotionRequest, Checkout__V1__Promotion)

const struct rpc_method checkout_promotion_methods[] = {
	{ "ListPromotions", list_promotions_, RPC_READ, 0 },
	{ "CreatePromotion", create_promotion_, RPC_WRITE | RPC_KEYED, 0 },
	{ "GetPromotion", get_promotion_, RPC_READ, 0 },
	{ "UpdatePromotion", update_promotion_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

#define PERM "admin.promotions"
#define IDS_MAX 500

static char **split(struct arena *a, const char *list, size_t *n_r)
{
	char *text = arena_strdup(a, list ? list : "");
	char **v = arena_array(a, strlen(text) / 2 + 2, sizeof(*v));
	char *item;

	*n_r = 0;
	while (*text && (item = strsep(&text, ","))) {
		v[(*n_r)++] = item;
		if (!text)
			break;
	}
	return v;
}

static void fill(struct arena *a, const struct promotion_row *p, Checkout__V1__Promotion *out)
{
	out->id = (char *)p->id;
	out->code = (char *)p->code;
	out->title = (char *)p->title;
	out->kind = (char *)p->kind;
	out->vendor_id = (char *)p->vendor_id;
	out->product_ids = split(a, p->products, &out->n_product_ids);
	out->category_ids = split(a, p->categories, &out->n_category_ids);
	if (p->currency && p->amount > 0)
		out->amount = frozen_money(a, p->amount, p->currency);
	if (p->currency && p->min > 0)
		out->min_subtotal = frozen_money(a, p->min, p->currency);
	out->has_percent_bp = p->percent_bp > 0;
	out->percent_bp = p->percent_bp;
	out->has_buy_qty = out->has_get_qty = p->buy_qty > 0;
	out->buy_qty = p->buy_qty;
	out->get_qty = p->get_qty;
	out->has_max_uses = p->max_uses >= 0;
	out->max_uses = p->max_uses;
	out->has_per_buyer = p->per_buyer >= 0;
	out->per_buyer = p->per_buyer;
	out->has_combinable = out->has_priority = out->has_active = out->has_uses = out->has_version = true;
	out->combinable = p->combinable;
	out->priority = p->priority;
	out->active = p->active;
	out->uses = p->uses;
	out->version = p->version;
	out->has_starts_at = p->starts_at > 0;
	out->starts_at = p->starts_at;
	out->has_ends_at = p->ends_at > 0;
	out->ends_at = p->ends_at;
	out->hdr_etag = checkout_tag(a, p->id, p->version);
}

/* ---- making one ---- */

static void check_code(struct err *e, const char *code)
{
	size_t n = strlen(code);
	bool ok = n >= 3 && n <= 32;

	for (const char *p = code; *p; p++)
		ok &= isalnum((unsigned char)*p) || *p == '_' || *p == '-';
	if (!ok)
		err_detail(e, "code", NULL, "must be 3 to 32 letters, digits, _ or -");
}

static void check_kind(struct err *e, const Checkout__V1__Promotion *in)
{
	if (!check_oneof(e, "kind", in->kind, "percent|fixed|free_shipping|buy_x_get_y"))
		return;
	if (strcmp(in->kind, "percent") == 0)
		check_range(e, "percent_bp", in->percent_bp, 1, 10000);
	if (strcmp(in->kind, "fixed") == 0)
		check_money(e, "amount", in->amount, 1, INT64_MAX);
	if (strcmp(in->kind, "buy_x_get_y") == 0) {
		check_range(e, "buy_qty", in->buy_qty, 1, 1000);
		check_range(e, "get_qty", in->get_qty, 1, 1000);
		if (in->has_percent_bp)
			check_range(e, "percent_bp", in->percent_bp, 1, 10000);
	}
}

static void check(struct call *c, const Checkout__V1__Promotion *in)
{
	struct err *e = &c->err;

	if (in->code)
		check_code(e, in->code);
	check_text(e, "title", in->title, 1, 120);
	check_kind(e, in);
	if (in->min_subtotal)
		check_money(e, "min_subtotal", in->min_subtotal, 0, INT64_MAX);
	if (in->amount && in->min_subtotal && in->amount->currency && in->min_subtotal->currency &&
	    strcmp(in->amount->currency, in->min_subtotal->currency) != 0)
		err_detail(e, "min_subtotal", NULL, "must be in the currency of amount");
	if (in->vendor_id)
		check_id(e, "vendor_id", in->vendor_id, "vnd");
	for (size_t i = 0; i < in->n_product_ids && i < IDS_MAX; i++)
		check_id(e, "product_ids", in->product_ids[i], "prd");
	for (size_t i = 0; i < in->n_category_ids && i < IDS_MAX; i++)
		check_id(e, "category_ids", in->category_ids[i], "cat");
	if (in->n_product_ids > IDS_MAX || in->n_category_ids > IDS_MAX)
		err_detail(e, "product_ids", NULL, "at most %d", IDS_MAX);
	if (in->has_max_uses)
		check_range(e, "max_uses", in->max_uses, 0, INT64_MAX);
	if (in->has_per_buyer)
		check_range(e, "per_buyer", in->per_buyer, 1, 1000000);
	if (in->has_starts_at && in->has_ends_at && in->ends_at <= in->starts_at)
		err_detail(e, "ends_at", NULL, "must be after starts_at");
	if (in->id || in->has_uses || in->has_version)
		err_detail(e, "id", NULL, "id, uses and version are ours to set");
}

struct put {
	struct call *c;
	struct promotion_row row;
	const Checkout__V1__Promotion *in;
	Checkout__V1__Promotion *out;
	int64_t version;
};

static enum err_code show(struct pg *pg, struct put *x, struct err *e)
{
	struct promotion_row *p = NULL;
	bool found = false;

	if (promotion_db_get(pg, x->c->arena, x->row.id, &p, &found, e))
		return e->code;
	checkout__v1__promotion__init(x->out);
	fill(x->c->arena, p, x->out);
	return OK;
}

static enum err_code create_tx(struct pg *pg, void *arg, struct err *e)
{
	struct put *x = arg;

	if (promotion_db_insert(pg, x->c->arena, &x->row, (const char *const *)x->in->product_ids, x->in->n_product_ids,
				(const char *const *)x->in->category_ids, x->in->n_category_ids, e)) {
		if (strcmp(pg_constraint(pg), "promotion_code_key") == 0)
			return err_set(e, E_CONFLICT, "promotion.code_taken", "%s", x->row.code);
		return e->code;
	}
	return show(pg, x, e);
}

static enum err_code row_of(struct call *c, const Checkout__V1__Promotion *in, struct promotion_row *r)
{
	struct money m;
	char id[ID_LEN];

	id_new("prm", id);
	*r = (struct promotion_row){
		.id = arena_strdup(c->arena, id), .title = in->title, .kind = in->kind, .vendor_id = in->vendor_id,
		.percent_bp = in->has_percent_bp ? in->percent_bp : 0, .buy_qty = in->buy_qty, .get_qty = in->get_qty,
		.max_uses = in->has_max_uses ? in->max_uses : -1, .per_buyer = in->has_per_buyer ? in->per_buyer : -1,
		.priority = in->has_priority ? in->priority : 100, .combinable = !in->has_combinable || in->combinable,
		.active = !in->has_active || in->active, .starts_at = in->starts_at, .ends_at = in->ends_at,
	};
	if (strcmp(in->kind, "buy_x_get_y") == 0 && !in->has_percent_bp)
		r->percent_bp = 10000;
	if (in->code) {
		char *code = arena_strdup(c->arena, in->code);

		for (char *p = code; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		r->code = code;
	}
	if (in->min_subtotal) {
		if (money_from_pb(in->min_subtotal, &m, &c->err))
			return c->err.code;
		r->min = money_minor(m);
		r->currency = in->min_subtotal->currency;
	}
	if (in->amount) {
		if (money_from_pb(in->amount, &m, &c->err))
			return c->err.code;
		r->amount = money_minor(m);
		r->currency = in->amount->currency;
	}
	return OK;
}

static enum err_code create_promotion(struct call *c, const Checkout__V1__Promotion *in, Checkout__V1__Promotion *out)
{
	struct put x = { .c = c, .in = in, .out = out };

	if (call_perm(c, PERM))
		return c->err.code;
	check(c, in);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "promotion");
	if (row_of(c, in, &x.row))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, create_tx, &x);
}

/* ---- reading and changing ---- */

static enum err_code get_promotion(struct call *c, const Checkout__V1__PromotionRequest *in, Checkout__V1__Promotion *out)
{
	struct promotion_row *p = NULL;
	bool found = false;
	struct pg *pg;

	if (call_perm(c, PERM) || call_pg(c, &pg))
		return c->err.code;
	if (promotion_db_get(pg, c->arena, in->promotion_id, &p, &found, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	if (!found)
		return err_set(&c->err, E_NOT_FOUND, "promotion.not_found", "%s", in->promotion_id);
	fill(c->arena, p, out);
	return OK;
}

static enum err_code list_promotions(struct call *c, const Checkout__V1__ListPromotionsRequest *in,
				     Checkout__V1__ListPromotionsReply *out)
{
	struct promotion_row *rows = NULL;
	struct page page;
	size_t n = 0;
	struct pg *pg;

	if (call_perm(c, PERM) || page_of(c, in, "promotions", "t", &page) || call_pg(c, &pg))
		return c->err.code;
	if (promotion_db_page(pg, c->arena, page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Checkout__V1__Promotion *p = arena_alloc(c->arena, sizeof(*p));

		checkout__v1__promotion__init(p);
		fill(c->arena, &rows[i], p);
		p->hdr_etag = NULL;
		out->data[out->n_data++] = p;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}

struct change {
	struct put put;
	const Checkout__V1__UpdatePromotionRequest *in;
};

static void apply(const Checkout__V1__UpdatePromotionRequest *in, struct promotion_row *r)
{
	if (in->title)
		r->title = in->title;
	if (in->has_active)
		r->active = in->active;
	if (in->has_max_uses)
		r->max_uses = in->max_uses;
	if (in->has_per_buyer)
		r->per_buyer = in->per_buyer;
	if (in->has_starts_at)
		r->starts_at = in->starts_at;
	if (in->has_ends_at)
		r->ends_at = in->ends_at;
	if (in->has_priority)
		r->priority = in->priority;
	if (in->has_combinable)
		r->combinable = in->combinable;
}

static enum err_code change_tx(struct pg *pg, void *arg, struct err *e)
{
	struct change *x = arg;
	struct promotion_row *p = NULL;
	bool found = false, done = false;

	if (promotion_db_get(pg, x->put.c->arena, x->in->promotion_id, &p, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "promotion.not_found", "%s", x->in->promotion_id);
	if (x->in->hdr_if_match && checkout_tag_version(x->in->hdr_if_match, p->id) != p->version) {
		err_detail(e, "If-Match", checkout_tag(x->put.c->arena, p->id, p->version), "It was changed meanwhile.");
		return err_set(e, E_PRECOND, "common.precondition_failed", "tag %.60s", x->in->hdr_if_match);
	}
	apply(x->in, p);
	x->put.row = *p;
	if (promotion_db_update(pg, p, p->version, &done, e)) {
		if (strcmp(pg_constraint(pg), "promotion_limit") == 0)
			return err_set(e, E_CONFLICT, "promotion.limit", "%s", p->id);
		return e->code;
	}
	return done ? show(pg, &x->put, e) : err_set(e, E_RETRY, "common.retry", "%s was changed meanwhile", p->id);
}

static enum err_code update_promotion(struct call *c, const Checkout__V1__UpdatePromotionRequest *in,
				      Checkout__V1__Promotion *out)
{
	struct change x = { .put = { .c = c, .out = out }, .in = in };

	if (call_perm(c, PERM))
		return c->err.code;
	if (in->title)
		check_text(&c->err, "title", in->title, 1, 120);
	if (in->has_max_uses)
		check_range(&c->err, "max_uses", in->max_uses, 0, INT64_MAX);
	if (in->has_per_buyer)
		check_range(&c->err, "per_buyer", in->per_buyer, 1, 1000000);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "promotion");
	return call_tx(c, CALL_TX_ONLY, change_tx, &x);
}
