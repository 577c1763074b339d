/* The gate itself: what must not pass does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "services/reco/gate.h"
#include "services/reco/train.h"

#define DAY 86400000LL
#define BEGIN 1700000000000LL
#define CUT (BEGIN + 60 * DAY)

static struct arena *a;
static struct past past;

static void act(struct past_builder *b, int64_t ts, int kind, int person, int item)
{
	char who[16], what[16], order[32];

	snprintf(who, sizeof(who), "u%04d", person);
	snprintf(what, sizeof(what), "p%04d", item);
	snprintf(order, sizeof(order), "o%04d-%lld", person, (long long)(ts / DAY));
	past_add(b, &(struct reco_event){ .ts = ts, .kind = kind, .subject = who, .session_id = who, .product_id = what,
					  .order_id = order });
}

/* Ten circles of twenty items; people buy within theirs, some of it before the cut and some after. */
static int open_world(void **state)
{
	struct past_builder *b = past_begin();
	uint64_t seed = 11;

	(void)state;
	a = arena_new("test", SIZE_MAX);
	for (int day = 0; day < 75; day++)
		for (int k = 0; k < 40; k++) {
			int person = (int)(metric_random(&seed) % 300);

			act(b, BEGIN + day * DAY + k * 1000, RECO_PURCHASE, person, person % 10 * 20 + (int)(metric_random(&seed) % 20));
		}
	past_end(b, a, &past);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

static struct bundle trained(int64_t until)
{
	struct train_params p = train_defaults;
	struct bundle b;

	p.factors = 16;
	assert_true(train_bundle(a, &past, until, &p, NULL, NULL, NULL, NULL, &b));
	return b;
}

static struct gate_result judged(const struct bundle *b, const struct bundle *deployed)
{
	struct gate_result r;

	gate_judge(a, &past, CUT, b, deployed, 3, NULL, &r);
	return r;
}

static void test_a_good_one_passes(void **state)
{
	struct bundle b = trained(CUT);
	struct gate_result r = judged(&b, NULL);

	(void)state;
	assert_true(r.passed);
	assert_null(r.why);
	assert_true(r.people > 100);
	assert_true(r.ndcg > r.popular_ndcg * 2);
	assert_true(r.over_popular.lo > 0);
	assert_true(r.deployed_ndcg < 0);
}

/* The same rows for other items: as sure of itself as before, and wrong. */
static void test_shuffled(void **state)
{
	struct bundle b = trained(CUT);
	struct gate_result r;
	uint64_t seed = 5;

	(void)state;
	for (int64_t k = 0; k < b.liked.ptr[b.liked.rows]; k++)
		b.liked.idx[k] = (int32_t)(metric_random(&seed) % (uint64_t)b.n_items);
	b.factors.factors = 0;
	r = judged(&b, NULL);
	assert_false(r.passed);
	assert_string_equal(r.why, "better than popular");
}

static void test_undated(void **state)
{
	struct bundle b = trained(CUT);

	(void)state;
	b.data_to = 0;
	assert_string_equal(judged(&b, NULL).why, "dated");
}

static void test_past_the_cut(void **state)
{
	struct bundle b = trained(CUT + DAY);

	(void)state;
	assert_string_equal(judged(&b, NULL).why, "not past the cut");
}

/* So many purchases in each of six weeks, the last one first. */
static struct past weeks(struct arena *mem, const int n[6])
{
	struct past p = { .act = arena_array(mem, 10000, sizeof(*p.act)) };

	for (int w = 5; w >= 0; w--)
		for (int i = 0; i < n[w]; i++)
			p.act[p.n++] = (struct act){ .ts = CUT - 7 * DAY * (w + 1) + i + 1, .kind = RECO_PURCHASE };
	return p;
}

/* A week like no other: what has passed waits for a person, what has not stays rejected. */
static void test_unusual_volume(void **state)
{
	static const struct {
		int n[6];
		bool checked, usual;
	} cases[] = {
		{ { 100, 100, 100, 100, 100, 1 }, true, true }, { { 199, 100, 90, 500, 100, 1 }, true, true },
		{ { 51, 100, 100, 1, 100, 1 }, true, true },	{ { 49, 100, 100, 100, 100, 1 }, true, false },
		{ { 201, 100, 100, 100, 100, 1 }, true, false }, { { 0, 100, 100, 100, 100, 1 }, true, false },
		{ { 500, 40, 40, 40, 40, 1 }, false, true },	{ { 500, 100, 100, 100, 100, 0 }, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gate_result good = { .passed = true, .enough = true }, bad = { .enough = true, .why = "better than popular" };
		struct arena *mem = arena_new("weeks", 8 << 20);
		struct past p = weeks(mem, cases[i].n);

		gate_volume(&p, CUT, &good);
		assert_int_equal(good.n_checks, cases[i].checked);
		assert_true(good.passed == cases[i].usual && good.enough == cases[i].usual);
		assert_true((good.why == NULL) == cases[i].usual);
		gate_volume(&p, CUT, &bad);
		assert_true(!bad.passed && bad.enough);
		assert_string_equal(bad.why, "better than popular");
		arena_free(mem);
	}
}

static void test_too_few_people(void **state)
{
	struct bundle b = trained(CUT);
	struct past few = past;
	struct gate_result r;

	(void)state;
	while (few.act[few.n - 1].ts > CUT + DAY / 100)
		few.n--;
	gate_judge(a, &few, CUT, &b, NULL, 3, NULL, &r);
	assert_false(r.passed);
	assert_false(r.enough);
	assert_string_equal(r.why, "enough people");
}

/* Against the deployed one: an older, poorer model may be replaced, a better one not; one that has seen the answers is left out. */
static void test_deployed(void **state)
{
	struct bundle good = trained(CUT), poor = trained(BEGIN + 4 * DAY), cheat = trained(CUT + 10 * DAY);
	struct gate_result r = judged(&good, &poor);

	(void)state;
	assert_true(r.passed);
	assert_true(r.deployed_ndcg > 0 && r.deployed_ndcg < r.ndcg);
	r = judged(&poor, &good);
	assert_false(r.passed);
	assert_true(r.over_deployed.hi < 0);
	r = judged(&good, &good);
	assert_true(r.passed);
	r = judged(&good, &cheat);
	assert_true(r.passed && r.deployed_ndcg < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_one_passes), cmocka_unit_test(test_shuffled),
		cmocka_unit_test(test_undated),		  cmocka_unit_test(test_past_the_cut),
		cmocka_unit_test(test_unusual_volume), cmocka_unit_test(test_too_few_people),	  cmocka_unit_test(test_deployed),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
