/*
 * One hot SKU: each thread reserves one unit of it after the other, as checkout does, of a running souk-inventory.
 * Prints one line of JSON: reservations a second and their latencies.
 *
 *	bench_reserve KEYS_DIR INVENTORY_URL VARIANT_ID THREADS SECONDS [reservations a second of all threads, 0: all they can]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/id.h"
#include "common/log.h"
#include "common/rpc_client.h"
#include "common/timeutil.h"
#include "inventory.pb-c.h"

enum { MAX_THREADS = 256, SAMPLES = 1 << 20 };

static struct rpc_client *client;
static const char *variant;
static double pace_us; /* between two of one thread; 0: none */
static atomic_bool stop, measuring;
static atomic_long done, failed;
static atomic_int n_samples, complained;
static int32_t samples[SAMPLES]; /* microseconds */

static void reserve(struct arena *a, int64_t since)
{
	Inventory__V1__ReserveRequest in = INVENTORY__V1__RESERVE_REQUEST__INIT;
	Inventory__V1__ReserveLine line = INVENTORY__V1__RESERVE_LINE__INIT, *lines[] = { &line };
	Inventory__V1__Reservation *out = NULL;
	char key[ID_LEN];
	struct call c;
	int i;

	id_new("chk", key);
	line.variant_id = (char *)(uintptr_t)variant;
	line.has_qty = true;
	line.qty = 1;
	in.reservation_key = key;
	in.lines = lines;
	in.n_lines = 1;
	in.has_ttl_s = true;
	in.ttl_s = 900;
	call_init_service(&c, "checkout", a, 5000);
	if (rpc_call(client, &c, "Reserve", &in.base, &inventory__v1__reservation__descriptor, &out, NULL)) {
		atomic_fetch_add(&failed, 1);
		if (atomic_fetch_add(&complained, 1) < 3)
			fprintf(stderr, "%s %s\n", c.err.slug, c.err.msg);
		return;
	}
	if (!atomic_load(&measuring))
		return;
	atomic_fetch_add(&done, 1);
	i = atomic_fetch_add(&n_samples, 1);
	if (i < SAMPLES)
		samples[i] = (int32_t)(mono_us() - since);
}

/* With a pace, a reservation counts from when it was due: waiting for one's own earlier ones is latency too. */
static void *buyer(void *arg)
{
	struct arena *a = arena_new("bench", 1 << 20);
	double due = (double)mono_us();

	(void)arg;
	while (!atomic_load(&stop)) {
		int64_t now = mono_us();

		if (pace_us > 0 && (double)now < due) {
			sleep_ms((int64_t)((due - (double)now) / 1000) + 1);
			continue;
		}
		reserve(a, pace_us > 0 ? (int64_t)due : now);
		due += pace_us;
		arena_reset(a);
	}
	arena_free(a);
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

int main(int argc, char **argv)
{
	static pthread_t t[MAX_THREADS];
	struct rpc_keys *keys = NULL;
	struct err e = { 0 };
	int threads = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 0, seconds = argc > 5 ? (int)strtol(argv[5], NULL, 10) : 0;
	double rate = argc > 6 ? strtod(argv[6], NULL) : 0;
	int64_t start, us;
	int n;

	if (threads < 1 || threads > MAX_THREADS || seconds < 1)
		return 2;
	log_init("bench", LVL_ERROR);
	variant = argv[3];
	pace_us = rate > 0 ? 1e6 * threads / rate : 0;
	if (rpc_keys_load(argv[1], "checkout", &keys, &e) ||
	    rpc_client_open("checkout", "inventory", argv[2], 5000, keys, &client, &e)) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	for (int i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, buyer, NULL);
	sleep_ms(500); /* connected, statements prepared */
	atomic_store(&measuring, true);
	start = mono_us();
	sleep_ms(seconds * 1000);
	us = mono_us() - start;
	atomic_store(&measuring, false);
	n = atomic_load(&n_samples) < SAMPLES ? atomic_load(&n_samples) : SAMPLES;
	atomic_store(&stop, true);
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	qsort(samples, (size_t)n, sizeof(*samples), by_value);
	printf("{\"per_second\": %.1f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"failed\": %ld}\n",
	       (double)atomic_load(&done) * 1e6 / (double)us, n ? samples[n / 2] / 1e3 : 0,
	       n ? samples[(int64_t)n * 99 / 100] / 1e3 : 0, atomic_load(&failed));
	fflush(stdout);
	_exit(atomic_load(&failed) ? 1 : 0); /* nng's sockets are left to the end of the process */
}
