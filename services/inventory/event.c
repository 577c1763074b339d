/* What inventory learns from the catalog: which variants exist, and the stock an import names. */
#include <string.h>

#include "common/id.h"
#include "events.pb-c.h"
#include "services/inventory/inventory.h"
#include "services/inventory/inventory_db.h"
#include "services/inventory/stock_event.h"

static enum err_code variant_put(struct pg *pg, const char *variant_id, const char *vendor_id, const char *sku,
				 bool active, int64_t version, struct err *e)
{
	char id[ID_LEN];

	id_new("loc", id);
	if (inventory_db_location_default(pg, id, vendor_id, e))
		return e->code;
	return inventory_db_stock_put(pg, variant_id, vendor_id, sku, active, version, e);
}

static enum err_code on_product_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
					struct err *e)
{
	const Events__V1__ProductChanged *m = (const void *)ev->msg;

	(void)a;
	(void)svc;
	if (!m->vendor_id)
		return err_set(e, E_INVALID, "common.invalid_input", "product.changed without a vendor");
	for (size_t i = 0; i < m->n_variants; i++) {
		const Events__V1__VariantRef *v = m->variants[i];

		if (!v->variant_id || !v->sku)
			return err_set(e, E_INVALID, "common.invalid_input", "variant without id or sku");
		if (variant_put(pg, v->variant_id, m->vendor_id, v->sku, v->active, ev->agg_version, e))
			return e->code;
	}
	return OK;
}

static enum err_code on_initial_stock(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				      struct err *e)
{
	const Events__V1__VariantInitialStock *m = (const void *)ev->msg;
	struct location_row *loc = NULL;
	struct adjust_row *done = NULL;
	bool found = false;

	(void)svc;
	if (!m->variant_id || !m->vendor_id || !m->sku || m->on_hand < 0)
		return err_set(e, E_INVALID, "common.invalid_input", "variant.initial_stock is incomplete");
	if (variant_put(pg, m->variant_id, m->vendor_id, m->sku, true, 0, e) ||
	    inventory_db_location_pick(pg, a, m->vendor_id, NULL, &loc, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_INTERNAL, "common.internal", "vendor %s has no location", m->vendor_id);
	struct adjust_ask ask = {
		.variant_id = m->variant_id, .location_id = loc->id, .set = true, .value = m->on_hand,
		.kind = "import", .reason = m->reason, .operation_id = ev->event_id, .actor = "service:catalog",
		.request_id = ev->event_id,
	};

	if (inventory_db_adjust(pg, a, &ask, &done, e))
		return e->code;
	if (strcmp(done->outcome, "reserved") == 0) { /* never below what buyers hold: the rest is what they leave */
		struct stock_row *row = NULL;
		const char *const ids[] = { m->variant_id };
		size_t n = 0;

		if (inventory_db_stock_many(pg, a, ids, 1, &row, &n, e))
			return e->code;
		ask.value = n ? row->reserved : 0;
		ask.operation_id = NULL;
		if (inventory_db_adjust(pg, a, &ask, &done, e))
			return e->code;
	}
	return stock_event_put(pg, done->moved, m->variant_id, m->vendor_id, done->state_after, done->seq_after, e);
}

const struct inbox_handler inventory_inbox[] = {
	{ "catalog", "product.changed", &events__v1__product_changed__descriptor, on_product_changed, NULL },
	{ "catalog", "variant.initial_stock", &events__v1__variant_initial_stock__descriptor, on_initial_stock, NULL },
	{ 0 },
};
