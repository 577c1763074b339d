#include "common/daemon.h"

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cursor.h"
#include "common/log.h"

#ifndef SOUK_VERSION
#define SOUK_VERSION "0"
#endif

static struct {
	char name[32];
	const char *value; /* of an extra flag, in argv */
	_Atomic int state;
	sigset_t stop; /* blocked in all threads */
	pthread_mutex_t lock; /* guards degraded */
	size_t n_degraded;
	char degraded[DAEMON_DEGRADED_MAX][32];
} self = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const struct daemon_mode_arg common_modes[] = {
	{ "--migrate", DAEMON_MIGRATE, false, "apply missing migrations and exit" },
	{ "--check", DAEMON_CHECK, false, "check settings, keys, schema and statements and exit" },
	{ "--print-config", DAEMON_PRINT_CONFIG, false, "print the settings in force (with --markdown: their table)" },
	{ "--health", DAEMON_HEALTH, false, "ask the running daemon; exit 0 when it is well" },
	{ NULL, 0, false, NULL },
};

static void usage(FILE *out, const struct daemon_mode_arg *extra)
{
	const struct daemon_mode_arg *const tables[] = { common_modes, extra };

	fprintf(out, "usage: souk-%s [--config FILE] [mode]\n\nWithout a mode it serves. Modes:\n", self.name);
	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct daemon_mode_arg *m = tables[t]; m && m->flag; m++)
			fprintf(out, "  %-18s %s\n", m->flag, m->help);
	fputs("  --version          print the version\n  --help             print this\n\n"
	      "Settings come from the environment; --print-config --markdown lists them.\n",
		out);
}

static NORETURN void refuse(const char *what, const char *flag)
{
	fprintf(stderr, "souk-%s: %s %s (--help lists what there is)\n", self.name, what, flag);
	exit(2);
}

static const struct daemon_mode_arg *find_mode(const struct daemon_mode_arg *m, const char *flag)
{
	for (; m && m->flag; m++)
		if (strcmp(m->flag, flag) == 0)
			return m;
	return NULL;
}

static int parse_flags(int argc, char **argv, const struct daemon_mode_arg *extra)
{
	int mode = DAEMON_SERVE;
	bool chosen = false, markdown = false;

	for (int i = 1; i < argc; i++) {
		const struct daemon_mode_arg *m = find_mode(common_modes, argv[i]);

		if (!m)
			m = find_mode(extra, argv[i]);
		if (m) {
			if (chosen && m->mode != mode)
				refuse("more than one mode:", argv[i]);
			chosen = true;
			mode = m->mode;
			if (m->takes_value && (i + 1 >= argc || strncmp(argv[i + 1], "--", 2) == 0))
				refuse("a value is missing after", argv[i]);
			if (m->takes_value)
				self.value = argv[++i];
		} else if (strcmp(argv[i], "--config") == 0) {
			if (i + 1 >= argc)
				refuse("a file is missing after", argv[i]);
			conf_set_file(argv[++i]);
		} else if (strncmp(argv[i], "--config=", 9) == 0) {
			conf_set_file(argv[i] + 9);
		} else if (strcmp(argv[i], "--markdown") == 0) {
			markdown = true;
		} else if (strcmp(argv[i], "--version") == 0) {
			printf("souk-%s %s\n", self.name, SOUK_VERSION);
			exit(EXIT_SUCCESS);
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			usage(stdout, extra);
			exit(EXIT_SUCCESS);
		} else {
			refuse("unknown flag", argv[i]);
		}
	}
	if (markdown && mode != DAEMON_PRINT_CONFIG)
		refuse("only --print-config takes", "--markdown");
	conf_set_print(mode == DAEMON_PRINT_CONFIG, markdown);
	return mode;
}

static void signals_block(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)sigemptyset(&self.stop);
	(void)sigaddset(&self.stop, SIGTERM);
	(void)sigaddset(&self.stop, SIGINT);
	(void)sigaddset(&self.stop, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &self.stop, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

/* Without memory jansson calls a text malformed, and a client would be told so: the process ends, as everywhere. */
static void *json_memory(size_t n)
{
	void *p = malloc(n);

	if (!p)
		abort();
	return p;
}

/* A heap per core, four at most: more threads than cores take turns anyway. */
static int heaps(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : cores > 4 ? 4 : (int)cores;
}

int daemon_init_modes(const char *name, int argc, char **argv, const struct daemon_mode_arg *extra)
{
	int mode;

	/*
	 * Many threads, little memory: without these glibc gives each few threads a heap of their own and, after one large
	 * request, stops returning freed memory.
	 */
	mallopt(M_ARENA_MAX, heaps());
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	mallopt(M_TRIM_THRESHOLD, 512 << 10);
	json_set_alloc_funcs(json_memory, free);
	(void)snprintf(self.name, sizeof(self.name), "%s", name);
	mode = parse_flags(argc, argv, extra);
	signals_block();
	log_init(name, LVL_INFO);
	return mode;
}

enum daemon_mode daemon_init(const char *name, int argc, char **argv)
{
	return (enum daemon_mode)daemon_init_modes(name, argc, argv, NULL);
}

const char *daemon_value(void)
{
	return self.value;
}

const char *daemon_name(void)
{
	return self.name;
}

const char *daemon_version(void)
{
	return SOUK_VERSION;
}

enum err_code daemon_apply(const struct daemon_conf *conf, struct err *e)
{
	enum log_level level;

	if (!log_level_parse(conf->log_level, &level))
		return err_set(e, E_INVALID, "conf.invalid", "LOG_LEVEL=%.20s is not known", conf->log_level);
	log_set_level(level);
	return cursor_init(conf->keys_dir, e);
}

const char *daemon_migrate_dsn(const struct daemon_conf *conf)
{
	return conf->pg_migrate_dsn && *conf->pg_migrate_dsn ? conf->pg_migrate_dsn : conf->pg_dsn;
}

int daemon_fail(const struct err *e)
{
	log_err(LVL_CRITICAL, "cannot start", e);
	log_flush(500);
	return EXIT_FAILURE;
}

int daemon_end(void)
{
	log_msg(LVL_INFO, "stopped", LF_END);
	log_flush(500);
	return EXIT_SUCCESS;
}

/* ---- state ---- */

void daemon_ready(void)
{
	int starting = DAEMON_STARTING;

	if (atomic_compare_exchange_strong(&self.state, &starting, DAEMON_READY))
		log_msg(LVL_INFO, "ready", LF_S("version", SOUK_VERSION), LF_I("pid", getpid()), LF_END);
}

enum daemon_state daemon_state(void)
{
	return (enum daemon_state)atomic_load(&self.state);
}

bool daemon_draining(void)
{
	return daemon_state() == DAEMON_DRAINING;
}

/* Whoever asks a second time does not want to wait. */
static void *watch_second_stop(void *arg)
{
	int sig = 0;

	(void)arg;
	do {
		if (sigwait(&self.stop, &sig))
			return NULL;
	} while (sig == SIGHUP);
	log_msg(LVL_WARNING, "stopped at once by a second signal", LF_I("signal", sig), LF_END);
	log_flush(100);
	_exit(128 + sig);
}

int daemon_wait_stop(void)
{
	pthread_t thread;
	int sig = 0;

	for (;;) {
		int rc = sigwait(&self.stop, &sig);

		if (rc == 0 && sig != SIGHUP)
			break;
		if (rc == 0)
			log_msg(LVL_INFO, "HUP received: nothing to reopen", LF_END);
	}
	atomic_store(&self.state, DAEMON_DRAINING);
	log_msg(LVL_INFO, "stopping", LF_I("signal", sig), LF_END);
	if (pthread_create(&thread, NULL, watch_second_stop, NULL) == 0)
		(void)pthread_detach(thread);
	return sig;
}

void daemon_stop(void)
{
	(void)kill(getpid(), SIGTERM);
}

static size_t degraded_find(const char *what)
{
	size_t i = 0;

	while (i < self.n_degraded && strncmp(self.degraded[i], what, sizeof(self.degraded[i]) - 1) != 0)
		i++;
	return i;
}

void daemon_degraded(const char *what, bool on)
{
	bool changed = false;
	size_t i;

	(void)pthread_mutex_lock(&self.lock);
	i = degraded_find(what);
	if (on && i == self.n_degraded && i < DAEMON_DEGRADED_MAX) {
		(void)snprintf(self.degraded[i], sizeof(self.degraded[i]), "%s", what);
		self.n_degraded++;
		changed = true;
	} else if (!on && i < self.n_degraded) {
		self.n_degraded--;
		memmove(self.degraded[i], self.degraded[i + 1], (self.n_degraded - i) * sizeof(self.degraded[0]));
		changed = true;
	}
	(void)pthread_mutex_unlock(&self.lock);
	if (changed)
		log_msg(on ? LVL_WARNING : LVL_INFO, on ? "degraded" : "recovered", LF_S("dependency", what), LF_END);
}

size_t daemon_degraded_list(char out[DAEMON_DEGRADED_MAX][32])
{
	size_t n;

	(void)pthread_mutex_lock(&self.lock);
	n = self.n_degraded;
	memcpy(out, self.degraded, n * sizeof(out[0]));
	(void)pthread_mutex_unlock(&self.lock);
	return n;
}
