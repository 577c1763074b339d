#include "services/search/engine.h"

#include <string.h>

#define STAGES 3

/* A set of ids. */
struct id_set {
	const char **slots;
	size_t n_slots; /* a power of two, more than twice of what is put in */
};

static bool first_time(struct id_set *s, const char *id)
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

void engine_add(struct arena *a, struct found *to, const struct candidate *rows, size_t n)
{
	struct candidate *v = arena_array(a, to->n + n + 1, sizeof(*v));
	struct id_set seen = { .n_slots = 256 };

	while (seen.n_slots < 2 * (to->n + n))
		seen.n_slots *= 2;
	seen.slots = arena_array(a, seen.n_slots, sizeof(*seen.slots));
	for (size_t i = 0; i < to->n; i++) {
		(void)first_time(&seen, to->v[i].product_id);
		v[i] = to->v[i];
	}
	for (size_t i = 0; i < n; i++)
		if (first_time(&seen, rows[i].product_id))
			v[to->n++] = rows[i];
	to->v = v;
}

enum err_code engine_stages(struct arena *a, const struct query *q, const struct filters *f, size_t wanted,
			    engine_stage_fn *fetch, void *arg, struct found *found_r, struct err *e)
{
	struct found found = { 0 };

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
		engine_add(a, &found, rows, n);
		if (stage == 1)
			found.n_strict = found.n;
	}
	*found_r = found;
	return OK;
}
