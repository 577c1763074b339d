/* The parts of a vendor's product: variants, prices, media. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/timeutil.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_rules.h"
#include "services/catalog/own_change.h"
#include "services/catalog/variant_input.h"

RPC_HANDLER(catalog_add_variant, Catalog__V1__AddVariantRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_patch_variant, Catalog__V1__PatchVariantRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_put_price, Catalog__V1__PutPriceRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_delete_price, Catalog__V1__DeletePriceRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_put_media, Catalog__V1__PutMediaRequest, Catalog__V1__Product)
RPC_HANDLER(catalog_delete_media, Catalog__V1__DeleteMediaRequest, Catalog__V1__Product)

const struct rpc_method catalog_variant_methods[] = {
	{ "AddVariant", catalog_add_variant_, RPC_WRITE | RPC_KEYED, 0 },
	{ "PatchVariant", catalog_patch_variant_, RPC_WRITE | RPC_KEYED, 0 },
	{ "PutPrice", catalog_put_price_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeletePrice", catalog_delete_price_, RPC_WRITE | RPC_KEYED, 0 },
	{ "PutMedia", catalog_put_media_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeleteMedia", catalog_delete_media_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static enum err_code add_variant(struct own_change *ch, struct pg *pg, const struct touched_row *before, struct err *e)
{
	int64_t n = 0;

	if (catalog_db_variant_count(pg, ch->c->arena, before->id, &n, e))
		return e->code;
	if (n >= CATALOG_VARIANTS_MAX)
		return err_set(e, E_RULE, "catalog.too_many_variants", "%lld", (long long)n);
	return variant_input_add(pg, ch->c->arena, ch->in, before->id, ch->c->who.vendor_id, (int32_t)n, "first stock",
				 e);
}

static enum err_code catalog_add_variant(struct call *c, const Catalog__V1__AddVariantRequest *in,
					 Catalog__V1__Product *out)
{
	struct own_change ch = { .c = c, .product_id = in->product_id, .if_match = in->hdr_if_match, .fn = add_variant,
				 .in = in->variant, .out = out };

	if (in->variant)
		variant_input_check(&c->err, "variant", in->variant);
	else
		err_detail(&c->err, "variant", NULL, "is required");
	return own_change_run(&ch);
}

static enum err_code patch_variant(struct own_change *ch, struct pg *pg, const struct touched_row *before,
				   struct err *e)
{
	const Catalog__V1__PatchVariantRequest *in = ch->in;
	bool active = in->active, found = false;
	const struct variant_patch p = { .sku = in->sku, .title = in->title,
					 .options = in->options ? in->options->text : NULL, .ean = in->ean,
					 .weight_g = in->has_weight_g ? in->weight_g : -1,
					 .position = in->has_position ? in->position : -1,
					 .active = in->has_active ? &active : NULL };

	if (catalog_db_variant_patch(pg, before->id, in->variant_id, &p, &found, e)) {
		if (strcmp(pg_constraint(pg), "variant_sku") == 0) {
			err_detail(e, "sku", in->sku, "is taken by another of your articles");
			return err_set(e, E_CONFLICT, "catalog.sku_taken", "sku %s", in->sku);
		}
		return e->code;
	}
	return found ? OK : err_set(e, E_NOT_FOUND, "catalog.variant_unknown", "%s", in->variant_id);
}

static enum err_code catalog_patch_variant(struct call *c, const Catalog__V1__PatchVariantRequest *in,
					   Catalog__V1__Product *out)
{
	struct own_change ch = { .c = c, .product_id = in->product_id, .if_match = in->hdr_if_match,
				 .fn = patch_variant, .in = in, .out = out };

	check_id(&c->err, "variant_id", in->variant_id, "var");
	if (in->sku)
		check_text(&c->err, "sku", in->sku, 1, 100);
	if (in->title)
		check_text(&c->err, "title", in->title, 1, 200);
	if (in->options)
		catalog_attributes_ok(&c->err, "options", in->options->text);
	if (in->ean)
		check_text(&c->err, "ean", in->ean, 8, 14);
	if (in->has_weight_g)
		check_range(&c->err, "weight_g", in->weight_g, 0, 100000000);
	if (in->has_position)
		check_range(&c->err, "position", in->position, 0, 10000);
	return own_change_run(&ch);
}

/* ---- prices ---- */

static enum err_code put_price(struct own_change *ch, struct pg *pg, const struct touched_row *before, struct err *e)
{
	const Catalog__V1__PutPriceRequest *in = ch->in;
	char id[ID_LEN];
	bool found = false;

	id_new("prc", id);
	if (catalog_db_price_put(pg, id, before->id, in->variant_id, in->price->currency, in->price->amount,
				 in->compare_at_price ? in->compare_at_price->amount : -1, in->starts_at, in->ends_at,
				 &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "catalog.variant_unknown", "%s", in->variant_id);
}

static enum err_code catalog_put_price(struct call *c, const Catalog__V1__PutPriceRequest *in,
				       Catalog__V1__Product *out)
{
	struct own_change ch = { .c = c, .product_id = in->product_id, .if_match = in->hdr_if_match, .fn = put_price,
				 .in = in, .out = out };

	check_id(&c->err, "variant_id", in->variant_id, "var");
	check_money(&c->err, "price", in->price, 0, CATALOG_PRICE_MAX);
	if (in->compare_at_price) {
		check_money(&c->err, "compare_at_price", in->compare_at_price, 0, CATALOG_PRICE_MAX);
		if (in->price && in->price->currency && in->compare_at_price->currency &&
		    strcmp(in->price->currency, in->compare_at_price->currency) != 0)
			err_detail(&c->err, "compare_at_price", NULL, "must be in the currency of the price");
	}
	if (in->has_starts_at != in->has_ends_at)
		err_detail(&c->err, in->has_starts_at ? "ends_at" : "starts_at", NULL, "is required for a sale");
	else if (in->has_starts_at && (in->starts_at <= 0 || in->ends_at <= in->starts_at || in->ends_at <= wall_ms()))
		err_detail(&c->err, "ends_at", NULL, "must be after starts_at and in the future");
	return own_change_run(&ch);
}

static enum err_code delete_price(struct own_change *ch, struct pg *pg, const struct touched_row *before,
				  struct err *e)
{
	const Catalog__V1__DeletePriceRequest *in = ch->in;
	bool found = false;

	if (catalog_db_price_del(pg, before->id, in->variant_id, in->price_id, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "catalog.price_unknown", "%s", in->price_id);
}

static enum err_code catalog_delete_price(struct call *c, const Catalog__V1__DeletePriceRequest *in,
					  Catalog__V1__Product *out)
{
	struct own_change ch = { .c = c, .product_id = in->product_id, .if_match = in->hdr_if_match,
				 .fn = delete_price, .in = in, .out = out };

	check_id(&c->err, "variant_id", in->variant_id, "var");
	check_id(&c->err, "price_id", in->price_id, "prc");
	return own_change_run(&ch);
}

/* ---- media ---- */

/* What was uploaded by one vendor lies in his folder and is shown by nobody else. */
static bool of_another(const char *key, const char *vendor_id)
{
	size_t n = strcspn(key, "/");

	return strncmp(key, "vnd_", 4) == 0 && key[n] && (strlen(vendor_id) != n || memcmp(key, vendor_id, n) != 0);
}

static enum err_code put_media(struct own_change *ch, struct pg *pg, const struct touched_row *before, struct err *e)
{
	const Catalog__V1__PutMediaRequest *in = ch->in;
	char id[ID_LEN];
	bool found = false;

	if (of_another(in->key, ch->c->who.vendor_id))
		return err_set(e, E_NOT_FOUND, "catalog.media_foreign", "%s", in->key);
	id_new("med", id);
	if (catalog_db_media_put(pg, id, before->id, in->key, in->alt, in->position, in->variant_id, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_RULE, "catalog.media_refused", "too many, or a foreign variant");
}

/* Keys are paths of ours: no dots to climb with, no scheme. */
static enum err_code catalog_put_media(struct call *c, const Catalog__V1__PutMediaRequest *in,
				       Catalog__V1__Product *out)
{
	struct own_change ch = { .c = c, .product_id = in->product_id, .if_match = in->hdr_if_match, .fn = put_media,
				 .in = in, .out = out };

	catalog_check_media(&c->err, "key", in->key);
	if (in->alt)
		check_text(&c->err, "alt", in->alt, 0, 300);
	check_range(&c->err, "position", in->position, 0, 10000);
	if (in->variant_id)
		check_id(&c->err, "variant_id", in->variant_id, "var");
	return own_change_run(&ch);
}

static enum err_code delete_media(struct own_change *ch, struct pg *pg, const struct touched_row *before,
				  struct err *e)
{
	const Catalog__V1__DeleteMediaRequest *in = ch->in;
	bool found = false;

	if (catalog_db_media_del(pg, before->id, in->media_id, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "catalog.media_unknown", "%s", in->media_id);
}

static enum err_code catalog_delete_media(struct call *c, const Catalog__V1__DeleteMediaRequest *in,
					  Catalog__V1__Product *out)
{
	struct own_change ch = { .c = c, .product_id = in->product_id, .if_match = in->hdr_if_match,
				 .fn = delete_media, .in = in, .out = out };

	check_id(&c->err, "media_id", in->media_id, "med");
	return own_change_run(&ch);
}
