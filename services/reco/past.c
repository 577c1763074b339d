#include "services/reco/past.h"

#include <stdlib.h>
#include <string.h>

/* Names to numbers in the order of their coming: open addressing, grown at two thirds. */
struct names {
	struct arena *texts;
	const char **text;
	int32_t *slot; /* number + 1; 0 is free */
	uint32_t mask;
	int32_t n, room;
};

struct past_builder {
	struct arena *a;
	struct names people, sessions, baskets, items;
	struct act *act;
	size_t n, room;
};

static void *grown(void *p, size_t n, size_t size)
{
	void *q = reallocarray(p, n, size);

	if (!q)
		abort();
	return q;
}

static uint32_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

static void rehash(struct names *t)
{
	t->mask = t->mask ? t->mask * 2 + 1 : 1023;
	free(t->slot);
	t->slot = calloc((size_t)t->mask + 1, sizeof(*t->slot));
	if (!t->slot)
		abort();
	for (int32_t i = 0; i < t->n; i++) {
		uint32_t at = hash(t->text[i]) & t->mask;

		while (t->slot[at])
			at = (at + 1) & t->mask;
		t->slot[at] = i + 1;
	}
}

static int32_t number(struct names *t, const char *text)
{
	uint32_t at;

	if (!text || !*text)
		return -1;
	if ((uint32_t)t->n * 3 >= t->mask * 2)
		rehash(t);
	for (at = hash(text) & t->mask; t->slot[at]; at = (at + 1) & t->mask)
		if (strcmp(t->text[t->slot[at] - 1], text) == 0)
			return t->slot[at] - 1;
	if (t->n == t->room) {
		t->room = t->room ? t->room * 2 : 1024;
		t->text = grown(t->text, (size_t)t->room, sizeof(*t->text));
	}
	t->text[t->n] = arena_strdup(t->texts, text);
	t->slot[at] = ++t->n;
	return t->n - 1;
}

static void forget(struct names *t)
{
	free(t->text);
	free(t->slot);
}

struct past_builder *past_begin(void)
{
	struct past_builder *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	b->a = arena_new("reco past", SIZE_MAX);
	b->people.texts = b->sessions.texts = b->baskets.texts = b->items.texts = b->a;
	return b;
}

void past_add(struct past_builder *b, const struct reco_event *ev)
{
	if (ev->kind == RECO_IMPRESSION || !ev->product_id)
		return;
	if (b->n == b->room) {
		b->room = b->room ? b->room * 2 : 4096;
		b->act = grown(b->act, b->room, sizeof(*b->act));
	}
	/* Who is not signed in is a session only. */
	b->act[b->n++] = (struct act){ .ts = ev->ts, .person = number(&b->people, ev->subject),
				       .session = number(&b->sessions, ev->session_id ? ev->session_id : ev->subject),
				       .basket = number(&b->baskets, ev->order_id), .item = number(&b->items, ev->product_id),
				       .kind = ev->kind, .rating = ev->rating };
}

static int by_text(const void *x, const void *y, void *texts)
{
	const char *const *t = texts;

	return strcmp(t[*(const int32_t *)x], t[*(const int32_t *)y]);
}

/* Drops all but the latest acts of each person. */
static void thin_out(struct past_builder *b)
{
	int32_t *have = grown(NULL, (size_t)b->people.n + 1, sizeof(*have));
	size_t to = b->n;

	memset(have, 0, ((size_t)b->people.n + 1) * sizeof(*have));
	for (size_t i = b->n; i-- > 0;)
		if (b->act[i].person < 0 || have[b->act[i].person]++ < PAST_OF_ONE)
			b->act[--to] = b->act[i];
	b->n -= to;
	if (to)
		memmove(b->act, b->act + to, b->n * sizeof(*b->act));
	free(have);
}

void past_end(struct past_builder *b, struct arena *a, struct past *past_r)
{
	int32_t n = b->items.n, *order = arena_array(a, (size_t)n + 1, sizeof(*order)),
		*place = arena_array(a, (size_t)n + 1, sizeof(*place));
	const char **item = arena_array(a, (size_t)n + 1, sizeof(*item));

	thin_out(b);
	for (int32_t i = 0; i < n; i++)
		order[i] = i;
	if (n > 1)
		qsort_r(order, (size_t)n, sizeof(*order), by_text, b->items.text);
	for (int32_t i = 0; i < n; i++) {
		item[i] = arena_strdup(a, b->items.text[order[i]]);
		place[order[i]] = i;
	}
	*past_r = (struct past){ .act = arena_dup(a, b->act, b->n * sizeof(*b->act)), .n = b->n, .people = b->people.n,
				 .sessions = b->sessions.n, .baskets = b->baskets.n, .items = n, .item = item };
	for (size_t k = 0; k < b->n; k++)
		past_r->act[k].item = place[past_r->act[k].item];
	past_drop(b);
}

void past_drop(struct past_builder *b)
{
	forget(&b->people);
	forget(&b->sessions);
	forget(&b->baskets);
	forget(&b->items);
	arena_free(b->a);
	free(b->act);
	free(b);
}

/* ---- as a stage ---- */

void past_keep(const struct stages *stages, const struct past *p)
{
	const int32_t counts[] = { p->people, p->sessions, p->baskets, p->items };
	struct arena *scratch;
	size_t len = 0, at = 0;
	char *names;

	if (!stages)
		return;
	scratch = arena_new("reco past names", SIZE_MAX);
	for (int32_t i = 0; i < p->items; i++)
		len += strlen(p->item[i]) + 1;
	names = arena_alloc(scratch, len + 1);
	for (int32_t i = 0; i < p->items; i++) {
		memcpy(names + at, p->item[i], strlen(p->item[i]) + 1);
		at += strlen(p->item[i]) + 1;
	}
	stage_keep(stages, "past",
		   (const struct stage_part[]){ { counts, sizeof(counts) }, { names, len }, { p->act, p->n * sizeof(*p->act) } }, 3);
	arena_free(scratch);
}

bool past_take(const struct stages *stages, struct arena *a, struct past *p)
{
	struct stage_part part[3];
	const int32_t *counts;
	const char *name;

	if (!stage_take(stages, a, "past", part, 3))
		return false;
	counts = part[0].p;
	*p = (struct past){ .act = (struct act *)(uintptr_t)part[2].p, .n = part[2].n / sizeof(struct act), .people = counts[0],
			    .sessions = counts[1], .baskets = counts[2], .items = counts[3],
			    .item = arena_array(a, (size_t)counts[3] + 1, sizeof(*p->item)) };
	name = part[1].p;
	for (int32_t i = 0; i < p->items; i++, name += strlen(name) + 1)
		p->item[i] = name;
	return true;
}

struct past past_before(const struct past *p, int64_t until)
{
	struct past cut = *p;

	while (cut.n && cut.act[cut.n - 1].ts >= until)
		cut.n--;
	return cut;
}
