#include "services/catalog/product_event.h"

#include "common/outbox.h"
#include "events.pb-c.h"
#include "services/catalog/catalog_db_edit.h"

enum err_code product_told(struct pg *pg, struct arena *a, const char *id, const char *vendor_id, const char *status,
			   const char *slug, const char *previous_slug, int64_t version, struct err *e)
{
	Events__V1__ProductChanged m = EVENTS__V1__PRODUCT_CHANGED__INIT;
	struct ref_row *refs = NULL;
	size_t n = 0;

	if (catalog_db_refs(pg, a, id, &refs, &n, e))
		return e->code;
	m.product_id = (char *)id;
	m.vendor_id = (char *)vendor_id;
	m.status = (char *)status;
	m.slug = (char *)slug;
	m.previous_slug = (char *)previous_slug;
	m.variants = arena_array(a, n + 1, sizeof(*m.variants));
	for (size_t i = 0; i < n; i++) {
		Events__V1__VariantRef *v = arena_alloc(a, sizeof(*v));

		events__v1__variant_ref__init(v);
		v->variant_id = (char *)refs[i].variant_id;
		v->sku = (char *)refs[i].sku;
		v->has_active = true;
		v->active = refs[i].active;
		m.variants[m.n_variants++] = v;
	}
	return outbox_put(pg, "product", id, version, "product.changed", &m.base, e);
}

enum err_code initial_stock_told(struct pg *pg, const char *variant_id, const char *vendor_id, const char *sku,
				 int64_t on_hand, const char *reason, struct err *e)
{
	Events__V1__VariantInitialStock m = EVENTS__V1__VARIANT_INITIAL_STOCK__INIT;

	m.variant_id = (char *)variant_id;
	m.vendor_id = (char *)vendor_id;
	m.sku = (char *)sku;
	m.has_on_hand = true;
	m.on_hand = on_hand;
	m.reason = (char *)reason;
	return outbox_put(pg, "variant", variant_id, 1, "variant.initial_stock", &m.base, e);
}

enum err_code product_looks_new(struct pg *pg, const char *id, const char *slug, int64_t version, struct err *e)
{
	Events__V1__ProductChanged m = EVENTS__V1__PRODUCT_CHANGED__INIT;

	m.product_id = (char *)id;
	m.slug = (char *)slug;
	return outbox_put(pg, "product", id, version, "product.looks_new", &m.base, e);
}
