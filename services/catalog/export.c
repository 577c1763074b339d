/* The catalogue for those who keep a copy of it: what changed, by id; or all of it, page by page. */
#include <stdlib.h>
#include <string.h>

#include "catalog.pb-c.h"
#include "common/check.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_export.h"
#include "services/catalog/product_view.h"

#define EXPORT_MAX 200
#define EXPORT_BYTES 600000 /* of one page; a reply ends at 1 MiB */

RPC_HANDLER(catalog_export, Catalog__V1__ExportProductsRequest, Catalog__V1__ExportProductsReply)

const struct rpc_method catalog_export_methods[] = {
	{ "ExportProducts", catalog_export_, RPC_READ | RPC_INTERNAL, 0 },
	{ 0 },
};

/* The items of a joined list, cut in place. */
static char **items(struct arena *a, const char *joined, const char *sep, size_t *n_r)
{
	char *text = arena_strdup(a, joined), *save = NULL;
	size_t n = 1;
	char **v;

	for (const char *p = joined; *p; p++)
		n += *p == *sep;
	v = arena_array(a, n, sizeof(*v));
	n = 0;
	for (char *p = strtok_r(text, sep, &save); p; p = strtok_r(NULL, sep, &save))
		v[n++] = p;
	*n_r = n;
	return v;
}

static void add_categories(struct arena *a, Catalog__V1__ExportedProduct *m, const char *joined)
{
	size_t n, parts;
	char **v = items(a, joined, "\x1f", &n);

	m->categories = arena_array(a, n + 1, sizeof(*m->categories));
	for (size_t i = 0; i < n; i++) {
		char **part = items(a, v[i], "\x1e", &parts);

		if (parts != 3)
			continue;
		Catalog__V1__ExportedCategory *c = arena_alloc(a, sizeof(*c));

		catalog__v1__exported_category__init(c);
		c->id = part[0];
		c->slug = part[1];
		c->name = part[2];
		m->categories[m->n_categories++] = c;
	}
}

static void add_prices(struct arena *a, Catalog__V1__ExportedProduct *m, const char *joined)
{
	size_t n, parts;
	char **v = items(a, joined, "\x1f", &n);

	m->prices = arena_array(a, n + 1, sizeof(*m->prices));
	for (size_t i = 0; i < n; i++) {
		char **part = items(a, v[i], "\x1e", &parts);

		if (parts != 3)
			continue;
		Catalog__V1__ExportedPrice *p = arena_alloc(a, sizeof(*p));
		long long compare = strtoll(part[2], NULL, 10);

		catalog__v1__exported_price__init(p);
		p->price = minor_money(a, strtoll(part[1], NULL, 10), part[0]);
		if (compare >= 0)
			p->compare_at_price = minor_money(a, compare, part[0]);
		m->prices[m->n_prices++] = p;
	}
}

static Catalog__V1__ExportedProduct *exported(struct arena *a, const struct export_row *r)
{
	Catalog__V1__ExportedProduct *m = arena_alloc(a, sizeof(*m));

	catalog__v1__exported_product__init(m);
	m->id = (char *)r->id;
	m->slug = (char *)r->slug;
	m->title = (char *)r->title;
	m->description = (char *)r->description;
	m->brand = (char *)r->brand;
	m->vendor_id = (char *)r->vendor_id;
	m->vendor_name = (char *)r->vendor_name;
	m->vendor_slug = (char *)r->vendor_slug;
	m->attributes = arena_alloc(a, sizeof(*m->attributes));
	common__v1__json__init(m->attributes);
	m->attributes->text = (char *)r->attributes;
	add_categories(a, m, r->categories);
	m->codes = items(a, r->codes, "\x1f", &m->n_codes);
	m->variant_titles = items(a, r->variant_titles, "\x1f", &m->n_variant_titles);
	m->availability = (char *)r->availability;
	add_prices(a, m, r->prices);
	m->has_rating_x100 = m->has_rating_count = m->has_sold_30d = m->has_published_at = m->has_version = m->has_visible =
		true;
	m->rating_x100 = r->rating_x100;
	m->rating_count = r->rating_count;
	m->sold_30d = r->sold_30d;
	m->published_at = r->published_at;
	m->version = r->version;
	m->image_key = (char *)r->image_key;
	m->visible = r->visible;
	m->variant_ids = items(a, r->variants, "\x1f", &m->n_variant_ids);
	return m;
}

static enum err_code rows_of(struct call *c, struct pg *pg, const Catalog__V1__ExportProductsRequest *in, int32_t limit,
			     Catalog__V1__ExportProductsReply *out)
{
	struct export_row *rows = NULL;
	size_t n = 0, bytes = 0;
	bool walk = in->n_product_ids == 0;

	if (!walk && catalog_db_export_ids(pg, c->arena, (const char *const *)in->product_ids, in->n_product_ids, &rows, &n,
					   &c->err))
		return c->err.code;
	if (walk && catalog_db_export_walk(pg, c->arena, in->after ? in->after : "", in->vendor_id, limit,
					    &rows, &n, &c->err))
		return c->err.code;
	if (walk && !in->vendor_id && (!in->after || !*in->after)) {
		out->has_total = true;
		if (catalog_db_export_count(pg, c->arena, &out->total, &c->err))
			return c->err.code;
	}
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n && (bytes < EXPORT_BYTES || !walk); i++) {
		Catalog__V1__ExportedProduct *m = exported(c->arena, &rows[i]);

		bytes += catalog__v1__exported_product__get_packed_size(m);
		out->data[out->n_data++] = m;
	}
	if (walk && n > 0 && (n == (size_t)limit || out->n_data < n))
		out->next = out->data[out->n_data - 1]->id;
	return OK;
}

static enum err_code catalog_export(struct call *c, const Catalog__V1__ExportProductsRequest *in,
				    Catalog__V1__ExportProductsReply *out)
{
	int32_t limit = in->has_limit ? in->limit : 100;
	struct pg *pg;
	enum err_code code;

	if (call_service(c, "search,reco"))
		return c->err.code;
	check_range(&c->err, "limit", limit, 1, EXPORT_MAX);
	if (in->n_product_ids > EXPORT_MAX)
		err_detail(&c->err, "product_ids", NULL, "at most 200");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "export");
	if (call_pg(c, &pg))
		return c->err.code;
	code = rows_of(c, pg, in, limit, out);
	pg_return(pg);
	return code;
}
