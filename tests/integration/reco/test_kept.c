/* Answers kept in Redis: used, dropped by a deployment and by an event, never a reason to show what is sold out. */
#include "tests/integration/reco/world.h"

#include <unistd.h>

#include "services/reco/kept.h"
#include "services/reco/train.h"

#define DAY 86400000LL

static char models[] = "/tmp/test_reco_kept.XXXXXX";
static char tag[24]; /* keys of this run alone */

static const char *item(int n)
{
	return arena_printf(w.a, "prd_k%02d", n);
}

/* Twelve products that sell together. */
static void deploy(const char *version)
{
	struct past_builder *b = past_begin();
	struct train_params tp = train_defaults;
	struct bundle bundle;
	struct past past;
	char sum[SHA256_HEX_LEN];
	size_t size = 0;

	for (int u = 0; u < 30; u++)
		for (int k = 0; k < 4; k++)
			past_add(b, &(struct reco_event){ .ts = u * DAY / 4 + k, .kind = RECO_PURCHASE, .subject = arena_printf(w.a, "u%d", u),
							  .product_id = item((u + k * k) % 12),
							  .order_id = arena_printf(w.a, "o%d", u) });
	past_end(b, w.a, &past);
	tp.factors = 4;
	assert_true(train_bundle(w.a, &past, 10 * DAY, &tp, NULL, NULL, NULL, NULL, &bundle));
	snprintf(bundle.version, sizeof(bundle.version), "%s", version);
	MUST(artefact_write(models, version, &bundle, sum, &size, &why_));
	pg_fixture_sql(w.fx,
		       "INSERT INTO reco.model (id, kind, version, state, sha256, path) VALUES ('mdl_%s', 'bundle', '%s', 'deployed', '%s', '%s')",
		       version, version, sum, version);
	pg_fixture_sql(w.fx,
		       "INSERT INTO reco.deployment (variant, model_id, who) VALUES ('main', 'mdl_%s', 'test')"
		       " ON CONFLICT (variant) DO UPDATE SET model_id = excluded.model_id",
		       version);
	MUST(job_models(&w.svc, w.a, &why_));
}

static const char *version(int n)
{
	return arena_printf(w.a, "%s-%d", tag, n);
}

static int open_shop(void **state)
{
	char rnd[44], key[KEPT_KEY_LEN];
	const char *keys[] = { key };
	struct err e = { 0 };

	if (open_world(state) || !mkdtemp(models))
		return -1;
	random_token(rnd);
	snprintf(tag, sizeof(tag), "%.16s", rnd);
	w.conf.model_dir = models;
	w.conf.cache_s = 60;
	if (cache_open(getenv("TEST_REDIS_URL"), 2, 2000, &w.svc.cache, &e))
		return -1;
	kept_key(&(struct kept_on){ .version = "all", .type = "popular" }, key);
	(void)!cache_del(w.svc.cache, keys, 1, &e);
	for (int n = 0; n < 12; n++) {
		product(item(n), n % 2 ? "vnd_1" : "vnd_2", "published", arena_printf(w.a, "var_k%d", n));
		stock(arena_printf(w.a, "var_k%d", n), "in");
	}
	deploy(version(1));
	return 0;
}

static int close_shop(void **state)
{
	for (int n = 1; n < 3; n++)
		(void)!unlink(arena_printf(w.a, "%s/%s", models, version(n)));
	(void)!rmdir(models);
	cache_close(w.svc.cache);
	return close_world(state);
}

static Reco__V1__RecommendReply *ask(const char *type, const char *product_id, const char *session, int limit)
{
	Reco__V1__RecommendRequest in = RECO__V1__RECOMMEND_REQUEST__INIT;
	const struct principal nobody = who_nobody;
	Reco__V1__RecommendReply *out = NULL;

	in.type = (char *)type;
	in.product_id = (char *)product_id;
	in.session_id = (char *)session;
	in.has_limit = true;
	in.limit = limit;
	MUST(handlers_ask(&w.h, w.a, "Recommend", &nobody, &in, &out, &why_));
	return out;
}

/* What is kept for a question; false: nothing. */
static bool kept(const char *model, const char *type, const char *product_id, struct candidates *c)
{
	char key[KEPT_KEY_LEN];

	kept_key(&(struct kept_on){ .version = model, .type = type, .product_id = product_id }, key);
	*c = (struct candidates){ .list = arena_array(w.a, 300, sizeof(*c->list)), .room = 300 };
	return kept_get(&w.svc, w.a, key, c);
}

static void keep(const char *key, const char *first, const char *second)
{
	struct candidate list[] = { { first, "similar", NULL, 77 }, { second, "similar", NULL, 76 } };

	kept_put(&w.svc, key, &(struct candidates){ .list = list, .n = 2, .room = 2, .own = 2 }, 60);
}

static void test_used_and_dropped_by_deployment(void **state)
{
	struct candidates c;
	char key[KEPT_KEY_LEN];
	Reco__V1__RecommendReply *r;

	(void)state;
	assert_false(kept(version(1), "related", item(1), &c));
	r = ask("related", item(1), NULL, 3);
	assert_string_equal(r->model_version, version(1));
	assert_false(r->fallback);
	assert_true(kept(version(1), "related", item(1), &c));
	assert_true(c.n >= 3 && c.own >= 3);
	/* Something else lies there: it is what is answered, until another model is deployed. */
	kept_key(&(struct kept_on){ .version = version(1), .type = "related", .product_id = item(1) }, key);
	keep(key, "prd_a", "prd_b");
	r = ask("related", item(1), NULL, 1);
	assert_string_equal(r->data[0]->product_id, "prd_a");
	assert_true(r->data[0]->score == 77);
	/* Sold out meanwhile: the next one; both gone: made anew. */
	stock("var_a", "out");
	assert_string_equal(ask("related", item(1), NULL, 1)->data[0]->product_id, "prd_b");
	stock("var_b", "out");
	r = ask("related", item(1), NULL, 1);
	assert_int_equal(r->n_data, 1);
	assert_true(r->data[0]->score != 77);
	assert_true(kept(version(1), "related", item(1), &c));
	assert_string_not_equal(c.list[0].id, "prd_a");
	stock("var_a", "in");
	stock("var_b", "in");
	keep(key, "prd_a", "prd_b");
	assert_string_equal(ask("related", item(1), NULL, 1)->data[0]->product_id, "prd_a");
	deploy(version(2));
	r = ask("related", item(1), NULL, 1);
	assert_string_equal(r->model_version, version(2));
	assert_true(r->data[0]->score != 77);
}

/* Who asks for what does not exist fills no memory. */
static void test_fallbacks_are_kept_once(void **state)
{
	struct candidates c;

	(void)state;
	assert_true(ask("related", "prd_unknown", NULL, 3)->fallback);
	assert_false(kept(version(2), "related", "prd_unknown", &c));
	assert_true(kept("all", "popular", NULL, &c));
	assert_true(c.n > 0);
	/* A product that is there and of which the model says nothing: the next visitor asks the same. */
	assert_true(ask("related", "prd_a", NULL, 3)->fallback);
	assert_true(kept(version(2), "related", "prd_a", &c));
	assert_true(c.n > 0 && c.own == 0);
}

static void test_event_drops_a_persons_list(void **state)
{
	const struct principal nobody = who_nobody;
	struct kept_on on = { .version = version(2), .type = "personal" };
	Reco__V1__RecommendReply *r;
	char key[KEPT_KEY_LEN];

	(void)state;
	(void)view(&nobody, "s-kept", "k1", item(2));
	on.past = history(NULL, "s-kept", &on.n_past);
	kept_key(&on, key);
	keep(key, "prd_a", "prd_b");
	assert_string_equal(ask("personal", NULL, "s-kept", 2)->data[0]->product_id, "prd_a");
	assert_string_not_equal(ask("personal", NULL, "s-other", 2)->data[0]->product_id, "prd_a");
	(void)view(&nobody, "s-kept", "k2", item(5));
	r = ask("personal", NULL, "s-kept", 2);
	assert_true(r->data[0]->score != 77);
	for (size_t i = 0; i < r->n_data; i++)
		assert_string_not_equal(r->data[i]->product_id, item(5));
}

/* An answer does not need Redis. */
static void test_redis_away(void **state)
{
	struct cache *there = w.svc.cache;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(cache_open("", 1, 100, &w.svc.cache, &e), OK);
	assert_true(ask("related", item(3), NULL, 3)->n_data == 3);
	assert_true(ask("trending", NULL, NULL, 3)->n_data == 3);
	cache_close(w.svc.cache);
	w.svc.cache = there;
}

/* Between an answer and its line in the report somebody may be erased, or withhold his consent. */
static void test_nobody_is_named_after_he_left(void **state)
{
	static const char *const users[] = { "usr_stays", "usr_goes", "usr_hides" };
	Events__V1__UserErased erased = EVENTS__V1__USER_ERASED__INIT;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct principal who = who_user(users[i]);
		Reco__V1__RecommendRequest in = RECO__V1__RECOMMEND_REQUEST__INIT;

		in.type = (char *)"trending";
		in.placement = (char *)"leaving";
		MUST(handlers_ask(&w.h, w.a, "Recommend", &who, &in, NULL, &why_));
	}
	erased.user_id = (char *)users[1];
	tell("user.erased", &erased.base);
	consent(users[2], false);
	MUST(job_answers(&w.svc, w.a, &why_));
	assert_int_equal(COUNT("reco.answer WHERE placement = 'leaving'"), 3);
	assert_int_equal(COUNT("reco.answer WHERE placement = 'leaving' AND subject = 'usr_stays'"), 1);
	assert_int_equal(COUNT("reco.answer WHERE placement = 'leaving' AND subject IS NOT NULL"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_used_and_dropped_by_deployment),
		cmocka_unit_test(test_fallbacks_are_kept_once),
		cmocka_unit_test(test_event_drops_a_persons_list),
		cmocka_unit_test(test_redis_away),
		cmocka_unit_test(test_nobody_is_named_after_he_left),
	};

	return cmocka_run_group_tests(tests, open_shop, close_shop);
}
