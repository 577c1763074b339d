/*
 * What the catalog learns: its own changes drop cached answers; inventory tells availability; checkout tells what sold;
 * identity tells who is erased.
 */
#include <string.h>

#include "events.pb-c.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_edit.h"
#include "services/catalog/catalog_db_product.h"
#include "services/catalog/catalog_db_review.h"
#include "services/catalog/generation.h"
#include "services/catalog/product_event.h"

static enum err_code drop_product(struct catalog_svc *svc, struct arena *a, const char *id, const char *slug,
				  struct err *e)
{
	if (generation_up(svc, a, "product", id, e) || (slug && generation_up(svc, a, "product", slug, e)))
		return e->code;
	return generation_up(svc, a, "products", NULL, e);
}

static enum err_code on_product_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					struct err *e)
{
	const Events__V1__ProductChanged *m = (const void *)ev->msg;

	(void)pg;
	if (!m->product_id)
		return OK;
	if (m->previous_slug && generation_up(svc, a, "product", m->previous_slug, e))
		return e->code;
	return drop_product(svc, a, m->product_id, m->slug, e);
}

/*
 * A vendor's name stands in its products; a suspended vendor's products vanish. Who asks for a product does not know its
 * vendor, so every product hangs on one generation of all vendors: they change seldom.
 */
static enum err_code on_vendor_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				       struct err *e)
{
	const Events__V1__VendorChanged *m = (const void *)ev->msg;
	(void)pg;
	if (!m->vendor_id)
		return OK;
	if (generation_up(svc, a, "vendor", m->vendor_id, e) ||
	    (m->slug && generation_up(svc, a, "vendor", m->slug, e)) || generation_up(svc, a, "vendors", NULL, e))
		return e->code;
	return generation_up(svc, a, "products", NULL, e);
}

static enum err_code on_category_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					 struct err *e)
{
	const Events__V1__CategoryChanged *m = (const void *)ev->msg;

	(void)pg;
	if ((m->category_id && generation_up(svc, a, "category", m->category_id, e)) ||
	    (m->slug && generation_up(svc, a, "category", m->slug, e)))
		return e->code;
	return generation_up(svc, a, "categories", NULL, e);
}

static enum err_code on_review_moderated(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					 struct err *e)
{
	const Events__V1__ReviewChanged *m = (const void *)ev->msg;

	struct product_row *p = NULL;
	bool found = false;

	if (!m->product_id)
		return OK;
	if (catalog_db_product(pg, a, m->product_id, NULL, "USD", &p, &found, e))
		return e->code;
	return drop_product(svc, a, m->product_id, found ? p->slug : NULL, e);
}

static enum err_code on_stock_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				      struct err *e)
{
	const Events__V1__StockChanged *m = (const void *)ev->msg;
	struct product_key_row *product = NULL;
	bool changed = false;

	if (!m->variant_id || !m->availability ||
	    (strcmp(m->availability, "in") != 0 && strcmp(m->availability, "low") != 0 &&
	     strcmp(m->availability, "out") != 0))
		return err_set(e, E_INVALID, "common.invalid_input", "stock.changed is incomplete");
	(void)svc;
	if (catalog_db_availability(pg, a, m->variant_id, m->availability, ev->agg_version, &product, &changed, e))
		return e->code;
	return changed ? product_looks_new(pg, product->id, product->slug, product->version, e) : OK;
}

static enum err_code on_order_placed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				     struct err *e)
{
	const Events__V1__OrderPlaced *m = (const void *)ev->msg;

	const char **ids = arena_array(a, m->n_lines + 1, sizeof(*ids));
	int64_t *qty = arena_array(a, m->n_lines + 1, sizeof(*qty));
	size_t n = 0;

	(void)svc;
	for (size_t i = 0; i < m->n_lines; i++)
		if (m->lines[i]->product_id && m->lines[i]->qty > 0) {
			ids[n] = m->lines[i]->product_id;
			qty[n++] = m->lines[i]->qty;
		}
	return n ? catalog_db_sold(pg, a, m->user_id ? m->user_id : "", ids, qty, n, e) : OK;
}

static enum err_code on_user_erased(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				    struct err *e)
{
	const Events__V1__UserErased *m = (const void *)ev->msg;

	struct product_key_row *rows = NULL;
	size_t n = 0;

	(void)svc;
	if (!m->user_id)
		return OK;
	if (catalog_db_reviews_erase(pg, a, m->user_id, &rows, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		if (product_looks_new(pg, rows[i].id, rows[i].slug, rows[i].version, e))
			return e->code;
	return OK;
}

#define VENDOR_EVENT(type) { "catalog", type, &events__v1__vendor_changed__descriptor, on_vendor_changed, NULL }

const struct inbox_handler catalog_inbox[] = {
	{ "catalog", "product.changed", &events__v1__product_changed__descriptor, on_product_changed, NULL },
	{ "catalog", "product.looks_new", &events__v1__product_changed__descriptor, on_product_changed, NULL },
	{ "catalog", "category.changed", &events__v1__category_changed__descriptor, on_category_changed, NULL },
	{ "catalog", "review.moderated", &events__v1__review_changed__descriptor, on_review_moderated, NULL },
	VENDOR_EVENT("vendor.approved"),
	VENDOR_EVENT("vendor.suspended"),
	VENDOR_EVENT("vendor.changed"),
	{ "inventory", "stock.changed", &events__v1__stock_changed__descriptor, on_stock_changed, NULL },
	{ "checkout", "order.placed", &events__v1__order_placed__descriptor, on_order_placed, NULL },
	{ "identity", "user.erased", &events__v1__user_erased__descriptor, on_user_erased, NULL },
	{ 0 },
};
