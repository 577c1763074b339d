/* The category tree, as a flat list with parents. */
#include "services/catalog/category.h"

#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/outbox.h"
#include "common/page.h"
#include "events.pb-c.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_rules.h"

RPC_HANDLER(catalog_list_categories, Catalog__V1__ListCategoriesRequest, Catalog__V1__ListCategoriesReply)
RPC_HANDLER(catalog_get_category, Catalog__V1__GetCategoryRequest, Catalog__V1__Category)
RPC_HANDLER(catalog_create_category, Catalog__V1__CreateCategoryRequest, Catalog__V1__Category)
RPC_HANDLER(catalog_patch_category, Catalog__V1__PatchCategoryRequest, Catalog__V1__Category)
RPC_HANDLER(catalog_delete_category, Catalog__V1__DeleteCategoryRequest, Common__V1__Empty)

const struct rpc_method catalog_category_methods[] = {
	{ "ListCategories", catalog_list_categories_, RPC_READ, 0 },
	{ "GetCategory", catalog_get_category_, RPC_READ, 0 },
	{ "CreateCategory", catalog_create_category_, RPC_WRITE | RPC_KEYED, 0 },
	{ "PatchCategory", catalog_patch_category_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeleteCategory", catalog_delete_category_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static void category_fill(struct arena *a, const struct category_row *r, Catalog__V1__Category *out)
{
	size_t n = 1;
	char *save = NULL, *path = arena_strdup(a, r->path ? r->path : "");

	for (const char *s = r->path; s && *s; s++)
		n += *s == '/';
	out->id = (char *)r->id;
	out->parent_id = (char *)r->parent_id;
	out->slug = (char *)r->slug;
	out->name = (char *)r->name;
	out->has_depth = out->has_position = out->has_version = true;
	out->depth = (int32_t)n - 1;
	out->position = r->position;
	out->version = r->version;
	out->has_commission_bp = r->commission_bp >= 0;
	out->commission_bp = r->commission_bp;
	out->n_path = 0;
	out->path = arena_array(a, n, sizeof(*out->path));
	for (char *p = strtok_r(path, "/", &save); p && out->n_path < n; p = strtok_r(NULL, "/", &save))
		out->path[out->n_path++] = p;
}

Catalog__V1__Category *category_msg(struct arena *a, const struct category_row *r)
{
	Catalog__V1__Category *out = arena_alloc(a, sizeof(*out));

	catalog__v1__category__init(out);
	category_fill(a, r, out);
	return out;
}

enum err_code category_told(struct pg *pg, const char *id, const char *slug, int64_t version, struct err *e)
{
	Events__V1__CategoryChanged m = EVENTS__V1__CATEGORY_CHANGED__INIT;

	m.category_id = (char *)id;
	m.slug = (char *)slug;
	return outbox_put(pg, "category", id, version, "category.changed", &m.base, e);
}

static enum err_code category_reply(struct call *c, struct pg *pg, const char *id, Catalog__V1__Category *out,
				    struct err *e)
{
	struct category_row *r = NULL;
	bool found = false;

	if (catalog_db_category(pg, c->arena, id, &r, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "catalog.category_unknown", "%s", id);
	category_fill(c->arena, r, out);
	out->hdr_etag = arena_printf(c->arena, "%s-%lld", r->id, (long long)r->version);
	return OK;
}

static enum err_code catalog_list_categories(struct call *c, const Catalog__V1__ListCategoriesRequest *in,
					     Catalog__V1__ListCategoriesReply *out)
{
	struct page page;
	struct category_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	const char *filter;
	enum err_code code;

	if (in->parent_id)
		check_id(&c->err, "parent_id", in->parent_id, "cat");
	filter = arena_printf(c->arena, "categories|%s", in->parent_id ? in->parent_id : "");
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = catalog_db_category_page(pg, c->arena, in->parent_id, page_text(&page, 0, ""), page.limit + 1, &rows,
					&n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++)
		out->data[out->n_data++] = category_msg(c->arena, &rows[i]);
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}

static enum err_code catalog_get_category(struct call *c, const Catalog__V1__GetCategoryRequest *in,
					  Catalog__V1__Category *out)
{
	struct pg *pg;

	check_text(&c->err, "category_id", in->category_id, 1, 120);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "category");
	if (call_pg(c, &pg))
		return c->err.code;
	enum err_code code = category_reply(c, pg, in->category_id, out, &c->err);

	pg_return(pg);
	return code;
}

/* ---- administrators ---- */

struct create_tx {
	struct call *c;
	struct category_row row;
	bool own_slug;
	Catalog__V1__Category *out;
};

static enum err_code create_tx(struct pg *pg, void *arg, struct err *e)
{
	struct create_tx *t = arg;
	struct category_row *parent = NULL;
	bool found = false;

	if (t->row.parent_id) {
		if (catalog_db_category(pg, t->c->arena, t->row.parent_id, &parent, &found, e))
			return e->code;
		if (!found) {
			err_detail(e, "parent_id", NULL, "is not known");
			return err_set(e, E_NOT_FOUND, "catalog.category_unknown", "parent");
		}
	}
	if (catalog_db_category_add(pg, &t->row, 0, &found, e)) {
		if (strcmp(pg_constraint(pg), "category_depth") == 0)
			return err_set(e, E_RULE, "catalog.category_depth", "below %s", t->row.parent_id);
		return e->code;
	}
	if (!found && !t->own_slug) {
		t->row.slug = catalog_slug_unique(t->c->arena, t->row.slug, t->row.id);
		if (catalog_db_category_add(pg, &t->row, 0, &found, e))
			return e->code;
	}
	if (!found) {
		err_detail(e, "slug", t->row.slug, "is taken");
		return err_set(e, E_CONFLICT, "catalog.slug_taken", "category slug");
	}
	if (category_told(pg, t->row.id, t->row.slug, 1, e))
		return e->code;
	return category_reply(t->c, pg, t->row.id, t->out, e);
}

static enum err_code catalog_create_category(struct call *c, const Catalog__V1__CreateCategoryRequest *in,
					     Catalog__V1__Category *out)
{
	char id[ID_LEN];
	struct create_tx t = { .c = c, .out = out, .own_slug = in->slug != NULL };

	if (call_perm(c, "admin.catalog"))
		return c->err.code;
	check_text(&c->err, "name", in->name, 1, 120);
	if (in->slug)
		check_slug(&c->err, "slug", in->slug);
	if (in->parent_id)
		check_id(&c->err, "parent_id", in->parent_id, "cat");
	check_range(&c->err, "position", in->position, 0, 1000000);
	if (in->has_commission_bp)
		check_range(&c->err, "commission_bp", in->commission_bp, 0, 10000);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "category");
	id_new("cat", id);
	t.row = (struct category_row){ .id = id, .parent_id = in->parent_id, .name = in->name, .position = in->position,
				       .slug = in->slug ? in->slug : catalog_slug(c->arena, in->name),
				       .commission_bp = in->has_commission_bp ? in->commission_bp : -1 };
	return call_tx(c, CALL_TX_ONLY, create_tx, &t);
}

struct patch_tx {
	struct call *c;
	const Catalog__V1__PatchCategoryRequest *in;
	Catalog__V1__Category *out;
};

static enum err_code patch_tx(struct pg *pg, void *arg, struct err *e)
{
	struct patch_tx *t = arg;
	const Catalog__V1__PatchCategoryRequest *in = t->in;
	bool found = false, any = false;
	int64_t version = catalog_tag_version(in->hdr_if_match, in->category_id, &any);

	if (category_reply(t->c, pg, in->category_id, t->out, e))
		return e->code;
	if (!any && version < 0)
		return err_set(e, E_PRECOND, "common.precondition_failed", "foreign tag");
	if (catalog_db_category_change(pg, in->category_id, in->name, in->slug, in->has_position ? in->position : -1,
				       in->has_commission_bp ? in->commission_bp : -1, version, &found, e)) {
		if (strcmp(pg_constraint(pg), "category_slug") == 0) {
			err_detail(e, "slug", in->slug, "is taken");
			return err_set(e, E_CONFLICT, "catalog.slug_taken", "category slug");
		}
		return e->code;
	}
	if (!found)
		return err_set(e, E_PRECOND, "common.precondition_failed", "category %s", in->category_id);
	if (category_reply(t->c, pg, in->category_id, t->out, e))
		return e->code;
	return category_told(pg, t->out->id, t->out->slug, t->out->version, e);
}

static enum err_code catalog_patch_category(struct call *c, const Catalog__V1__PatchCategoryRequest *in,
					    Catalog__V1__Category *out)
{
	struct patch_tx t = { c, in, out };

	if (call_perm(c, "admin.catalog"))
		return c->err.code;
	check_id(&c->err, "category_id", in->category_id, "cat");
	if (in->name)
		check_text(&c->err, "name", in->name, 1, 120);
	if (in->slug)
		check_slug(&c->err, "slug", in->slug);
	if (in->has_position)
		check_range(&c->err, "position", in->position, 0, 1000000);
	if (in->has_commission_bp)
		check_range(&c->err, "commission_bp", in->commission_bp, 0, 10000);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "category");
	return call_tx(c, CALL_TX_ONLY, patch_tx, &t);
}

struct delete_tx {
	struct call *c;
	const Catalog__V1__DeleteCategoryRequest *in;
};

static enum err_code delete_tx(struct pg *pg, void *arg, struct err *e)
{
	struct delete_tx *t = arg;
	struct category_row *r = NULL;
	bool found = false, any = false;
	int64_t version = catalog_tag_version(t->in->hdr_if_match, t->in->category_id, &any);

	if (catalog_db_category(pg, t->c->arena, t->in->category_id, &r, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "catalog.category_unknown", "%s", t->in->category_id);
	if (!any && version != r->version)
		return err_set(e, E_PRECOND, "common.precondition_failed", "category %s", r->id);
	if (catalog_db_category_del(pg, r->id, version, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_CONFLICT, "catalog.category_in_use", "%s", r->id);
	return category_told(pg, r->id, r->slug, r->version + 1, e);
}

static enum err_code catalog_delete_category(struct call *c, const Catalog__V1__DeleteCategoryRequest *in,
					     Common__V1__Empty *out)
{
	struct delete_tx t = { c, in };

	(void)out;
	if (call_perm(c, "admin.catalog"))
		return c->err.code;
	check_id(&c->err, "category_id", in->category_id, "cat");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "category");
	return call_tx(c, CALL_TX_ONLY, delete_tx, &t);
}
