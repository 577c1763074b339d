/* The recommendation models on cases small enough to compute by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "services/reco/ease.h"
#include "services/reco/ials.h"
#include "services/reco/lists.h"
#include "services/reco/session.h"

#define NEAR(a, b) assert_true(fabs((double)(a) - (double)(b)) < 1e-4)

static int setup(void **state)
{
	*state = arena_new("test", SIZE_MAX);
	return 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

/* Users 0 and 1 have items 0 and 1; user 2 has 1 and 2. */
static void three_users(struct arena *a, struct sparse *x_r)
{
	struct cell cells[] = { { 2, 2, 1 }, { 0, 1, 1 }, { 1, 0, 1 }, { 0, 0, 1 }, { 1, 1, 1 }, { 2, 1, 1 }, { 0, 0, 0.5f } };

	sparse_build(a, 3, 3, cells, 7, x_r);
}

static float at(const struct sparse *m, int32_t row, int32_t col)
{
	for (int64_t k = m->ptr[row]; k < m->ptr[row + 1]; k++)
		if (m->idx[k] == col)
			return m->val[k];
	return 0;
}

static void test_rows_are_sorted_and_repeats_keep_the_largest(void **state)
{
	struct sparse x, t;

	three_users(*state, &x);
	assert_int_equal(x.ptr[3], 6);
	assert_int_equal(x.idx[0], 0);
	assert_int_equal(x.idx[1], 1);
	NEAR(at(&x, 0, 0), 1);
	sparse_transpose(*state, &x, &t);
	assert_int_equal(sparse_len(&t, 1), 3);
	assert_int_equal(t.idx[t.ptr[2]], 2);
}

static void test_gram_counts_who_has_both(void **state)
{
	float weight[] = { 1, 0.5f, 2 };
	struct sparse x, t, g;

	three_users(*state, &x);
	sparse_transpose(*state, &x, &t);
	sparse_gram(*state, &x, &t, NULL, 0, 2, &g);
	NEAR(at(&g, 0, 1), 2);
	NEAR(at(&g, 1, 0), 2);
	NEAR(at(&g, 1, 1), 3);
	NEAR(at(&g, 0, 2), 0);
	sparse_gram(*state, &x, &t, weight, 0, 1, &g);
	NEAR(at(&g, 0, 1), 1.5);
	NEAR(at(&g, 1, 2), 2);
	sparse_gram(*state, &x, &t, NULL, 1, 1, &g); /* everybody has more than one item */
	assert_int_equal(g.ptr[3], 0);
}

/* A robot that looked at everything would need more cells than there may be: it is left out, whoever fits is not. */
static void test_gram_stays_within_its_cells(void **state)
{
	struct cell cells[300];
	struct sparse x, t, g, without;
	size_t n = 0;

	for (int32_t item = 0; item < 200; item++)
		cells[n++] = (struct cell){ 0, item, 1 };
	for (int32_t u = 1; u < 40; u++)
		for (int32_t k = 0; k < 2; k++)
			cells[n++] = (struct cell){ u, (u + k) % 50, 1 };
	sparse_build(*state, 40, 200, cells, n, &x);
	sparse_transpose(*state, &x, &t);
	sparse_gram(*state, &x, &t, NULL, 0, 2, &g);
	assert_int_equal(g.ptr[200], 200 * 200);
	sparse_gram(*state, &x, &t, NULL, 100, 2, &without);
	sparse_gram_within(*state, &x, &t, NULL, 0, 500, 2, &g);
	assert_in_range(g.ptr[200], 100, 500);
	assert_int_equal(g.ptr[200], without.ptr[200]);
	assert_memory_equal(g.idx, without.idx, (size_t)g.ptr[200] * sizeof(*g.idx));
	NEAR(at(&g, 1, 2), 1);
	sparse_gram_within(*state, &x, &t, NULL, 0, 1, 2, &g);
	assert_int_equal(g.ptr[200], 0); /* nobody fits */
}

/* Item 0 from item 1 alone: 2 / (3 + ridge). Item 1 from 0 and 2: 2 / (2 + ridge), 1 / (1 + ridge). */
static void test_ease_is_the_ridge_solution(void **state)
{
	const struct ease_params p = { 5, 1, 0, 2 };
	float scores[3] = { 0 }, one = 1;
	int32_t item = 1;
	struct sparse x, m;

	three_users(*state, &x);
	assert_true(ease_train(*state, &x, &p, NULL, &m));
	NEAR(at(&m, 1, 0), 0.5);
	NEAR(at(&m, 0, 1), 2.0 / 3);
	NEAR(at(&m, 2, 1), 0.5);
	NEAR(at(&m, 1, 1), 0);
	ease_score(&m, &item, &one, 1, scores);
	NEAR(scores[0], 0.5);
	NEAR(scores[1], 0);
	NEAR(scores[2], 0.25);
}

static void test_training_can_be_stopped(void **state)
{
	const struct ease_params p = { 5, 1, 0, 1 };
	const struct ials_params q = { 4, 3, 3, 0.1, 0.1, 1, 1 };
	atomic_bool stop = true;
	struct sparse x, m;
	struct ials f;

	three_users(*state, &x);
	assert_false(ease_train(*state, &x, &p, &stop, &m));
	assert_false(ials_train(*state, &x, &q, &stop, &f));
}

static void test_pairs_are_shrunk_cosine(void **state)
{
	const struct pair_params p = { 1, 2, 10 };
	struct sparse x, t, g, m;

	three_users(*state, &x);
	sparse_transpose(*state, &x, &t);
	sparse_gram(*state, &x, &t, NULL, 0, 1, &g);
	pair_train(*state, &g, &p, &m);
	NEAR(at(&m, 0, 1), 2 / (sqrt(6) + 1));
	NEAR(at(&m, 1, 2), 0); /* one user is too little */
}

/* With all factors free, conjugate gradient to the end solves (w G + sum yy' + l I) x = sum y: the residual is nothing. */
static void test_fold_in_solves_the_normal_equations(void **state)
{
	const struct ials_params p = { 3, 5, 3, 0.1, 0.05, 7, 1 };
	int32_t items[] = { 0, 1 };
	float weights[] = { 1, 1 }, u[3];
	struct sparse x;
	struct ials m;

	three_users(*state, &x);
	assert_true(ials_train(*state, &x, &p, NULL, &m));
	ials_fold_in(*state, &m, &p, items, weights, 2, u);
	for (int i = 0; i < 3; i++) {
		double left = 0.05 * (2 + 0.1 * 3) * u[i], right = 0;

		for (int j = 0; j < 3; j++)
			left += 0.1 * m.gram[i * 3 + j] * u[j];
		for (int k = 0; k < 2; k++) {
			double dot = 0;

			for (int j = 0; j < 3; j++)
				dot += m.item[k * 3 + j] * u[j];
			left += dot * m.item[k * 3 + i];
			right += m.item[k * 3 + i];
		}
		NEAR(left, right);
	}
}

static void test_factors_repeat_by_seed_on_any_number_of_threads(void **state)
{
	struct ials_params p = { 4, 3, 3, 0.1, 0.05, 7, 1 };
	struct sparse x;
	struct ials one, two, other;

	three_users(*state, &x);
	assert_true(ials_train(*state, &x, &p, NULL, &one));
	p.threads = 3;
	assert_true(ials_train(*state, &x, &p, NULL, &two));
	assert_memory_equal(one.item, two.item, 12 * sizeof(float));
	assert_memory_equal(one.user, two.user, 12 * sizeof(float));
	p.seed = 8;
	assert_true(ials_train(*state, &x, &p, NULL, &other));
	assert_memory_not_equal(one.item, other.item, 12 * sizeof(float));
}

static void test_the_best_come_first_and_nan_never(void **state)
{
	float scores[] = { 1, NAN, 5, -INFINITY, 5, 0, 3 };
	struct ranked top[4];

	(void)state;
	assert_int_equal(rank_top(scores, 7, 0, top, 4), 4);
	assert_int_equal(top[0].item, 2);
	assert_int_equal(top[1].item, 4);
	assert_int_equal(top[2].item, 6);
	assert_int_equal(top[3].item, 0);
	assert_int_equal(rank_top(scores, 7, 0, top, 2), 2);
	assert_int_equal(top[1].item, 4);
	assert_int_equal(rank_top(scores, 7, 9, top, 4), 0);
	assert_int_equal(rank_top(scores, 0, 0, top, 4), 0);
}

static void test_fusion_prefers_what_both_name(void **state)
{
	struct ranked a[] = { { 1, 9 }, { 2, 8 } }, b[] = { { 3, 9 }, { 2, 1 } }, out[4];

	(void)state;
	assert_int_equal(rank_fuse(a, 2, b, 2, 1, 10, out), 3);
	assert_int_equal(out[0].item, 2);
	NEAR(out[0].score, 2.0 / 12);
	assert_int_equal(out[1].item, 1);
	NEAR(out[2].score, 1.0 / 11);
}

static void test_metrics_by_hand(void **state)
{
	struct ranked list[] = { { 7, 3 }, { 4, 2 }, { 9, 1 } };
	int32_t wanted[] = { 4, 9, 11 };
	struct metric m = metric_of(list, 3, 20, wanted, 3);

	(void)state;
	NEAR(m.recall, 2.0 / 3);
	NEAR(m.ndcg, (1 / log2(3) + 0.5) / (1 + 1 / log2(3) + 0.5));
	NEAR(m.mrr, 0.5);
	NEAR(m.hit, 1);
	m = metric_of(list, 3, 1, wanted, 3);
	NEAR(m.hit + m.recall + m.ndcg + m.mrr, 0);
}

static void test_interval_holds_the_mean_and_repeats(void **state)
{
	double v[100];
	struct interval a, b;

	(void)state;
	for (int i = 0; i < 100; i++)
		v[i] = i % 2;
	a = metric_interval(v, 100, 1000, 3);
	b = metric_interval(v, 100, 1000, 3);
	NEAR(a.mean, 0.5);
	assert_true(a.lo > 0.35 && a.lo < 0.45 && a.hi > 0.55 && a.hi < 0.65);
	assert_true(a.lo >= b.lo && a.lo <= b.lo && a.hi >= b.hi && a.hi <= b.hi);
	a = metric_interval(v, 0, 10, 3);
	NEAR(a.mean + a.lo + a.hi, 0);
}

static void test_seen_items_are_hidden_and_the_empty_are_filled(void **state)
{
	const struct ease_params p = { 5, 1, 0, 1 };
	float pop[] = { 1, 3, 2, 5 };
	struct cell cells[] = { { 0, 0, 1 }, { 0, 1, 1 }, { 1, 1, 1 } };
	struct sparse x, m;
	struct lists l, by_pop;
	struct lists_conf c = { .k = 2, .threads = 2 };

	sparse_build(*state, 3, 4, cells, 3, &x);
	c.seen = c.history = &x;
	assert_true(ease_train(*state, &x, &p, NULL, &m));
	lists_items(*state, &c, &m, &l);
	lists_popular(*state, &c, pop, &by_pop);
	assert_int_equal(l.n[0], 0); /* has all that the model knows */
	assert_int_equal(l.n[1], 1);
	assert_int_equal(l.r[2].item, 0);
	lists_fill(&l, &by_pop);
	assert_int_equal(l.n[0], 2);
	assert_int_equal(l.r[0].item, 3);
	assert_int_equal(l.r[1].item, 2);
	assert_int_equal(l.n[1], 1);
	assert_int_equal(l.r[2 * 2].item, 3); /* nothing known of user 2 */
	assert_int_equal(l.r[2 * 2 + 1].item, 1);
}

static void test_a_session_goes_on_like_its_neighbours(void **state)
{
	static const int64_t ptr[] = { 0, 3, 6, 8 };
	static const int32_t items[] = { 0, 1, 2, 0, 1, 2, 3, 4 };
	const struct session_params p = { 100, 10, 0.8 };
	const int32_t seen[] = { 0, 1 }, unknown[] = { 5 };
	struct session_model m;
	struct ranked top[6];
	size_t n;

	session_build(*state, ptr, items, 3, 6, &m);
	n = session_next(*state, &m, &p, seen, 2, top, 6);
	assert_int_equal(n, 3);
	assert_int_equal(top[0].item, 1); /* people look at a thing again */
	assert_int_equal(top[1].item, 2);
	assert_int_equal(session_next(*state, &m, &p, unknown, 1, top, 6), 0);
	assert_int_equal(session_next(*state, &m, &p, NULL, 0, top, 6), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_rows_are_sorted_and_repeats_keep_the_largest),
		T(test_gram_counts_who_has_both), T(test_gram_stays_within_its_cells),
		T(test_ease_is_the_ridge_solution),
		T(test_training_can_be_stopped),
		T(test_pairs_are_shrunk_cosine),
		T(test_fold_in_solves_the_normal_equations),
		T(test_factors_repeat_by_seed_on_any_number_of_threads),
		T(test_the_best_come_first_and_nan_never),
		T(test_fusion_prefers_what_both_name),
		T(test_metrics_by_hand),
		T(test_interval_holds_the_mean_and_repeats),
		T(test_seen_items_are_hidden_and_the_empty_are_filled),
		T(test_a_session_goes_on_like_its_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
