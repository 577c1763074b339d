#include "table.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* The slot that holds id, or the empty one where it belongs. n_slot is a power of two and never
 * full. */
static size_t slot_of(const struct table *t, const char *id)
{
	size_t i = (size_t)text_hash(id) & (t->n_slot - 1);

	while (t->slot[i] && strcmp(t->slot[i]->id, id))
		i = (i + 1) & (t->n_slot - 1);
	return i;
}

static bool grow_slots(struct table *t)
{
	size_t i, old = t->n_slot;
	struct row **was = t->slot;

	if (old && t->n + 1 <= old / 2)
		return true;
	t->n_slot = old ? old * 2 : 64;
	t->slot = calloc(t->n_slot, sizeof(*t->slot));
	if (!t->slot) {
		t->slot = was;
		t->n_slot = old;
		return false;
	}
	for (i = 0; i < old; i++)
		if (was[i])
			t->slot[slot_of(t, was[i]->id)] = was[i];
	free(was);
	return true;
}

static bool grow_items(struct table *t)
{
	struct row **p;
	size_t cap;

	if (t->head + t->n < t->cap)
		return true;
	if (t->head > t->cap / 2) {
		memmove(t->item, t->item + t->head, t->n * sizeof(*t->item));
		t->head = 0;
		return true;
	}
	cap = t->cap ? t->cap * 2 : 64;
	p = realloc(t->item, cap * sizeof(*p));
	if (!p)
		return false;
	t->item = p;
	t->cap = cap;
	return true;
}

bool table_put(struct table *t, struct row *r)
{
	size_t s;

	if (!grow_slots(t) || !grow_items(t))
		return false;
	s = slot_of(t, r->id);
	if (t->slot[s])
		return false;
	t->slot[s] = r;
	r->seq = t->first + t->n;
	t->item[t->head + t->n++] = r;
	return true;
}

struct row *table_find(const struct table *t, const char *id)
{
	return t->n_slot ? t->slot[slot_of(t, id)] : NULL;
}

struct row *table_at(const struct table *t, uint64_t seq)
{
	if (seq < t->first || seq >= t->first + t->n)
		return NULL;
	return t->item[t->head + (size_t)(seq - t->first)];
}

/* Linear probing without tombstones: rows behind the hole move up unless that would put them before
 * their home. */
static void unindex(struct table *t, const char *id)
{
	size_t mask = t->n_slot - 1, hole = slot_of(t, id), i = hole;

	t->slot[hole] = NULL;
	for (;;) {
		size_t home;

		i = (i + 1) & mask;
		if (!t->slot[i])
			return;
		home = (size_t)text_hash(t->slot[i]->id) & mask;
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		t->slot[hole] = t->slot[i];
		t->slot[i] = NULL;
		hole = i;
	}
}

struct row *table_pop(struct table *t)
{
	struct row *r;

	if (!t->n)
		return NULL;
	r = t->item[t->head++];
	unindex(t, r->id);
	t->n--;
	t->first++;
	return r;
}

void table_release(struct table *t, void (*free_row)(struct row *))
{
	size_t i;

	for (i = 0; i < t->n; i++)
		free_row(t->item[t->head + i]);
	free(t->item);
	free(t->slot);
	memset(t, 0, sizeof(*t));
}
