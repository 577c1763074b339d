/* Pairs, sessions, and the table. */
#include "services/reco/offline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include "services/reco/ease.h"
#include "services/reco/session.h"

#define AT 20
#define CANDIDATES 100
#define NUMBER_MAX 100000000

double offline_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void offline_row(struct offline *o, const char *name, const struct lists_score *s, double floor_a, double floor_b, bool of_hits)
{
	struct interval a = metric_interval(of_hits ? s->hit : s->recall, s->n, 1000, 1);
	struct interval b = metric_interval(of_hits ? s->mrr : s->ndcg, s->n, 1000, 1);
	bool low = a.mean < floor_a || b.mean < floor_b;

	fprintf(o->out, "  %-34s %.4f [%.4f, %.4f]  %.4f [%.4f, %.4f]  n=%zu%s\n", name, a.mean, a.lo, a.hi, b.mean, b.lo, b.hi,
		s->n, low ? "  BELOW ITS FLOOR" : "");
	fflush(o->out);
	o->failed += low;
}

enum err_code offline_numbers(FILE *f, const char *file, int32_t **v, size_t *room, ssize_t *n_r, struct err *e)
{
	char *line = NULL, *at, *end;
	size_t cap = 0, n = 0;
	ssize_t len = getline(&line, &cap, f);

	*n_r = -1;
	for (at = line; len > 0; at = end) {
		long x = strtol(at, &end, 10);

		if (end == at)
			break;
		if (x < 0 || x > NUMBER_MAX) {
			free(line);
			return err_set(e, E_INVALID, "common.invalid_input", "%s: %ld is no item", file, x);
		}
		if (n == *room) {
			int32_t *more = realloc(*v, (*room = *room ? 2 * *room : 1024) * sizeof(**v));

			if (!more) {
				free(line);
				return err_set(e, E_UNAVAILABLE, "common.unavailable", "out of memory");
			}
			*v = more;
		}
		(*v)[n++] = (int32_t)x;
	}
	free(line);
	if (len > 0)
		*n_r = (ssize_t)n;
	return OK;
}

struct pairs {
	struct cell *cells;
	size_t n, room;
	int32_t users, items;
};

static enum err_code pairs_line(struct pairs *p, const int32_t *v, size_t n, struct err *e)
{
	if (p->n + n > p->room) {
		size_t room = 2 * (p->n + n) + 4096;
		struct cell *more = realloc(p->cells, room * sizeof(*more));

		if (!more)
			return err_set(e, E_UNAVAILABLE, "common.unavailable", "out of memory");
		p->cells = more;
		p->room = room;
	}
	if (n && v[0] >= p->users)
		p->users = v[0] + 1;
	for (size_t i = 1; i < n; i++) {
		p->cells[p->n++] = (struct cell){ v[0], v[i], 1 };
		if (v[i] >= p->items)
			p->items = v[i] + 1;
	}
	return OK;
}

static enum err_code pairs_read(const char *file, struct pairs *p, struct err *e)
{
	FILE *f = fopen(file, "r");
	int32_t *v = NULL;
	size_t room = 0;
	ssize_t n;

	if (!f)
		return err_set(e, E_NOT_FOUND, "common.not_found", "%s: %s", file, strerror(errno));
	while (offline_numbers(f, file, &v, &room, &n, e) == OK && n >= 0)
		if (pairs_line(p, v, (size_t)n, e))
			break;
	free(v);
	fclose(f);
	return e->code;
}

static void write_run(const struct offline *o, const struct lists *l, const struct sparse *test)
{
	FILE *f = o->run_file ? fopen(o->run_file, "w") : NULL;

	for (int32_t u = 0; f && u < l->users; u++) {
		if (!sparse_len(test, u))
			continue;
		fprintf(f, "%d", u);
		for (int32_t i = 0; i < l->n[u] && i < AT; i++)
			fprintf(f, " %d", l->r[(size_t)u * (size_t)l->k + (size_t)i].item);
		fputc('\n', f);
	}
	if (f)
		fclose(f);
}

static void popular(struct arena *a, const struct sparse *x, float **pop_r)
{
	float *pop = arena_array(a, (size_t)x->cols, sizeof(*pop));

	for (int64_t k = 0; k < x->ptr[x->rows]; k++)
		pop[x->idx[k]]++;
	*pop_r = pop;
}

static void pairs_run(struct offline *o, struct arena *a, const struct sparse *x, const struct sparse *test)
{
	const struct ease_params ep = { 200, 40, 0.25, o->threads };
	const struct ials_params ip = { o->factors, o->sweeps, 3, 0.007, 0.004, o->seed, o->threads };
	const struct lists_conf c = { x, x, NULL, CANDIDATES, o->threads };
	struct lists pop, item, factor, both;
	struct lists_score s;
	struct sparse ease;
	struct ials ials;
	float *p, *top;
	double t = offline_seconds(), train = 0;

	popular(a, x, &top);
	p = top;
	fprintf(o->out, "pairs: %d users, %d items, %lld pairs\n  %-34s %-25s  %-25s\n", x->rows, x->cols, (long long)x->ptr[x->rows],
		"model", "Recall@20", "NDCG@20");
	lists_popular(a, &c, p, &pop);
	lists_score(a, &pop, test, AT, &s);
	offline_row(o, "popularity", &s, 0, 0, false);
	t = offline_seconds();
	(void)ease_train(a, x, &ep, NULL, &ease);
	train += offline_seconds() - t;
	lists_items(a, &c, &ease, &item);
	lists_score(a, &item, test, AT, &s);
	offline_row(o, "sparse EASE", &s, 0.158, 0.079, false);
	t = offline_seconds();
	(void)ials_train(a, x, &ip, NULL, &ials);
	train += offline_seconds() - t;
	lists_factors(a, &c, &ials, &factor);
	lists_score(a, &factor, test, AT, &s);
	offline_row(o, "iALS", &s, 0, 0, false);
	lists_fuse(a, &item, &factor, 1, 10, CANDIDATES, &both);
	lists_score(a, &both, test, AT, &s);
	offline_row(o, "fused", &s, 0.165, 0.081, false);
	fprintf(o->out, "  training %.1f s\n", train);
	write_run(o, &both, test);
}

enum err_code offline_pairs(struct offline *o, const char *train, const char *test, struct err *e)
{
	struct arena *a = arena_new("reco offline", SIZE_MAX);
	struct pairs p = { 0 }, q = { 0 };
	struct sparse x, y;

	if (pairs_read(train, &p, e) == OK && pairs_read(test, &q, e) == OK) {
		p.users = q.users > p.users ? q.users : p.users;
		p.items = q.items > p.items ? q.items : p.items;
		sparse_build(a, p.users, p.items, p.cells, p.n, &x);
		sparse_build(a, p.users, p.items, q.cells, q.n, &y);
		pairs_run(o, a, &x, &y);
	}
	free(p.cells);
	free(q.cells);
	arena_free(a);
	return e->code;
}

struct steps {
	const struct session_model *m;
	struct session_params p;
	const int64_t *ptr;
	const int32_t *items;
	int32_t first;
	double *hit, *mrr, *pop_hit, *pop_mrr; /* by place of the item in the file */
	const struct ranked *pop;
	size_t n_pop;
};

static void steps_piece(void *arg, int worker, int64_t from, int64_t to)
{
	struct steps *s = arg;
	struct arena *scratch = arena_new("reco session", SIZE_MAX);

	(void)worker;
	for (int64_t i = from; i < to; i++)
		for (int64_t k = s->ptr[s->first + i] + 1; k < s->ptr[s->first + i + 1]; k++) {
			const int32_t *seen = s->items + s->ptr[s->first + i];
			struct ranked top[AT];
			size_t n = session_next(scratch, s->m, &s->p, seen, (size_t)(s->items + k - seen), top, AT);
			struct metric m = metric_of(top, n, AT, s->items + k, 1);

			s->hit[k] = m.hit;
			s->mrr[k] = m.mrr;
			m = metric_of(s->pop, s->n_pop, AT, s->items + k, 1);
			s->pop_hit[k] = m.hit;
			s->pop_mrr[k] = m.mrr;
			arena_reset(scratch);
		}
	arena_free(scratch);
}

/* Every step of the test sessions but their first. */
static void steps_rows(struct offline *o, const struct steps *s, int32_t n_sessions)
{
	struct lists_score ours = { 0, NULL, NULL, s->hit, s->mrr }, pop = { 0, NULL, NULL, s->pop_hit, s->pop_mrr };

	for (int32_t i = s->first; i < n_sessions; i++)
		for (int64_t k = s->ptr[i] + 1; k < s->ptr[i + 1]; k++) {
			s->hit[ours.n] = s->hit[k];
			s->mrr[ours.n] = s->mrr[k];
			s->pop_hit[ours.n] = s->pop_hit[k];
			s->pop_mrr[ours.n] = s->pop_mrr[k];
			pop.n = ++ours.n;
		}
	fprintf(o->out, "sessions: %d, of them %d to predict\n  %-34s %-25s  %-25s\n", n_sessions, n_sessions - s->first, "model", "P@20",
		"MRR@20");
	offline_row(o, "popularity", &pop, 0, 0, true);
	offline_row(o, "session nearest neighbours", &ours, 0.545, 0.29, true);
}

static void sessions_run(struct offline *o, struct arena *a, const int64_t *ptr, const int32_t *items, int32_t n, int32_t n_items)
{
	size_t room = (size_t)ptr[n] + 1;
	struct session_model m;
	struct steps s = { .m = &m, .p = session_usual, .ptr = ptr, .items = items, .first = n - n / 20 };
	struct ranked top[AT];
	float *count = arena_array(a, (size_t)n_items, sizeof(*count));

	session_build(a, ptr, items, s.first, n_items, &m);
	for (int64_t k = 0; k < ptr[s.first]; k++)
		count[items[k]]++;
	s.n_pop = rank_top(count, n_items, 0, top, AT);
	s.pop = top;
	s.hit = arena_array(a, room, sizeof(double));
	s.mrr = arena_array(a, room, sizeof(double));
	s.pop_hit = arena_array(a, room, sizeof(double));
	s.pop_mrr = arena_array(a, room, sizeof(double));
	par_for(o->threads, n - s.first, 64, steps_piece, &s, NULL);
	steps_rows(o, &s, n);
}

enum err_code offline_sessions(struct offline *o, const char *sessions, struct err *e)
{
	struct arena *a = arena_new("reco offline", SIZE_MAX);
	FILE *f = fopen(sessions, "r");
	struct pairs p = { 0 };
	int32_t *v = NULL, n_sessions = 0;
	int64_t *ptr;
	int32_t *items;
	size_t room = 0;
	ssize_t n;

	if (!f) {
		arena_free(a);
		return err_set(e, E_NOT_FOUND, "common.not_found", "%s: %s", sessions, strerror(errno));
	}
	while (offline_numbers(f, sessions, &v, &room, &n, e) == OK && n >= 0) {
		int32_t line[2] = { n_sessions, 0 };

		for (ssize_t i = 0; i < n && !e->code; i++) {
			line[1] = v[i];
			(void)pairs_line(&p, line, 2, e);
		}
		n_sessions += n > 0;
	}
	fclose(f);
	free(v);
	ptr = arena_array(a, (size_t)n_sessions + 1, sizeof(*ptr));
	items = arena_array(a, p.n, sizeof(*items));
	for (size_t i = 0; i < p.n; i++) {
		items[i] = p.cells[i].col;
		ptr[p.cells[i].row + 1] = (int64_t)i + 1;
	}
	if (!e->code && n_sessions)
		sessions_run(o, a, ptr, items, n_sessions, p.items);
	free(p.cells);
	arena_free(a);
	return e->code;
}
