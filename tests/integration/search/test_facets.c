/* A facet counts as if nothing of its own were selected, whatever else is: what the query without that selection says. */
#include "integration/search/world.h"

#include "support/seeded.h"

#define GOODS 90

static const char *const queries[] = { "lamp", "steel lamp", "lampp", "round oak steel lamp", "shelf wardrobe" };
static const char *const facets[] = { "category", "vendor", "brand", "price", "availability", "rating" };

static const char *pick(uint64_t *rng, const char *const *v, size_t n)
{
	return v[seeded(rng, (unsigned)n)];
}

static void put_goods(uint64_t *rng, int i)
{
	static const char *const kinds[] = { "lamp", "chair", "shelf" }, *const stuffs[] = { "oak", "steel", "glass" },
				 *const shapes[] = { "round", "square", "" }, *const brands[] = { "Nomad", "Lenovo", "Rasch" },
				 *const categories[] = { "home", "kitchen" }, *const vendors[] = { "vnd_1", "vnd_2", "vnd_3" };
	struct goods g = { .id = arena_printf(w.a, "prd_f%03d", i), .description = "", .attributes = "{}" };
	Catalog__V1__ExportedProduct *p;
	const struct pg_actor who = { "system", "" };

	g.title = arena_printf(w.a, "%s %s %s", pick(rng, shapes, 3), pick(rng, stuffs, 3), pick(rng, kinds, 3));
	g.brand = pick(rng, brands, 3);
	g.category = pick(rng, categories, 2);
	g.code = arena_printf(w.a, "F-%d", i);
	g.price = 1000 + (int64_t)seeded(rng, 5) * 3000;
	p = product(&g, true);
	p->vendor_id = p->vendor_name = p->vendor_slug = (char *)pick(rng, vendors, 3);
	p->availability = (char *)(seeded(rng, 3) ? "in" : "out");
	p->has_rating_x100 = p->has_rating_count = true;
	p->rating_x100 = (int32_t)(100 + 100 * seeded(rng, 5));
	p->rating_count = 3;
	p->n_prices = seeded(rng, 10) ? 1 : 0;
	struct index_batch b = { .svc = &w.svc, .arena = w.a, .products = &p, .n_products = 1, .ids = &g.id, .n_ids = 1 };

	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, put_tx, &b, &why_));
}

/* The query with selections of the facets whose bits are set. */
static Search__V1__SearchReply *selected(const char *q, unsigned which)
{
	static char *brand[] = { (char *)"nomad", (char *)"rasch" }, *vendor[] = { (char *)"vnd_2" };
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;

	in.q = (char *)q;
	in.category = (char *)(which & 1 ? "kitchen" : NULL);
	in.vendor = vendor;
	in.n_vendor = which & 2 ? 1 : 0;
	in.brand = brand;
	in.n_brand = which & 4 ? 2 : 0;
	in.has_price_min = in.has_price_max = which & 8;
	in.price_min = 2000;
	in.price_max = 9000;
	in.has_in_stock = in.in_stock = which & 16;
	in.has_rating_min = which & 32;
	in.rating_min = 3;
	return ask(&in);
}

static const char *counts(const Search__V1__SearchReply *r, const char *facet)
{
	char *s = arena_strdup(w.turn, "");

	for (size_t i = 0; i < r->n_facets; i++)
		for (size_t k = 0; k < r->facets[i]->n_values && strcmp(r->facets[i]->name, facet) == 0; k++)
			s = arena_printf(w.turn, "%s%s=%d ", s, r->facets[i]->values[k]->value, r->facets[i]->values[k]->count);
	return s;
}

static void test_own_selection(void **state)
{
	uint64_t rng = 4711;
	size_t counted = 0;

	(void)state;
	for (int i = 0; i < GOODS; i++)
		put_goods(&rng, i);
	refresh();
	for (size_t q = 0; q < ARRAY_LEN(queries); q++) {
		for (unsigned which = 1; which < 64; which++) {
			const Search__V1__SearchReply *r;

			arena_reset(w.turn);
			r = selected(queries[q], which);
			for (unsigned f = 0; f < ARRAY_LEN(facets); f++) {
				const char *with = counts(r, facets[f]), *without;

				if (!(which >> f & 1))
					continue;
				without = counts(selected(queries[q], which & ~(1u << f)), facets[f]);
				if (strcmp(with, without) != 0)
					fail_msg("%s, selections %u, %s: %s but %s without its own", queries[q], which, facets[f],
						 with, without);
				counted += *with != '\0';
			}
		}
	}
	assert_true(counted > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_own_selection) };

	return cmocka_run_group_tests(tests, open_pg, close_world);
}
