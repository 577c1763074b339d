/* What is due next: a binary heap by time, then by order of arrival. Not locked. */
#ifndef SANDBOX_HEAP_H
#define SANDBOX_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_item {
	int64_t due_ms; /* clock_mono_ms() */
	uint64_t seq;
	void *what;
};
struct heap {
	struct heap_item *item;
	size_t n, cap;
	uint64_t next_seq;
};

bool heap_push(struct heap *h, int64_t due_ms, void *what); /* false: out of memory */
const struct heap_item *heap_top(const struct heap *h);	    /* NULL: empty */
void *heap_pop(struct heap *h);				    /* NULL: empty */
void heap_release(struct heap *h, void (*free_item)(void *));

#endif
