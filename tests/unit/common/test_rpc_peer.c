/* Choosing a peer, names to addresses, trace headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/rpc_peer.h"
#include "common/rpc_resolve.h"
#include "common/trace.h"

enum { N = 3, NOW = 1000000 };

static struct rpc_peer_state peers[N];
static struct rpc_peer_state *const list[N] = { &peers[0], &peers[1], &peers[2] };

static int fresh(void **state)
{
	int i;

	(void)state;
	memset(peers, 0, sizeof(peers));
	for (i = 0; i < N; i++)
		atomic_store(&peers[i].pipes, 1);
	return 0;
}

/* How often each is picked in 600 tries. */
static void tally(int avoid, int64_t now, int counts[N])
{
	int i, k;

	memset(counts, 0, N * sizeof(*counts));
	for (i = 0; i < 600; i++) {
		k = rpc_peer_pick(list, N, avoid, now);
		if (k >= 0)
			counts[k]++;
	}
}

static void test_spread(void **state)
{
	int counts[N];

	(void)state;
	tally(-1, NOW, counts);
	assert_true(counts[0] > 120 && counts[1] > 120 && counts[2] > 120);
	atomic_store(&peers[1].outstanding, 10);
	tally(-1, NOW, counts);
	assert_int_equal(counts[1], 0); /* always the busier of the two */
	tally(0, NOW, counts);
	assert_int_equal(counts[0], 0);
}

static void test_only_connected(void **state)
{
	int counts[N];

	(void)state;
	atomic_store(&peers[0].pipes, 0);
	atomic_store(&peers[2].gone, true);
	tally(-1, NOW, counts);
	assert_int_equal(counts[1], 600);
	tally(1, NOW, counts); /* the one to avoid is better than none */
	assert_int_equal(counts[1], 600);
	atomic_store(&peers[1].pipes, 0);
	assert_int_equal(rpc_peer_pick(list, N, -1, NOW), -1);
	assert_int_equal(rpc_peer_pick(list, 0, -1, NOW), -1);
}

static void test_draining(void **state)
{
	int counts[N];

	(void)state;
	rpc_peer_ok(&peers[0], true, NOW);
	tally(-1, NOW, counts);
	assert_int_equal(counts[0], 0);
	tally(-1, NOW + RPC_DRAINING_MS + 1, counts);
	assert_true(counts[0] > 0);
	rpc_peer_ok(&peers[1], true, NOW);
	rpc_peer_ok(&peers[2], true, NOW);
	assert_true(rpc_peer_pick(list, N, -1, NOW) >= 0); /* all drain: still better than none */
	rpc_peer_ok(&peers[2], false, NOW);
	tally(-1, NOW, counts);
	assert_int_equal(counts[2], 600);
}

static void test_refusing(void **state)
{
	int counts[N];

	(void)state;
	rpc_peer_refused(&peers[0], NOW);
	rpc_peer_refused(&peers[1], NOW);
	tally(-1, NOW, counts);
	assert_int_equal(counts[2], 600);
	rpc_peer_refused(&peers[2], NOW);
	assert_int_equal(rpc_peer_pick(list, N, -1, NOW), -1); /* not even as the last resort: it is about to close */
	rpc_peer_new(&peers[1]);
	tally(-1, NOW, counts);
	assert_int_equal(counts[1], 600);
	assert_true(rpc_peer_pick(list, N, 1, NOW + RPC_REFUSING_MS) >= 0);
}

static void test_ejection(void **state)
{
	int counts[N];
	int64_t first, second;

	(void)state;
	assert_false(rpc_peer_timeout(&peers[0], 500, NOW));
	assert_false(rpc_peer_timeout(&peers[0], 500, NOW));
	rpc_peer_ok(&peers[0], false, NOW); /* an answer between: not consecutive */
	assert_false(rpc_peer_timeout(&peers[0], 500, NOW));
	assert_false(rpc_peer_timeout(&peers[0], 500, NOW));
	assert_false(rpc_peer_timeout(&peers[0], RPC_TIMEOUT_COUNTS_MS - 1, NOW)); /* too short a wait */
	assert_true(rpc_peer_timeout(&peers[0], 500, NOW));
	tally(-1, NOW, counts);
	assert_int_equal(counts[0], 0);
	assert_false(rpc_peer_probe_due(&peers[0], NOW));
	first = atomic_load(&peers[0].ejected_until) - NOW;
	assert_in_range(first, RPC_EJECT_MS, RPC_EJECT_MS + RPC_EJECT_MS / 4);
	assert_true(rpc_peer_probe_due(&peers[0], NOW + first));
	/* Stragglers of before do not lengthen it; a failed probe doubles it. */
	assert_false(rpc_peer_timeout(&peers[0], 500, NOW + 1));
	assert_true(rpc_peer_timeout(&peers[0], 1000, NOW + first));
	second = atomic_load(&peers[0].ejected_until) - NOW - first;
	assert_in_range(second, 2 * RPC_EJECT_MS, 2 * RPC_EJECT_MS * 5 / 4);
	rpc_peer_ok(&peers[0], false, NOW);
	tally(-1, NOW, counts);
	assert_true(counts[0] > 120);
}

static void test_last_resort(void **state)
{
	int i, k;

	(void)state;
	for (i = 0; i < N; i++)
		for (k = 0; k < RPC_EJECT_AFTER; k++)
			(void)rpc_peer_timeout(&peers[i], 500, NOW);
	assert_true(rpc_peer_pick(list, N, -1, NOW) >= 0);
	for (i = 0; i < N; i++)
		atomic_store(&peers[i].outstanding, RPC_EJECTED_TRIALS);
	assert_int_equal(rpc_peer_pick(list, N, -1, NOW), -1); /* no more callers hang at the dead */
}

static void test_pause_is_bounded(void **state)
{
	int64_t now = NOW;
	int i;

	(void)state;
	for (i = 0; i < 40; i++) {
		(void)rpc_peer_timeout(&peers[0], 500, now);
		if (atomic_load(&peers[0].ejected_until) > now)
			now = atomic_load(&peers[0].ejected_until);
	}
	assert_int_equal(atomic_load(&peers[0].pause_ms), RPC_EJECT_MAX_MS);
}

/* ---- names ---- */

static void test_parse_urls(void **state)
{
	static const char *const bad[] = { "", NULL, "host:1", "tcp://", "tcp://host", "tcp://host:", "tcp://:1", "tcp://h:12x",
					   "tcp://[::1:5", "http://h:1", "tcp://a:1,,tcp://b:2", "tcp://h:123456789" };
	struct rpc_target t[RPC_URLS_MAX];
	struct rpc_addr a[4];
	struct err e = { 0 };
	size_t n = 0, i;

	(void)state;
	assert_int_equal(rpc_targets_parse("tcp://cart:7004, tcp://10.0.0.1:7,tcp://[::1]:9,ipc:///run/x.sock", t, &n, &e), OK);
	assert_int_equal(n, 4);
	assert_string_equal(t[0].host, "cart");
	assert_string_equal(t[0].port, "7004");
	assert_false(t[0].literal);
	assert_true(t[1].literal && t[2].literal && t[3].literal);
	assert_int_equal(rpc_target_addrs(&t[1], NULL, NULL, a, 4), 1);
	assert_string_equal(a[0].url, "tcp://10.0.0.1:7");
	assert_int_equal(rpc_target_addrs(&t[2], NULL, NULL, a, 4), 1);
	assert_string_equal(a[0].url, "tcp://[::1]:9");
	assert_int_equal(rpc_target_addrs(&t[3], NULL, NULL, a, 4), 1);
	assert_string_equal(a[0].url, "ipc:///run/x.sock");
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (rpc_targets_parse(bad[i], t, &n, &e) != E_INVALID)
			fail_msg("accepted: %s", bad[i] ? bad[i] : "NULL");
}

static void test_localhost(void **state)
{
	struct rpc_addr a[8];
	int i, n = rpc_lookup_dns("localhost", "7001", a, 8, NULL), found = 0;

	(void)state;
	assert_true(n >= 1);
	for (i = 0; i < n; i++)
		found += !strcmp(a[i].url, "tcp://127.0.0.1:7001") || !strcmp(a[i].url, "tcp://[::1]:7001");
	assert_int_equal(found, n);
	assert_int_equal(rpc_lookup_dns("no-such-host.invalid", "1", a, 8, NULL), -1);
}

/* ---- traces ---- */

static void test_trace(void **state)
{
	static const char *const bad[] = { NULL,
					   "",
					   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
					   "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
					   "00-00000000000000000000000000000000-b7ad6b7169203331-01",
					   "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
					   "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
					   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
					   "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01" };
	static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
	char a[TRACE_LEN], b[TRACE_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(trace_ok(bad[i]));
		trace_child(bad[i], a);
		assert_true(trace_ok(a));
	}
	assert_true(trace_ok(parent));
	trace_child(parent, a);
	trace_child(parent, b);
	assert_true(trace_ok(a) && trace_ok(b));
	assert_memory_equal(a, parent, 36);
	assert_memory_equal(a + 52, "-00", 4);
	assert_memory_not_equal(a + 36, parent + 36, 16);
	assert_memory_not_equal(a + 36, b + 36, 16);
	trace_new(a);
	trace_new(b);
	assert_memory_not_equal(a + 3, b + 3, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_spread, fresh),
		cmocka_unit_test_setup(test_only_connected, fresh),
		cmocka_unit_test_setup(test_draining, fresh),
		cmocka_unit_test_setup(test_refusing, fresh),
		cmocka_unit_test_setup(test_ejection, fresh),
		cmocka_unit_test_setup(test_last_resort, fresh),
		cmocka_unit_test_setup(test_pause_is_bounded, fresh),
		cmocka_unit_test(test_parse_urls),
		cmocka_unit_test(test_localhost),
		cmocka_unit_test(test_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
