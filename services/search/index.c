#include "services/search/index.h"

#include <stdlib.h>
#include <string.h>

#include "common/timeutil.h"
#include "services/search/document.h"
#include "services/search/search_db_feed.h"
#include "services/search/search_db_index.h"

#define BATCH 50
#define RUN_MS 400 /* of one run of a job */
#define CALL_MS 5000

/* ---- putting ---- */

static enum err_code put_slot(struct pg *pg, const struct index_batch *b, int32_t slot, int64_t seq,
			      const struct document *docs, size_t n, struct err *e)
{
	const char *lang = b->svc->conf->lang;
	const char **ids = arena_array(b->arena, n + 1, sizeof(*ids));

	if (search_db_forget(pg, b->arena, slot, lang, seq, b->ids, b->n_ids, e))
		return e->code;
	for (size_t i = 0; i < n; i++) {
		ids[i] = docs[i].product_id;
		if (search_db_put(pg, b->arena, slot, &docs[i], e))
			return e->code;
	}
	return n ? search_db_count(pg, b->arena, slot, lang, seq, ids, n, e) : OK;
}

static enum err_code put_names(struct pg *pg, const Catalog__V1__ExportedProduct *p, struct err *e)
{
	for (size_t i = 0; i < p->n_categories; i++)
		if (search_db_category_put(pg, p->categories[i]->id, p->categories[i]->slug, p->categories[i]->name, e))
			return e->code;
	return p->vendor_id ? search_db_vendor_put(pg, p->vendor_id, p->vendor_slug, p->vendor_name, e) : OK;
}

enum err_code index_put(struct pg *pg, const struct index_batch *b, struct err *e)
{
	struct document *docs = arena_array(b->arena, b->n_products + 1, sizeof(*docs));
	struct state_row *s = NULL;
	size_t n = 0;

	for (size_t i = 0; i < b->n_products; i++)
		if (b->products[i]->visible && b->products[i]->id)
			document_make(b->arena, b->svc->conf->lang, b->products[i], &docs[n++]);
	if (search_db_state_next(pg, b->arena, &s, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		if (put_names(pg, docs[i].src, e))
			return e->code;
	if (!b->other_only && put_slot(pg, b, s->slot, s->seq, docs, n, e))
		return e->code;
	if (strcmp(s->build, "running") == 0 && put_slot(pg, b, 1 - s->slot, s->seq, docs, n, e))
		return e->code;
	return b->svc->os ? search_db_feed_note(pg, b->arena, s->seq, b->last, b->ids, b->other_only ? 0 : b->n_ids, e) : OK;
}

/* ---- what changed ---- */

static enum err_code ask(struct search_svc *svc, struct arena *a, Catalog__V1__ExportProductsRequest *in,
			 Catalog__V1__ExportProductsReply **out_r, struct err *e)
{
	struct call c = { 0 };
	const struct rpc_opts opts = { .as_service = true, .retry_read = true };

	call_init_service(&c, "search", a, CALL_MS);
	if (rpc_call(svc->catalog, &c, "ExportProducts", &in->base, &catalog__v1__export_products_reply__descriptor, out_r,
		     &opts)) {
		*e = c.err;
		return e->code;
	}
	return OK;
}

struct changes_tx {
	struct index_batch batch;
	const struct dirty_row *rows;
	size_t n;
};

static enum err_code changes_tx(struct pg *pg, void *arg, struct err *e)
{
	struct changes_tx *t = arg;

	if (index_put(pg, &t->batch, e))
		return e->code;
	return search_db_dirty_done(pg, t->batch.arena, t->rows, t->n, e);
}

static enum err_code in_tx(struct search_svc *svc, pg_tx_fn *fn, void *arg, struct err *e)
{
	const struct pg_actor who = { "system", "" };

	return pg_tx(svc->pool, mono_ms() + 10000, &who, fn, arg, e);
}

static enum err_code later_tx(struct pg *pg, void *arg, struct err *e)
{
	struct changes_tx *t = arg;

	return search_db_dirty_later(pg, t->batch.arena, t->rows, t->n, e);
}

static enum err_code fetch_products(struct search_svc *svc, struct arena *a, const struct dirty_row *rows, size_t n,
				    struct err *e)
{
	Catalog__V1__ExportProductsRequest in = CATALOG__V1__EXPORT_PRODUCTS_REQUEST__INIT;
	Catalog__V1__ExportProductsReply *out = NULL;
	struct changes_tx t = { { .svc = svc, .arena = a }, rows, n };

	in.product_ids = arena_array(a, n, sizeof(*in.product_ids));
	for (size_t i = 0; i < n; i++)
		in.product_ids[in.n_product_ids++] = (char *)rows[i].product_id;
	if (ask(svc, a, &in, &out, e))
		return e->code;
	t.batch.products = out->data;
	t.batch.n_products = out->n_data;
	t.batch.ids = (const char *const *)in.product_ids;
	t.batch.n_ids = n;
	return in_tx(svc, changes_tx, &t, e);
}

/* A batch whose reply is too large, or one product of which makes trouble, goes one by one. */
static enum err_code fetch_or_split(struct search_svc *svc, struct arena *a, const struct dirty_row *rows, size_t n,
				    struct err *e)
{
	struct err why = { 0 };

	if (fetch_products(svc, a, rows, n, e) == OK)
		return OK;
	if (e->code == E_UNAVAILABLE)
		return e->code;
	why = *e;
	err_clear(e);
	for (size_t i = 0; i < n; i++) {
		struct changes_tx t = { { .svc = svc, .arena = a }, &rows[i], 1 };

		if ((n == 1 || fetch_products(svc, a, &rows[i], 1, e)) && in_tx(svc, later_tx, &t, e))
			return e->code;
	}
	*e = why;
	return e->code;
}

struct vendor_tx {
	struct arena *a;
	const struct dirty_row *row;
	const Catalog__V1__ExportProductsReply *page;
	bool last;
};

static enum err_code vendor_tx(struct pg *pg, void *arg, struct err *e)
{
	struct vendor_tx *t = arg;
	const char **ids = arena_array(t->a, t->page->n_data + 1, sizeof(*ids));

	for (size_t i = 0; i < t->page->n_data; i++)
		ids[i] = t->page->data[i]->id;
	if (search_db_dirty_many(pg, t->a, ids, t->page->n_data, e))
		return e->code;
	if (!t->last)
		return OK;
	if (search_db_dirty_vendor(pg, t->row->product_id, e))
		return e->code;
	return search_db_dirty_done(pg, t->a, t->row, 1, e);
}

/* All products of a vendor become dirty: those that catalog shows, and those that the index still has. */
static enum err_code expand_vendor(struct search_svc *svc, struct arena *a, const struct dirty_row *row, struct err *e)
{
	Catalog__V1__ExportProductsRequest in = CATALOG__V1__EXPORT_PRODUCTS_REQUEST__INIT;
	Catalog__V1__ExportProductsReply *out = NULL;

	in.vendor_id = (char *)row->product_id;
	do {
		if (ask(svc, a, &in, &out, e))
			return e->code;
		struct vendor_tx t = { a, row, out, out->next == NULL };

		if (in_tx(svc, vendor_tx, &t, e))
			return e->code;
		in.after = out->next;
	} while (in.after);
	return OK;
}

static enum err_code changes_once(struct search_svc *svc, struct arena *a, size_t *n_r, struct err *e)
{
	struct dirty_row *rows = NULL;
	struct pg *pg = NULL;
	size_t k = 0;
	enum err_code code;

	if (pg_borrow(svc->pool, 0, &pg, e))
		return e->code;
	code = search_db_dirty(pg, a, BATCH, &rows, n_r, e);
	pg_return(pg);
	if (code)
		return code;
	for (size_t i = 0; i < *n_r; i++) {
		if (strncmp(rows[i].product_id, "vnd_", 4) != 0)
			rows[k++] = rows[i];
		else if (expand_vendor(svc, a, &rows[i], e))
			return e->code;
	}
	return k ? fetch_or_split(svc, a, rows, k, e) : OK;
}

enum err_code index_changes(void *arg, struct arena *a, struct err *e)
{
	struct search_svc *svc = arg;
	struct arena *page = arena_new("changes", 256 << 20);
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

/* ---- the rebuild ---- */

struct rebuild_tx {
	struct index_batch batch;
	const Catalog__V1__ExportProductsReply *page;
	const struct state_row *state;
};

static enum err_code start_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return search_db_build_start(pg, e);
}

static enum err_code step_tx(struct pg *pg, void *arg, struct err *e)
{
	struct rebuild_tx *t = arg;
	int64_t total = t->page->has_total ? t->page->total : t->state->build_total;

	if (index_put(pg, &t->batch, e))
		return e->code;
	if (!t->page->next)
		return search_db_build_swap(pg, e);
	return search_db_build_step(pg, t->page->next, t->state->build_done + (int64_t)t->page->n_data, total, e);
}

static enum err_code clear_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return search_db_clear(pg, e);
}

static enum err_code rebuild_step(struct search_svc *svc, struct arena *a, const struct state_row *s, bool *more_r,
				  struct err *e)
{
	Catalog__V1__ExportProductsRequest in = CATALOG__V1__EXPORT_PRODUCTS_REQUEST__INIT;
	Catalog__V1__ExportProductsReply *out = NULL;
	struct rebuild_tx t = { { .svc = svc, .arena = a, .other_only = true }, NULL, s };
	const char **ids;

	in.after = (char *)s->build_after;
	in.has_limit = true;
	in.limit = BATCH;
	if (ask(svc, a, &in, &out, e))
		return e->code;
	ids = arena_array(a, out->n_data + 1, sizeof(*ids));
	for (size_t i = 0; i < out->n_data; i++)
		ids[i] = out->data[i]->id;
	t.page = out;
	t.batch.last = out->next == NULL;
	t.batch.products = out->data;
	t.batch.n_products = out->n_data;
	t.batch.ids = ids;
	t.batch.n_ids = out->n_data;
	if (in_tx(svc, step_tx, &t, e))
		return e->code;
	*more_r = out->next != NULL;
	return *more_r ? OK : in_tx(svc, clear_tx, NULL, e);
}

static enum err_code rebuild_once(struct search_svc *svc, struct arena *a, bool *more_r, struct err *e)
{
	struct state_row *s = NULL;
	struct pg *pg = NULL;
	enum err_code code;

	if (pg_borrow(svc->pool, 0, &pg, e))
		return e->code;
	code = search_db_state(pg, a, &s, e);
	pg_return(pg);
	if (code || strcmp(s->build, "idle") == 0)
		return code;
	if (strcmp(s->build, "wanted") == 0) {
		*more_r = true;
		return in_tx(svc, start_tx, NULL, e);
	}
	return rebuild_step(svc, a, s, more_r, e);
}

enum err_code index_rebuild(void *arg, struct arena *a, struct err *e)
{
	struct search_svc *svc = arg;
	struct arena *page = arena_new("rebuild", 256 << 20);
	int64_t until = mono_ms() + RUN_MS;
	bool more;

	(void)a;
	do {
		more = false;
		arena_reset(page);
	} while (rebuild_once(svc, page, &more, e) == OK && more && mono_ms() < until);
	arena_free(page);
	return e->code;
}

static enum err_code tiers_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return search_db_tiers(pg, e);
}

enum err_code index_tiers(void *arg, struct arena *a, struct err *e)
{
	(void)a;
	return in_tx(arg, tiers_tx, NULL, e);
}
