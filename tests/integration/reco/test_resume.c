/* Trainings that are killed or told to end, wherever they are: the next attempt goes on, to the same file bit by bit. */
#include "tests/integration/reco/shop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "services/reco/files.h"
#include "services/reco/stage.h"

extern char **environ;

/*
 * ---- the training, a process of its own ----
 *
 * This program again, with a rename() of its own: stages and models come into being by it, so it is where a process can be
 * ended at any step, as often as wanted, without luck.
 */

static struct {
	int countdown; /* the signal comes with the so-manieth stage; 0: never */
	int sig;
	bool before;  /* the file gets its name; else it does not */
	bool at_model; /* instead of at a stage: at the model's file */
	bool refused; /* the model's file cannot be named */
	atomic_bool told;
} child;

int rename(const char *from, const char *to)
{
	bool stage = strstr(to, STAGES_SUFFIX "/") != NULL, model = strstr(to, ".model") != NULL,
	     hit = child.countdown > 0 && (child.at_model ? model : stage) && --child.countdown == 0;

	if (hit && child.before)
		raise(child.sig);
	if (model && child.refused) {
		errno = ENOSPC;
		return -1;
	}
	if (renameat(AT_FDCWD, from, AT_FDCWD, to) != 0)
		return -1;
	if (hit && !child.before)
		raise(child.sig);
	return 0;
}

static void on_term(int sig)
{
	(void)sig;
	atomic_store(&child.told, true);
}

/* argv: --trainer DSN FOLDER COUNTDOWN SIGNAL BEFORE AT_MODEL REFUSED; succeeds when a training was carried out or put back. */
static int trainer(char **argv)
{
	const struct pg_conf pg = { .dsn = argv[2], .pool = 2, .app = "test-train", .schema = "reco" };
	struct reco_conf conf = { .consent = "opt_out", .keep_months = 25, .train_events = 5000000, .model_dir = argv[3] };
	struct reco_svc svc = { .conf = &conf };
	struct err e = { 0 };
	bool done = false;

	log_init("test", LVL_ERROR);
	child.countdown = (int)strtol(argv[4], NULL, 10);
	child.sig = (int)strtol(argv[5], NULL, 10);
	child.before = argv[6][0] == '1';
	child.at_model = argv[7][0] == '1';
	child.refused = argv[8][0] == '1';
	signal(SIGTERM, on_term);
	if (pg_pool_open(&pg, reco_stmts, &svc.pool, &e) || train_run(&svc, &child.told, &done, &e))
		return 3;
	pg_pool_close(svc.pool);
	return done ? 0 : 4;
}

struct how {
	int countdown, sig;
	bool before, at_model, refused;
};

/* The signal that ended it; 0: it came to its end. */
static int attempt(struct how h)
{
	char *argv[] = { (char *)"test_resume", (char *)"--trainer", (char *)(uintptr_t)pg_fixture_dsn(w.fx), models,
			 arena_printf(w.a, "%d", h.countdown), arena_printf(w.a, "%d", h.sig), (char *)(h.before ? "1" : "0"),
			 (char *)(h.at_model ? "1" : "0"), (char *)(h.refused ? "1" : "0"), NULL };
	pid_t pid;
	int status = 0;

	/* A job that is lost is taken up two minutes later, and not for ever. */
	pg_fixture_sql(w.fx, "UPDATE reco.training SET beat_at = now() - interval '3 minutes', lost = 0 WHERE state = 'running'");
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status);
	assert_int_equal(WEXITSTATUS(status), 0);
	return 0;
}

/* ---- the shop ---- */

#define TRAINING(column) pg_fixture_text(w.fx, "SELECT " column "::text FROM reco.training WHERE id = '%s'", id)

static const char *id; /* of the training all this is about */
static char sha[SHA256_HEX_LEN]; /* of its model's file when nothing disturbs it */
static const struct how calm;

/* A model is deployed and the training has other parameters: so the gate trains twice. Visitors look at things, too. */
static int open_trained(void **state)
{
	const struct principal admin = who_admin(admin_perm);
	Reco__V1__StartTrainingRequest in = RECO__V1__START_TRAINING_REQUEST__INIT;
	Common__V1__Json json = COMMON__V1__JSON__INIT;
	Reco__V1__Training *t = NULL;
	const char *first;

	if (open_shop(state))
		return -1;
	pg_fixture_sql(w.fx, "INSERT INTO reco.event (ts, key, epoch, kind, source, session_id, product_id)"
			     " SELECT now() - make_interval(mins => 30000 - 10 * s + n), gen_random_uuid(), 1, 1, 1, 'look-' || s,"
			     " 'prd_' || CASE s %% 2 WHEN 0 THEN 'x' ELSE 'y' END || (s * 7 + n * (s %% 5 + 1)) %% 20"
			     " FROM generate_series(1, 600) s, generate_series(1, 4) n");
	first = train();
	(void)decide("ApproveModel", first, OK, NULL);
	(void)decide("DeployModel", first, OK, NULL);
	json.text = (char *)"{\"ridge\": 12}";
	in.params = &json;
	MUST(handlers_ask(&w.h, w.a, "StartTraining", &admin, &in, &t, &why_));
	id = t->id;
	return 0;
}

/* What killed ones left behind, too. */
static int close_trained(void **state)
{
	stages_remove(models);
	return close_shop(state);
}

static int files_of(const char *folder, const char *end)
{
	struct dirent *d;
	DIR *dir = opendir(folder);
	int n = 0;

	while (dir && (d = readdir(dir)))
		n += d->d_name[0] != '.' && strlen(d->d_name) >= strlen(end) &&
		     strcmp(d->d_name + strlen(d->d_name) - strlen(end), end) == 0;
	if (dir)
		closedir(dir);
	return n;
}

static const char *folder(void)
{
	return train_folder(&w.svc, w.a, id);
}

static int stages(void)
{
	return files_of(folder(), "");
}

/* As if it had never run: it waits, and what it made is gone. Its data end where they did. */
static void afresh(void)
{
	const char *path = pg_fixture_text(w.fx, "SELECT coalesce(max(path), '') FROM reco.model WHERE id = 'mdl_%s'", id + 4);

	if (*path)
		unlink(arena_printf(w.a, "%s/%s", models, path));
	pg_fixture_sql(w.fx, "DELETE FROM reco.model_history WHERE model_id = 'mdl_%s'", id + 4);
	pg_fixture_sql(w.fx, "DELETE FROM reco.model WHERE id = 'mdl_%s'", id + 4);
	pg_fixture_sql(w.fx, "UPDATE reco.training SET state = 'queued', cancel = false, attempt = 0, lost = 0, model_id = NULL,"
			     " finished_at = NULL WHERE id = '%s'", id);
	stages_remove(folder());
}

/* Done, to the same bits, and nothing is left of the way there. */
static void as_if_undisturbed(void)
{
	assert_string_equal(TRAINING("state"), "done");
	assert_string_equal(pg_fixture_text(w.fx, "SELECT sha256 FROM reco.model WHERE id = 'mdl_%s'", id + 4), sha);
	assert_int_not_equal(access(folder(), F_OK), 0);
}

/* ---- tests ---- */

static int all_stages;

/* Nothing disturbs it; and it has the same bits a second time. */
static void test_undisturbed(void **state)
{
	(void)state;
	assert_int_equal(attempt(calm), 0);
	assert_string_equal(TRAINING("state"), "done");
	snprintf(sha, sizeof(sha), "%s", pg_fixture_text(w.fx, "SELECT sha256 FROM reco.model WHERE id = 'mdl_%s'", id + 4));
	assert_int_equal(strlen(sha), 64);
	afresh();
	assert_int_equal(attempt(calm), 0);
	as_if_undisturbed();
	assert_int_equal(files_of(models, STAGES_SUFFIX), 0);
}

/* Killed after each stage: every attempt makes one more, so all that was finished is taken over. */
static void test_killed_after_each_stage(void **state)
{
	const struct how killed = { .countdown = 1, .sig = SIGKILL };

	(void)state;
	afresh();
	while (attempt(killed) == SIGKILL) {
		assert_string_equal(TRAINING("state"), "running");
		assert_true(++all_stages < 100);
	}
	/* The past, three bundles of five parts each, and the verdict. */
	assert_int_equal(all_stages, 17);
	assert_string_equal(TRAINING("attempt"), "18");
	as_if_undisturbed();
}

/* In the middle of writing a stage, and with the model's file written but known to nobody. */
static void test_killed_while_writing(void **state)
{
	(void)state;
	afresh();
	for (int n = 3; n <= 5; n++)
		assert_int_equal(attempt((struct how){ .countdown = n, .sig = SIGKILL, .before = true }), SIGKILL);
	assert_int_equal(stages(), 2 + 3 + 4);
	assert_int_equal(attempt((struct how){ .countdown = 1, .sig = SIGKILL, .at_model = true, .before = true }), SIGKILL);
	assert_int_equal(attempt((struct how){ .countdown = 1, .sig = SIGKILL, .at_model = true }), SIGKILL);
	assert_int_equal(COUNT("reco.model WHERE id = 'mdl_%s'", id + 4), 0);
	assert_int_equal(attempt(calm), 0);
	as_if_undisturbed();
}

/* Told to end it is put back at once, whatever it was doing, and goes on later. */
static void test_told_to_end(void **state)
{
	(void)state;
	afresh();
	for (int n = 1; n < 6; n++) {
		assert_int_equal(attempt((struct how){ .countdown = n, .sig = SIGTERM }), 0);
		if (strcmp(TRAINING("state"), "queued") != 0)
			break;
		assert_int_equal(COUNT("reco.model WHERE id = 'mdl_%s'", id + 4), 0);
	}
	/* 1 + 2 + 3 + 4 + 5: of the seventeen two are left, and the twins' eleven have given way to the verdict. */
	assert_string_equal(TRAINING("state || attempt"), "queued5");
	assert_int_equal(stages(), 5);
	assert_int_equal(attempt((struct how){ .countdown = 3, .sig = SIGTERM }), 0);
	as_if_undisturbed();
}

/* What is damaged, of another place or of another program is made anew, and changes nothing. */
static void test_damaged_stages(void **state)
{
	const char *taste = arena_printf(w.a, "%s/twin-taste", folder()), *together = arena_printf(w.a, "%s/twin-together", folder());
	int fd;

	(void)state;
	afresh();
	assert_int_equal(attempt((struct how){ .countdown = 6, .sig = SIGKILL }), SIGKILL);
	assert_int_equal(stages(), 6);
	fd = open(arena_printf(w.a, "%s/past", folder()), O_RDWR);
	assert_int_equal(pwrite(fd, "x", 1, 600), 1);
	close(fd);
	assert_int_equal(rename(taste, together), 0);
	assert_int_equal(truncate(arena_printf(w.a, "%s/twin-sessions", folder()), 100), 0);
	/* The past and the first of the twin's are made again, then the third and the last but one. */
	assert_int_equal(attempt((struct how){ .countdown = 4, .sig = SIGKILL }), SIGKILL);
	assert_int_equal(stages(), 6);
	assert_int_equal(attempt(calm), 0);
	as_if_undisturbed();
}

/* Whoever cancels it wants nothing kept: while it waits again, and while it runs. */
static void test_cancelled(void **state)
{
	const struct principal admin = who_admin(admin_perm);
	Reco__V1__TrainingRequest in = RECO__V1__TRAINING_REQUEST__INIT;
	Reco__V1__Training *t = NULL;

	(void)state;
	in.training_id = (char *)(uintptr_t)id;
	afresh();
	assert_int_equal(attempt((struct how){ .countdown = 4, .sig = SIGTERM }), 0);
	assert_int_equal(stages(), 4);
	MUST(handlers_ask(&w.h, w.a, "CancelTraining", &admin, &in, &t, &why_));
	assert_string_equal(t->state, "cancelled");
	assert_int_not_equal(access(folder(), F_OK), 0);
	afresh();
	assert_int_equal(attempt((struct how){ .countdown = 4, .sig = SIGKILL }), SIGKILL);
	MUST(handlers_ask(&w.h, w.a, "CancelTraining", &admin, &in, &t, &why_));
	assert_string_equal(t->state, "running");
	assert_int_equal(stages(), 4);
	assert_int_equal(attempt(calm), 0);
	assert_string_equal(TRAINING("state"), "cancelled");
	assert_int_not_equal(access(folder(), F_OK), 0);
}

/* One that fails leaves no file; of those that are over nothing stays, whoever should have removed it. */
static void test_failed_and_swept(void **state)
{
	struct arena *a = arena_new("files", 1 << 24);
	int before;

	(void)state;
	afresh();
	before = files_of(models, ".model");
	assert_int_equal(attempt((struct how){ .refused = true }), 0);
	assert_string_equal(TRAINING("state"), "failed");
	assert_int_equal(files_of(models, ".model"), before);
	assert_int_equal(files_of(models, STAGES_SUFFIX), 0);
	afresh();
	assert_int_equal(attempt((struct how){ .countdown = 4, .sig = SIGKILL }), SIGKILL);
	MUST(job_files(&w.svc, a, &why_));
	assert_int_equal(stages(), 4); /* it will be taken up */
	pg_fixture_sql(w.fx, "UPDATE reco.training SET state = 'failed' WHERE id = '%s'", id);
	MUST(job_files(&w.svc, a, &why_));
	assert_int_equal(files_of(models, STAGES_SUFFIX), 0);
	arena_free(a);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_undisturbed),	     cmocka_unit_test(test_killed_after_each_stage),
		cmocka_unit_test(test_killed_while_writing), cmocka_unit_test(test_told_to_end),
		cmocka_unit_test(test_damaged_stages),	     cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_failed_and_swept),
	};

	if (argc == 9 && strcmp(argv[1], "--trainer") == 0)
		return trainer(argv);
	return cmocka_run_group_tests(tests, open_trained, close_trained);
}
