/* The cache against Redis: the shared one for commands, redis-servers of its own to kill and freeze. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cache.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/timeutil.h"

static struct arena *arena;

static struct pg_bytes text(const char *s)
{
	return (struct pg_bytes){ s, strlen(s) };
}

static const char *own_key(const char *what)
{
	char rnd[44];

	random_token(rnd);
	return arena_printf(arena, "test:%s:%s", what, rnd);
}

static struct cache *open_cache(const char *url, int connections, int timeout_ms)
{
	struct cache *c = NULL;
	struct err e = { 0 };

	if (cache_open(url, connections, timeout_ms, &c, &e))
		fail_msg("%s", e.msg);
	return c;
}

static struct cache *shared(void)
{
	const char *url = getenv("TEST_REDIS_URL");

	if (!url)
		skip();
	return open_cache(url, 4, 1000);
}

/* ---- a redis of our own ---- */

struct redis {
	pid_t pid;
	char port[8], url[64], password[20];
};

static void free_port(char port[8])
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	snprintf(port, 8, "%d", ntohs(sa.sin_port));
	close(fd);
}

static void launch(struct redis *r)
{
	char *argv[] = { "redis-server", "--port", r->port,	"--bind",      "127.0.0.1", "--save",	       "",
			 "--appendonly", "no",	   "--daemonize", "no",	       "--logfile", "/dev/null",       "--requirepass",
			 r->password,	 NULL };

	r->pid = fork();
	assert_true(r->pid >= 0);
	if (!r->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when this test is killed */
		execvp("redis-server", argv);
		_exit(127);
	}
}

static void start_redis(struct redis *r)
{
	free_port(r->port);
	snprintf(r->password, sizeof(r->password), "p:a/s?s");
	snprintf(r->url, sizeof(r->url), "redis://:%s@127.0.0.1:%s/3", r->password, r->port);
	launch(r);
}

static void stop_redis(struct redis *r)
{
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
}

static bool set_works(struct cache *c)
{
	struct err e = { 0 };

	return cache_set(c, "k", text("v"), 0, &e) == OK;
}

#define WAIT_FOR(cond, ms)                                                                                             \
	do {                                                                                                           \
		int64_t until_ = mono_ms() + (ms);                                                                     \
		bool ok_;                                                                                              \
		while (!(ok_ = (cond)) && mono_ms() < until_)                                                          \
			sleep_ms(5);                                                                                   \
		if (!ok_)                                                                                              \
			fail_msg("not within %d ms: %s", (int)(ms), #cond);                                            \
	} while (0)

/* ---- tests ---- */

static void test_values(void **state)
{
	static const char binary[] = "a\0b\r\n$5\xff";
	struct cache *c = shared();
	const char *key = own_key("val ue\r\n");
	struct pg_bytes val = { 0 };
	struct err e = { 0 };
	bool found = true;

	(void)state;
	assert_int_equal(cache_get(c, key, arena, &val, &found, &e), OK);
	assert_false(found);
	assert_int_equal(cache_set(c, key, (struct pg_bytes){ binary, sizeof(binary) }, 0, &e), OK);
	assert_int_equal(cache_get(c, key, arena, &val, &found, &e), OK);
	assert_true(found);
	assert_int_equal(val.len, sizeof(binary));
	assert_memory_equal(val.data, binary, sizeof(binary));
	assert_int_equal(cache_set(c, key, (struct pg_bytes){ NULL, 0 }, 60000, &e), OK);
	assert_int_equal(cache_get(c, key, arena, &val, &found, &e), OK);
	assert_true(found && !val.len);
	assert_int_equal(cache_del(c, &key, 1, &e), OK);
	assert_int_equal(cache_get(c, key, arena, &val, &found, &e), OK);
	assert_false(found);
	assert_true(cache_up(c));
	cache_close(c);
}

static void test_time_to_live(void **state)
{
	struct cache *c = shared();
	const char *key = own_key("ttl");
	struct pg_bytes val;
	struct err e = { 0 };
	bool found;

	(void)state;
	assert_int_equal(cache_set(c, key, text("x"), 1500, &e), OK);
	assert_int_equal(cache_get(c, key, arena, &val, &found, &e), OK);
	assert_true(found);
	WAIT_FOR(cache_get(c, key, arena, &val, &found, &e) == OK && !found, 20000);
	cache_close(c);
}

static void test_counting(void **state)
{
	struct cache *c = shared();
	const char *key = own_key("n");
	struct err e = { 0 };
	int64_t n = 0;

	(void)state;
	assert_int_equal(cache_incr(c, key, 100, &n, &e), OK);
	assert_int_equal(n, 1);
	assert_int_equal(cache_incr(c, key, 100, &n, &e), OK);
	assert_int_equal(n, 2);
	sleep_ms(150);
	assert_int_equal(cache_incr(c, key, 0, &n, &e), OK);
	assert_int_equal(n, 1);
	assert_int_equal(cache_del(c, &key, 1, &e), OK);
	cache_close(c);
}

static void test_several(void **state)
{
	struct cache *c = shared();
	const char *keys[] = { own_key("m1"), own_key("m2"), own_key("m3") };
	struct pg_bytes vals[3];
	struct err e = { 0 };

	(void)state;
	assert_int_equal(cache_set(c, keys[0], text("one"), 5000, &e), OK);
	assert_int_equal(cache_set(c, keys[2], text("three"), 5000, &e), OK);
	assert_int_equal(cache_mget(c, keys, 3, arena, vals, &e), OK);
	assert_memory_equal(vals[0].data, "one", 3);
	assert_null(vals[1].data);
	assert_memory_equal(vals[2].data, "three", 5);
	assert_int_equal(cache_del(c, keys, 3, &e), OK);
	cache_close(c);
}

static void test_scripts(void **state)
{
	struct cache_script script = { .lua = "return {redis.call('INCRBY', KEYS[1], ARGV[1]), 7}" };
	struct cache_script broken = { .lua = "return redis.call('NOSUCH')" };
	struct redis r;
	struct cache *c;
	const char *key = "k";
	struct pg_bytes by = text("5");
	struct err e = { 0 };
	int64_t ints[2] = { 0 };

	(void)state;
	start_redis(&r);
	c = open_cache(r.url, 2, 500);
	WAIT_FOR(set_works(c), 20000);
	assert_int_equal(cache_del(c, &key, 1, &e), OK);
	assert_int_equal(cache_eval(c, &script, &key, 1, &by, 1, ints, 2, &e), OK);
	assert_int_equal(ints[0], 5);
	assert_int_equal(ints[1], 7);
	assert_int_equal(strlen(script.sha), 40);
	assert_int_equal(cache_eval(c, &broken, &key, 1, NULL, 0, ints, 1, &e), E_UNAVAILABLE);
	assert_true(cache_up(c)); /* a wrong command is no outage */
	/* A new process does not know the script. */
	stop_redis(&r);
	launch(&r);
	WAIT_FOR(set_works(c), 20000);
	err_clear(&e);
	assert_int_equal(cache_del(c, &key, 1, &e), OK);
	assert_int_equal(cache_eval(c, &script, &key, 1, &by, 1, ints, 2, &e), OK);
	assert_int_equal(ints[0], 5);
	cache_close(c);
	stop_redis(&r);
}

static void test_killed_and_back(void **state)
{
	struct redis r;
	struct cache *c;
	struct err e = { 0 };
	int64_t start;
	int i;

	(void)state;
	start_redis(&r);
	c = open_cache(r.url, 4, 300);
	WAIT_FOR(set_works(c), 20000);
	stop_redis(&r);
	assert_int_equal(cache_set(c, "k", text("v"), 0, &e), E_UNAVAILABLE);
	assert_false(cache_up(c));
	start = mono_ms();
	for (i = 0; i < 1000; i++)
		assert_int_equal(cache_set(c, "k", text("v"), 0, &e), E_UNAVAILABLE);
	assert_true(mono_ms() - start < 3000); /* most were not even tried */
	launch(&r);
	WAIT_FOR(set_works(c), 20000);
	assert_true(cache_up(c));
	cache_close(c);
	stop_redis(&r);
}

static void test_restart_costs_nobody(void **state)
{
	struct redis r;
	struct cache *c, *probe;

	(void)state;
	start_redis(&r);
	c = open_cache(r.url, 4, 300);
	probe = open_cache(r.url, 1, 300);
	WAIT_FOR(set_works(c), 20000);
	stop_redis(&r);
	launch(&r);
	WAIT_FOR(set_works(probe), 20000);
	/* The idle connection is dead, a fresh one works: the caller sees nothing. */
	assert_true(set_works(c));
	cache_close(c);
	cache_close(probe);
	stop_redis(&r);
}

static void test_frozen(void **state)
{
	struct redis r;
	struct cache *c;
	int64_t start;

	(void)state;
	start_redis(&r);
	c = open_cache(r.url, 4, 1000);
	WAIT_FOR(set_works(c), 20000);
	kill(r.pid, SIGSTOP);
	assert_int_equal(waitpid(r.pid, NULL, WUNTRACED), r.pid); /* it takes its time */
	start = mono_ms();
	assert_false(set_works(c));
	assert_in_range(mono_ms() - start, 900, 5000);
	start = mono_ms();
	assert_false(set_works(c));
	assert_true(mono_ms() - start < 900); /* not tried again for now */
	kill(r.pid, SIGCONT);
	WAIT_FOR(set_works(c), 20000);
	cache_close(c);
	stop_redis(&r);
}

static void test_no_redis(void **state)
{
	struct cache *c = open_cache("", 4, 100);
	struct err e = { 0 };
	struct pg_bytes val;
	bool found;

	(void)state;
	assert_false(cache_up(c));
	assert_int_equal(cache_get(c, "k", arena, &val, &found, &e), E_UNAVAILABLE);
	cache_close(c);
	assert_int_equal(cache_open("http://x", 1, 1, &c, &e), E_INVALID);
	assert_int_equal(cache_open("redis://", 1, 1, &c, &e), E_INVALID);
	assert_int_equal(cache_open("redis://h:99999", 1, 1, &c, &e), E_INVALID);
	assert_int_equal(cache_open("redis://h/x", 1, 1, &c, &e), E_INVALID);
	assert_null(strstr(e.msg, "h/x"));
}

struct hammer {
	struct cache *c;
	const char *key;
	atomic_int failed;
};

static void *hammer_run(void *p)
{
	struct hammer *h = p;
	struct err e = { 0 };
	int64_t n;
	int i;

	for (i = 0; i < 200; i++)
		if (cache_incr(h->c, h->key, 60000, &n, &e))
			atomic_fetch_add(&h->failed, 1);
	return NULL;
}

static void test_more_threads_than_connections(void **state)
{
	struct hammer h = { .c = shared(), .key = own_key("hammer") };
	struct err e = { 0 };
	pthread_t t[12];
	int64_t n = 0;
	int i;

	(void)state;
	for (i = 0; i < 12; i++)
		pthread_create(&t[i], NULL, hammer_run, &h);
	for (i = 0; i < 12; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&h.failed), 0);
	assert_int_equal(cache_incr(h.c, h.key, 0, &n, &e), OK);
	assert_int_equal(n, 2401);
	assert_int_equal(cache_del(h.c, &h.key, 1, &e), OK);
	cache_close(h.c);
}

static int setup(void **state)
{
	(void)state;
	arena = arena_new("test", 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_time_to_live),
		cmocka_unit_test(test_counting),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_killed_and_back),
		cmocka_unit_test(test_restart_costs_nobody),
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_no_redis),
		cmocka_unit_test(test_more_threads_than_connections),
	};

	log_init("test", LVL_CRITICAL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
