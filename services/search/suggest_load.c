#include "services/search/suggest_load.h"

#include <stdlib.h>
#include <string.h>

#include "services/search/dict.h"
#include "services/search/search_db_index.h"
#include "services/search/search_db_suggest.h"

#define PAGE 2000
#define QUERIES_MAX 20000
#define CATEGORIES_MAX 20000
#define WORDS_MAX 50000
#define TALLY_SLOTS (1u << 16)

/* How often each text came; what comes when it is three quarters full is not counted. */
struct tally {
	struct arena *arena;
	struct {
		const char *text;
		int64_t n;
	} slots[TALLY_SLOTS];
	size_t n;
};
struct loading {
	struct search_svc *svc;
	struct pg *pg;
	struct arena *page;
	struct suggest_index *x;
	struct tally *brands, *categories;
	int32_t slot;
	bool all; /* products: the copy has no more than were read */
};

static int64_t *tally_slot(struct tally *t, const char *text, bool add)
{
	uint32_t h = 2166136261u;

	for (const char *p = text; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	for (size_t i = (h ^ h >> 15) % TALLY_SLOTS;; i = (i + 1) % TALLY_SLOTS) {
		if (t->slots[i].text && strcmp(t->slots[i].text, text) == 0)
			return &t->slots[i].n;
		if (t->slots[i].text)
			continue;
		if (!add || t->n >= TALLY_SLOTS / 4 * 3)
			return NULL;
		t->n++;
		t->slots[i].text = arena_strdup(t->arena, text);
		return &t->slots[i].n;
	}
}

static void tally(struct tally *t, const char *text)
{
	int64_t *n = *text && strlen(text) <= SUGGEST_TEXT_MAX ? tally_slot(t, text, true) : NULL;

	if (n)
		++*n;
}

static struct tally *tally_new(void)
{
	struct tally *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->arena = arena_new("tally", 32 << 20);
	return t;
}

static void tally_free(struct tally *t)
{
	arena_free(t->arena);
	free(t);
}

static void take_product(struct loading *l, const struct best_row *r, int64_t weight)
{
	char *save = NULL;

	suggest_index_add(l->x, SUGGEST_PRODUCT, r->title, r->product_id, r->slug, weight);
	if (r->brand)
		tally(l->brands, r->brand);
	for (char *c = strtok_r(arena_strdup(l->page, r->categories), "\x1f", &save); c; c = strtok_r(NULL, "\x1f", &save))
		tally(l->categories, c);
}

static enum err_code load_products(struct loading *l, struct err *e)
{
	int64_t left = l->svc->conf->suggest_products;
	struct best_row after = { 0 }, *rows = NULL;
	char id[64];
	size_t n;

	do {
		int32_t limit = left < PAGE ? (int32_t)left : PAGE;

		n = 0;
		arena_reset(l->page);
		if (search_db_best(l->pg, l->page, l->slot, l->svc->conf->lang, after.product_id ? &after : NULL, limit, &rows,
				   &n, e))
			return e->code;
		for (size_t i = 0; i < n; i++)
			take_product(l, &rows[i], left--);
		l->all = n < (size_t)limit;
		if (n) {
			after = rows[n - 1];
			after.product_id = strncpy(id, after.product_id, sizeof(id) - 1);
			id[sizeof(id) - 1] = '\0';
		}
	} while (!l->all && left > 0);
	return OK;
}

static enum err_code load_categories(struct loading *l, struct err *e)
{
	struct named_row *rows = NULL;
	size_t n = 0;

	arena_reset(l->page);
	if (search_db_categories(l->pg, l->page, CATEGORIES_MAX, &rows, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++) {
		const int64_t *goods = tally_slot(l->categories, rows[i].id, false);

		if (goods || !l->all) /* none of a category whose products are gone */
			suggest_index_add(l->x, SUGGEST_CATEGORY, rows[i].name, rows[i].id, rows[i].slug, goods ? *goods : 0);
	}
	return OK;
}

/* Words that stand in no product may be anything, a name too. */
static bool all_known(struct loading *l, const char *query)
{
	char *text = arena_strdup(l->page, query), *save = NULL;

	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		if (dict_df(l->svc->dict, p) < 1 && !token_is_stop(l->svc->conf->lang, p))
			return false;
	return true;
}

static enum err_code load_queries(struct loading *l, struct err *e)
{
	const struct search_conf *conf = l->svc->conf;
	struct counted_row *rows = NULL;
	size_t n = 0;

	arena_reset(l->page);
	if (search_db_asked(l->pg, l->page, conf->lang, conf->suggest_people, conf->suggest_days, QUERIES_MAX, &rows, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		if (all_known(l, rows[i].text))
			suggest_index_add(l->x, SUGGEST_QUERY, rows[i].text, NULL, NULL, rows[i].n);
	return OK;
}

static enum err_code load_words(struct loading *l, struct err *e)
{
	struct counted_row *rows = NULL;
	size_t n = 0;

	arena_reset(l->page);
	if (search_db_common_words(l->pg, l->page, l->slot, l->svc->conf->lang, WORDS_MAX, &rows, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		suggest_index_add(l->x, SUGGEST_WORD, rows[i].text, NULL, NULL, rows[i].n);
	return OK;
}

static enum err_code load(struct loading *l, struct state_row *s, bool *same_r, struct err *e)
{
	l->slot = s->slot;
	if (load_products(l, e) || load_categories(l, e) || load_queries(l, e) || load_words(l, e))
		return e->code;
	for (size_t i = 0; i < TALLY_SLOTS; i++)
		if (l->brands->slots[i].text)
			suggest_index_add(l->x, SUGGEST_BRAND, l->brands->slots[i].text, NULL, NULL, l->brands->slots[i].n);
	arena_reset(l->page);
	if (search_db_state(l->pg, l->page, &s, e))
		return e->code;
	*same_r = s->slot == l->slot;
	return OK;
}

enum err_code suggest_load_index(struct search_svc *svc, struct suggest_index **x_r, struct err *e)
{
	struct loading l = { .svc = svc, .page = arena_new("suggest", 64 << 20), .x = suggest_index_new(),
			     .brands = tally_new(), .categories = tally_new() };
	struct state_row *s = NULL;
	bool same = false;

	if (pg_borrow(svc->pool, 0, &l.pg, e) == OK && search_db_state(l.pg, l.page, &s, e) == OK) {
		struct state_row before = *s;

		(void)load(&l, &before, &same, e);
	}
	pg_return(l.pg);
	if (e->code == OK && same) {
		suggest_index_finish(l.x);
		*x_r = l.x;
		l.x = NULL;
	}
	suggest_index_free(l.x);
	tally_free(l.brands);
	tally_free(l.categories);
	arena_free(l.page);
	return e->code;
}
