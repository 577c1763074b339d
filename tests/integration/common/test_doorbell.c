#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>

#include <cmocka.h>

#include "common.pb-c.h"
#include "common/doorbell.h"
#include "common/log.h"
#include "common/timeutil.h"

struct heard {
	pthread_mutex_t lock;
	int rings, gaps, heartbeats, changed, topics;
	char last_changed[160], source[40];
	_Atomic bool hold; /* the listener's function does not return while it is set */
};

static void hear(const struct doorbell_ring *r, void *arg)
{
	struct heard *h = arg;

	while (h->hold)
		sleep_ms(2);
	pthread_mutex_lock(&h->lock);
	h->rings++;
	h->gaps += r->gap;
	h->heartbeats += r->heartbeat;
	h->changed += (int)r->n_changed;
	h->topics += (int)r->n_topics;
	if (r->n_changed)
		snprintf(h->last_changed, sizeof(h->last_changed), "%s", r->changed[r->n_changed - 1]);
	snprintf(h->source, sizeof(h->source), "%s", r->source);
	pthread_mutex_unlock(&h->lock);
}

static int get(struct heard *h, const int *field)
{
	int v;

	pthread_mutex_lock(&h->lock);
	v = *field;
	pthread_mutex_unlock(&h->lock);
	return v;
}

/* Long, for a machine that has other things to do; it is over when the condition holds. */
#define WAIT_FOR(cond)                                                                                                 \
	do {                                                                                                           \
		int64_t until_ = mono_ms() + 20000;                                                                    \
		bool ok_;                                                                                              \
		while (!(ok_ = (cond)) && mono_ms() < until_)                                                          \
			sleep_ms(2);                                                                                   \
		if (!ok_)                                                                                              \
			fail_msg("not within 20 s: %s", #cond);                                                        \
	} while (0)

static struct doorbell *open_bell(const char *url)
{
	struct doorbell *b = NULL;
	struct err e = { 0 };

	if (doorbell_open(url, "catalog", &b, &e))
		fail_msg("%s", e.msg);
	return b;
}

static struct doorbell_listener *listen_to(const char *urls, struct heard *h)
{
	struct doorbell_listener *l = NULL;
	struct err e = { 0 };

	*h = (struct heard){ .lock = PTHREAD_MUTEX_INITIALIZER };
	if (doorbell_listen(urls, 100, hear, h, &l, &e))
		fail_msg("%s", e.msg);
	return l;
}

static void test_rings_arrive(void **state)
{
	struct doorbell *b = open_bell("tcp://127.0.0.1:0");
	struct heard h;
	struct doorbell_listener *l = listen_to(doorbell_url(b), &h);
	int gaps;

	(void)state;
	WAIT_FOR(get(&h, &h.heartbeats) >= 1); /* connected: a heartbeat each second */
	assert_int_equal(get(&h, &h.gaps), 1);	     /* the first ring of an instance: who knows what was before */
	gaps = get(&h, &h.gaps);
	doorbell_ring(b, "product.changed", "product:prd_1");
	WAIT_FOR(get(&h, &h.changed) == 1);
	assert_string_equal(h.last_changed, "product:prd_1");
	assert_string_equal(h.source, "catalog");
	assert_int_equal(get(&h, &h.topics), 1);
	assert_int_equal(get(&h, &h.gaps), gaps);
	WAIT_FOR(get(&h, &h.heartbeats) >= 3);
	assert_int_equal(get(&h, &h.gaps), gaps);
	doorbell_unlisten(l);
	doorbell_close(b);
}

static void test_coalesced(void **state)
{
	struct doorbell *b = open_bell("tcp://127.0.0.1:0");
	struct heard h;
	struct doorbell_listener *l = listen_to(doorbell_url(b), &h);
	char id[40];
	int i, rings;

	(void)state;
	WAIT_FOR(get(&h, &h.rings) >= 1);
	rings = get(&h, &h.rings);
	for (i = 0; i < 300; i++) {
		snprintf(id, sizeof(id), "product:prd_%d", i % 100);
		doorbell_ring(b, "product.changed", id);
	}
	WAIT_FOR(get(&h, &h.changed) >= 100);
	sleep_ms(50);
	assert_in_range(get(&h, &h.rings) - rings, 1, 30);
	doorbell_unlisten(l);
	doorbell_close(b);
}

static void test_what_does_not_fit_is_a_gap(void **state)
{
	struct doorbell *b = open_bell("tcp://127.0.0.1:0");
	struct heard h;
	struct doorbell_listener *l = listen_to(doorbell_url(b), &h);
	char id[200];
	int gaps;

	(void)state;
	WAIT_FOR(get(&h, &h.rings) >= 1);
	gaps = get(&h, &h.gaps);
	memset(id, 'x', sizeof(id) - 1); /* as one of more ids than a ring holds, it is not named */
	id[sizeof(id) - 1] = '\0';
	doorbell_ring(b, "product.changed", id);
	WAIT_FOR(get(&h, &h.gaps) > gaps);
	assert_int_equal(get(&h, &h.changed), 0);
	doorbell_unlisten(l);
	doorbell_close(b);
}

static void test_restart_and_loss_are_gaps(void **state)
{
	struct doorbell *b = open_bell("tcp://127.0.0.1:0");
	struct heard h;
	struct doorbell_listener *l = listen_to(doorbell_url(b), &h);
	char url[128];
	int gaps;

	(void)state;
	snprintf(url, sizeof(url), "%s", doorbell_url(b));
	WAIT_FOR(get(&h, &h.rings) >= 1);
	gaps = get(&h, &h.gaps);
	doorbell_close(b);
	WAIT_FOR(get(&h, &h.gaps) == gaps + 1); /* the connection went */
	b = open_bell(url);
	WAIT_FOR(get(&h, &h.gaps) == gaps + 2); /* another instance */
	doorbell_ring(b, "x", "product:prd_9");
	WAIT_FOR(get(&h, &h.changed) == 1);
	doorbell_unlisten(l);
	doorbell_close(b);
}

/* ---- rings of our own making ---- */

struct publisher {
	nng_socket pub;
	char *url;
};

static void publish(struct publisher *p)
{
	nng_listener nl;

	assert_int_equal(nng_pub0_open(&p->pub), 0);
	assert_int_equal(nng_listener_create(&nl, p->pub, "tcp://127.0.0.1:0"), 0);
	assert_int_equal(nng_listener_start(nl, 0), 0);
	assert_int_equal(nng_listener_get_string(nl, NNG_OPT_URL, &p->url), 0);
}

static void unpublish(struct publisher *p)
{
	nng_strfree(p->url);
	nng_close(p->pub);
}

static void send_ring(struct publisher *p, const char *instance, uint64_t seq, char *mark)
{
	Common__V1__Ring r = COMMON__V1__RING__INIT;
	uint8_t buf[256];
	size_t n;

	r.source = (char *)"catalog";
	r.instance = (char *)instance;
	r.has_seq = 1;
	r.seq = seq;
	r.changed = &mark;
	r.n_changed = 1;
	n = common__v1__ring__pack(&r, buf);
	assert_int_equal(nng_send(p->pub, buf, n, 0), 0);
}

static bool heard_last(struct heard *h, const char *mark)
{
	bool same;

	pthread_mutex_lock(&h->lock);
	same = strcmp(h->last_changed, mark) == 0;
	pthread_mutex_unlock(&h->lock);
	return same;
}

/* Until it is connected, and nothing sent before is under way any more. The last number sent is 5. */
static void connected(struct publisher *p, struct heard *h)
{
	for (int i = 0; i < 2000 && !get(h, &h->rings); i++) {
		send_ring(p, "run_1", 5, (char *)"try");
		sleep_ms(10);
	}
	send_ring(p, "run_1", 5, (char *)"connected");
	WAIT_FOR(heard_last(h, "connected"));
}

/* More than its queue of 256 comes while the listener is busy. */
static void test_slow_listener_sees_a_gap(void **state)
{
	struct publisher p;
	struct heard h;
	struct doorbell_listener *l;
	uint64_t seq = 5;
	int gaps;

	(void)state;
	publish(&p);
	l = listen_to(p.url, &h);
	connected(&p, &h);
	gaps = get(&h, &h.gaps);
	h.hold = true;
	for (int i = 0; i < 2000; i++)
		send_ring(&p, "run_1", ++seq, (char *)"many");
	h.hold = false;
	for (int i = 0; i < 2000 && get(&h, &h.gaps) == gaps; i++) { /* what was left out shows at the next one */
		send_ring(&p, "run_1", ++seq, (char *)"more");
		sleep_ms(10);
	}
	assert_true(get(&h, &h.gaps) > gaps);
	doorbell_unlisten(l);
	unpublish(&p);
}

/* Numbers that jump, another instance, and what is no ring at all. */
static void test_gaps_are_counted(void **state)
{
	struct publisher p;
	struct doorbell_listener *l;
	struct heard h;
	int gaps;

	(void)state;
	publish(&p);
	l = listen_to(p.url, &h);
	connected(&p, &h);
	gaps = get(&h, &h.gaps);
	assert_true(gaps >= 1);
	send_ring(&p, "run_1", 6, (char *)"six");
	send_ring(&p, "run_1", 7, (char *)"seven");
	WAIT_FOR(heard_last(&h, "seven"));
	assert_int_equal(get(&h, &h.gaps), gaps);
	send_ring(&p, "run_1", 9, (char *)"nine");
	WAIT_FOR(heard_last(&h, "nine"));
	assert_int_equal(get(&h, &h.gaps), gaps + 1);
	send_ring(&p, "run_2", 10, (char *)"ten");
	WAIT_FOR(heard_last(&h, "ten"));
	assert_int_equal(get(&h, &h.gaps), gaps + 2);
	assert_int_equal(nng_send(p.pub, (void *)(uintptr_t)"garbage", 7, 0), 0);
	send_ring(&p, "run_2", 11, (char *)"eleven");
	send_ring(&p, "run_2", 12, (char *)"twelve");
	WAIT_FOR(heard_last(&h, "twelve"));
	assert_int_equal(get(&h, &h.gaps), gaps + 2);
	doorbell_unlisten(l);
	unpublish(&p);
}

static void test_two_sources_one_dead(void **state)
{
	struct doorbell *b = open_bell("tcp://127.0.0.1:0"), *c = open_bell("tcp://127.0.0.1:0");
	struct doorbell_listener *l;
	struct heard h;
	char urls[300];

	(void)state;
	snprintf(urls, sizeof(urls), "tcp://127.0.0.1:1,%s,%s", doorbell_url(b), doorbell_url(c));
	l = listen_to(urls, &h);
	WAIT_FOR(get(&h, &h.gaps) == 2); /* the first ring of each */
	doorbell_ring(b, "x", "a:1");
	WAIT_FOR(get(&h, &h.changed) == 1);
	doorbell_ring(c, "x", "a:2");
	WAIT_FOR(get(&h, &h.changed) == 2);
	assert_int_equal(get(&h, &h.gaps), 2);
	doorbell_unlisten(l);
	doorbell_close(b);
	doorbell_close(c);
	doorbell_ring(NULL, "x", "y");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rings_arrive),
		cmocka_unit_test(test_coalesced),
		cmocka_unit_test(test_what_does_not_fit_is_a_gap),
		cmocka_unit_test(test_restart_and_loss_are_gaps),
		cmocka_unit_test(test_slow_listener_sees_a_gap),
		cmocka_unit_test(test_gaps_are_counted),
		cmocka_unit_test(test_two_sources_one_dead),
	};

	log_init("test", LVL_CRITICAL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
