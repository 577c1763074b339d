/* Models, a model and the status as soukctl prints them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "deploy/soukctl/soukctl.h"

#define METRICS                                                                                                    \
	"\"metrics\":{\"people\":812,\"ndcg_at_20\":0.231,\"over_popular\":{\"mean\":0.04,\"low\":0.03,\"high\":0.05},"    \
	"\"over_deployed\":{\"mean\":-0.001,\"low\":-0.01,\"high\":0.008}}"
static const char list[] = "{\"data\":[{\"id\":\"mdl_1\",\"state\":\"deployed\",\"share_percent\":100,\"data_rows\":1234,"
			   "\"trained_at\":\"2026-01-15T10:30:00.000Z\"," METRICS "},{\"id\":\"mdl_0\",\"state\":\"retired\"}]}";
static const char model[] =
	"{\"id\":\"mdl_1\",\"state\":\"rejected\",\"version\":\"b1\",\"params\":{\"ridge\":10}," METRICS ","
	"\"gate\":{\"passed\":false,\"checks\":[{\"check\":\"dated\",\"passed\":true,\"value\":1},"
	"{\"check\":\"better than popular\",\"passed\":false,\"value\":-0.01}]},\"history\":[{\"from\":\"evaluated\","
	"\"to\":\"rejected\",\"by\":\"gate\",\"why\":\"better than popular\",\"changed_at\":\"2026-01-15T10:31:00.000Z\"}]}";
static const char status[] =
	"{\"events\":5,\"products\":2,\"catalogue_filled\":true,\"deployments\":[{\"variant\":\"main\",\"model_id\":\"mdl_1\","
	"\"version\":\"b1\",\"share_percent\":100,\"by\":\"usr_1\",\"previous_id\":\"mdl_0\"},{\"variant\":\"canary\","
	"\"model_id\":\"mdl_2\",\"version\":\"b2\",\"share_percent\":10,\"by\":\"gate\",\"looked_at\":\"2026-01-15T10:31:00.000Z\","
	"\"judged_at\":\"2026-01-15T16:31:00.000Z\",\"shown\":150,\"clicked\":12,\"main_shown\":1400,\"main_clicked\":110}],"
	"\"training\":{\"id\":\"trn_1\",\"state\":\"failed\",\"step\":\"taste\",\"percent\":42,\"message\":\"no memory\"}}";

static struct buf out;

static int fresh(void **state)
{
	(void)state;
	buf_init(&out, 65536);
	return 0;
}

static int gone(void **state)
{
	(void)state;
	buf_free(&out);
	return 0;
}

static void has(const char *text)
{
	if (!strstr(buf_cstr(&out), text))
		fail_msg("\"%s\" is not in:\n%s", text, buf_cstr(&out));
}

static void test_models(void **state)
{
	(void)state;
	assert_true(reco_models_text(list, &out));
	has("mdl_1                            deployed    100 % 2026-01-15 10:30       1234  0.2310  +0.0300 to +0.0500\n");
	has("mdl_0                            retired         - -               "); /* nothing is known of it */
	buf_reset(&out);
	assert_true(reco_models_text("{}", &out));
	assert_string_equal(out.data, "there are no models\n");
}

static void test_model(void **state)
{
	(void)state;
	assert_true(reco_model_text(model, &out));
	has("mdl_1 is rejected, version b1\n");
	has("{\"ridge\":10}\n");
	has("NDCG@20 0.2310, over popular +0.0400 (+0.0300 to +0.0500), over deployed -0.0010 (-0.0100 to +0.0080), 812 people asked\n");
	has("  ok   dated ");
	has("  NO   better than popular      -0.01\n");
	has("  2026-01-15 10:31  rejected   by gate: better than popular\n");
}

static void test_status(void **state)
{
	(void)state;
	assert_true(reco_status_text(status, &out));
	has("main    mdl_1 version b1, 100 % of the visitors, since - by usr_1\n        a rollback goes back to mdl_0\n");
	has("canary  mdl_2 version b2, 10 % of the visitors");
	has("        12 of 150 visitors clicked, of the others 110 of 1400 (looked at 2026-01-15 10:31)\n");
	has("        becomes the main model or is withdrawn at 2026-01-15 16:31\n");
	has("training trn_1 is failed: no memory\n");
	buf_reset(&out);
	assert_true(reco_status_text("{\"catalogue_filled\":false}", &out));
	has("being filled");
	has("no model is deployed");
	buf_reset(&out);
	assert_true(reco_status_text("{\"training\":{\"id\":\"trn_2\",\"state\":\"running\",\"step\":\"taste\",\"percent\":42}}", &out));
	has("training trn_2 is running, taste 42 %\n");
}

static void test_nonsense(void **state)
{
	static const char *const bad[] = { "", "[]", "{\"data\": 1}", "{\"id\": 3}", "x" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(reco_model_text(bad[i], &out));
		assert_int_equal(out.len, 0);
	}
	assert_false(reco_models_text("{\"data\": {}}", &out));
	assert_false(reco_status_text("[]", &out));
	assert_true(reco_models_text("{\"data\": [1, null, {\"metrics\": 3, \"trained_at\": 4}]}", &out));
	assert_true(reco_status_text("{\"deployments\": [1], \"training\": []}", &out));
	assert_true(reco_model_text("{\"id\": \"m\", \"gate\": [], \"history\": [7], \"trained_at\": \"x\"}", &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_models, fresh, gone),
		cmocka_unit_test_setup_teardown(test_model, fresh, gone),
		cmocka_unit_test_setup_teardown(test_status, fresh, gone),
		cmocka_unit_test_setup_teardown(test_nonsense, fresh, gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
