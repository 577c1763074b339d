#include "heap.h"

#include <stdlib.h>
#include <string.h>

static bool before(const struct heap_item *a, const struct heap_item *b)
{
	return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->seq < b->seq;
}

static void swap(struct heap *h, size_t a, size_t b)
{
	struct heap_item t = h->item[a];

	h->item[a] = h->item[b];
	h->item[b] = t;
}

bool heap_push(struct heap *h, int64_t due_ms, void *what)
{
	size_t i = h->n;

	if (h->n == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 64;
		struct heap_item *p = realloc(h->item, cap * sizeof(*p));

		if (!p)
			return false;
		h->item = p;
		h->cap = cap;
	}
	h->item[h->n++] =
		(struct heap_item){ .due_ms = due_ms, .seq = h->next_seq++, .what = what };
	for (; i && before(&h->item[i], &h->item[(i - 1) / 2]); i = (i - 1) / 2)
		swap(h, i, (i - 1) / 2);
	return true;
}

const struct heap_item *heap_top(const struct heap *h)
{
	return h->n ? &h->item[0] : NULL;
}

void *heap_pop(struct heap *h)
{
	void *what;
	size_t i = 0;

	if (!h->n)
		return NULL;
	what = h->item[0].what;
	h->item[0] = h->item[--h->n];
	for (;;) {
		size_t least = i, l = 2 * i + 1, r = l + 1;

		if (l < h->n && before(&h->item[l], &h->item[least]))
			least = l;
		if (r < h->n && before(&h->item[r], &h->item[least]))
			least = r;
		if (least == i)
			return what;
		swap(h, i, least);
		i = least;
	}
}

void heap_release(struct heap *h, void (*free_item)(void *))
{
	size_t i;

	for (i = 0; i < h->n; i++)
		free_item(h->item[i].what);
	free(h->item);
	memset(h, 0, sizeof(*h));
}
