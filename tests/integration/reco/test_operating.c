/* Operating models: trainings that are stopped, lost or cancelled; a canary that is tried, judged, withdrawn; files removed. */
#include "tests/integration/reco/shop.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "services/reco/canary.h"
#include "services/reco/files.h"
#include "services/reco/reco_db_model.h"
#include "services/reco/reco_db_serve.h"

static char main_model[64];

#define TRAINING(id, column) pg_fixture_text(w.fx, "SELECT " column "::text FROM reco.training WHERE id = '%s'", id)
#define MAIN() pg_fixture_text(w.fx, "SELECT model_id FROM reco.deployment WHERE variant = 'main'")
#define VERSION(variant_)                                                                                          \
	pg_fixture_text(w.fx, "SELECT m.version FROM reco.deployment d JOIN reco.model m ON m.id = d.model_id"          \
			      " WHERE d.variant = '%s'", variant_)
#define CANARIES() COUNT("reco.deployment WHERE variant = 'canary'")

static const char *queue(const char *params, enum err_code wanted)
{
	const struct principal admin = who_admin(admin_perm);
	Reco__V1__StartTrainingRequest in = RECO__V1__START_TRAINING_REQUEST__INIT;
	Common__V1__Json json = COMMON__V1__JSON__INIT;
	Reco__V1__Training *t = NULL;
	struct err e = { 0 };

	json.text = (char *)params;
	in.params = params ? &json : NULL;
	assert_int_equal(handlers_ask(&w.h, w.a, "StartTraining", &admin, &in, &t, &e), wanted);
	if (wanted == E_INVALID)
		assert_string_equal(e.details[0].field, "params");
	return t ? t->id : NULL;
}

static void run(atomic_bool *told)
{
	bool done = false;

	MUST(train_run(&w.svc, told, &done, &why_));
	assert_true(done);
}

/* ---- trainings ---- */

/* Told to stop it waits again with the same data; the next job carries it out. */
static void test_stopped_and_taken_up(void **state)
{
	atomic_bool told = true;
	const char *id, *as_of;

	(void)state;
	queue("{\"neigbours\": 100}", E_INVALID);
	queue("{\"ridge\": -1}", E_INVALID);
	w.conf.train_events = 1000;
	id = queue("{\"ridge\": 12}", OK);
	run(&told);
	assert_string_equal(TRAINING(id, "state"), "queued");
	as_of = TRAINING(id, "as_of");
	assert_int_equal(COUNT("reco.model"), 0);
	run(NULL);
	assert_string_equal(TRAINING(id, "state"), "done");
	assert_string_equal(TRAINING(id, "as_of"), as_of);
	assert_string_equal(TRAINING(id, "attempt"), "2");
	snprintf(main_model, sizeof(main_model), "%s", TRAINING(id, "model_id"));
	assert_string_equal(pg_fixture_text(w.fx, "SELECT params ->> 'ridge' FROM reco.model WHERE id = '%s'", main_model), "12");
	assert_in_range(COUNT("reco.event WHERE kind = 5"), 1100, 1500);
	assert_in_range(pg_fixture_i64(w.fx, "SELECT data_rows FROM reco.model"), 999, 1001); /* an order's lines are of one time */
	w.conf.train_events = 5000000;
	(void)decide("ApproveModel", main_model, OK, NULL);
	(void)decide("DeployModel", main_model, OK, NULL);
}

static void test_cancelled(void **state)
{
	const char *id = queue(NULL, OK);

	(void)state;
	pg_fixture_sql(w.fx, "UPDATE reco.training SET cancel = true WHERE id = '%s'", id); /* as when it runs already */
	run(NULL);
	assert_string_equal(TRAINING(id, "state"), "cancelled");
	assert_int_equal(COUNT("reco.model"), 1);
}

/* Where trainings are another container's, one that waits is left to it. */
static void test_outside(void **state)
{
	const char *id = queue(NULL, OK);
	struct arena *a = arena_new("tick", 1 << 24);

	(void)state;
	w.conf.train_outside = true;
	MUST(job_train(&w.svc, a, &why_));
	assert_int_equal(w.svc.trainer, 0);
	assert_string_equal(TRAINING(id, "state"), "queued");
	w.conf.train_outside = false;
	pg_fixture_sql(w.fx, "UPDATE reco.training SET state = 'cancelled' WHERE id = '%s'", id);
	arena_free(a);
}

static enum err_code end_tx(struct pg *pg, void *arg, struct err *e)
{
	return reco_db_training_end(pg, arg, "done", "mdl_x", NULL, e);
}

/* A job that was given up for lost writes nothing when it comes back; the third loss is a failure. */
static void test_lost(void **state)
{
	const struct pg_actor who = { "test", "" };
	const char *id = queue(NULL, OK);
	struct training_row stale = { .id = id, .attempt = 1 };
	struct arena *a = arena_new("tick", 1 << 24);
	struct err e = { 0 };

	(void)state;
	pg_fixture_sql(w.fx, "UPDATE reco.training SET state = 'running', attempt = 2, lost = 2, beat_at = now() WHERE id = '%s'", id);
	assert_int_equal(pg_tx(w.svc.pool, mono_ms() + 10000, &who, end_tx, &stale, &e), E_CONFLICT);
	assert_string_equal(TRAINING(id, "state"), "running");
	MUST(job_train(&w.svc, a, &why_));
	assert_string_equal(TRAINING(id, "state"), "running");
	pg_fixture_sql(w.fx, "UPDATE reco.training SET beat_at = now() - interval '3 minutes' WHERE id = '%s'", id);
	MUST(job_train(&w.svc, a, &why_));
	assert_string_equal(TRAINING(id, "state"), "failed");
	arena_free(a);
}

/* ---- the canary ---- */

/* A day later; a busy machine may need several tries. */
static void look(void)
{
	struct arena *a = arena_new("look", 1 << 24);
	int64_t until = mono_ms() + 60000;
	enum err_code code;

	pg_fixture_sql(w.fx, "UPDATE reco.canary_look SET looked_at = looked_at - interval '1 day'");
	pg_fixture_sql(w.fx, "UPDATE reco.deployment SET since = since - interval '1 day', until = until - interval '1 day'");
	do {
		struct err e = { 0 };

		code = job_canary(&w.svc, a, &e);
		arena_reset(a);
	} while (code == E_UNAVAILABLE && mono_ms() < until);
	assert_int_equal(code, OK);
	arena_free(a);
}

/* Visitors who were shown something of a variant, the first of them clicking; each many times, which counts once. */
static void visitors(const char *variant, int shown, int clicked)
{
	const char *version = VERSION(variant);
	static int batch;

	batch++;
	pg_fixture_sql(w.fx, "INSERT INTO reco.answer (request_id, type, placement, variant, model_version, subject, items)"
			     " SELECT 'rec-%d-' || v || '-' || n, 'related', 'p', '%s', '%s', 's-%d-' || v, '{prd_a}'"
			     " FROM generate_series(1, %d) v, generate_series(1, 3) n", batch, variant, version, batch, shown);
	pg_fixture_sql(w.fx, "INSERT INTO reco.event (ts, key, epoch, kind, source, session_id, product_id, request_id)"
			     " SELECT now(), gen_random_uuid(), 1, k, 1, 's-%d-' || v, 'prd_a', 'rec-%d-' || v || '-' || n"
			     " FROM generate_series(1, %d) v, generate_series(1, 3) n, generate_series(2, 3) k"
			     " WHERE k = 3 OR v <= %d", batch, batch, shown, clicked);
}

static const char *train_routine(void)
{
	const char *id = queue(NULL, OK);

	run(NULL);
	return TRAINING(id, "model_id");
}

/* Other parameters are compared with the deployed ones on the same data, and wait for a person. */
static void test_other_parameters(void **state)
{
	const char *id = queue("{\"ridge\": 30}", OK), *model;

	(void)state;
	run(NULL);
	model = TRAINING(id, "model_id");
	assert_string_equal(STATE(model), "evaluated");
	assert_string_equal(pg_fixture_text(w.fx, "SELECT (gate -> 'checks')::text LIKE '%%not worse than deployed%%' AND"
						  " (metrics ->> 'deployed_ndcg_at_20')::float8 > 0.1 FROM reco.model WHERE id = '%s'", model), "t");
	assert_string_equal(decide("RejectModel", model, OK, NULL)->state, "rejected");
}

/* A routine retrain goes to some, the next one waits; as good as the old one, it takes over; going back works once. */
static void test_canary_takes_over(void **state)
{
	const struct principal admin = who_admin(admin_perm);
	Reco__V1__StatusRequest in = RECO__V1__STATUS_REQUEST__INIT;
	Reco__V1__Status *status = NULL;
	const char *second, *third;

	(void)state;
	w.conf.canary_percent = 20;
	w.conf.canary_h = 48;
	second = train_routine();
	assert_string_equal(STATE(second), "deployed");
	assert_string_equal(MAIN(), main_model);
	assert_int_equal(CANARIES(), 1);
	third = train_routine();
	assert_string_equal(STATE(third), "approved");
	tick();
	visitors("main", 400, 40);
	visitors("canary", 150, 15);
	look();
	MUST(handlers_ask(&w.h, w.a, "GetStatus", &admin, &in, &status, &why_));
	assert_int_equal(status->n_deployments, 2);
	assert_string_equal(status->deployments[1]->model_id, second);
	assert_int_equal(status->deployments[1]->share_percent, 20);
	assert_int_equal(status->deployments[1]->shown, 150);
	assert_int_equal(status->deployments[1]->clicked, 15);
	assert_int_equal(status->deployments[1]->main_shown, 400);
	assert_true(status->deployments[1]->judged_at > wall_ms());
	assert_string_equal(status->training->state, "done");
	look();
	assert_string_equal(MAIN(), second);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT from_state || ' ' || who || ': ' || why FROM reco.model_history"
						  " WHERE model_id = '%s' ORDER BY id DESC LIMIT 1", second),
			    "deployed canary: 15 of 150 visitors clicked, of the others 40 of 400");
	assert_int_equal(CANARIES(), 0);
	assert_string_equal(STATE(main_model), "retired");
	assert_string_equal(decide("RollbackModel", NULL, OK, NULL)->id, main_model);
	assert_string_equal(STATE(second), "retired");
	(void)decide("RollbackModel", NULL, E_CONFLICT, "reco.nothing_before");
	assert_string_equal(MAIN(), main_model);
	assert_string_equal(decide("DeployModel", third, OK, NULL)->state, "deployed");
	snprintf(main_model, sizeof(main_model), "%s", third);
}

/* Whose visitors click much less is withdrawn before its time; whose file is gone, too. */
static void test_canary_withdrawn(void **state)
{
	const char *bad;

	(void)state;
	bad = train_routine();
	assert_int_equal(CANARIES(), 1);
	tick();
	visitors("main", 400, 60);
	visitors("canary", 150, 1);
	look();
	assert_int_equal(CANARIES(), 0);
	assert_string_equal(STATE(bad), "retired");
	assert_string_equal(MAIN(), main_model);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT who || ': ' || why FROM reco.model_history WHERE model_id = '%s'"
						  " AND to_state = 'retired'", bad),
			    "canary: 1 of 150 visitors clicked, of the others 60 of 400");
	bad = train_routine();
	assert_int_equal(CANARIES(), 1);
	assert_int_equal(unlink(arena_printf(w.a, "%s/%s", models, pg_fixture_text(w.fx, "SELECT path FROM reco.model WHERE id = '%s'", bad))), 0);
	look();
	assert_int_equal(CANARIES(), 0);
	assert_string_equal(STATE(bad), "retired");
}

/* Of very many answers the same part of the visitors of both is read, and the shares stay what they are. */
static void test_canary_of_many(void **state)
{
	struct canary_counts all, part;
	struct pg *pg = NULL;
	int64_t since;

	(void)state;
	(void)train_routine();
	assert_int_equal(CANARIES(), 1);
	tick();
	since = wall_ms();
	visitors("main", 6000, 1200);
	visitors("canary", 3000, 300);
	MUST(pg_borrow(w.svc.pool, mono_ms() + 10000, &pg, &why_));
	MUST(reco_db_canary_counts(pg, w.a, since, VERSION("main"), VERSION("canary"), 100000, &all, &why_));
	MUST(reco_db_canary_counts(pg, w.a, since, VERSION("main"), VERSION("canary"), 5000, &part, &why_));
	pg_return(pg);
	assert_int_equal(all.shown, 3000);
	assert_int_equal(all.clicked, 300);
	assert_int_equal(all.main_shown, 6000);
	assert_int_equal(all.main_clicked, 1200);
	/* 9000 visitors of three answers each; how many there are is guessed from about seventy of them. */
	assert_in_range(part.main_shown, 400, 3000);
	assert_in_range(part.shown, 200, 1500);
	assert_in_range(part.main_clicked * 100 / part.main_shown, 14, 26);
	assert_in_range(part.clicked * 100 / part.shown, 5, 15);
	(void)decide("RollbackModel", NULL, OK, NULL);
	tick();
}

/* What cannot be counted when its time is over is believed to be as good as the gate said: nothing waits for ever. */
static void test_canary_not_counted(void **state)
{
	const char *id = train_routine();
	struct arena *a = arena_new("look", 1 << 24);
	struct err e = { 0 };

	(void)state;
	assert_int_equal(CANARIES(), 1);
	pg_fixture_sql(w.fx, "ALTER TABLE reco.answer RENAME TO answer_away");
	assert_int_not_equal(job_canary(&w.svc, a, &e), OK);
	assert_int_equal(CANARIES(), 1);
	pg_fixture_sql(w.fx, "UPDATE reco.deployment SET until = now() - interval '1 minute' WHERE variant = 'canary'");
	MUST(job_canary(&w.svc, a, &why_));
	pg_fixture_sql(w.fx, "ALTER TABLE reco.answer_away RENAME TO answer");
	assert_int_equal(CANARIES(), 0);
	assert_string_equal(MAIN(), id);
	snprintf(main_model, sizeof(main_model), "%s", id);
	arena_free(a);
}

/* ---- files ---- */

static const char *file_of(const char *name)
{
	return arena_printf(w.a, "%s/%s", models, name);
}

static void put_file(const char *name, int64_t age_days)
{
	const struct timespec t = { .tv_sec = (time_t)(wall_ms() / 1000 - age_days * 86400) }, both[2] = { t, t };
	int fd = open(file_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, both), 0);
	close(fd);
}

static bool there(const char *name)
{
	return access(file_of(name), F_OK) == 0;
}

/* The deployed one and what it goes back to stay, and the latest five; the rest and what killed trainings left are gone. */
static void test_files(void **state)
{
	static const char *const names[] = { "old.model", "new.model", ".old.model.tmp_1", "readme" };
	const char *deployed = pg_fixture_text(w.fx, "SELECT path FROM reco.model WHERE id = '%s'", main_model),
		   *before = pg_fixture_text(w.fx, "SELECT m.path FROM reco.deployment d JOIN reco.model m ON m.id = d.previous_id");
	struct arena *a = arena_new("files", 1 << 24);

	(void)state;
	for (int i = 1; i <= 7; i++) {
		put_file(arena_printf(w.a, "b%d.model", i), 3);
		pg_fixture_sql(w.fx, "INSERT INTO reco.model (id, kind, version, state, sha256, path)"
				     " VALUES ('mdl_zz%d', 'bundle', 'b%d', '%s', '', 'b%d.model')", i, i, i == 7 ? "rejected" : "retired", i);
	}
	for (size_t i = 0; i < 4; i++)
		put_file(names[i], i == 1 ? 0 : 3);
	MUST(job_files(&w.svc, a, &why_));
	assert_true(there(deployed) && there(before));
	assert_false(there("b1.model"));
	for (int i = 2; i <= 6; i++)
		assert_true(there(arena_printf(w.a, "b%d.model", i)));
	assert_false(there("b7.model"));
	assert_false(there("old.model"));
	assert_false(there(".old.model.tmp_1"));
	assert_true(there("new.model") && there("readme"));
	pg_fixture_sql(w.fx, "UPDATE reco.model SET id = 'mdl_01jd0000000000000000000001' WHERE id = 'mdl_zz1'");
	(void)decide("DeployModel", "mdl_01jd0000000000000000000001", E_CONFLICT, "reco.model_gone");
	unlink(file_of("new.model"));
	unlink(file_of("readme"));
	arena_free(a);
}

int main(int argc, char **argv)
{
	/* A training that should not have been started is this program again. */
	if (argc > 1 && strcmp(argv[1], "--train") == 0)
		return 0;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stopped_and_taken_up), cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_outside),		     cmocka_unit_test(test_other_parameters), cmocka_unit_test(test_lost),
		cmocka_unit_test(test_canary_takes_over),
		cmocka_unit_test(test_canary_withdrawn),     cmocka_unit_test(test_canary_of_many),
		cmocka_unit_test(test_canary_not_counted),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, open_shop, close_shop);
}
