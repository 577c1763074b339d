/*
 * Requests at a steady rate over kept connections, whether the answers come or not: a late answer makes the next ones late
 * too, and that counts. Prints the latencies as one JSON object; and how late the requests were sent, be it that the machine
 * had no time for this program or that every thread was waiting for an answer: that much of a latency is not the server's.
 *
 *	bench_recommend RATE SECONDS THREADS < urls	(each line a URL, asked in turn)
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { URLS = 100000, URL_LEN = 400 };

static char (*urls)[URL_LEN];
static size_t n_urls;
static int64_t *took, *late, begun, gap_ns;
static size_t total;
static atomic_size_t turn, failed;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static size_t drop(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

/* Takes the next request of the plan, waits for its time, asks; the latency is from that time on. */
static void *asker(void *arg)
{
	CURL *c = curl_easy_init();

	(void)arg;
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 5000L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	for (size_t i; (i = atomic_fetch_add(&turn, 1)) < total;) {
		int64_t due = begun + (int64_t)i * gap_ns;
		struct timespec until = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };
		long status = 0;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		late[i] = now_ns() - due;
		curl_easy_setopt(c, CURLOPT_URL, urls[i % n_urls]);
		if (curl_easy_perform(c) == CURLE_OK)
			curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		if (status != 200)
			atomic_fetch_add(&failed, 1);
		took[i] = now_ns() - due;
	}
	curl_easy_cleanup(c);
	return NULL;
}

static int rising(const void *x, const void *y)
{
	int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return a < b ? -1 : a > b;
}

static double share_ms(const int64_t *v, double p)
{
	return (double)v[(size_t)((double)(total - 1) * p)] / 1e6;
}

int main(int argc, char **argv)
{
	long rate = argc == 4 ? strtol(argv[1], NULL, 10) : 0, seconds = argc == 4 ? strtol(argv[2], NULL, 10) : 0,
	     threads = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
	pthread_t t[64];

	if (rate < 1 || rate > 100000 || seconds < 1 || seconds > 600 || threads < 1 || threads > 64) {
		fprintf(stderr, "usage: bench_recommend RATE SECONDS THREADS < urls\n");
		return 2;
	}
	total = (size_t)(rate * seconds);
	urls = calloc(URLS, sizeof(*urls));
	took = calloc(total, sizeof(*took));
	late = calloc(total, sizeof(*late));
	if (!urls || !took || !late)
		return 1;
	while (n_urls < URLS && fgets(urls[n_urls], URL_LEN, stdin))
		if (strcspn(urls[n_urls], "\n") > 0)
			urls[n_urls][strcspn(urls[n_urls], "\n")] = '\0', n_urls++;
	if (n_urls == 0)
		return 2;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	gap_ns = 1000000000 / rate;
	begun = now_ns() + 20000000;
	for (long i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, asker, NULL);
	for (long i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	qsort(took, total, sizeof(*took), rising);
	qsort(late, total, sizeof(*late), rising);
	printf("{\"requests\": %zu, \"failed\": %zu, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"late_p99_ms\": %.2f}\n",
	       total, (size_t)atomic_load(&failed), share_ms(took, 0.5), share_ms(took, 0.99), share_ms(took, 1),
	       share_ms(late, 0.99));
	free(urls);
	free(took);
	free(late);
	return atomic_load(&failed) ? 1 : 0;
}
