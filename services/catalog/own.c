/* A vendor's own products: list, see, create, change, publish, withdraw, delete. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_rules.h"
#include "services/catalog/own_change.h"
#include "services/catalog/product_event.h"
#include "services/catalog/product_view.h"
#include "services/catalog/variant_input.h"
#include "services/catalog/vendor.h"

RPC_HANDLER(catalog_list_own_products, Catalog__V1__ListOwnProductsRequest, Catalog__V1__ListProductsReply)
RPC_HANDLER(catalog_get_own_product, Catalog__V1__OwnProductRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_create_product, Catalog__V1__CreateProductRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_patch_product, Catalog__V1__PatchProductRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_publish_product, Catalog__V1__OwnProductRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_unpublish_product, Catalog__V1__OwnProductRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_delete_product, Catalog__V1__OwnProductRequest, Common__V1__Empty)

const struct rpc_method catalog_own_methods[] = {
	{ "ListOwnProducts", catalog_list_own_products_, RPC_READ, 0 },
	{ "GetOwnProduct", catalog_get_own_product_, RPC_READ, 0 },
	{ "CreateProduct", catalog_create_product_, RPC_WRITE | RPC_KEYED, 0 },
	{ "PatchProduct", catalog_patch_product_, RPC_WRITE | RPC_KEYED, 0 },
	{ "PublishProduct", catalog_publish_product_, RPC_WRITE | RPC_KEYED, 0 },
	{ "UnpublishProduct", catalog_unpublish_product_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeleteProduct", catalog_delete_product_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static enum err_code catalog_list_own_products(struct call *c, const Catalog__V1__ListOwnProductsRequest *in,
					       Catalog__V1__ListProductsReply *out)
{
	struct catalog_svc *svc = c->svc;
	struct page page;
	struct card_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	const char *filter;
	enum err_code code;

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	if (in->status)
		check_oneof(&c->err, "status", in->status, "draft|published|hidden");
	if (in->q)
		check_text(&c->err, "q", in->q, 1, 200);
	filter = arena_printf(c->arena, "own|%s|%s|%s", c->who.vendor_id, in->status ? in->status : "",
			      in->q ? in->q : "");
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = catalog_db_own_list(pg, c->arena, c->who.vendor_id, in->status, in->q, svc->conf->currency,
				   page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++)
		out->data[out->n_data++] = product_card(c->arena, &rows[i], svc->conf->currency, true);
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}

static enum err_code catalog_get_own_product(struct call *c, const Catalog__V1__OwnProductRequest *in,
					     Catalog__V1__Product *out)
{
	struct catalog_svc *svc = c->svc;
	struct pg *pg;

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	check_text(&c->err, "product_id", in->product_id, 1, 150);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "own product");
	if (call_pg(c, &pg))
		return c->err.code;
	enum err_code code = product_view(c, pg, in->product_id, c->who.vendor_id, svc->conf->currency, out, &c->err);

	pg_return(pg);
	return code;
}

static void check_common(struct err *e, const char *slug, const char *description, const char *brand,
			 const char *tax_class, const Common__V1__Json *attributes, char *const *categories, size_t n)
{
	if (slug)
		check_slug(e, "slug", slug);
	if (description)
		check_longtext(e, "description", description, 0, 50000);
	if (brand)
		check_text(e, "brand", brand, 1, 120);
	if (tax_class)
		check_oneof(e, "tax_class", tax_class, "standard|reduced|zero");
	if (attributes)
		catalog_attributes_ok(e, "attributes", attributes->text);
	if (n > CATALOG_CATEGORIES_MAX)
		err_detail(e, "category_ids", NULL, "at most %d categories", CATALOG_CATEGORIES_MAX);
	for (size_t i = 0; i < n && i < CATALOG_CATEGORIES_MAX; i++)
		check_id(e, "category_ids", categories[i], "cat");
}

static enum err_code put_categories(struct pg *pg, struct arena *a, const char *id, char *const *categories, size_t n,
				    struct err *e)
{
	if (catalog_db_product_categories(pg, a, id, (const char *const *)categories, n, e) == OK)
		return OK;
	if (e->code == E_RULE || e->code == E_INVALID || e->code == E_CONFLICT) {
		err_detail(e, "category_ids", NULL, "names a category that does not exist");
		return err_set(e, E_NOT_FOUND, "catalog.category_unknown", "of product %s", id);
	}
	return e->code;
}

/* ---- create ---- */

struct create_tx {
	struct call *c;
	const Catalog__V1__CreateProductRequest *in;
	struct product_new row;
	Catalog__V1__Product *out;
};

static enum err_code create_tx(struct pg *pg, void *arg, struct err *e)
{
	struct create_tx *t = arg;
	const Catalog__V1__CreateProductRequest *in = t->in;
	struct call *c = t->c;
	struct catalog_svc *svc = c->svc;
	struct product_new row = t->row;
	bool found = false;

	if (vendor_approved(c, pg, e) || catalog_db_product_add(pg, &row, &found, e))
		return e->code;
	if (!found && in->slug) {
		err_detail(e, "slug", in->slug, "is taken");
		return err_set(e, E_CONFLICT, "catalog.slug_taken", "product slug");
	}
	if (!found) {
		row.slug = catalog_slug_unique(c->arena, row.slug, row.id);
		if (catalog_db_product_add(pg, &row, &found, e))
			return e->code;
	}
	if (put_categories(pg, c->arena, row.id, in->category_ids, in->n_category_ids, e))
		return e->code;
	for (size_t i = 0; i < in->n_variants; i++)
		if (variant_input_add(pg, c->arena, in->variants[i], row.id, row.vendor_id, (int32_t)i, "first stock", e))
			return e->code;
	if (catalog_db_refresh(pg, row.id, e) ||
	    product_told(pg, c->arena, row.id, row.vendor_id, row.status, row.slug, NULL, 1, e))
		return e->code;
	return product_view(c, pg, row.id, row.vendor_id, svc->conf->currency, t->out, e);
}

static enum err_code catalog_create_product(struct call *c, const Catalog__V1__CreateProductRequest *in,
					    Catalog__V1__Product *out)
{
	char id[ID_LEN], name[32];
	struct create_tx t = { .c = c, .in = in, .out = out };

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	check_text(&c->err, "title", in->title, 1, 300);
	check_common(&c->err, in->slug, in->description, in->brand, in->tax_class, in->attributes, in->category_ids,
		     in->n_category_ids);
	if (in->n_variants < 1 || in->n_variants > CATALOG_VARIANTS_MAX)
		err_detail(&c->err, "variants", NULL, "must be 1 to %d variants", CATALOG_VARIANTS_MAX);
	for (size_t i = 0; i < in->n_variants && i < CATALOG_VARIANTS_MAX; i++) {
		snprintf(name, sizeof(name), "variants[%zu]", i);
		variant_input_check(&c->err, name, in->variants[i]);
	}
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "new product");
	id_new("prd", id);
	t.row = (struct product_new){ .id = id, .vendor_id = c->who.vendor_id, .title = in->title,
				      .slug = in->slug ? in->slug : catalog_slug(c->arena, in->title),
				      .description = in->description, .brand = in->brand,
				      .status = in->publish ? "published" : "draft",
				      .tax_class = in->tax_class ? in->tax_class : "standard",
				      .attributes = in->attributes && in->attributes->text ? in->attributes->text : "{}" };
	return call_tx(c, CALL_TX_ONLY, create_tx, &t);
}

/* ---- change ---- */

static enum err_code patch(struct own_change *ch, struct pg *pg, const struct touched_row *before, struct err *e)
{
	const Catalog__V1__PatchProductRequest *in = ch->in;
	const struct product_patch p = { .title = in->title, .slug = in->slug, .description = in->description,
					 .brand = in->brand, .tax_class = in->tax_class,
					 .attributes = in->attributes ? in->attributes->text : NULL };

	if (catalog_db_product_patch(pg, before->id, &p, e)) {
		if (strcmp(pg_constraint(pg), "product_slug") == 0) {
			err_detail(e, "slug", in->slug, "is taken");
			return err_set(e, E_CONFLICT, "catalog.slug_taken", "product slug");
		}
		return e->code;
	}
	if (in->set_categories || in->n_category_ids)
		return put_categories(pg, ch->c->arena, before->id, in->category_ids, in->n_category_ids, e);
	return OK;
}

static enum err_code catalog_patch_product(struct call *c, const Catalog__V1__PatchProductRequest *in,
					   Catalog__V1__Product *out)
{
	struct own_change ch = { .c = c, .product_id = in->product_id, .if_match = in->hdr_if_match, .fn = patch,
				 .in = in, .out = out };

	if (in->title)
		check_text(&c->err, "title", in->title, 1, 300);
	check_common(&c->err, in->slug, in->description, in->brand, in->tax_class, in->attributes, in->category_ids,
		     in->n_category_ids);
	return own_change_run(&ch);
}

static enum err_code publish(struct own_change *ch, struct pg *pg, const struct touched_row *before, struct err *e)
{
	int64_t n = 0;

	if (catalog_db_variant_count(pg, ch->c->arena, before->id, &n, e))
		return e->code;
	if (n == 0)
		return err_set(e, E_RULE, "catalog.no_variant", "%s", before->id);
	return catalog_db_product_status(pg, before->id, "published", e);
}

static enum err_code unpublish(struct own_change *ch, struct pg *pg, const struct touched_row *before, struct err *e)
{
	(void)ch;
	return catalog_db_product_status(pg, before->id, "hidden", e);
}

static enum err_code erase(struct own_change *ch, struct pg *pg, const struct touched_row *before, struct err *e)
{
	(void)ch;
	return catalog_db_product_status(pg, before->id, "deleted", e);
}

static enum err_code catalog_publish_product(struct call *c, const Catalog__V1__OwnProductRequest *in,
					     Catalog__V1__Product *out)
{
	struct own_change ch = { .c = c, .product_id = in->product_id, .if_match = in->hdr_if_match, .fn = publish,
				 .out = out };

	return own_change_run(&ch);
}

static enum err_code catalog_unpublish_product(struct call *c, const Catalog__V1__OwnProductRequest *in,
					       Catalog__V1__Product *out)
{
	struct own_change ch = { .c = c, .product_id = in->product_id, .if_match = in->hdr_if_match, .fn = unpublish,
				 .out = out };

	return own_change_run(&ch);
}

static enum err_code catalog_delete_product(struct call *c, const Catalog__V1__OwnProductRequest *in,
					    Common__V1__Empty *out)
{
	struct own_change ch = { .c = c, .product_id = in->product_id, .if_match = in->hdr_if_match, .fn = erase };

	(void)out;
	return own_change_run(&ch);
}
