#include "services/catalog/product_view.h"

#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "services/catalog/catalog.h"
#include "services/catalog/category.h"

Common__V1__Money *minor_money(struct arena *a, int64_t minor, const char *currency)
{
	Common__V1__Money *m = arena_alloc(a, sizeof(*m));

	common__v1__money__init(m);
	m->has_amount = true;
	m->amount = minor;
	m->currency = (char *)currency;
	return m;
}

static Common__V1__Json *json_msg(struct arena *a, const char *text)
{
	Common__V1__Json *j = arena_alloc(a, sizeof(*j));

	common__v1__json__init(j);
	j->text = (char *)text;
	return j;
}

const char *asked_currency(struct call *c, const char *currency)
{
	struct catalog_svc *svc = c->svc;

	if (!currency)
		return svc->conf->currency;
	check_currency(&c->err, "currency", currency);
	return currency;
}

static Catalog__V1__Variant *variant_msg(struct arena *a, const struct variant_row *r, const char *currency, bool own)
{
	Catalog__V1__Variant *v = arena_alloc(a, sizeof(*v));

	catalog__v1__variant__init(v);
	v->id = (char *)r->id;
	v->sku = (char *)r->sku;
	v->title = (char *)r->title;
	if (r->options && strcmp(r->options, "{}") != 0)
		v->options = json_msg(a, r->options);
	v->ean = (char *)r->ean;
	v->has_weight_g = r->weight_g >= 0;
	v->weight_g = r->weight_g;
	v->has_position = true;
	v->position = r->position;
	v->availability = (char *)r->availability;
	if (r->has_price)
		v->price = minor_money(a, r->minor, currency);
	if (r->has_compare)
		v->compare_at_price = minor_money(a, r->compare_at_minor, currency);
	if (own) {
		v->has_active = v->has_version = true;
		v->active = r->active;
		v->version = r->version;
	}
	return v;
}

static void add_prices(struct arena *a, Catalog__V1__Product *out, const struct price_row *prices, size_t n)
{
	for (size_t k = 0; k < out->n_variants; k++) {
		Catalog__V1__Variant *v = out->variants[k];

		v->prices = arena_array(a, n + 1, sizeof(*v->prices));
		for (size_t i = 0; i < n; i++) {
			Catalog__V1__Price *p;

			if (strcmp(prices[i].variant_id, v->id) != 0)
				continue;
			p = arena_alloc(a, sizeof(*p));
			catalog__v1__price__init(p);
			p->id = (char *)prices[i].id;
			p->price = minor_money(a, prices[i].minor, prices[i].currency);
			if (prices[i].compare_at_minor >= 0)
				p->compare_at_price = minor_money(a, prices[i].compare_at_minor, prices[i].currency);
			p->has_starts_at = p->has_ends_at = prices[i].starts_at != 0;
			p->starts_at = prices[i].starts_at;
			p->ends_at = prices[i].ends_at;
			v->prices[v->n_prices++] = p;
		}
	}
}

static void add_media(struct call *c, Catalog__V1__Product *out, const struct media_row *rows, size_t n)
{
	struct catalog_svc *svc = c->svc;

	out->n_media = 0;
	out->media = arena_array(c->arena, n + 1, sizeof(*out->media));
	for (size_t i = 0; i < n; i++) {
		Catalog__V1__Media *m = arena_alloc(c->arena, sizeof(*m));

		catalog__v1__media__init(m);
		m->id = (char *)rows[i].id;
		m->key = (char *)rows[i].key;
		m->alt = (char *)rows[i].alt;
		m->has_position = true;
		m->position = rows[i].position;
		m->variant_id = (char *)rows[i].variant_id;
		m->url = arena_printf(c->arena, "%s%s", svc->conf->media_base, rows[i].key);
		out->media[out->n_media++] = m;
	}
}

/* The version counts what the vendor changes; the public sees availability, reviews and sales too, so its tag is of all. */
static char *public_tag(struct arena *a, const Catalog__V1__Product *p)
{
	size_t n = catalog__v1__product__get_packed_size(p);
	uint8_t *packed = arena_alloc(a, n + 1), h[SHA256_LEN];

	(void)catalog__v1__product__pack(p, packed);
	sha256(packed, n, h);
	return arena_printf(a, "%s-%02x%02x%02x%02x%02x%02x%02x%02x", p->id, h[0], h[1], h[2], h[3], h[4], h[5], h[6],
			    h[7]);
}

static void product_fill(struct call *c, const struct product_row *r, bool own, Catalog__V1__Product *out)
{
	out->id = (char *)r->id;
	out->slug = (char *)r->slug;
	out->title = (char *)r->title;
	out->description = (char *)r->description;
	out->brand = (char *)r->brand;
	out->status = own ? (char *)r->status : NULL;
	out->vendor_id = (char *)r->vendor_id;
	out->vendor_name = (char *)r->vendor_name;
	out->vendor_slug = (char *)r->vendor_slug;
	out->tax_class = (char *)r->tax_class;
	out->attributes = json_msg(c->arena, r->attributes);
	out->availability = (char *)r->availability;
	out->has_rating_count = true;
	out->rating_count = r->rating_count;
	out->has_rating_x100 = r->rating_count > 0;
	out->rating_x100 = r->rating_count ? (int32_t)(r->rating_sum * 100 / r->rating_count) : 0;
	out->has_created_at = out->has_updated_at = out->has_version = true;
	out->created_at = r->created_at;
	out->updated_at = r->updated_at;
	out->has_published_at = r->published_at != 0;
	out->published_at = r->published_at;
	out->version = r->version;
	out->hdr_etag = own ? arena_printf(c->arena, "%s-%lld", r->id, (long long)r->version) : NULL;
}

enum err_code product_view(struct call *c, struct pg *pg, const char *id_or_slug, const char *vendor_id,
			   const char *currency, Catalog__V1__Product *out, struct err *e)
{
	struct product_whole w = { 0 };
	const struct product_row *r;
	const bool own = vendor_id != NULL;

	if (catalog_db_product_whole(pg, c->arena, id_or_slug, vendor_id, currency, &w, e))
		return e->code;
	r = w.product;
	if (!r || (!own && (strcmp(r->status, "published") != 0 || strcmp(r->vendor_status, "approved") != 0)))
		return err_set(e, E_NOT_FOUND, "catalog.product_unknown", "%s", id_or_slug);
	product_fill(c, r, own, out);
	out->n_categories = out->n_variants = 0; /* a retried transaction fills it again */
	out->price = NULL;
	out->categories = arena_array(c->arena, w.n_categories + 1, sizeof(*out->categories));
	for (size_t i = 0; i < w.n_categories; i++)
		out->categories[out->n_categories++] = category_msg(c->arena, &w.categories[i]);
	out->variants = arena_array(c->arena, w.n_variants + 1, sizeof(*out->variants));
	for (size_t i = 0; i < w.n_variants; i++) {
		const struct variant_row *v = &w.variants[i];

		if (!own && !v->active)
			continue;
		out->variants[out->n_variants++] = variant_msg(c->arena, v, currency, own);
		if (v->active && v->has_price && (!out->price || v->minor < out->price->amount))
			out->price = minor_money(c->arena, v->minor, currency);
	}
	if (own)
		add_prices(c->arena, out, w.prices, w.n_prices);
	add_media(c, out, w.media, w.n_media);
	if (!own)
		out->hdr_etag = public_tag(c->arena, out);
	out->has_hdr_max_age = r->edge_s >= 0;
	out->hdr_max_age = r->edge_s;
	return OK;
}

Catalog__V1__ProductCard *product_card(struct arena *a, const struct card_row *r, const char *currency, bool own)
{
	Catalog__V1__ProductCard *p = arena_alloc(a, sizeof(*p));

	catalog__v1__product_card__init(p);
	p->id = (char *)r->id;
	p->slug = (char *)r->slug;
	p->title = (char *)r->title;
	p->brand = (char *)r->brand;
	p->vendor_id = (char *)r->vendor_id;
	p->vendor_name = (char *)r->vendor_name;
	if (r->has_price)
		p->price = minor_money(a, r->minor, currency);
	if (r->has_compare)
		p->compare_at_price = minor_money(a, r->compare_at_minor, currency);
	p->availability = (char *)r->availability;
	p->has_rating_count = true;
	p->rating_count = r->rating_count;
	p->has_rating_x100 = r->rating_count > 0;
	p->rating_x100 = r->rating_x100;
	p->image_key = (char *)r->image_key;
	p->has_published_at = r->published_at != 0;
	p->published_at = r->published_at;
	if (own) {
		p->status = (char *)r->status;
		p->has_version = true;
		p->version = r->version;
	}
	return p;
}
