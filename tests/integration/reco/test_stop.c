/* The daemon's own program: told to end while it trains it drains, and the training goes on with whoever starts next. */
#include "tests/integration/reco/world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "services/reco/job_train.h"
#include "services/reco/stage.h"

#define ID "trn_01jd0000000000000000000009"
#define PATIENCE_MS 60000
#define TRAINING(column) pg_fixture_text(w.fx, "SELECT " column "::text FROM reco.training WHERE id = '" ID "'")
#define UNTIL(cond)                                                                                                    \
	do {                                                                                                           \
		int64_t until_ = mono_ms() + PATIENCE_MS;                                                              \
		bool ok_;                                                                                              \
		while (!(ok_ = (cond)) && mono_ms() < until_)                                                          \
			sleep_ms(20);                                                                                  \
		if (!ok_)                                                                                              \
			fail_msg("not within a minute: %s; the training is %s", #cond, TRAINING("state || ' ' || step")); \
	} while (0)

static char dir[] = "/tmp/test_reco_stop.XXXXXX";

static const char *in_dir(const char *name)
{
	return arena_printf(w.a, "%s/%s", dir, name);
}

/* A program beside this one; its log is appended to the file `log`. It goes with us, however we go. */
static pid_t start(const char *program, const char *const *argv)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 40);
	pid_t pid;

	assert_true(n > 0);
	path[n] = '\0';
	snprintf(strrchr(path, '/'), 40, "/%s", program);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int log = open(in_dir("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(log, 1);
		dup2(log, 2);
		execv(path, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

static pid_t start_reco(const char *mode)
{
	const char *argv[] = { "souk-reco", mode, NULL };

	return start("souk-reco", argv);
}

/* Its exit code; the signal that ended it, negative. */
static int ended(pid_t pid)
{
	int status = 0;

	UNTIL(waitpid(pid, &status, WNOHANG) == pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static bool kept(const char *stage)
{
	return access(arena_printf(w.a, "%s/%s", train_folder(&w.svc, w.a, ID), stage), F_OK) == 0;
}

static int64_t logged(const char *what)
{
	char line[16384];
	FILE *f = fopen(in_dir("log"), "re");
	int64_t n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return n;
}

static bool trains(void)
{
	return COUNT("pg_stat_activity WHERE datname = current_database() AND application_name = 'souk-reco-train'") > 0;
}

/* People and sweeps enough that the factors alone take longer than any of this waits. */
static int open_daemon(void **state)
{
	const char *keys[] = { "soukctl", "keys", "init", "--dir", NULL, NULL };
	static const char *const peers[] = { "IDENTITY", "CATALOG", "INVENTORY", "CART", "CHECKOUT" };

	log_init("test", LVL_ERROR);
	if (open_world(state) || !mkdtemp(dir))
		return -1;
	w.conf.model_dir = in_dir("models");
	keys[4] = in_dir("keys");
	setenv("SOUK_KEYS_DIR", keys[4], 1);
	setenv("RECO_PG_DSN", pg_fixture_dsn(w.fx), 1);
	setenv("RECO_MODEL_DIR", w.conf.model_dir, 1);
	setenv("RECO_LISTEN", arena_printf(w.a, "ipc://%s/rpc", dir), 1);
	setenv("RECO_BELL_LISTEN", "", 1);
	setenv("RECO_ADMIN_LISTEN", "", 1);
	setenv("REDIS_URL", "", 1);
	setenv("DRAIN_MS", "0", 1);
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		setenv(arena_printf(w.a, "%s_URL", peers[i]), arena_printf(w.a, "ipc://%s/nobody", dir), 1);
		setenv(arena_printf(w.a, "%s_BELL_URL", peers[i]), arena_printf(w.a, "ipc://%s/no-bell", dir), 1);
	}
	if (ended(start("soukctl", keys)) != 0)
		return -1;
	pg_fixture_sql(w.fx, "INSERT INTO reco.event (ts, key, epoch, kind, source, user_id, product_id, order_id)"
			     " SELECT now() - make_interval(mins => 30000 - u), gen_random_uuid(), 1, 5, 2, 'usr_' || u,"
			     " 'prd_' || (u * 7 + n * (u %% 11 + 1)) %% 200, 'ord_' || u"
			     " FROM generate_series(1, 12000) u, generate_series(1, 3) n");
	pg_fixture_sql(w.fx, "INSERT INTO reco.training (id, state, params, seed, who) VALUES ('" ID "', 'queued',"
			     " '{\"factors\": 512, \"sweeps\": 50}', 1, 'test')");
	return 0;
}

static int close_daemon(void **state)
{
	static const char *const left[] = { "log", "rpc" };

	for (size_t i = 0; i < 2; i++)
		unlink(in_dir(left[i]));
	stages_remove(train_folder(&w.svc, w.a, ID));
	rmdir(w.conf.model_dir);
	stages_remove(in_dir("keys"));
	rmdir(dir);
	return close_world(state);
}

/* The daemon is told to end while its child is at the factors: both end well, and what was finished stays. */
static void test_daemon_told_to_end(void **state)
{
	pid_t pid = start_reco(NULL);

	(void)state;
	UNTIL(kept("twin-taste"));
	assert_string_equal(TRAINING("state || attempt"), "running1");
	kill(pid, SIGTERM);
	assert_int_equal(ended(pid), 0);
	UNTIL(strcmp(TRAINING("state"), "queued") == 0);
	UNTIL(!trains());
	assert_true(kept("past") && kept("twin-taste"));
	assert_false(kept("twin-factors"));
	assert_int_equal(logged("a training is put back"), 1);
	assert_int_equal(logged("is taken over"), 0);
}

/* The one-shot job takes over; told to end it exits well, too. */
static void test_job_told_to_end(void **state)
{
	pid_t pid = start_reco("--train");

	(void)state;
	UNTIL(logged("is taken over") == 5); /* the past, baskets, sessions, what was viewed, taste */
	kill(pid, SIGTERM);
	assert_int_equal(ended(pid), 0);
	assert_string_equal(TRAINING("state || attempt"), "queued2");
	assert_true(kept("twin-taste"));
}

/* Killed, it says nothing any more; the daemon takes it up when it is given up for lost, and a cancellation ends it. */
static void test_job_killed(void **state)
{
	pid_t pid = start_reco("--train");

	(void)state;
	UNTIL(logged("is taken over") == 10);
	kill(pid, SIGKILL);
	assert_int_equal(ended(pid), -SIGKILL);
	assert_string_equal(TRAINING("state || attempt"), "running3");
	pg_fixture_sql(w.fx, "UPDATE reco.training SET beat_at = now() - interval '3 minutes'");
	pid = start_reco(NULL);
	UNTIL(logged("is taken over") == 15);
	assert_string_equal(TRAINING("state || attempt"), "running4");
	pg_fixture_sql(w.fx, "UPDATE reco.training SET cancel = true");
	UNTIL(strcmp(TRAINING("state"), "cancelled") == 0);
	UNTIL(access(train_folder(&w.svc, w.a, ID), F_OK) != 0);
	kill(pid, SIGTERM);
	assert_int_equal(ended(pid), 0);
	assert_int_equal(COUNT("reco.model"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon_told_to_end),
		cmocka_unit_test(test_job_told_to_end),
		cmocka_unit_test(test_job_killed),
	};

	return cmocka_run_group_tests(tests, open_daemon, close_daemon);
}
