/* The response cache in the process and in Redis, single flight, and the limits. Skipped parts need TEST_REDIS_URL. */
#include "world.h"

#include <signal.h>
#include <sys/wait.h>

#include "common/cache.h"

static char run_id[16];
static struct cache *redis;

static int open_world(void **state)
{
	struct gw_conf c = world_conf();
	struct err e = { 0 };

	(void)state;
	snprintf(run_id, sizeof run_id, "%d-%d", (int)getpid(), (int)(wall_ms() % 100000));
	if (!*c.redis_url) {
		print_message("TEST_REDIS_URL is not set\n");
		return -1;
	}
	if (cache_open(c.redis_url, 2, 500, &redis, &e))
		fail_msg("%s", e.msg);
	return world_open_with(&c);
}

static int close_world(void **state)
{
	cache_close(redis);
	return world_close(state);
}

/* A target nobody else in this Redis has. */
static const char *target(const char *id)
{
	static char out[4][100];
	static unsigned at;

	snprintf(out[++at % 4], sizeof out[0], "/api/fake/products/%s-%s", id, run_id);
	return out[at % 4];
}

static const char *word(const char *id)
{
	static char out[100];

	snprintf(out, sizeof out, "product:%s-%s", id, run_id);
	return out;
}

static void raise_gen(const char *id)
{
	char key[120];
	int64_t v;
	struct err e = { 0 };

	snprintf(key, sizeof key, "gen:%s", word(id));
	assert_int_equal(cache_incr(redis, key, 60000, &v, &e), OK);
}

static int loads(void)
{
	return atomic_load(&fake.loads);
}

static void loaded_once(void **state)
{
	int before = loads();
	struct answer *a;

	(void)state;
	a = get(target("once"), "");
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->body, "for anybody"));
	assert_string_equal(header_of(a, "Cache-Control"), "public, max-age=5, s-maxage=5");
	for (int i = 0; i < 5; i++)
		assert_int_equal(get(target("once"), "")->status, 200);
	assert_int_equal(loads(), before + 1);
}

static void one_key_per_meaning(void **state)
{
	char one[200], two[200], other[200];
	int before = loads();

	(void)state;
	snprintf(one, sizeof one, "/api/fake/products?brand=%s&limit=5", run_id);
	snprintf(two, sizeof two, "/api/fake/products?limit=5&&brand=%s", run_id);
	snprintf(other, sizeof other, "/api/fake/products?limit=6&brand=%s", run_id);
	assert_int_equal(get(one, "")->status, 200);
	assert_int_equal(get(two, "")->status, 200); /* from Redis */
	assert_int_equal(loads(), before + 1);
	assert_int_equal(get(other, "")->status, 200);
	assert_int_equal(loads(), before + 2);
}

static void signed_in_readers_share_it_privately(void **state)
{
	char *user = strdup(token_of("usr_1", "ses_1", "shop", NULL, 900));
	int before = loads();
	struct answer *a;

	(void)state;
	a = get(target("shared"), user);
	assert_non_null(strstr(a->body, "for anybody")); /* never the caller's own view */
	assert_string_equal(header_of(a, "Cache-Control"), "private, no-store");
	get(target("shared"), "");
	assert_int_equal(loads(), before + 1);
	get("/api/fake/own/x", user);
	assert_non_null(strstr(my_answer()->body, "for usr_1"));
	free(user);
}

static void dropped_by_the_doorbell(void **state)
{
	int before = loads();

	(void)state;
	get(target("bell"), "");
	raise_gen("bell"); /* the owner raises, then rings */
	gateway_changed(&w.gw, word("bell"));
	assert_int_equal(get(target("bell"), "")->status, 200);
	assert_int_equal(loads(), before + 2);
	gateway_changed(&w.gw, "product:another");
	get(target("bell"), "");
	assert_int_equal(loads(), before + 2);
}

static void lost_rings_flush(void **state)
{
	int before = loads();

	(void)state;
	get(target("gap"), "");
	raise_gen("gap");
	respcache_flush(w.gw.respcache);
	get(target("gap"), "");
	assert_int_equal(loads(), before + 2);
}

/* The process forgets, Redis does not. */
static void redis_keeps(void **state)
{
	int before = loads();

	(void)state;
	get(target("kept"), "");
	respcache_flush(w.gw.respcache);
	get(target("kept"), "");
	assert_int_equal(loads(), before + 1);
}

struct reader {
	pthread_t thread;
	char target[100];
	int status;
	int64_t ms;
	char body[400];
	atomic_bool done;
};

static void *read_it(void *arg)
{
	struct reader *r = arg;
	int64_t began = mono_ms();
	struct answer *a = get(r->target, "");

	r->status = a->status;
	r->ms = mono_ms() - began;
	snprintf(r->body, sizeof r->body, "%s", a->body ? a->body : "");
	atomic_store(&r->done, true);
	return NULL;
}

static void start(struct reader *r, const char *t)
{
	snprintf(r->target, sizeof r->target, "%s", t);
	atomic_init(&r->done, false);
	pthread_create(&r->thread, NULL, read_it, r);
}

static void await_loads(int n)
{
	for (int i = 0; i < 4000 && loads() < n; i++)
		sleep_ms(5);
	assert_int_equal(loads(), n);
}

/* So many requests have reached the gateway; the last of them is about to look whether another one loads already. */
static void await_readers(int n)
{
	for (int i = 0; i < 4000 && gateway_busy(w.front) < n; i++)
		sleep_ms(5);
	assert_true(gateway_busy(w.front) >= n);
	sleep_ms(200);
}

static void single_flight(void **state)
{
	struct reader r[12];
	int before = loads();

	(void)state;
	atomic_store(&fake.hold, 1);
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		start(&r[i], target("flight"));
	await_loads(before + 1);
	await_readers(ARRAY_LEN(r)); /* the others join meanwhile */
	atomic_store(&fake.hold, 0);
	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		pthread_join(r[i].thread, NULL);
		assert_int_equal(r[i].status, 200);
		assert_string_equal(r[i].body, r[0].body);
	}
	assert_int_equal(loads(), before + 1);
}

static void refusals_are_shared_but_not_kept(void **state)
{
	struct reader r[6];
	int before = loads();

	(void)state;
	atomic_store(&fake.hold, 1);
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		start(&r[i], "/api/fake/products/missing");
	await_loads(before + 1);
	await_readers(ARRAY_LEN(r));
	atomic_store(&fake.hold, 0);
	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		pthread_join(r[i].thread, NULL);
		assert_int_equal(r[i].status, 404);
	}
	assert_int_equal(loads(), before + 1);
	check_error(get("/api/fake/products/missing", ""), 404, "NOT_FOUND");
	assert_int_equal(loads(), before + 2);
}

/* Loaded before the change, finished after it: shown to who asked, kept nowhere. */
static void change_while_loading(void **state)
{
	struct reader r;
	int before = loads();

	(void)state;
	atomic_store(&fake.hold, 1);
	start(&r, target("race"));
	await_loads(before + 1);
	raise_gen("race");
	atomic_store(&fake.hold, 0);
	pthread_join(r.thread, NULL);
	assert_int_equal(r.status, 200);
	respcache_flush(w.gw.respcache); /* so that Redis is asked */
	get(target("race"), "");
	assert_int_equal(loads(), before + 2);

	atomic_store(&fake.hold, 1);
	start(&r, target("race2"));
	await_loads(before + 3);
	gateway_changed(&w.gw, word("race2"));
	raise_gen("race2");
	atomic_store(&fake.hold, 0);
	pthread_join(r.thread, NULL);
	get(target("race2"), "");
	assert_int_equal(loads(), before + 4);
}

/* The daemon is stuck: those who wait are answered at their own deadline. */
static void waiters_keep_their_deadline(void **state)
{
	struct gw_conf c = world_conf();
	struct reader r[4];

	(void)state;
	gateway_down();
	c.rpc_ms = 400;
	gateway_up(&c);
	atomic_store(&fake.hold, 1);
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		start(&r[i], target("stuck"));
	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		pthread_join(r[i].thread, NULL);
		assert_int_equal(r[i].status, 503);
		assert_true(r[i].ms < 2500);
	}
	atomic_store(&fake.hold, 0);
	gateway_down();
	c = world_conf();
	gateway_up(&c);
}

static void sale_windows_shorten_life(void **state)
{
	int before = loads();

	(void)state;
	get("/api/fake/products/brief", "");
	get("/api/fake/products/brief", "");
	assert_int_equal(loads(), before + 2);
}

/* ---- limits ---- */

struct shot {
	pthread_t thread;
	const char *headers;
	int ok, refused, other, each;
	bool post;
};

static void *shoot(void *arg)
{
	struct shot *s = arg;

	for (int i = 0; i < s->each; i++) {
		struct answer *a = s->post ? ask("POST", "/api/fake/items", s->headers, "{\"variant_id\":\"v\",\"qty\":1}")
					   : get("/api/fake/products/p1", s->headers);

		if (a->status == 429)
			s->refused++;
		else if (a->status < 300)
			s->ok++;
		else
			s->other++;
	}
	return NULL;
}

static int volley(const char *headers, bool post, int threads, int each)
{
	struct shot s[32];
	int ok = 0;

	memset(s, 0, sizeof s);
	for (int i = 0; i < threads; i++) {
		s[i] = (struct shot){ .headers = headers, .each = each, .post = post };
		pthread_create(&s[i].thread, NULL, shoot, &s[i]);
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(s[i].thread, NULL);
		assert_int_equal(s[i].other, 0);
		ok += s[i].ok;
	}
	return ok;
}

static void limited(const struct gw_conf *conf)
{
	gateway_down();
	gateway_up(conf);
}

static void users_are_counted_exactly(void **state)
{
	struct gw_conf c = world_conf();
	char user[32], *token;
	struct answer *a;
	int ok;

	(void)state;
	snprintf(user, sizeof user, "usr_%s", run_id);
	c.limit_user = 12; /* one comes back each 5 s, which is longer than a restart */
	limited(&c);
	token = strdup(token_of(user, "ses_l", "shop", NULL, 900));
	ok = volley(token, false, 16, 3);
	if (ok != 12)
		fail_msg("%d of 48 allowed, 12 a minute", ok);
	a = get("/api/fake/products/p1", token);
	check_error(a, 429, "RATE_LIMITED");
	assert_string_equal(header_of(a, "RateLimit-Policy"), "\"user\";q=12;w=60");
	assert_true(!strncmp(header_of(a, "RateLimit"), "\"user\";r=0;t=", 13));
	assert_non_null(header_of(a, "Retry-After"));
	/* Another gateway knows it, a restart forgets nothing. */
	limited(&c);
	check_error(ask("POST", "/api/fake/items", token, "{\"variant_id\":\"v\",\"qty\":1}"), 429, "RATE_LIMITED");
	free(token);
}

/* Far from the end some are taken from Redis together; of two gateways no more is had than of one. */
static void what_is_taken_ahead_counts(void **state)
{
	struct gw_conf c = world_conf();
	char user[40], *token;
	int64_t begun;
	int ok, back;

	(void)state;
	snprintf(user, sizeof user, "usr_ahead%s", run_id);
	c.limit_user = 100;
	limited(&c);
	token = strdup(token_of(user, "ses_l", "shop", NULL, 900));
	begun = mono_ms();
	ok = volley(token, false, 1, 10);
	limited(&c); /* what the first had taken and not used is lost */
	ok += volley(token, false, 16, 10);
	back = (int)((mono_ms() - begun) / 600) + 1;
	if (ok < 100 - 3 || ok > 100 + back)
		fail_msg("%d of 170 allowed, 100 a minute and %d come back", ok, back);
	free(token);
}

static void addresses_are_counted(void **state)
{
	struct gw_conf c = world_conf();
	char headers[64];
	int ok;

	(void)state;
	c.limit_anonymous = 12;
	c.trusted_proxies = "127.0.0.1";
	limited(&c);
	snprintf(headers, sizeof headers, "X-Forwarded-For: 10.%d.%d.1\r\n", (int)getpid() % 250, (int)(wall_ms() % 250));
	ok = volley(headers, false, 8, 6);
	if (ok != 12)
		fail_msg("%d of 48 allowed, 12 a minute", ok);
	sleep_ms(400); /* reconciled by now */
	check_error(ask("POST", "/api/fake/items", headers, "{\"variant_id\":\"v\",\"qty\":1}"), 429, "RATE_LIMITED");
	limited(&c); /* another gateway has heard of it through Redis once it asks there */
	check_error(ask("POST", "/api/fake/items", headers, "{\"variant_id\":\"v\",\"qty\":1}"), 429, "RATE_LIMITED");
	check_error(get("/api/fake/products/p1", headers), 429, "RATE_LIMITED");
}

static void guarded(void **state)
{
	struct gw_conf c = world_conf();
	int ok = 0;

	(void)state;
	c.limit_guard = 20;
	limited(&c);
	for (int i = 0; i < 30; i++)
		ok += get("/api/nothing", "")->status == 404;
	assert_true(ok >= 20 && ok <= 21);
	check_error(my_answer(), 429, "RATE_LIMITED");
	assert_string_equal(header_of(my_answer(), "Connection"), "close");
}

/* More requests at the daemons than allowed: the rest is told so at once instead of queueing. */
static void shed(void **state)
{
	struct gw_conf c = world_conf();
	struct reader r[6];
	char id[16];
	int served = 0, refused = 0;

	(void)state;
	c.inflight_max = 2;
	limited(&c);
	atomic_store(&fake.hold, 1);
	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		snprintf(id, sizeof id, "shed%zu", i);
		start(&r[i], target(id));
	}
	for (int i = 0, done = 0; i < 4000 && done < 4; i++, sleep_ms(5)) /* those are answered while the others still wait */
		for (size_t k = done = 0; k < ARRAY_LEN(r); k++)
			done += atomic_load(&r[k].done);
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		refused += atomic_load(&r[i].done);
	assert_int_equal(refused, 4);
	refused = 0;
	atomic_store(&fake.hold, 0);
	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		pthread_join(r[i].thread, NULL);
		served += r[i].status == 200;
		refused += r[i].status == 503;
	}
	assert_int_equal(served, 2);
	assert_int_equal(refused, 4);
	c = world_conf();
	limited(&c);
}

static void without_redis(void **state)
{
	struct gw_conf c = world_conf();
	char *token = strdup(token_of("usr_nored", "ses_n", "shop", NULL, 900));

	(void)state;
	c.redis_url = "redis://127.0.0.1:1"; /* nobody there */
	c.limit_user = 10;
	c.limit_auth = 10;
	limited(&c);
	assert_int_equal(volley(token, false, 4, 5), 10);
	check_error(ask("POST", "/api/auth/refresh", "", "{\"refresh_token\":\"x\"}"), 503, "DEPENDENCY_UNAVAILABLE");
	assert_int_equal(get("/api/fake/products/p1", "")->status, 200);
	free(token);
	c = world_conf();
	limited(&c);
}

static int free_port(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t n = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	close(fd);
	return ntohs(sa.sin_port);
}

/* Redis comes (back): it is used again without a restart, limits and cache alike. */
static void redis_returns(void **state)
{
	struct gw_conf c = world_conf();
	char port[16], url[64];
	int64_t began;
	pid_t pid;

	(void)state;
	snprintf(port, sizeof port, "%d", free_port());
	snprintf(url, sizeof url, "redis://127.0.0.1:%s", port);
	c.redis_url = url;
	c.limit_auth = 1000;
	limited(&c);
	for (int i = 0; i < 5; i++)
		check_error(ask("POST", "/api/auth/refresh", "", "{\"refresh_token\":\"x\"}"), 503, "DEPENDENCY_UNAVAILABLE");
	pid = fork();
	if (!pid) {
		execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no",
		       "--logfile", "/dev/null", "--dir", "/", (char *)NULL);
		_exit(127);
	}
	for (began = mono_ms(); mono_ms() - began < 10000; sleep_ms(100))
		if (ask("POST", "/api/auth/refresh", "", "{\"refresh_token\":\"x\"}")->status == 200)
			break;
	assert_int_equal(ask("POST", "/api/auth/refresh", "", "{\"refresh_token\":\"x\"}")->status, 200);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	c = world_conf();
	limited(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loaded_once),
		cmocka_unit_test(one_key_per_meaning),
		cmocka_unit_test(signed_in_readers_share_it_privately),
		cmocka_unit_test(dropped_by_the_doorbell),
		cmocka_unit_test(lost_rings_flush),
		cmocka_unit_test(redis_keeps),
		cmocka_unit_test(single_flight),
		cmocka_unit_test(refusals_are_shared_but_not_kept),
		cmocka_unit_test(change_while_loading),
		cmocka_unit_test(waiters_keep_their_deadline),
		cmocka_unit_test(sale_windows_shorten_life),
		cmocka_unit_test(users_are_counted_exactly),
		cmocka_unit_test(what_is_taken_ahead_counts),
		cmocka_unit_test(addresses_are_counted),
		cmocka_unit_test(guarded),
		cmocka_unit_test(shed),
		cmocka_unit_test(without_redis),
		cmocka_unit_test(redis_returns),
	};

	return cmocka_run_group_tests_name("gateway cache and limits", tests, open_world, close_world);
}
