/* Models in an object store: put there by a training, fetched by replicas that have a folder of their own. */
#include "tests/integration/reco/shop.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "services/reco/files.h"
#include "services/reco/shelf.h"
#include "services/reco/stage.h"

#define MIB (1 << 20)

static char bucket[] = "/tmp/test_reco_shelf.XXXXXX";
static pid_t store;

static const char *object(const char *name)
{
	return arena_printf(w.a, "%s/souk-models/models/%s", bucket, name);
}

static const char *local(const char *name)
{
	return arena_printf(w.a, "%s/%s", models, name);
}

static bool there(const char *file)
{
	return access(file, F_OK) == 0;
}

static int start_store(void)
{
	char line[64] = "";
	size_t len = 0;
	int out[2];

	if (pipe2(out, O_CLOEXEC) != 0)
		return -1;
	setenv("STORE_ACCESS_KEY", "AKTEST", 1);
	setenv("STORE_SECRET_KEY", "secret", 1);
	store = fork();
	if (store == 0) { /* goes with us, however we go */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		execl("/usr/bin/python3", "python3", SOUK_SOURCE_DIR "/tests/support/object_store.py", "--listen", "127.0.0.1:0", "--dir", bucket,
		      (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	while (len < sizeof(line) - 1 && read(out[0], line + len, 1) == 1 && line[len] != '\n')
		len++;
	close(out[0]);
	if (strncmp(line, "listening ", 10) != 0)
		return -1;
	w.conf.store_url = arena_printf(w.a, "http://127.0.0.1:%ld/souk-models", strtol(line + 10, NULL, 10));
	w.conf.store_region = "us-east-1";
	w.conf.store_access_key = "AKTEST";
	w.conf.store_secret_key = "secret";
	return 0;
}

static void open_shelf(void)
{
	struct err e = { 0 };

	assert_int_equal(shelf_open(&w.conf, &w.svc.shelf, &e), OK);
	assert_non_null(w.svc.shelf);
}

static int open_store(void **state)
{
	if (open_shop(state) || !mkdtemp(bucket) || start_store())
		return -1;
	open_shelf();
	return 0;
}

static int close_store(void **state)
{
	kill(store, SIGKILL);
	(void)waitpid(store, NULL, 0);
	shelf_close(w.svc.shelf);
	stages_remove(arena_printf(w.a, "%s/souk-models/models", bucket));
	rmdir(arena_printf(w.a, "%s/souk-models", bucket));
	rmdir(bucket);
	stages_remove(models);
	return close_shop(state);
}

#define PATH(id) pg_fixture_text(w.fx, "SELECT path FROM reco.model WHERE id = '%s'", id)

static char first[64];

/* Another replica deploys what this one has trained: the file comes from the store, and its answers from the file. */
static void test_put_and_fetched(void **state)
{
	const struct principal nobody = who_nobody;

	(void)state;
	snprintf(first, sizeof(first), "%s", train());
	assert_true(there(object(PATH(first))) && there(local(PATH(first))));
	(void)decide("ApproveModel", first, OK, NULL);
	assert_int_equal(unlink(local(PATH(first))), 0);
	(void)decide("DeployModel", first, OK, NULL);
	assert_true(there(local(PATH(first))));
	assert_int_equal(unlink(local(PATH(first))), 0); /* and one that only hears of the deployment */
	tick();
	assert_true(there(local(PATH(first))));
	assert_string_equal(ask(&nobody, "related", item(0, 1), NULL)->variant, "main");
}

/* What lies in the store is not what was judged: nobody takes it, and nothing of it stays. */
static void test_damaged_in_the_store(void **state)
{
	const struct principal nobody = who_nobody;
	const char *before = ask(&nobody, "related", item(0, 1), NULL)->model_version, *second = train();
	int fd = open(object(PATH(second)), O_WRONLY);

	(void)state;
	assert_string_equal(STATE(second), "deployed"); /* a routine retrain */
	assert_int_equal(pwrite(fd, "x", 1, 3000), 1);
	close(fd);
	assert_int_equal(unlink(local(PATH(second))), 0);
	tick();
	assert_string_equal(ask(&nobody, "related", item(0, 1), NULL)->model_version, before);
	assert_false(there(local(PATH(second))));
	assert_string_equal(decide("RollbackModel", NULL, OK, NULL)->id, first);
	(void)decide("DeployModel", second, E_UNAVAILABLE, NULL);
	assert_false(there(local(PATH(second))));
}

/* Larger than a piece, a whole number of pieces, and one byte more. */
static void test_pieces(void **state)
{
	static const size_t sizes[] = { 1, 16 * MIB, 16 * MIB + 1, 20 * MIB };
	uint8_t *data = malloc(20 * MIB);
	uint64_t seed = 5;

	(void)state;
	for (size_t i = 0; i < 20 * MIB / 8; i++)
		((uint64_t *)(void *)data)[i] = metric_random(&seed);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char sha[SHA256_HEX_LEN];
		struct stat st;
		int fd = open(local("pieces"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

		assert_int_equal(write(fd, data, sizes[i]), sizes[i]);
		close(fd);
		sha256_hex(data, sizes[i], sha);
		MUST(shelf_put(w.svc.shelf, w.a, "pieces", &why_));
		MUST(shelf_fetch(w.svc.shelf, w.a, "pieces", sha, &why_)); /* nothing to do */
		assert_int_equal(truncate(local("pieces"), 0), 0);
		MUST(shelf_fetch(w.svc.shelf, w.a, "pieces", sha, &why_));
		assert_int_equal(stat(local("pieces"), &st), 0);
		assert_int_equal(st.st_size, sizes[i]);
	}
	shelf_drop(w.svc.shelf, w.a, "pieces");
	assert_false(there(object("pieces")));
	shelf_drop(w.svc.shelf, w.a, "pieces"); /* it is gone: nothing to tell */
	free(data);
}

/* What nobody goes back to leaves the store with its folder. */
static void test_pruned(void **state)
{
	struct arena *a = arena_new("files", 1 << 24);

	(void)state;
	for (int i = 1; i <= 6; i++) {
		assert_int_equal(link(object(PATH(first)), object(arena_printf(w.a, "b%d.model", i))), 0);
		pg_fixture_sql(w.fx, "INSERT INTO reco.model (id, kind, version, state, sha256, path)"
				     " VALUES ('mdl_zz%d', 'bundle', 'b%d', 'retired', '', 'b%d.model')", i, i, i);
	}
	MUST(job_files(&w.svc, a, &why_));
	assert_false(there(object("b1.model")));
	assert_true(there(object("b2.model")) && there(object(PATH(first))));
	arena_free(a);
}

/* A store that is away: a training fails and leaves nothing, who answers goes on. */
static void test_away(void **state)
{
	const struct principal nobody = who_nobody, admin = who_admin(admin_perm);
	Reco__V1__StartTrainingRequest in = RECO__V1__START_TRAINING_REQUEST__INIT;
	const char *before = ask(&nobody, "related", item(0, 1), NULL)->model_version;
	struct reco_conf without = w.conf;
	Reco__V1__Training *t = NULL;
	struct shelf *none = NULL;
	struct err e = { 0 };
	bool done = false;

	(void)state;
	kill(store, SIGKILL);
	MUST(handlers_ask(&w.h, w.a, "StartTraining", &admin, &in, &t, &why_));
	MUST(train_run(&w.svc, NULL, &done, &why_));
	assert_string_equal(pg_fixture_text(w.fx, "SELECT state FROM reco.training WHERE id = '%s'", t->id), "failed");
	assert_false(there(local(arena_printf(w.a, "b%s-1.model", t->id + 4))));
	tick();
	assert_string_equal(ask(&nobody, "related", item(0, 1), NULL)->model_version, before);
	without.store_secret_key = "";
	assert_int_equal(shelf_open(&without, &none, &e), E_INVALID);
	without.store_url = "";
	MUST(shelf_open(&without, &none, &why_));
	assert_null(none);
	MUST(shelf_put(NULL, w.a, "x", &why_));
	MUST(shelf_fetch(NULL, w.a, "x", "", &why_));
	shelf_drop(NULL, w.a, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_and_fetched), cmocka_unit_test(test_damaged_in_the_store), cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_pruned),		cmocka_unit_test(test_away),
	};

	return cmocka_run_group_tests(tests, open_store, close_store);
}
