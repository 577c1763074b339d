/* A bundle trained from a little past, written, read back; and whatever is wrong with a file is an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "services/reco/metric.h"
#include "services/reco/train.h"

#define DAY 86400000LL

static struct world {
	struct arena *a;
	struct past past;
	char dir[64];
} w;

/* Two circles of taste, A and B: people buy within theirs, sessions stay within one. */
static struct past make_past(struct arena *a, uint64_t seed, int people)
{
	struct past_builder *b = past_begin();
	struct past p;
	int64_t ts = 1700000000000;

	for (int u = 0; u < people; u++)
		for (int k = 0; k < 6; k++) {
			char person[16], session[16], item[16], order[16];

			snprintf(person, sizeof(person), "u%03d", u);
			snprintf(session, sizeof(session), "s%03d", u);
			snprintf(order, sizeof(order), "o%03d-%d", u, k / 3);
			snprintf(item, sizeof(item), "p%c%02d", u % 2 ? 'A' : 'B', (int)(metric_random(&seed) % 12));
			past_add(b, &(struct reco_event){ .ts = ts += 3600000 / 4, .kind = RECO_VIEW, .subject = person,
							  .session_id = session, .product_id = item });
			past_add(b, &(struct reco_event){ .ts = ts += 60000, .kind = RECO_PURCHASE, .subject = person,
							  .session_id = session, .product_id = item, .order_id = order });
		}
	past_end(b, a, &p);
	return p;
}

static struct bundle make_bundle(struct arena *a, const struct past *p, uint64_t seed)
{
	struct train_params tp = train_defaults;
	struct bundle b;

	tp.seed = seed;
	tp.factors = 8;
	assert_true(train_bundle(a, p, p->act[p->n - 1].ts + 1, &tp, NULL, NULL, NULL, NULL, &b));
	snprintf(b.version, sizeof(b.version), "v-test");
	return b;
}

static int open_world(void **state)
{
	(void)state;
	w.a = arena_new("test", SIZE_MAX);
	w.past = make_past(w.a, 7, 80);
	snprintf(w.dir, sizeof(w.dir), "/tmp/test_artefact.XXXXXX");
	return mkdtemp(w.dir) ? 0 : -1;
}

static int close_world(void **state)
{
	(void)state;
	arena_free(w.a);
	return rmdir(w.dir);
}

static const char *file_of(const char *name)
{
	return arena_printf(w.a, "%s/%s", w.dir, name);
}

static void assert_same(const struct sparse *x, const struct sparse *y)
{
	assert_int_equal(x->rows, y->rows);
	assert_memory_equal(x->ptr, y->ptr, (size_t)(x->rows + 1) * sizeof(*x->ptr));
	assert_memory_equal(x->idx, y->idx, (size_t)x->ptr[x->rows] * sizeof(*x->idx));
	assert_memory_equal(x->val, y->val, (size_t)x->ptr[x->rows] * sizeof(*x->val));
}

static void test_round_trip(void **state)
{
	struct bundle b = make_bundle(w.a, &w.past, 1);
	char sum[SHA256_HEX_LEN];
	struct artefact *f = NULL;
	struct err e = { 0 };
	size_t size = 0;

	(void)state;
	assert_true(b.factors.factors == 8 && b.sessions.n_sessions > 0);
	assert_int_equal(artefact_write(w.dir, "m", &b, sum, &size, &e), OK);
	assert_int_equal(artefact_open(file_of("m"), &f, &e), OK);
	assert_string_equal(f->sha256, sum);
	assert_int_equal(f->size, size);
	assert_string_equal(f->b.version, "v-test");
	assert_int_equal(f->b.data_to, b.data_to);
	assert_int_equal(f->b.n_items, 24);
	assert_same(&f->b.liked, &b.liked);
	assert_same(&f->b.together, &b.together);
	assert_same(&f->b.viewed, &b.viewed);
	assert_memory_equal(f->b.factors.item, b.factors.item, 24 * 8 * sizeof(float));
	assert_int_equal(f->b.sessions.n_sessions, b.sessions.n_sessions);
	for (int32_t i = 0; i < 24; i++)
		assert_int_equal(bundle_item(&f->b, bundle_id(&f->b, i)), i);
	assert_int_equal(bundle_item(&f->b, "p"), -1);
	assert_int_equal(bundle_item(&f->b, "zz"), -1);
	artefact_close(f);
	assert_int_equal(unlink(file_of("m")), 0);
}

/* To the bit, whatever the number of threads; another seed is another file. */
static void test_same_seed_same_bits(void **state)
{
	char sum[3][SHA256_HEX_LEN];
	struct err e = { 0 };
	size_t size;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct train_params tp = train_defaults;
		struct bundle b;

		tp.threads = i == 1 ? 1 : 3;
		tp.seed = i == 2 ? 9 : 5;
		tp.factors = 8;
		assert_true(train_bundle(w.a, &w.past, w.past.act[w.past.n - 1].ts + 1, &tp, NULL, NULL, NULL, NULL, &b));
		assert_int_equal(artefact_write(w.dir, "d", &b, sum[i], &size, &e), OK);
	}
	assert_string_equal(sum[0], sum[1]);
	assert_string_not_equal(sum[0], sum[2]);
	assert_int_equal(unlink(file_of("d")), 0);
}

static enum err_code open_bytes(const uint8_t *p, size_t n)
{
	struct artefact *f = NULL;
	struct err e = { 0 };
	enum err_code code;
	int fd = open(file_of("x"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
	code = artefact_open(file_of("x"), &f, &e);
	if (!code)
		artefact_close(f);
	else
		assert_string_equal(e.slug, "reco.artefact_bad");
	return code;
}

/* Cut short anywhere, a flipped bit anywhere: refused. */
static void test_damage_is_seen(void **state)
{
	struct past small = make_past(w.a, 3, 4);
	struct bundle b = make_bundle(w.a, &small, 1);
	char sum[SHA256_HEX_LEN];
	struct err e = { 0 };
	size_t size = 0, step;
	uint8_t *p;
	int fd;

	(void)state;
	assert_int_equal(artefact_write(w.dir, "x", &b, sum, &size, &e), OK);
	p = malloc(size + 1);
	fd = open(file_of("x"), O_RDONLY);
	assert_int_equal(read(fd, p, size), (ssize_t)size);
	close(fd);
	step = size / 500 + 1;
	assert_int_equal(open_bytes(p, size), OK);
	for (size_t n = 0; n < size; n += step)
		assert_int_equal(open_bytes(p, n), E_RULE);
	p[size] = 0;
	assert_int_equal(open_bytes(p, size + 1), E_RULE);
	for (size_t i = 0; i < size; i += i < 700 ? 1 : step) {
		p[i] ^= 0x10;
		assert_int_equal(open_bytes(p, size), E_RULE);
		p[i] ^= 0x10;
	}
	free(p);
	assert_int_equal(unlink(file_of("x")), 0);
	assert_int_equal(artefact_open(file_of("none"), &(struct artefact *){ 0 }, &e), E_UNAVAILABLE);
}

/* A writer cannot make a reader believe what does not fit together: the digest is right, the parts are not. */
static void test_bounds_are_checked(void **state)
{
	static const int32_t outside[] = { -1, 24, INT32_MAX };
	char sum[SHA256_HEX_LEN];
	struct artefact *f = NULL;
	struct err e = { 0 };
	size_t size;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct bundle b = make_bundle(w.a, &w.past, 1);

		b.together.idx[5] = outside[i];
		assert_int_equal(artefact_write(w.dir, "b", &b, sum, &size, &e), OK);
		assert_int_equal(artefact_open(file_of("b"), &f, &e), E_RULE);
	}
	struct bundle b = make_bundle(w.a, &w.past, 1);

	b.liked.ptr[3] = b.liked.ptr[4] + 1;
	assert_int_equal(artefact_write(w.dir, "b", &b, sum, &size, &e), OK);
	assert_int_equal(artefact_open(file_of("b"), &f, &e), E_RULE);
	b = make_bundle(w.a, &w.past, 1);
	b.sessions.by_item.idx[0] = b.sessions.n_sessions;
	assert_int_equal(artefact_write(w.dir, "b", &b, sum, &size, &e), OK);
	assert_int_equal(artefact_open(file_of("b"), &f, &e), E_RULE);
	b = make_bundle(w.a, &w.past, 1);
	b.liked.val[0] = 0.0F / 0.0F;
	assert_int_equal(artefact_write(w.dir, "b", &b, sum, &size, &e), OK);
	assert_int_equal(artefact_open(file_of("b"), &f, &e), E_RULE);
	assert_int_equal(unlink(file_of("b")), 0);
}

/* Nothing at or past the instant is seen, and what came back does not count as bought. */
static void test_cut_and_returns(void **state)
{
	struct past_builder *pb = past_begin();
	struct train_params tp = train_defaults;
	struct past p;
	struct bundle b;
	int32_t x, y, z;

	(void)state;
	for (int u = 0; u < 10; u++) {
		char person[8], order[8];

		snprintf(person, sizeof(person), "u%d", u);
		snprintf(order, sizeof(order), "o%d", u);
		past_add(pb, &(struct reco_event){ .ts = u * DAY, .kind = RECO_PURCHASE, .subject = person, .product_id = "x", .order_id = order });
		past_add(pb, &(struct reco_event){ .ts = u * DAY, .kind = RECO_PURCHASE, .subject = person, .product_id = "y", .order_id = order });
		past_add(pb, &(struct reco_event){ .ts = u * DAY, .kind = RECO_PURCHASE, .subject = person, .product_id = "z", .order_id = order });
		past_add(pb, &(struct reco_event){ .ts = u * DAY + 1, .kind = RECO_RETURN, .subject = person, .product_id = "z", .order_id = order });
	}
	past_add(pb, &(struct reco_event){ .ts = 10 * DAY, .kind = RECO_PURCHASE, .subject = "u1", .product_id = "late", .order_id = "o99" });
	past_end(pb, w.a, &p);
	assert_true(train_bundle(w.a, &p, 10 * DAY, &tp, NULL, NULL, NULL, NULL, &b));
	x = bundle_item(&b, "x"), y = bundle_item(&b, "y"), z = bundle_item(&b, "z");
	assert_int_equal(sparse_len(&b.together, x), 1);
	assert_int_equal(b.together.idx[b.together.ptr[x]], y);
	assert_int_equal(sparse_len(&b.together, z), 0);
	assert_true(b.popular[bundle_item(&b, "late")] < 1e-6F);
	assert_true(b.popular[x] > 1);
}

static void test_stop(void **state)
{
	const atomic_bool stop = true;
	struct bundle b;

	(void)state;
	assert_false(train_bundle(w.a, &w.past, INT64_MAX / 2, &train_defaults, NULL, &stop, NULL, NULL, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	cmocka_unit_test(test_same_seed_same_bits),
		cmocka_unit_test(test_damage_is_seen),	cmocka_unit_test(test_bounds_are_checked),
		cmocka_unit_test(test_cut_and_returns), cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
