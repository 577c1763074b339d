#include "services/search/facet_count.h"

#include <stdlib.h>
#include <string.h>

#include "services/search/card.h"

#define VALUES_MAX 50
#define ATTR_VALUES_MAX 200
#define LIST_MAX 512 /* values of one product that are counted */
#define DIVIDER '\x1f'

struct value {
	const char *text;
	size_t len;
	int64_t n;
};
struct tally { /* open addressing, never more than half full */
	struct arena *a;
	struct value *v;
	size_t n, slots;
};

static void tally_grow(struct tally *t)
{
	struct tally old = *t;

	t->slots = old.slots ? old.slots * 2 : 256;
	t->v = arena_array(t->a, t->slots, sizeof(*t->v));
	t->n = 0;
	for (size_t i = 0; i < old.slots; i++) {
		size_t at;

		if (!old.v[i].text)
			continue;
		for (at = card_hash(old.v[i].text, old.v[i].len) & (t->slots - 1); t->v[at].text;)
			at = (at + 1) & (t->slots - 1);
		t->v[at] = old.v[i];
		t->n++;
	}
}

static void tally_add(struct tally *t, const char *text, size_t len)
{
	size_t at;

	if ((t->n + 1) * 2 > t->slots)
		tally_grow(t);
	for (at = card_hash(text, len) & (t->slots - 1); t->v[at].text; at = (at + 1) & (t->slots - 1))
		if (t->v[at].len == len && memcmp(t->v[at].text, text, len) == 0) {
			t->v[at].n++;
			return;
		}
	t->v[at] = (struct value){ text, len, 1 };
	t->n++;
}

static int by_count(const void *a, const void *b)
{
	const struct value *x = a, *y = b;
	int d;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	d = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
	return d ? d : (x->len > y->len) - (x->len < y->len);
}

static void put(struct arena *a, struct facet_counts *to, struct facet_row row)
{
	if (to->n == to->cap) {
		struct facet_row *old = to->rows;

		to->cap = to->cap ? to->cap * 2 : 128;
		to->rows = arena_array(a, to->cap, sizeof(*to->rows));
		if (to->n)
			memcpy(to->rows, old, to->n * sizeof(*old));
	}
	to->rows[to->n++] = row;
}

static void put_tally(struct tally *t, const char *facet, bool labelled, size_t most, struct facet_counts *to)
{
	size_t k = 0;

	for (size_t i = 0; i < t->slots; i++)
		if (t->v[i].text)
			t->v[k++] = t->v[i];
	if (k)
		qsort(t->v, k, sizeof(*t->v), by_count);
	for (size_t i = 0; i < k && i < most; i++) {
		const char *value = arena_strndup(t->a, t->v[i].text, t->v[i].len);

		put(t->a, to, (struct facet_row){ facet, value, labelled ? value : NULL, t->v[i].n });
	}
}

static const char *plain_value(const struct candidate *c, const char *facet)
{
	return strcmp(facet, "brand") == 0 ? c->brand : strcmp(facet, "vendor") == 0 ? c->vendor_id : c->availability;
}

static void add_list(struct tally *t, const char *list, const char *prefix, size_t skip)
{
	const char *end;

	for (size_t i = 0; list && *list && i < LIST_MAX; i++, list = *end ? end + 1 : end) {
		end = strchrnul(list, DIVIDER);
		if ((size_t)(end - list) > skip && strncmp(list, prefix, skip) == 0)
			tally_add(t, list + skip, (size_t)(end - list) - skip);
	}
}

/* Ratings count for each step that they reach. */
static void ratings(struct arena *a, const struct candidate *rows, size_t n, struct facet_counts *to)
{
	static const char *const names[] = { "1", "2", "3", "4" };

	for (int step = 4; step >= 1; step--) {
		int64_t k = 0;

		for (size_t i = 0; i < n; i++)
			k += rows[i].rating_x100 >= step * 100;
		if (k)
			put(a, to, (struct facet_row){ "rating", names[step - 1], names[step - 1], k });
	}
}

/* Buckets of prices begin at 1, 2, 5, 10, 20, …. */
static void prices(struct arena *a, const struct candidate *rows, size_t n, struct facet_counts *to)
{
	static const int64_t step[] = { 1, 2, 5 };
	int64_t counts[36] = { 0 }, from[36], unit = 1;

	for (size_t k = 0; k < 36; k++) {
		from[k] = step[k % 3] * unit;
		unit *= k % 3 == 2 ? 10 : 1;
	}
	for (size_t i = 0; i < n; i++) {
		size_t k = 35;

		while (k && from[k] > rows[i].price)
			k--;
		counts[k] += rows[i].price >= 0;
	}
	for (size_t k = 0; k < 36; k++)
		if (counts[k])
			put(a, to, (struct facet_row){ "price", arena_printf(a, "%lld", (long long)from[k]), NULL, counts[k] });
}

void facet_count(struct arena *a, const char *facet, const struct candidate *rows, size_t n, struct facet_counts *to)
{
	struct tally t = { .a = a };

	if (strcmp(facet, "rating") == 0) {
		ratings(a, rows, n, to);
	} else if (strcmp(facet, "price") == 0) {
		prices(a, rows, n, to);
	} else if (strncmp(facet, "attr:", 5) == 0) {
		const char *prefix = arena_printf(a, "%s:", facet + 5);

		for (size_t i = 0; i < n; i++)
			add_list(&t, rows[i].attrs, prefix, strlen(prefix));
		put_tally(&t, facet, true, ATTR_VALUES_MAX, to);
	} else if (strcmp(facet, "category") == 0) {
		for (size_t i = 0; i < n; i++)
			add_list(&t, rows[i].categories, "", 0);
		put_tally(&t, facet, false, VALUES_MAX, to);
	} else {
		for (size_t i = 0; i < n; i++)
			if (plain_value(&rows[i], facet))
				tally_add(&t, plain_value(&rows[i], facet), strlen(plain_value(&rows[i], facet)));
		put_tally(&t, facet, strcmp(facet, "vendor") != 0, VALUES_MAX, to);
	}
}
