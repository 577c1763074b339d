/* Vendors: apply, see, change; approve, reject, suspend. */
#include "services/catalog/vendor.h"

#include <string.h>

#include "catalog.pb-c.h"
#include "common/check.h"
#include "common/id.h"
#include "common/outbox.h"
#include "common/page.h"
#include "events.pb-c.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_vendor.h"
#include "services/catalog/catalog_rules.h"

RPC_HANDLER(catalog_apply_vendor, Catalog__V1__ApplyVendorRequest, Catalog__V1__Vendor)
RPC_HANDLER(catalog_get_vendor, Catalog__V1__GetVendorRequest, Catalog__V1__Vendor)
RPC_HANDLER(catalog_get_own_vendor, Catalog__V1__OwnVendorRequest, Catalog__V1__Vendor)
RPC_HANDLER(catalog_patch_own_vendor, Catalog__V1__PatchVendorRequest, Catalog__V1__Vendor)
RPC_HANDLER(catalog_list_my_vendors, Catalog__V1__MyVendorsRequest, Catalog__V1__ListVendorsReply)
RPC_HANDLER(catalog_list_vendors, Catalog__V1__ListVendorsRequest, Catalog__V1__ListVendorsReply)
RPC_HANDLER(catalog_set_commission, Catalog__V1__SetCommissionRequest, Catalog__V1__Vendor)
RPC_HANDLER(catalog_approve_vendor, Catalog__V1__DecideVendorRequest, Catalog__V1__Vendor)
RPC_HANDLER(catalog_reject_vendor, Catalog__V1__DecideVendorRequest, Catalog__V1__Vendor)
RPC_HANDLER(catalog_suspend_vendor, Catalog__V1__DecideVendorRequest, Catalog__V1__Vendor)

const struct rpc_method catalog_vendor_methods[] = {
	{ "ApplyVendor", catalog_apply_vendor_, RPC_WRITE | RPC_KEYED, 0 },
	{ "GetVendor", catalog_get_vendor_, RPC_READ, 0 },
	{ "GetOwnVendor", catalog_get_own_vendor_, RPC_READ, 0 },
	{ "PatchOwnVendor", catalog_patch_own_vendor_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ListMyVendors", catalog_list_my_vendors_, RPC_READ, 0 },
	{ "ListVendors", catalog_list_vendors_, RPC_READ, 0 },
	{ "ApproveVendor", catalog_approve_vendor_, RPC_WRITE | RPC_KEYED, 0 },
	{ "SetCommission", catalog_set_commission_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RejectVendor", catalog_reject_vendor_, RPC_WRITE | RPC_KEYED, 0 },
	{ "SuspendVendor", catalog_suspend_vendor_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

enum vendor_eyes { PUBLIC, OWN, ADMIN };

static void checklist_add(struct call *c, Catalog__V1__Vendor *out, const char *what, bool done)
{
	Catalog__V1__ChecklistItem *i = arena_alloc(c->arena, sizeof(*i));

	catalog__v1__checklist_item__init(i);
	i->what = (char *)what;
	i->has_done = true;
	i->done = done;
	out->checklist[out->n_checklist++] = i;
}

static void vendor_fill(struct call *c, const struct vendor_row *r, enum vendor_eyes eyes, Catalog__V1__Vendor *out)
{
	out->id = (char *)r->id;
	out->slug = (char *)r->slug;
	out->name = (char *)r->name;
	out->description = (char *)r->description;
	out->country = (char *)r->country;
	out->has_created_at = out->has_version = true;
	out->created_at = r->created_at;
	out->version = r->version;
	out->hdr_etag = arena_printf(c->arena, "%s-%lld", r->id, (long long)r->version);
	if (eyes == PUBLIC)
		return;
	out->status = (char *)r->status;
	out->status_reason = (char *)r->status_reason;
	out->has_commission_bp = true;
	out->commission_bp = r->commission_bp;
	out->n_checklist = 0;
	out->checklist = arena_alloc(c->arena, 4 * sizeof(*out->checklist));
	checklist_add(c, out, "terms", r->terms);
	checklist_add(c, out, "description", r->description && *r->description);
	checklist_add(c, out, "country", r->country != NULL);
	checklist_add(c, out, "product", r->has_product);
	if (eyes == ADMIN)
		out->owner_user_id = (char *)r->owner_user_id;
}

static enum err_code vendor_reply(struct call *c, struct pg *pg, const char *id, enum vendor_eyes eyes,
				  Catalog__V1__Vendor *out, struct err *e)
{
	struct vendor_row *r = NULL;
	bool found = false;

	if (catalog_db_vendor(pg, c->arena, id, &r, &found, e))
		return e->code;
	if (!found || (eyes == PUBLIC && strcmp(r->status, "approved") != 0))
		return err_set(e, E_NOT_FOUND, "catalog.vendor_unknown", "%s", id);
	vendor_fill(c, r, eyes, out);
	return OK;
}

enum err_code vendor_approved(struct call *c, struct pg *pg, struct err *e)
{
	struct vendor_row *r = NULL;
	bool found = false;

	if (catalog_db_vendor(pg, c->arena, c->who.vendor_id, &r, &found, e))
		return e->code;
	if (!found || strcmp(r->status, "approved") != 0)
		return err_set(e, E_DENIED, "catalog.vendor_not_approved", "%s is %s", c->who.vendor_id,
			       found ? r->status : "unknown");
	return OK;
}

static enum err_code vendor_told(struct call *c, struct pg *pg, const char *id, const char *type, struct err *e)
{
	Events__V1__VendorChanged m = EVENTS__V1__VENDOR_CHANGED__INIT;
	struct vendor_row *r = NULL;
	bool found = false;

	if (catalog_db_vendor(pg, c->arena, id, &r, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_INTERNAL, "common.internal", "vendor %s vanished", id);
	m.vendor_id = (char *)r->id;
	m.owner_user_id = (char *)r->owner_user_id;
	m.status = (char *)r->status;
	m.has_commission_bp = true;
	m.commission_bp = r->commission_bp;
	m.name = (char *)r->name;
	m.slug = (char *)r->slug;
	return outbox_put(pg, "vendor", r->id, r->version, type, &m.base, e);
}

/* ---- apply ---- */

struct apply_tx {
	struct call *c;
	struct vendor_row row;
	bool own_slug;
	Catalog__V1__Vendor *out;
};

static enum err_code apply_tx(struct pg *pg, void *arg, struct err *e)
{
	struct apply_tx *t = arg;
	bool found = false;

	if (catalog_db_vendor_add(pg, &t->row, &found, e)) {
		if (strcmp(pg_constraint(pg), "vendor_owner") == 0)
			return err_set(e, E_CONFLICT, "catalog.vendor_exists", "owner %s", t->row.owner_user_id);
		return e->code;
	}
	if (!found && t->own_slug) {
		err_detail(e, "slug", t->row.slug, "is taken");
		return err_set(e, E_CONFLICT, "catalog.slug_taken", "vendor slug");
	}
	if (!found) {
		t->row.slug = catalog_slug_unique(t->c->arena, t->row.slug, t->row.id);
		if (catalog_db_vendor_add(pg, &t->row, &found, e))
			return e->code;
	}
	if (vendor_told(t->c, pg, t->row.id, "vendor.applied", e))
		return e->code;
	return vendor_reply(t->c, pg, t->row.id, OWN, t->out, e);
}

static enum err_code catalog_apply_vendor(struct call *c, const Catalog__V1__ApplyVendorRequest *in,
					  Catalog__V1__Vendor *out)
{
	char id[ID_LEN];
	struct apply_tx t = { .c = c, .out = out, .own_slug = in->slug != NULL };

	if (call_user(c))
		return c->err.code;
	check_text(&c->err, "name", in->name, 2, 120);
	if (in->slug)
		check_slug(&c->err, "slug", in->slug);
	if (in->description)
		check_longtext(&c->err, "description", in->description, 0, 5000);
	if (in->country)
		check_country(&c->err, "country", in->country);
	if (!in->accept_terms)
		err_detail(&c->err, "accept_terms", NULL, "must be true");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "vendor application");
	id_new("vnd", id);
	t.row = (struct vendor_row){ .id = id, .name = in->name, .description = in->description, .country = in->country,
				     .slug = in->slug ? in->slug : catalog_slug(c->arena, in->name), .terms = true,
				     .owner_user_id = c->who.user_id };
	return call_tx(c, CALL_TX_ONLY, apply_tx, &t);
}

/* ---- see, change ---- */

static enum err_code see(struct call *c, const char *id, enum vendor_eyes eyes, Catalog__V1__Vendor *out)
{
	struct pg *pg;

	if (call_pg(c, &pg))
		return c->err.code;
	enum err_code code = vendor_reply(c, pg, id, eyes, out, &c->err);

	pg_return(pg);
	return code;
}

static enum err_code catalog_get_vendor(struct call *c, const Catalog__V1__GetVendorRequest *in,
					Catalog__V1__Vendor *out)
{
	check_text(&c->err, "vendor_id", in->vendor_id, 1, 120);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "vendor");
	return see(c, in->vendor_id, call_has_perm(c, "admin.vendors") ? ADMIN : PUBLIC, out);
}

static enum err_code catalog_get_own_vendor(struct call *c, const Catalog__V1__OwnVendorRequest *in,
					    Catalog__V1__Vendor *out)
{
	(void)in;
	if (call_vendor(c, NULL))
		return c->err.code;
	return see(c, c->who.vendor_id, OWN, out);
}

struct patch_tx {
	struct call *c;
	const Catalog__V1__PatchVendorRequest *in;
	Catalog__V1__Vendor *out;
};

static enum err_code patch_tx(struct pg *pg, void *arg, struct err *e)
{
	struct patch_tx *t = arg;
	const char *id = t->c->who.vendor_id;
	bool found = false, any = false;
	int64_t version = catalog_tag_version(t->in->hdr_if_match, id, &any);

	if (!any && version < 0)
		return err_set(e, E_PRECOND, "common.precondition_failed", "foreign tag");
	if (catalog_db_vendor_change(pg, id, t->in->name, t->in->description, t->in->country, version, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_PRECOND, "common.precondition_failed", "vendor %s is at another version", id);
	if (vendor_told(t->c, pg, id, "vendor.changed", e))
		return e->code;
	return vendor_reply(t->c, pg, id, OWN, t->out, e);
}

static enum err_code catalog_patch_own_vendor(struct call *c, const Catalog__V1__PatchVendorRequest *in,
					      Catalog__V1__Vendor *out)
{
	struct patch_tx t = { c, in, out };

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	if (in->name)
		check_text(&c->err, "name", in->name, 2, 120);
	if (in->description)
		check_longtext(&c->err, "description", in->description, 0, 5000);
	if (in->country)
		check_country(&c->err, "country", in->country);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "vendor profile");
	return call_tx(c, CALL_TX_ONLY, patch_tx, &t);
}

/* ---- lists ---- */

static void list_fill(struct call *c, const struct page *page, const struct vendor_row *rows, size_t n, enum vendor_eyes eyes,
		      Catalog__V1__ListVendorsReply *out)
{
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(page, n); i++) {
		Catalog__V1__Vendor *v = arena_alloc(c->arena, sizeof(*v));

		catalog__v1__vendor__init(v);
		vendor_fill(c, &rows[i], eyes, v);
		v->hdr_etag = NULL;
		out->data[out->n_data++] = v;
	}
	if (page_more(page, n))
		out->next_cursor = page_next(c, page, rows[page->limit - 1].id);
}

static enum err_code catalog_list_my_vendors(struct call *c, const Catalog__V1__MyVendorsRequest *in,
					     Catalog__V1__ListVendorsReply *out)
{
	struct page page;
	struct vendor_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;

	if (call_user(c) || page_of(c, in, arena_printf(c->arena, "my vendors|%s", c->who.user_id), "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = catalog_db_vendor_mine(pg, c->arena, c->who.user_id, page_text(&page, 0, NULL), page.limit + 1, &rows, &n, &c->err);
	pg_return(pg);
	if (!code)
		list_fill(c, &page, rows, n, OWN, out);
	return code;
}

/* ---- administrators ---- */

static enum err_code catalog_list_vendors(struct call *c, const Catalog__V1__ListVendorsRequest *in,
					  Catalog__V1__ListVendorsReply *out)
{
	struct page page;
	struct vendor_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	const char *filter;
	enum err_code code;

	if (call_perm(c, "admin.vendors"))
		return c->err.code;
	if (in->status)
		check_oneof(&c->err, "status", in->status, "applied|approved|rejected|suspended");
	filter = arena_printf(c->arena, "vendors|%s", in->status ? in->status : "");
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = catalog_db_vendor_page(pg, c->arena, in->status, page_text(&page, 0, ""), page.limit + 1, &rows, &n,
				      &c->err);
	pg_return(pg);
	if (code)
		return code;
	list_fill(c, &page, rows, n, ADMIN, out);
	return OK;
}

struct decide_tx {
	struct call *c;
	const char *id, *from, *status, *reason, *event;
	int32_t commission_bp;
	Catalog__V1__Vendor *out;
};

static enum err_code decide_tx(struct pg *pg, void *arg, struct err *e)
{
	struct decide_tx *t = arg;
	struct vendor_row *r = NULL;
	bool found = false;

	if (catalog_db_vendor_decide(pg, t->id, t->from, t->status, t->reason, t->commission_bp, &found, e))
		return e->code;
	if (!found) {
		if (catalog_db_vendor(pg, t->c->arena, t->id, &r, &found, e))
			return e->code;
		if (!found)
			return err_set(e, E_NOT_FOUND, "catalog.vendor_unknown", "%s", t->id);
		err_detail(e, "status", r->status, "is the vendor's state now");
		return err_set(e, E_CONFLICT, "catalog.vendor_state", "%s is %s", t->id, r->status);
	}
	if (vendor_told(t->c, pg, t->id, t->event, e))
		return e->code;
	return vendor_reply(t->c, pg, t->id, ADMIN, t->out, e);
}

static enum err_code decide(struct call *c, const Catalog__V1__DecideVendorRequest *in, Catalog__V1__Vendor *out,
			    const char *from, const char *status, bool need_reason)
{
	struct decide_tx t = { .c = c, .id = in->vendor_id, .from = from, .status = status, .reason = in->reason,
			       .event = arena_printf(c->arena, "vendor.%s", status), .out = out,
			       .commission_bp = in->has_commission_bp ? in->commission_bp : -1 };

	if (call_perm(c, "admin.vendors"))
		return c->err.code;
	check_id(&c->err, "vendor_id", in->vendor_id, "vnd");
	if (in->has_commission_bp)
		check_range(&c->err, "commission_bp", in->commission_bp, 0, 10000);
	if (need_reason || in->reason)
		check_text(&c->err, "reason", in->reason, 3, 500);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "vendor decision");
	return call_tx(c, CALL_TX_ONLY, decide_tx, &t);
}

/* Orders that exist keep theirs: it is frozen at the sale. */
static enum err_code catalog_set_commission(struct call *c, const Catalog__V1__SetCommissionRequest *in,
					    Catalog__V1__Vendor *out)
{
	struct decide_tx t = { .c = c, .id = in->vendor_id, .from = "approved", .status = "approved",
			       .event = "vendor.changed", .out = out, .commission_bp = in->commission_bp };

	if (call_perm(c, "admin.vendors"))
		return c->err.code;
	check_id(&c->err, "vendor_id", in->vendor_id, "vnd");
	if (!in->has_commission_bp)
		err_detail(&c->err, "commission_bp", NULL, "is required");
	check_range(&c->err, "commission_bp", in->commission_bp, 0, 10000);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "commission");
	return call_tx(c, CALL_TX_ONLY, decide_tx, &t);
}

static enum err_code catalog_approve_vendor(struct call *c, const Catalog__V1__DecideVendorRequest *in,
					    Catalog__V1__Vendor *out)
{
	return decide(c, in, out, "applied,suspended", "approved", false);
}

static enum err_code catalog_reject_vendor(struct call *c, const Catalog__V1__DecideVendorRequest *in,
					   Catalog__V1__Vendor *out)
{
	return decide(c, in, out, "applied", "rejected", true);
}

static enum err_code catalog_suspend_vendor(struct call *c, const Catalog__V1__DecideVendorRequest *in,
					    Catalog__V1__Vendor *out)
{
	return decide(c, in, out, "approved", "suspended", true);
}
