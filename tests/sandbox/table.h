/*
 * Objects in order of creation, found by id in constant time. The table owns the id index only:
 * rows belong to the caller and begin with a struct row. Not locked; the sandbox's lock guards
 * every table.
 */
#ifndef SANDBOX_TABLE_H
#define SANDBOX_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct row {
	const char *id; /* storage belongs to the row */
	uint64_t seq;	/* set by table_put: 0, 1, 2 … over the table's life */
};

struct table {
	struct row **item, **slot;
	size_t head, n, cap, n_slot;
	uint64_t first; /* seq of the oldest row still held */
};

bool table_put(struct table *t, struct row *r); /* false: out of memory or the id is taken */
struct row *table_find(const struct table *t, const char *id); /* NULL: none */
struct row *table_at(const struct table *t, uint64_t seq);     /* NULL: gone or not yet there */
struct row *table_pop(struct table *t);			       /* removes the oldest; NULL: empty */
static inline uint64_t table_end(const struct table *t)
{
	return t->first + t->n;
} /* the next row's seq */
void table_release(struct table *t,
	void (*free_row)(struct row *)); /* frees rows and index; t is empty again */

#endif
