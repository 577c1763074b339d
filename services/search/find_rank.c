/* Candidates to a list: scores or the sort's order, then what administrators pinned, hid or boosted. */
#include <stdlib.h>
#include <string.h>

#include "services/search/find.h"
#include "services/search/engine_os.h"
#include "services/search/search_db_admin.h"
#include "services/search/search_db_query.h"

#define WANTED 100 /* results that are enough to look no further */

struct scored {
	const char *id;
	double score;
};

static int by_score(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	return strcmp(x->id, y->id);
}

static const struct rule_row *rule_for(const struct rule_row *rules, size_t n, const char *id, const char *action)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(rules[i].product_id, id) == 0 && strcmp(rules[i].action, action) == 0)
			return &rules[i];
	return NULL;
}

static bool among(const char *const *ids, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(ids[i], id) == 0)
			return true;
	return false;
}

/* Pinned products take their places, whether they matched the words or not; what is filtered away or no more sold does not. */
static enum err_code place_pins(struct search *s, struct pg *pg, const struct rule_row *rules, size_t n_rules, struct ranking *r,
				struct err *e)
{
	const char **ids = arena_array(s->c->arena, n_rules + 1, sizeof(*ids)), **shown = NULL;
	size_t n = 0, n_shown = 0;

	for (size_t i = 0; i < n_rules; i++)
		if (strcmp(rules[i].action, "pin") == 0)
			ids[n++] = rules[i].product_id;
	if (n && search_db_shown(pg, s->c->arena, s->lang, ids, n, &s->f, &shown, &n_shown, e))
		return e->code;
	for (size_t i = 0; i < n_rules; i++) {
		size_t at;

		if (strcmp(rules[i].action, "pin") != 0 || !among(shown, n_shown, rules[i].product_id))
			continue;
		at = rules[i].position > 0 ? (size_t)rules[i].position - 1 : 0;
		if (at > r->n)
			at = r->n;
		memmove(&r->ids[at + 1], &r->ids[at], (r->n - at) * sizeof(*r->ids));
		memmove(&r->pinned[at + 1], &r->pinned[at], (r->n - at) * sizeof(*r->pinned));
		r->ids[at] = rules[i].product_id;
		r->pinned[at] = true;
		r->n++;
	}
	return OK;
}

static enum err_code find_candidates(struct search *s, struct pg *pg, struct err *e)
{
	struct arena *a = s->c->arena;

	if (s->svc->os && engine_os_find(s->svc->os, a, &s->q, &s->f, WANTED, &s->found, e) == OK)
		return OK;
	if (s->svc->os) {
		err_clear(e);
		engine_os_missed(s->svc->os);
		s->degraded = true;
	}
	s->found_by_pg = true;
	return engine_pg_find(pg, a, &s->q, &s->f, dict_totals(s->svc->dict).docs, WANTED, &s->found, e);
}

enum err_code find_rank(struct search *s, struct pg *pg, struct ranking *r_r, struct err *e)
{
	struct arena *a = s->c->arena;
	struct dict_totals totals = dict_totals(s->svc->dict);
	struct rule_row *rules = NULL;
	const struct found *found = &s->found;
	struct ranker *ranker;
	struct scored *v;
	size_t n_rules = 0, k = 0;

	if (find_candidates(s, pg, e) ||
	    search_db_rules_now(pg, a, s->normal, &rules, &n_rules, e))
		return e->code;
	ranker = rank_start(a, &s->q, &totals);
	v = arena_array(a, found->n + 1, sizeof(*v));
	for (size_t i = 0; i < found->n; i++) {
		const char *id = found->v[i].product_id;
		const struct rule_row *boost;

		if (n_rules && (rule_for(rules, n_rules, id, "hide") || rule_for(rules, n_rules, id, "pin")))
			continue;
		v[k].id = id;
		v[k].score = s->f.sort == SORT_RELEVANCE ? rank_score(ranker, &found->v[i]) : 0;
		boost = n_rules ? rule_for(rules, n_rules, id, "boost") : NULL;
		if (boost)
			v[k].score *= 1 + boost->boost_percent / 100.0;
		k++;
	}
	if (s->f.sort == SORT_RELEVANCE && k)
		qsort(v, k, sizeof(*v), by_score);
	*r_r = (struct ranking){ .ids = arena_array(a, k + n_rules + 1, sizeof(*r_r->ids)),
				 .pinned = arena_array(a, k + n_rules + 1, sizeof(*r_r->pinned)),
				 .capped = found->capped,
				 .relaxed = found->relaxed };
	for (size_t i = 0; i < k; i++)
		r_r->ids[r_r->n++] = v[i].id;
	return s->f.sort == SORT_RELEVANCE ? place_pins(s, pg, rules, n_rules, r_r, e) : OK;
}
