/* What the search hears: the products named are fetched again; nothing is taken from the events themselves. */
#include <string.h>

#include "events.pb-c.h"
#include "services/search/search.h"
#include "services/search/search_db_admin.h"
#include "services/search/search_db_index.h"

static enum err_code on_product_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					struct err *e)
{
	const Events__V1__ProductChanged *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	return m->product_id ? search_db_dirty_add(pg, m->product_id, e) : OK;
}

static enum err_code on_vendor_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				       struct err *e)
{
	const Events__V1__VendorChanged *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	return m->vendor_id && strncmp(m->vendor_id, "vnd_", 4) == 0 ? search_db_dirty_add(pg, m->vendor_id, e) : OK;
}

static enum err_code on_category_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					 struct err *e)
{
	const Events__V1__CategoryChanged *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	return m->category_id ? search_db_dirty_category(pg, m->category_id, e) : OK;
}

static enum err_code on_review_moderated(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					 struct err *e)
{
	const Events__V1__ReviewChanged *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	return m->product_id ? search_db_dirty_add(pg, m->product_id, e) : OK;
}

/* Catalog counts what sold by the same event: fetched a little later it has done so. */
static enum err_code on_order_placed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				     struct err *e)
{
	const Events__V1__OrderPlaced *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	for (size_t i = 0; i < m->n_lines; i++)
		if (m->lines[i]->product_id && search_db_dirty_soon(pg, m->lines[i]->product_id, 10, e))
			return e->code;
	return OK;
}

#define CLICKS_MAX 500 /* of an event */

static enum err_code on_clicked(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	const Events__V1__SearchClicked *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	for (size_t i = 0; i < m->n_clicks && i < CLICKS_MAX; i++) {
		const Events__V1__SearchClick *c = m->clicks[i];

		if (c->search_id && strncmp(c->search_id, "srq_", 4) == 0 && c->position >= 1 && c->position <= 1000 &&
		    search_db_click(pg, c->search_id, c->position, e))
			return e->code;
	}
	return OK;
}

/* The log knows nobody. What only one person asked may yet tell of that person, and may have been this one. */
static enum err_code on_user_erased(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				    struct err *e)
{
	(void)a;
	(void)ev;
	(void)svc;
	return search_db_log_forget(pg, e);
}

const struct inbox_handler search_inbox[] = {
	{ "catalog", "product.changed", &events__v1__product_changed__descriptor, on_product_changed, NULL },
	{ "catalog", "product.looks_new", &events__v1__product_changed__descriptor, on_product_changed, NULL },
	{ "catalog", "review.moderated", &events__v1__review_changed__descriptor, on_review_moderated, NULL },
	{ "catalog", "category.changed", &events__v1__category_changed__descriptor, on_category_changed, NULL },
	{ "catalog", "vendor.approved", &events__v1__vendor_changed__descriptor, on_vendor_changed, NULL },
	{ "catalog", "vendor.suspended", &events__v1__vendor_changed__descriptor, on_vendor_changed, NULL },
	{ "catalog", "vendor.changed", &events__v1__vendor_changed__descriptor, on_vendor_changed, NULL },
	{ "checkout", "order.placed", &events__v1__order_placed__descriptor, on_order_placed, NULL },
	{ "identity", "user.erased", &events__v1__user_erased__descriptor, on_user_erased, NULL },
	{ "reco", "search.clicked", &events__v1__search_clicked__descriptor, on_clicked, NULL },
	{ 0 },
};
