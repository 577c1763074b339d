#include "services/catalog/variant_input.h"

#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_edit.h"
#include "services/catalog/catalog_rules.h"
#include "services/catalog/product_event.h"

static const char *field(char out[64], const char *prefix, const char *name)
{
	snprintf(out, 64, "%s.%s", prefix, name);
	return out;
}

void variant_input_check(struct err *e, const char *prefix, const Catalog__V1__VariantInput *v)
{
	char f[64];

	check_text(e, field(f, prefix, "sku"), v->sku, 1, 100);
	if (v->title)
		check_text(e, field(f, prefix, "title"), v->title, 1, 200);
	if (v->options)
		catalog_attributes_ok(e, field(f, prefix, "options"), v->options->text);
	if (v->ean)
		check_text(e, field(f, prefix, "ean"), v->ean, 8, 14);
	if (v->has_weight_g)
		check_range(e, field(f, prefix, "weight_g"), v->weight_g, 0, 100000000);
	if (v->price)
		check_money(e, field(f, prefix, "price"), v->price, 0, CATALOG_PRICE_MAX);
	if (v->compare_at_price) {
		check_money(e, field(f, prefix, "compare_at_price"), v->compare_at_price, 0, CATALOG_PRICE_MAX);
		if (!v->price || !v->price->currency || !v->compare_at_price->currency ||
		    strcmp(v->price->currency, v->compare_at_price->currency) != 0)
			err_detail(e, field(f, prefix, "compare_at_price"), NULL, "must be in the currency of the price");
	}
	if (v->has_on_hand)
		check_range(e, field(f, prefix, "on_hand"), v->on_hand, 0, 1000000000);
}

enum err_code variant_input_add(struct pg *pg, struct arena *a, const Catalog__V1__VariantInput *v,
				const char *product_id, const char *vendor_id, int32_t position, const char *reason,
				struct err *e)
{
	char buf[ID_LEN];
	char *id;
	bool found = false;

	id_new("var", buf);
	id = arena_strdup(a, buf);
	const struct variant_new row = { .id = id, .product_id = product_id, .vendor_id = vendor_id, .sku = v->sku,
					 .title = v->title, .options = v->options ? v->options->text : NULL,
					 .ean = v->ean, .weight_g = v->has_weight_g ? v->weight_g : -1,
					 .position = position };

	if (catalog_db_variant_add(pg, &row, e)) {
		if (strcmp(pg_constraint(pg), "variant_sku") == 0) {
			err_detail(e, "sku", v->sku, "is taken by another of your articles");
			return err_set(e, E_CONFLICT, "catalog.sku_taken", "sku %s", v->sku);
		}
		return e->code;
	}
	if (v->price) {
		id_new("prc", buf);
		if (catalog_db_price_put(pg, arena_strdup(a, buf), product_id, id, v->price->currency, v->price->amount,
					 v->compare_at_price ? v->compare_at_price->amount : -1, 0, 0, &found, e))
			return e->code;
	}
	return initial_stock_told(pg, id, vendor_id, v->sku, v->has_on_hand ? v->on_hand : 0, reason, e);
}
