#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/daemon.h"
#include "common/log.h"
#include "common/timeutil.h"

static char out[65536];

/* Runs fn in a child with stdout and stderr captured in out; returns its wait status. */
static int child(int (*fn)(void))
{
	size_t len = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	(void)fflush(stdout);
	(void)fflush(stderr);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fds[1], 1);
		(void)dup2(fds[1], 2);
		(void)close(fds[0]);
		(void)close(fds[1]);
		(void)alarm(20);
		status = fn();
		(void)fflush(stdout);
		_exit(status);
	}
	(void)close(fds[1]);
	while ((n = read(fds[0], out + len, sizeof(out) - 1 - len)) > 0 || (n < 0 && errno == EINTR))
		len += n > 0 ? (size_t)n : 0;
	out[len] = '\0';
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static char *args[8];
static int n_args;
static const struct daemon_mode_arg extra[] = {
	{ "--bootstrap-admin", DAEMON_EXTRA + 1, true, "print a link" },
	{ "--reindex", DAEMON_EXTRA + 2, false, "rebuild" },
	{ NULL, 0, false, NULL },
};

static int run_init(void)
{
	int mode = daemon_init_modes("tst", n_args, args, extra);

	printf("value=%s", daemon_value() ? daemon_value() : "none");
	return mode;
}

static int mode_of(const char *a, const char *b, const char *c)
{
	int status;

	args[0] = (char *)"souk-tst";
	args[1] = (char *)a;
	args[2] = (char *)b;
	args[3] = (char *)c;
	for (n_args = 1; n_args < 4 && args[n_args]; n_args++)
		;
	status = child(run_init);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void modes(void **state)
{
	(void)state;
	assert_int_equal(mode_of(NULL, NULL, NULL), DAEMON_SERVE);
	assert_int_equal(mode_of("--migrate", NULL, NULL), DAEMON_MIGRATE);
	assert_int_equal(mode_of("--check", NULL, NULL), DAEMON_CHECK);
	assert_int_equal(mode_of("--config", "/x", "--print-config"), DAEMON_PRINT_CONFIG);
	assert_int_equal(mode_of("--print-config", "--markdown", NULL), DAEMON_PRINT_CONFIG);
	assert_int_equal(mode_of("--health", NULL, NULL), DAEMON_HEALTH);
	assert_int_equal(mode_of("--reindex", NULL, NULL), DAEMON_EXTRA + 2);
	assert_string_equal(out, "value=none");
	assert_int_equal(mode_of("--bootstrap-admin", "a@b.co", NULL), DAEMON_EXTRA + 1);
	assert_string_equal(out, "value=a@b.co");
}

static void wrong_flags(void **state)
{
	(void)state;
	assert_int_equal(mode_of("--nonsense", NULL, NULL), 2);
	assert_non_null(strstr(out, "souk-tst: unknown flag --nonsense"));
	assert_int_equal(mode_of("serve", NULL, NULL), 2);
	assert_int_equal(mode_of("--migrate", "--check", NULL), 2);
	assert_int_equal(mode_of("--config", NULL, NULL), 2);
	assert_int_equal(mode_of("--bootstrap-admin", NULL, NULL), 2);
	assert_int_equal(mode_of("--bootstrap-admin", "--check", NULL), 2);
	assert_int_equal(mode_of("--markdown", NULL, NULL), 2);
	assert_int_equal(mode_of("--version", NULL, NULL), 0);
	assert_non_null(strstr(out, "souk-tst "));
	assert_int_equal(mode_of("--help", NULL, NULL), 0);
	assert_non_null(strstr(out, "--bootstrap-admin"));
	assert_non_null(strstr(out, "--migrate"));
}

static int run_fail(void)
{
	struct err e = { 0 };

	n_args = 1;
	(void)daemon_init("tst", 1, args);
	(void)err_set(&e, E_INVALID, "conf.invalid", "T_PORT=abc is not allowed");
	return daemon_fail(&e);
}

static void failing_is_one_critical_line(void **state)
{
	int status = child(run_fail);

	(void)state;
	assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
	assert_non_null(strstr(out, "\"level\":\"CRITICAL\""));
	assert_non_null(strstr(out, "T_PORT=abc is not allowed"));
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

static int run_serve(void)
{
	int sig;

	(void)daemon_init("tst", 1, args);
	if (daemon_state() != DAEMON_STARTING || daemon_draining())
		return 90;
	daemon_ready();
	if (daemon_state() != DAEMON_READY)
		return 91;
	(void)kill(getpid(), SIGPIPE); /* ignored */
	(void)kill(getpid(), SIGHUP);  /* tolerated */
	daemon_stop();
	sig = daemon_wait_stop();
	if (sig != SIGTERM || !daemon_draining())
		return 92;
	daemon_ready(); /* too late to matter */
	if (daemon_state() != DAEMON_DRAINING)
		return 93;
	return daemon_end();
}

static void stops_on_term(void **state)
{
	int status = child(run_serve);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_non_null(strstr(out, "\"message\":\"ready\""));
	assert_non_null(strstr(out, "\"message\":\"stopped\""));
}

static int run_twice(void)
{
	(void)daemon_init("tst", 1, args);
	daemon_ready();
	(void)kill(getpid(), SIGINT);
	if (daemon_wait_stop() != SIGINT)
		return 92;
	(void)kill(getpid(), SIGHUP); /* not a second stop */
	sleep_ms(20);
	(void)kill(getpid(), SIGTERM);
	sleep_ms(15000); /* a drain that would take long */
	return 0;
}

static void second_signal_ends_at_once(void **state)
{
	int64_t start = mono_ms();
	int status = child(run_twice);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
	assert_true(mono_ms() - start < 10000);
}

static void *other_thread(void *arg)
{
	(void)arg;
	sleep_ms(15000);
	return NULL;
}

static int run_with_threads(void)
{
	pthread_t t;

	(void)daemon_init("tst", 1, args);
	if (pthread_create(&t, NULL, other_thread, NULL))
		return 90;
	(void)kill(getpid(), SIGTERM); /* must reach sigwait and not kill the thread */
	return daemon_wait_stop() == SIGTERM ? 7 : 91;
}

static void signals_are_blocked_in_later_threads(void **state)
{
	int status = child(run_with_threads);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void degraded_names(void **state)
{
	char list[DAEMON_DEGRADED_MAX][32];
	char name[40];

	(void)state;
	log_to_fd(open("/dev/null", O_WRONLY));
	assert_int_equal(daemon_degraded_list(list), 0);
	daemon_degraded("postgresql", true);
	daemon_degraded("redis", true);
	daemon_degraded("postgresql", true);
	assert_int_equal(daemon_degraded_list(list), 2);
	assert_string_equal(list[0], "postgresql");
	daemon_degraded("postgresql", false);
	daemon_degraded("never", false);
	assert_int_equal(daemon_degraded_list(list), 1);
	assert_string_equal(list[0], "redis");
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "dependency-with-a-long-name-number-%d", i % 3 + 10 * i);
		daemon_degraded(name, true);
	}
	assert_true(daemon_degraded_list(list) <= DAEMON_DEGRADED_MAX);
	log_to_fd(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes),
		cmocka_unit_test(wrong_flags),
		cmocka_unit_test(failing_is_one_critical_line),
		cmocka_unit_test(stops_on_term),
		cmocka_unit_test(second_signal_ends_at_once),
		cmocka_unit_test(signals_are_blocked_in_later_threads),
		cmocka_unit_test(degraded_names),
	};

	args[0] = (char *)"souk-tst";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
