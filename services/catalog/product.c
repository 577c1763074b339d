/* What everybody reads: the list of products, one product; and what cart and checkout ask of variants. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_vendor.h"
#include "services/catalog/catalog_rules.h"
#include "services/catalog/product_view.h"

RPC_HANDLER(catalog_list_products, Catalog__V1__ListProductsRequest, Catalog__V1__ListProductsReply)
RPC_HANDLER(catalog_get_product, Catalog__V1__GetProductRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_get_variants, Catalog__V1__VariantsRequest, Catalog__V1__VariantsReply)

const struct rpc_method catalog_product_methods[] = {
	{ "ListProducts", catalog_list_products_, RPC_READ, 0 },
	{ "GetProduct", catalog_get_product_, RPC_READ, 0 },
	{ "GetVariants", catalog_get_variants_, RPC_READ | RPC_INTERNAL, 0 },
	{ 0 },
};

static enum err_code catalog_get_product(struct call *c, const Catalog__V1__GetProductRequest *in,
					 Catalog__V1__Product *out)
{
	const char *currency = asked_currency(c, in->currency);
	struct pg *pg;

	check_text(&c->err, "product_id", in->product_id, 1, 150);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "product");
	if (call_pg(c, &pg))
		return c->err.code;
	enum err_code code = product_view(c, pg, in->product_id, NULL, currency, out, &c->err);

	pg_return(pg);
	return code;
}

/* ---- list ---- */

static bool parse_sort(const char *word, enum list_sort *r)
{
	static const char *const words[] = { "newest", "price", "-price", "rating", "best_selling" };

	*r = SORT_NEWEST;
	if (!word)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(word, words[i]) == 0)
			return *r = (enum list_sort)i, true;
	return false;
}

static void check_filter(struct call *c, const Catalog__V1__ListProductsRequest *in, struct list_filter *f)
{
	const char **names = arena_array(c->arena, in->n_attr + 1, sizeof(*names));
	const char **values = arena_array(c->arena, in->n_attr + 1, sizeof(*values));

	if (!parse_sort(in->sort, &f->sort))
		err_detail(&c->err, "sort", NULL, "must be newest, price, -price, rating or best_selling");
	if (in->category)
		check_text(&c->err, "category", in->category, 1, 120);
	if (in->vendor)
		check_text(&c->err, "vendor", in->vendor, 1, 120);
	if (in->brand)
		check_text(&c->err, "brand", in->brand, 1, 120);
	if (in->has_price_min)
		check_range(&c->err, "price_min", in->price_min, 0, CATALOG_PRICE_MAX);
	if (in->has_price_max)
		check_range(&c->err, "price_max", in->price_max, in->has_price_min ? in->price_min : 0, CATALOG_PRICE_MAX);
	if (in->has_rating_min)
		check_range(&c->err, "rating_min", in->rating_min, 1, 5);
	if (in->n_attr > 10)
		err_detail(&c->err, "attr", NULL, "at most 10 may be given");
	for (size_t i = 0; i < in->n_attr && i < 10; i++)
		if (!utf8_valid(in->attr[i], strlen(in->attr[i])) ||
		    !catalog_attr_parse(c->arena, in->attr[i], &names[i], &values[i]))
			err_detail(&c->err, "attr", NULL, "must look like name:value");
	check_range(&c->err, "limit", f->limit, 1, 100);
	f->attr_names = names;
	f->attr_values = values;
	f->n_attrs = in->n_attr;
	f->brand = in->brand;
	f->has_price_min = in->has_price_min;
	f->price_min = in->price_min;
	f->has_price_max = in->has_price_max;
	f->price_max = in->price_max;
	f->in_stock = in->in_stock;
	f->rating_min = in->rating_min;
}

/* Everything that shapes the list, for the cursor. */
static const char *filter_text(struct call *c, const Catalog__V1__ListProductsRequest *in, const struct list_filter *f)
{
	char *s = arena_printf(c->arena, "products|%s|%s|%s|%s|%d|%lld|%lld|%d|%d", f->currency,
			       f->category_id ? f->category_id : "", f->vendor_id ? f->vendor_id : "",
			       f->brand ? f->brand : "", (int)f->sort, f->has_price_min ? (long long)f->price_min : -1LL,
			       f->has_price_max ? (long long)f->price_max : -1LL, f->in_stock, f->rating_min);

	for (size_t i = 0; i < in->n_attr; i++)
		s = arena_printf(c->arena, "%s|%s", s, in->attr[i]);
	return s;
}

/* Slugs become ids; an unknown category or vendor is 404, not an empty list. */
static enum err_code resolve(struct call *c, struct pg *pg, const Catalog__V1__ListProductsRequest *in,
			     struct list_filter *f)
{
	struct category_row *cat = NULL;
	struct vendor_row *vendor = NULL;
	bool found = true;

	if (in->category && catalog_db_category(pg, c->arena, in->category, &cat, &found, &c->err))
		return c->err.code;
	if (!found)
		return err_set(&c->err, E_NOT_FOUND, "catalog.category_unknown", "%s", in->category);
	if (in->vendor && catalog_db_vendor(pg, c->arena, in->vendor, &vendor, &found, &c->err))
		return c->err.code;
	if (!found || (vendor && strcmp(vendor->status, "approved") != 0))
		return err_set(&c->err, E_NOT_FOUND, "catalog.vendor_unknown", "%s", in->vendor);
	f->category_id = cat ? cat->id : NULL;
	f->vendor_id = vendor ? vendor->id : NULL;
	return OK;
}

static enum err_code list(struct call *c, struct pg *pg, const Catalog__V1__ListProductsRequest *in,
			  struct list_filter *f, Catalog__V1__ListProductsReply *out)
{
	struct cursor cur;
	struct card_row *rows = NULL;
	size_t n = 0;
	int32_t limit = f->limit;
	const char *filter;

	if (resolve(c, pg, in, f))
		return c->err.code;
	filter = filter_text(c, in, f);
	if (cursor_read(c->arena, in->cursor, filter, "it", &cur, &c->err))
		return c->err.code;
	f->after = cur.n > 0;
	f->key = cur.n ? cur.field[0].i : 0;
	f->id = cur.n ? cur.field[1].text : "";
	f->limit = limit + 1;
	if (catalog_db_list(pg, c->arena, f, &rows, &n, &c->err))
		return c->err.code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n && i < (size_t)limit; i++)
		out->data[out->n_data++] = product_card(c->arena, &rows[i], f->currency, false);
	if (n > (size_t)limit)
		out->next_cursor = cursor_write(c->arena, filter, "it", rows[limit - 1].key, rows[limit - 1].id);
	return OK;
}

static enum err_code catalog_list_products(struct call *c, const Catalog__V1__ListProductsRequest *in,
					   Catalog__V1__ListProductsReply *out)
{
	struct list_filter f = { .currency = asked_currency(c, in->currency), .limit = in->has_limit ? in->limit : 20 };
	struct pg *pg;

	check_filter(c, in, &f);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "product list");
	if (call_pg(c, &pg))
		return c->err.code;
	enum err_code code = list(c, pg, in, &f, out);

	pg_return(pg);
	return code;
}

/* ---- for cart and checkout ---- */

static Catalog__V1__VariantInfo *info_msg(struct arena *a, const struct info_row *r, const char *currency)
{
	Catalog__V1__VariantInfo *i = arena_alloc(a, sizeof(*i));
	char *save = NULL, *ids = arena_strdup(a, r->category_ids);

	catalog__v1__variant_info__init(i);
	i->variant_id = (char *)r->variant_id;
	i->product_id = (char *)r->product_id;
	i->vendor_id = (char *)r->vendor_id;
	i->vendor_name = (char *)r->vendor_name;
	i->sku = (char *)r->sku;
	i->product_title = (char *)r->product_title;
	i->variant_title = (char *)r->variant_title;
	i->product_slug = (char *)r->product_slug;
	i->image_key = (char *)r->image_key;
	if (r->has_price)
		i->price = minor_money(a, r->minor, currency);
	if (r->has_compare)
		i->compare_at_price = minor_money(a, r->compare_at_minor, currency);
	i->has_sellable = i->has_weight_g = i->has_commission_bp = true;
	i->sellable = r->sellable;
	i->tax_class = (char *)r->tax_class;
	i->weight_g = r->weight_g;
	i->commission_bp = r->commission_bp;
	i->category_ids = arena_array(a, CATALOG_CATEGORIES_MAX, sizeof(*i->category_ids));
	for (char *p = strtok_r(ids, " ", &save); p && i->n_category_ids < CATALOG_CATEGORIES_MAX;
	     p = strtok_r(NULL, " ", &save))
		i->category_ids[i->n_category_ids++] = p;
	return i;
}

static enum err_code catalog_get_variants(struct call *c, const Catalog__V1__VariantsRequest *in,
					  Catalog__V1__VariantsReply *out)
{
	const char *currency = asked_currency(c, in->currency);
	struct info_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;

	if (call_service(c, "cart,checkout,search,reco"))
		return c->err.code;
	if (in->n_variant_ids > 500)
		err_detail(&c->err, "variant_ids", NULL, "at most 500");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "variants");
	if (call_pg(c, &pg))
		return c->err.code;
	code = catalog_db_infos(pg, c->arena, (const char *const *)in->variant_ids, in->n_variant_ids, currency, &rows, &n,
				&c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++)
		out->data[out->n_data++] = info_msg(c->arena, &rows[i], currency);
	return OK;
}
