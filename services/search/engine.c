#include "services/search/engine.h"

#include <string.h>

#define STAGES 3

/* Ids seen so far, to give each product once though stages overlap. */
struct seen_ids {
	const char **slots;
	size_t n_slots;
};

static bool first_time(struct seen_ids *s, const char *id)
{
	size_t h = 5381;

	for (const char *p = id; *p; p++)
		h = h * 33 ^ (unsigned char)*p;
	for (size_t i = h & (s->n_slots - 1);; i = (i + 1) & (s->n_slots - 1)) {
		if (!s->slots[i])
			return s->slots[i] = id, true;
		if (strcmp(s->slots[i], id) == 0)
			return false;
	}
}

enum err_code engine_stages(struct arena *a, const struct query *q, const struct filters *f, size_t wanted,
			    engine_stage_fn *fetch, void *arg, struct found *found_r, struct err *e)
{
	struct found found = { .v = arena_array(a, STAGES * CANDIDATES_MAX, sizeof(*found.v)) };
	struct seen_ids seen = { arena_array(a, 8192, sizeof(*seen.slots)), 8192 };

	for (int stage = 1; stage <= STAGES && found.n < wanted; stage++) {
		struct candidate *rows = NULL;
		size_t n = 0;

		/* A sorted list has only what has all words, unless nothing has. */
		if (!query_stage(a, q, stage) || (f->sort != SORT_RELEVANCE && found.n > 0))
			continue;
		if (fetch(arg, stage, &rows, &n, e))
			return e->code;
		found.relaxed |= stage > 1 && found.n == 0 && n > 0;
		found.capped |= n == CANDIDATES_MAX;
		for (size_t i = 0; i < n; i++)
			if (first_time(&seen, rows[i].product_id))
				found.v[found.n++] = rows[i];
		if (stage == 1)
			found.n_strict = found.n;
	}
	*found_r = found;
	return OK;
}
