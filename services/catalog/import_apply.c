#include "services/catalog/import_apply.h"

#include <jansson.h>
#include <string.h>

#include "common/crypto.h"
#include "common/id.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_edit.h"
#include "services/catalog/catalog_db_vendor.h"
#include "services/catalog/catalog_rules.h"
#include "services/catalog/category.h"
#include "services/catalog/product_event.h"
#include "services/catalog/variant_input.h"

struct apply {
	struct pg *pg;
	struct arena *a;
	const struct import_state *import;
	const json_t *doc;
	const char *product_id;
	bool is_new;
};

static const char *text(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static char *dump(struct arena *a, const json_t *v)
{
	size_t n = json_dumpb(v, NULL, 0, JSON_COMPACT);
	char *s = arena_alloc(a, n + 1);

	json_dumpb(v, s, n, JSON_COMPACT);
	return s;
}

/* The category of that slug, made at the top when it is derived from an attribute and not there yet. */
static enum err_code derived_category(struct apply *t, const char *name, const char **id_r, struct err *e)
{
	const char *slug = catalog_slug(t->a, name);
	struct category_row *row = NULL;
	char hash[SHA256_HEX_LEN];
	bool found = false;
	char id[ID_LEN];

	if (strcmp(slug, "item") == 0 && strcasecmp(name, slug) != 0) { /* no Latin letter: told apart by all of it */
		sha256_hex(name, strlen(name), hash);
		slug = arena_printf(t->a, "item-%.12s", hash);
	}
	if (catalog_db_category(t->pg, t->a, slug, &row, &found, e))
		return e->code;
	if (found)
		return *id_r = row->id, OK;
	id_new("cat", id);
	const struct category_row made = { .id = arena_strdup(t->a, id), .slug = slug, .name = name,
					   .commission_bp = -1 };

	if (catalog_db_category_add(t->pg, &made, CATALOG_DERIVED_MAX, &found, e))
		return e->code;
	if (found)
		return *id_r = made.id, category_told(t->pg, made.id, slug, 1, e);
	if (catalog_db_category(t->pg, t->a, slug, &row, &found, e)) /* another import was faster? */
		return e->code;
	if (found)
		return *id_r = row->id, OK;
	err_detail(e, "categories", name, "would be new, and there are %d categories already", CATALOG_DERIVED_MAX);
	return err_set(e, E_NOT_FOUND, "catalog.category_unknown", "import");
}

static enum err_code put_categories(struct apply *t, struct err *e)
{
	const json_t *list = json_object_get(t->doc, "categories"), *item;
	const char **ids = arena_array(t->a, json_array_size(list) + 2, sizeof(*ids));
	struct category_row *row = NULL;
	size_t i, n = 0;
	bool found = false;

	json_array_foreach ((json_t *)list, i, item) {
		if (catalog_db_category(t->pg, t->a, json_string_value(item), &row, &found, e))
			return e->code;
		if (!found) {
			err_detail(e, "categories", json_string_value(item), "is not the slug of a category");
			return err_set(e, E_NOT_FOUND, "catalog.category_unknown", "import");
		}
		ids[n++] = row->id;
	}
	if (text(t->doc, "derive") && derived_category(t, text(t->doc, "derive"), &ids[n], e))
		return e->code;
	n += text(t->doc, "derive") != NULL;
	return catalog_db_product_categories(t->pg, t->a, t->product_id, ids, n, e);
}

static Common__V1__Money *money_msg(struct arena *a, const json_t *v, const char *name)
{
	const json_t *amount = json_object_get(v, name);
	Common__V1__Money *m;

	if (!json_is_integer(amount))
		return NULL;
	m = arena_alloc(a, sizeof(*m));
	common__v1__money__init(m);
	m->has_amount = true;
	m->amount = json_integer_value(amount);
	m->currency = (char *)text(v, "currency");
	return m;
}

static enum err_code change_variant(struct apply *t, const json_t *v, const char *id, struct err *e)
{
	const json_t *weight = json_object_get(v, "weight_g"), *stock = json_object_get(v, "on_hand");
	const json_t *options = json_object_get(v, "options");
	Common__V1__Money *price = money_msg(t->a, v, "price"), *compare = money_msg(t->a, v, "compare_at");
	const struct variant_patch p = { .title = text(v, "title"), .options = options ? dump(t->a, options) : NULL,
					 .ean = text(v, "ean"), .position = -1,
					 .weight_g = weight ? (int32_t)json_integer_value(weight) : -1 };
	bool found = false;
	char price_id[ID_LEN];

	if (catalog_db_variant_patch(t->pg, t->product_id, id, &p, &found, e))
		return e->code;
	id_new("prc", price_id);
	if (price && catalog_db_price_put(t->pg, price_id, t->product_id, id, price->currency, price->amount,
					  compare ? compare->amount : -1, 0, 0, &found, e))
		return e->code;
	if (stock)
		return initial_stock_told(t->pg, id, t->import->vendor_id, text(v, "sku"), json_integer_value(stock),
					  t->import->id, e);
	return OK;
}

static enum err_code put_variant(struct apply *t, const json_t *v, size_t position, struct err *e)
{
	const json_t *weight = json_object_get(v, "weight_g"), *stock = json_object_get(v, "on_hand");
	const json_t *options = json_object_get(v, "options");
	Catalog__V1__VariantInput in = CATALOG__V1__VARIANT_INPUT__INIT;
	Common__V1__Json json = COMMON__V1__JSON__INIT;
	struct import_variant_row *have = NULL;
	bool found = false;

	if (!t->is_new && catalog_db_import_variant(t->pg, t->a, t->import->vendor_id, text(v, "sku"), &have, &found, e))
		return e->code;
	if (found && strcmp(have->product_id, t->product_id) == 0)
		return change_variant(t, v, have->id, e);
	in.sku = (char *)text(v, "sku");
	in.title = (char *)text(v, "title");
	in.ean = (char *)text(v, "ean");
	json.text = options ? dump(t->a, options) : NULL;
	in.options = options ? &json : NULL;
	in.has_weight_g = weight != NULL;
	in.weight_g = (int32_t)json_integer_value(weight);
	in.has_on_hand = stock != NULL;
	in.on_hand = json_integer_value(stock);
	in.price = money_msg(t->a, v, "price");
	in.compare_at_price = money_msg(t->a, v, "compare_at");
	return variant_input_add(t->pg, t->a, &in, t->product_id, t->import->vendor_id, (int32_t)position, t->import->id,
				 e);
}

static enum err_code put_media(struct apply *t, struct err *e)
{
	const json_t *list = json_object_get(t->doc, "media"), *item;
	char id[ID_LEN];
	bool found = false;
	size_t i;

	json_array_foreach ((json_t *)list, i, item) {
		id_new("med", id);
		if (catalog_db_media_put(t->pg, id, t->product_id, json_string_value(item), NULL, (int32_t)i, NULL,
					 &found, e))
			return e->code;
	}
	return OK;
}

/* The product row itself. before: what was there, NULL when it is made now. */
static enum err_code put_product(struct apply *t, const char *key, struct import_product_row *before,
				 struct pg_bytes hash, const char **slug_r, struct err *e)
{
	const char *slug = text(t->doc, "slug");
	const char *attributes = dump(t->a, json_object_get(t->doc, "attributes"));
	struct touched_row *touched = NULL;
	bool found = false;

	if (!before) {
		struct product_new row = {
			.id = t->product_id, .vendor_id = t->import->vendor_id, .title = text(t->doc, "title"),
			.slug = slug ? slug : catalog_slug(t->a, text(t->doc, "title")),
			.description = text(t->doc, "description"), .brand = text(t->doc, "brand"),
			.status = t->import->publish ? "published" : "draft",
			.tax_class = text(t->doc, "tax_class") ? text(t->doc, "tax_class") : "standard",
			.attributes = attributes, .import_key = key, .import_hash = hash,
		};

		if (catalog_db_product_add(t->pg, &row, &found, e))
			return e->code;
		if (!found) {
			row.slug = catalog_slug_unique(t->a, row.slug, row.id);
			if (catalog_db_product_add(t->pg, &row, &found, e))
				return e->code;
		}
		*slug_r = row.slug;
		return OK;
	}
	const struct product_patch p = { .title = text(t->doc, "title"), .description = text(t->doc, "description"),
					 .brand = text(t->doc, "brand"), .tax_class = text(t->doc, "tax_class"),
					 .attributes = attributes };

	*slug_r = before->slug;
	if (catalog_db_product_touch(t->pg, t->a, before->id, t->import->vendor_id, -1, &touched, &found, e) ||
	    catalog_db_product_patch(t->pg, before->id, &p, e) ||
	    catalog_db_product_import_hash(t->pg, before->id, hash, e))
		return e->code;
	before->version = found ? touched->version : before->version + 1;
	if (t->import->publish && strcmp(before->status, "published") != 0) {
		before->status = "published";
		return catalog_db_product_status(t->pg, before->id, "published", e);
	}
	return OK;
}

static enum err_code apply_doc(struct apply *t, const struct staged_row *row, enum import_effect *effect_r,
			       struct err *e)
{
	struct import_product_row *before = NULL;
	const json_t *variants = json_object_get(t->doc, "variants"), *v;
	uint8_t sum[SHA256_LEN];
	struct pg_bytes hash = { sum, sizeof(sum) };
	bool found = false;
	const char *slug = NULL;
	char id[ID_LEN];
	size_t i;

	sha256(row->doc, strlen(row->doc), sum);
	if (catalog_db_import_product(t->pg, t->a, t->import->vendor_id, row->key, &before, &found, e))
		return e->code;
	if (found && before->import_hash.len == sizeof(sum) && memcmp(before->import_hash.data, sum, sizeof(sum)) == 0 &&
	    (!t->import->publish || strcmp(before->status, "published") == 0))
		return *effect_r = IMPORT_UNCHANGED, OK;
	id_new("prd", id);
	t->is_new = !found;
	t->product_id = found ? before->id : arena_strdup(t->a, id);
	if (put_product(t, row->key, found ? before : NULL, hash, &slug, e) || put_categories(t, e) || put_media(t, e))
		return e->code;
	json_array_foreach ((json_t *)variants, i, v)
		if (put_variant(t, v, i, e))
			return e->code;
	*effect_r = found ? IMPORT_UPDATED : IMPORT_CREATED;
	if (catalog_db_refresh(t->pg, t->product_id, e))
		return e->code;
	return product_told(t->pg, t->a, t->product_id, t->import->vendor_id,
			    found ? before->status : t->import->publish ? "published" : "draft", slug, NULL,
			    found ? before->version : 1, e);
}

enum err_code import_apply(struct pg *pg, struct arena *a, const struct import_state *import,
			   const struct staged_row *row, enum import_effect *effect_r, struct err *e)
{
	json_t *doc = json_loads(row->doc, 0, NULL);
	struct apply t = { .pg = pg, .a = a, .import = import, .doc = doc };

	if (!json_is_object(doc)) {
		json_decref(doc);
		return err_set(e, E_INTERNAL, "common.internal", "staged row %lld is not JSON", (long long)row->row);
	}
	enum err_code code = apply_doc(&t, row, effect_r, e);

	json_decref(doc);
	return code;
}
