/* A shop of two circles of taste, with a history, and how it is asked and operated. For the test programs of this folder. */
#ifndef SOUK_TEST_RECO_SHOP_H
#define SOUK_TEST_RECO_SHOP_H

#include "tests/integration/reco/world.h"

#include <unistd.h>

#include "common/log.h"
#include "services/reco/job_train.h"
#include "services/reco/metric.h"

static char models[] = "/tmp/test_reco_serve.XXXXXX";

/* Two circles of twenty products each; whoever buys in one buys only there. */
UNUSED static const char *item(int circle, int n)
{
	return arena_printf(w.a, "prd_%c%d", circle ? 'y' : 'x', n);
}

UNUSED static int open_shop(void **state)
{
	int64_t now = wall_ms();
	uint64_t seed = 4;

	log_init("test", LVL_ERROR);
	if (open_world(state) || !mkdtemp(models))
		return -1;
	w.conf.model_dir = models;
	for (int circle = 0; circle < 2; circle++)
		for (int n = 0; n < 20; n++) {
			const char *variant = arena_printf(w.a, "var_%d_%d", circle, n);

			product(item(circle, n), n % 2 ? "vnd_1" : "vnd_2", "published", variant);
			stock(variant, "in");
		}
	for (int day = 40; day > 0; day--)
		for (int k = 0; k < 16; k++) {
			int user = (int)(metric_random(&seed) % 160), circle = user % 2;
			const char *lines[] = { item(circle, (int)(metric_random(&seed) % 20)),
						item(circle, (int)(metric_random(&seed) % 20)) };

			order_at(arena_printf(w.a, "ord_%d_%d", day, k), arena_printf(w.a, "usr_%d", user), lines,
				 strcmp(lines[0], lines[1]) ? 2 : 1, now - day * DAY + k * 60000);
		}
	return 0;
}

UNUSED static int close_shop(void **state)
{
	char path[400];

	for (int64_t i = pg_fixture_i64(w.fx, "SELECT count(*) FROM reco.model"); i-- > 0;) {
		snprintf(path, sizeof(path), "%s/%s", models, pg_fixture_text(w.fx, "SELECT path FROM reco.model OFFSET %d LIMIT 1", (int)i));
		unlink(path);
	}
	rmdir(models);
	return close_world(state);
}

/* ---- asking ---- */

UNUSED static Reco__V1__RecommendReply *ask_with(const struct principal *who, Reco__V1__RecommendRequest in, const char *type)
{
	Reco__V1__RecommendReply *out = NULL;

	in.type = (char *)type;
	MUST(handlers_ask(&w.h, w.a, "Recommend", who, &in, &out, &why_));
	assert_non_null(out->request_id);
	assert_non_null(out->model_version);
	return out;
}

UNUSED static Reco__V1__RecommendReply *ask(const struct principal *who, const char *type, const char *product, const char *session)
{
	Reco__V1__RecommendRequest in = RECO__V1__RECOMMEND_REQUEST__INIT;

	in.product_id = (char *)product;
	in.session_id = (char *)session;
	in.has_limit = true;
	in.limit = 50;
	return ask_with(who, in, type);
}

UNUSED static bool has(const Reco__V1__RecommendReply *r, const char *product)
{
	for (size_t i = 0; i < r->n_data; i++)
		if (strcmp(r->data[i]->product_id, product) == 0)
			return true;
	return false;
}

UNUSED static int of_circle(const Reco__V1__RecommendReply *r, char circle, size_t first)
{
	int n = 0;

	for (size_t i = 0; i < r->n_data && i < first; i++)
		n += r->data[i]->product_id[4] == circle;
	return n;
}

UNUSED static void tick(void)
{
	struct arena *a = arena_new("tick", 1 << 24);

	MUST(job_models(&w.svc, a, &why_));
	MUST(job_answers(&w.svc, a, &why_));
	arena_free(a);
}

UNUSED static Reco__V1__Model *decide(const char *method, const char *id, enum err_code wanted, const char *slug)
{
	const struct principal admin = who_admin(admin_perm);
	Reco__V1__DecideModelRequest in = RECO__V1__DECIDE_MODEL_REQUEST__INIT;
	Reco__V1__DeployModelRequest deploy = RECO__V1__DEPLOY_MODEL_REQUEST__INIT;
	Reco__V1__RollbackModelRequest back = RECO__V1__ROLLBACK_MODEL_REQUEST__INIT;
	const void *m = strcmp(method, "DeployModel") == 0 ? (const void *)&deploy : strcmp(method, "RollbackModel") == 0 ? (const void *)&back : &in;
	Reco__V1__Model *out = NULL;
	struct err e = { 0 };

	in.model_id = deploy.model_id = (char *)id;
	assert_int_equal(handlers_ask(&w.h, w.a, method, &admin, m, &out, &e), wanted);
	if (slug)
		assert_string_equal(e.slug, slug);
	return out;
}

UNUSED static const char *train(void)
{
	const struct principal admin = who_admin(admin_perm);
	Reco__V1__StartTrainingRequest in = RECO__V1__START_TRAINING_REQUEST__INIT;
	Reco__V1__Training *t = NULL;
	bool done = false;

	MUST(handlers_ask(&w.h, w.a, "StartTraining", &admin, &in, &t, &why_));
	assert_int_equal(handlers_ask(&w.h, w.a, "StartTraining", &admin, &in, NULL, NULL), E_CONFLICT);
	MUST(train_run(&w.svc, NULL, &done, &why_));
	assert_true(done);
	MUST(train_run(&w.svc, NULL, &done, &why_));
	assert_false(done);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT state || ' ' || percent FROM reco.training WHERE id = '%s'", t->id), "done 100");
	return pg_fixture_text(w.fx, "SELECT model_id FROM reco.training WHERE id = '%s'", t->id);
}

#define STATE(id) pg_fixture_text(w.fx, "SELECT state FROM reco.model WHERE id = '%s'", id)

#endif
