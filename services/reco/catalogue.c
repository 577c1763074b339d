#include "services/reco/catalogue.h"

#include <inttypes.h>
#include <string.h>

#include "common/money.h"
#include "common/timeutil.h"
#include "services/reco/reco_db_catalogue.h"

#define BATCH 50
#define VARIANTS 500 /* of one question to inventory */
#define RUN_MS 400   /* of one run of a job */
#define CALL_MS 5000

static enum err_code in_tx(struct reco_svc *svc, pg_tx_fn *fn, void *arg, struct err *e)
{
	const struct pg_actor who = { "system", "" };

	return pg_tx(svc->pool, mono_ms() + 10000, &who, fn, arg, e);
}

/* ---- one product ---- */

static const char *prices_json(struct arena *a, const Catalog__V1__ExportedProduct *p)
{
	char *out = arena_strdup(a, "{");

	for (size_t i = 0; i < p->n_prices; i++) {
		const Common__V1__Money *m = p->prices[i]->price;

		if (m && money_valid_currency(m->currency))
			out = arena_printf(a, "%s%s\"%s\":%" PRId64, out, out[1] ? "," : "", m->currency, m->amount);
	}
	return arena_printf(a, "%s}", out);
}

static enum err_code put_stock(struct pg *pg, struct arena *a, const Catalog__V1__ExportedProduct *p,
			       const Inventory__V1__AvailabilityReply *stock, struct err *e)
{
	struct stock_in *in = arena_array(a, p->n_variant_ids + 1, sizeof(*in));

	for (size_t i = 0; i < p->n_variant_ids; i++) {
		in[i] = (struct stock_in){ p->variant_ids[i], p->id, "out" };
		for (size_t k = 0; k < stock->n_data; k++)
			if (stock->data[k]->variant_id && stock->data[k]->state &&
			    strcmp(stock->data[k]->variant_id, p->variant_ids[i]) == 0)
				in[i].availability = stock->data[k]->state;
	}
	return reco_db_stock_put(pg, a, in, p->n_variant_ids, e);
}

enum err_code catalogue_put(struct pg *pg, struct arena *a, const Catalog__V1__ExportedProduct *p,
			    const Inventory__V1__AvailabilityReply *stock, struct err *e)
{
	const char **categories = arena_array(a, p->n_categories + 1, sizeof(*categories));
	const struct product_in in = { .product_id = p->id, .vendor_id = p->vendor_id, .title = p->title,
				       .brand = p->brand, .categories = categories, .n_categories = p->n_categories,
				       .prices = prices_json(a, p), .rating_x100 = p->rating_x100,
				       .rating_count = p->rating_count, .published_at = p->published_at,
				       .version = p->version, .visible = p->visible };

	for (size_t i = 0; i < p->n_categories; i++) {
		categories[i] = p->categories[i]->id;
		if (reco_db_category_put(pg, p->categories[i]->id, p->categories[i]->slug, e))
			return e->code;
	}
	if (reco_db_product_put(pg, a, &in, e))
		return e->code;
	return put_stock(pg, a, p, stock, e);
}

/* ---- asking ---- */

static enum err_code ask_catalog(struct reco_svc *svc, struct arena *a, const Catalog__V1__ExportProductsRequest *in,
				 Catalog__V1__ExportProductsReply **out_r, struct err *e)
{
	const struct rpc_opts opts = { .as_service = true, .retry_read = true };
	struct call c = { 0 };

	call_init_service(&c, "reco", a, CALL_MS);
	if (rpc_call(svc->catalog, &c, "ExportProducts", &in->base, &catalog__v1__export_products_reply__descriptor, out_r,
		     &opts))
		*e = c.err;
	return e->code;
}

static enum err_code ask_inventory(struct reco_svc *svc, struct arena *a, const Catalog__V1__ExportedProduct *p,
				   Inventory__V1__AvailabilityReply **out_r, struct err *e)
{
	Inventory__V1__AvailabilityRequest in = INVENTORY__V1__AVAILABILITY_REQUEST__INIT;
	const struct rpc_opts opts = { .as_service = true, .retry_read = true };
	struct call c = { 0 };

	call_init_service(&c, "reco", a, CALL_MS);
	in.variant_ids = p->variant_ids;
	in.n_variant_ids = p->n_variant_ids < VARIANTS ? p->n_variant_ids : VARIANTS;
	if (rpc_call(svc->inventory, &c, "GetAvailability", &in.base, &inventory__v1__availability_reply__descriptor, out_r,
		     &opts))
		*e = c.err;
	return e->code;
}

struct product_tx {
	struct arena *a;
	const Catalog__V1__ExportedProduct *p;
	const Inventory__V1__AvailabilityReply *stock;
};

static enum err_code product_tx(struct pg *pg, void *arg, struct err *e)
{
	struct product_tx *t = arg;

	return catalogue_put(pg, t->a, t->p, t->stock, e);
}

/* A product is a transaction of its own: it locks one row, as the events do that change it meanwhile. */
static enum err_code take(struct reco_svc *svc, struct arena *a, const Catalog__V1__ExportedProduct *p, struct err *e)
{
	Inventory__V1__AvailabilityReply none = INVENTORY__V1__AVAILABILITY_REPLY__INIT, *stock = &none;
	struct product_tx t = { .a = a, .p = p };

	if (!p->id || (p->n_variant_ids > 0 && ask_inventory(svc, a, p, &stock, e)))
		return e->code;
	t.stock = stock;
	return in_tx(svc, product_tx, &t, e);
}

/* ---- what changed ---- */

struct dirty_tx {
	struct arena *a;
	const struct dirty_row *rows;
	size_t n;
	const char **gone;
	size_t n_gone;
	bool failed;
};

static enum err_code dirty_tx(struct pg *pg, void *arg, struct err *e)
{
	struct dirty_tx *t = arg;

	if (t->failed)
		return reco_db_dirty_later(pg, t->a, t->rows, t->n, e);
	if (t->n_gone && reco_db_product_gone(pg, t->a, t->gone, t->n_gone, e))
		return e->code;
	return reco_db_dirty_done(pg, t->a, t->rows, t->n, e);
}

static enum err_code fetch(struct reco_svc *svc, struct arena *a, struct dirty_tx *t, struct err *e)
{
	Catalog__V1__ExportProductsRequest in = CATALOG__V1__EXPORT_PRODUCTS_REQUEST__INIT;
	Catalog__V1__ExportProductsReply *out = NULL;

	in.product_ids = arena_array(a, t->n + 1, sizeof(*in.product_ids));
	for (size_t i = 0; i < t->n; i++)
		in.product_ids[in.n_product_ids++] = (char *)t->rows[i].product_id;
	if (ask_catalog(svc, a, &in, &out, e))
		return e->code;
	t->gone = arena_array(a, t->n + 1, sizeof(*t->gone));
	for (size_t i = 0; i < t->n; i++) {
		const Catalog__V1__ExportedProduct *p = NULL;

		for (size_t k = 0; k < out->n_data && !p; k++)
			if (out->data[k]->id && strcmp(out->data[k]->id, t->rows[i].product_id) == 0)
				p = out->data[k];
		if (!p)
			t->gone[t->n_gone++] = t->rows[i].product_id;
		else if (take(svc, a, p, e))
			return e->code;
	}
	return OK;
}

/* A batch of which one makes trouble goes one by one; that one is tried again later. */
static enum err_code changes_once(struct reco_svc *svc, struct arena *a, size_t *n_r, struct err *e)
{
	struct dirty_tx t = { .a = a };
	struct dirty_row *rows = NULL;
	struct err why = { 0 };
	struct pg *pg = NULL;
	enum err_code code;

	if (pg_borrow(svc->pool, 0, &pg, e))
		return e->code;
	code = reco_db_dirty(pg, a, BATCH, &rows, n_r, e);
	pg_return(pg);
	if (code || *n_r == 0)
		return code;
	t.rows = rows;
	t.n = *n_r;
	if (fetch(svc, a, &t, &why) == OK)
		return in_tx(svc, dirty_tx, &t, e);
	if (why.code == E_UNAVAILABLE) {
		*e = why;
		return e->code;
	}
	for (size_t i = 0; i < *n_r; i++) {
		struct dirty_tx one = { .a = a, .rows = &rows[i], .n = 1 };
		struct err single = { 0 };

		one.failed = fetch(svc, a, &one, &single) != OK;
		if (in_tx(svc, dirty_tx, &one, e))
			return e->code;
	}
	*e = why;
	return e->code;
}

enum err_code catalogue_changes(void *arg, struct arena *a, struct err *e)
{
	struct reco_svc *svc = arg;
	struct arena *page = arena_new("changes", 64 << 20);
	int64_t until = mono_ms() + RUN_MS;
	size_t n;

	(void)a;
	do {
		n = 0;
		arena_reset(page);
	} while (changes_once(svc, page, &n, e) == OK && n > 0 && mono_ms() < until);
	arena_free(page);
	return e->code;
}

/* ---- the first filling ---- */

struct filling_tx {
	const char *after;
	bool filled;
};

static enum err_code filling_tx(struct pg *pg, void *arg, struct err *e)
{
	struct filling_tx *t = arg;

	return reco_db_filling_set(pg, t->after, t->filled, e);
}

static enum err_code fill_once(struct reco_svc *svc, struct arena *a, bool *more_r, struct err *e)
{
	Catalog__V1__ExportProductsRequest in = CATALOG__V1__EXPORT_PRODUCTS_REQUEST__INIT;
	Catalog__V1__ExportProductsReply *out = NULL;
	struct filling_row *at = NULL;
	struct pg *pg = NULL;
	enum err_code code;

	if (pg_borrow(svc->pool, 0, &pg, e))
		return e->code;
	code = reco_db_filling(pg, a, &at, e);
	pg_return(pg);
	if (code || at->filled)
		return code;
	in.after = (char *)at->after;
	in.has_limit = true;
	in.limit = BATCH;
	if (ask_catalog(svc, a, &in, &out, e))
		return e->code;
	for (size_t i = 0; i < out->n_data; i++)
		if (take(svc, a, out->data[i], e))
			return e->code;
	struct filling_tx t = { out->next ? out->next : "", out->next == NULL };

	*more_r = !t.filled;
	return in_tx(svc, filling_tx, &t, e);
}

enum err_code catalogue_fill(void *arg, struct arena *a, struct err *e)
{
	struct reco_svc *svc = arg;
	struct arena *page = arena_new("fill", 64 << 20);
	int64_t until = mono_ms() + RUN_MS;
	bool more;

	(void)a;
	do {
		more = false;
		arena_reset(page);
	} while (fill_once(svc, page, &more, e) == OK && more && mono_ms() < until);
	arena_free(page);
	return e->code;
}
