/*
 * Buyers that buy: each thread is a guest that puts an article into a fresh cart, estimates, checks out, pays at the sandbox and
 * confirms, over kept connections. Prints orders a second and the latencies of each step as one JSON object.
 *
 *	bench_orders SHOP_URL SANDBOX_URL VARIANT_ID[,VARIANT_ID...] THREADS SECONDS [carts]
 *
 * Each purchase takes the next article of the list. With "carts" it only changes carts (add, then set the quantity).
 */
#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STEPS = 5, SAMPLES = 200000, VARIANTS = 1000 };
static const char *const step_names[STEPS] = { "add", "estimate", "checkout", "pay", "confirm" };

static const char *shop, *sandbox, *variants[VARIANTS];
static int n_variants;
static atomic_uint turn;
static int carts_only;
static atomic_bool stop;
static atomic_long orders, failed;
static atomic_int n_samples[STEPS];
static int32_t samples[STEPS][SAMPLES];
static atomic_int complained;

struct buyer {
	CURL *curl;
	struct curl_slist *headers;
	char *body;
	size_t len;
	char etag[128];
	unsigned seed;
	long n;
	int id;
};

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct buyer *b = arg;
	char *grown = realloc(b->body, b->len + size * n + 1);

	if (!grown)
		return 0;
	b->body = grown;
	memcpy(b->body + b->len, p, size * n);
	b->len += size * n;
	b->body[b->len] = '\0';
	return size * n;
}

static size_t header(char *p, size_t size, size_t n, void *arg)
{
	struct buyer *b = arg;

	if (size * n > 7 && strncasecmp(p, "etag: ", 6) == 0 && size * n < sizeof(b->etag)) {
		memcpy(b->etag, p + 6, size * n - 8);
		b->etag[size * n - 8] = '\0';
	}
	return size * n;
}

/* One request; the JSON answer or NULL. */
static json_t *ask(struct buyer *b, int step, const char *method, const char *url, const char *body, const char *h1,
		   const char *h2, const char *h3)
{
	const char *extra[] = { h1, h2, h3 };
	struct curl_slist *headers = curl_slist_append(NULL, step == 3 ? "Content-Type: application/x-www-form-urlencoded"
								      : "Content-Type: application/json");
	int64_t t = now_us();
	long status = 0;
	json_t *out = NULL;
	int at;

	for (int i = 0; i < 3; i++)
		if (extra[i])
			headers = curl_slist_append(headers, extra[i]);
	b->len = 0;
	curl_easy_setopt(b->curl, CURLOPT_URL, url);
	curl_easy_setopt(b->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(b->curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(b->curl, CURLOPT_HTTPGET, body ? 0L : 1L);
	if (body)
		curl_easy_setopt(b->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(b->curl, CURLOPT_HTTPHEADER, headers);
	if (curl_easy_perform(b->curl) == CURLE_OK) {
		curl_easy_getinfo(b->curl, CURLINFO_RESPONSE_CODE, &status);
		if (status >= 200 && status < 300)
			out = json_loadb(b->body, b->len, 0, NULL);
	}
	curl_slist_free_all(headers);
	if (!out && atomic_fetch_add(&complained, 1) < 3)
		fprintf(stderr, "%s %s: %ld %.300s\n", method, url, status, b->len ? b->body : "");
	at = atomic_fetch_add(&n_samples[step], 1);
	if (at < SAMPLES)
		samples[step][at] = (int32_t)(now_us() - t);
	return out;
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static int change_cart(struct buyer *b, const char *token_header, const char *line)
{
	char url[300], match[160];
	json_t *r;

	snprintf(url, sizeof(url), "%s/api/cart/items/%s", shop, line);
	snprintf(match, sizeof(match), "If-Match: %s", b->etag);
	r = ask(b, 1, "PATCH", url, "{\"qty\":2}", token_header, match, NULL);
	json_decref(r);
	return r != NULL;
}

static int pay(struct buyer *b, const json_t *payment)
{
	char url[300], body[400], auth[200];
	json_t *r;

	snprintf(url, sizeof(url), "%s/v1/payment_intents/%s/confirm", sandbox, text(payment, "payment_intent_id"));
	snprintf(body, sizeof(body), "payment_method=pm_card_visa&client_secret=%s", text(payment, "client_secret"));
	snprintf(auth, sizeof(auth), "Authorization: Bearer %s", text(payment, "publishable_key"));
	r = ask(b, 3, "POST", url, body, auth, NULL, NULL);
	json_decref(r);
	return r != NULL;
}

static int buy(struct buyer *b)
{
	char url[300], body[900], token[160], match[200], key[100];
	json_t *cart, *est, *chk, *done;
	int ok;

	snprintf(url, sizeof(url), "%s/api/cart/items", shop);
	snprintf(body, sizeof(body), "{\"variant_id\":\"%s\",\"qty\":1}",
		 variants[atomic_fetch_add(&turn, 1) % (unsigned)n_variants]);
	cart = ask(b, 0, "POST", url, body, NULL, NULL, NULL);
	if (!cart)
		return 0;
	snprintf(token, sizeof(token), "X-Cart-Token: %s", text(cart, "cart_token"));
	if (carts_only) {
		ok = change_cart(b, token, text(json_array_get(json_object_get(cart, "lines"), 0), "id"));
		json_decref(cart);
		return ok;
	}
	json_decref(cart);
	snprintf(url, sizeof(url), "%s/api/cart/estimate?country=US&region=IL&postal_code=62701", shop);
	est = ask(b, 1, "GET", url, NULL, token, NULL, NULL);
	if (!est)
		return 0;
	snprintf(match, sizeof(match), "If-Match: \"%s-%lld\"", text(est, "cart_id"),
		 (long long)json_integer_value(json_object_get(est, "cart_version")));
	snprintf(key, sizeof(key), "Idempotency-Key: bench-%d-%ld-%u", b->id, b->n++, b->seed);
	snprintf(body, sizeof(body),
		 "{\"email\":\"bench@souk.example\",\"shipping_method\":\"%s\",\"expected_total\":{\"amount\":%lld,"
		 "\"currency\":\"USD\"},\"address\":{\"name\":\"Ben Chmark\",\"line1\":\"1 Market Street\",\"city\":\"Springfield\","
		 "\"region\":\"IL\",\"postal_code\":\"62701\",\"country\":\"US\"}}",
		 text(est, "shipping_method"),
		 (long long)json_integer_value(json_object_get(json_object_get(json_object_get(est, "totals"), "total"), "amount")));
	json_decref(est);
	snprintf(url, sizeof(url), "%s/api/checkout", shop);
	chk = ask(b, 2, "POST", url, body, token, match, key);
	if (!chk)
		return 0;
	ok = pay(b, json_object_get(chk, "payment"));
	snprintf(key, sizeof(key), "Idempotency-Key: bench-%d-%ld-%u", b->id, b->n++, b->seed);
	snprintf(body, sizeof(body), "{\"checkout_id\":\"%s\"}", text(chk, "id"));
	json_decref(chk);
	snprintf(url, sizeof(url), "%s/api/orders/confirm", shop);
	done = ok ? ask(b, 4, "POST", url, body, token, key, NULL) : NULL;
	ok = done && *text(done, "number");
	json_decref(done);
	return ok;
}

static void *run(void *arg)
{
	struct buyer *b = arg;

	b->curl = curl_easy_init();
	curl_easy_setopt(b->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(b->curl, CURLOPT_WRITEDATA, b);
	curl_easy_setopt(b->curl, CURLOPT_HEADERFUNCTION, header);
	curl_easy_setopt(b->curl, CURLOPT_HEADERDATA, b);
	curl_easy_setopt(b->curl, CURLOPT_TIMEOUT_MS, 20000L);
	curl_easy_setopt(b->curl, CURLOPT_NOSIGNAL, 1L);
	while (!atomic_load(&stop))
		atomic_fetch_add(buy(b) ? &orders : &failed, 1);
	curl_easy_cleanup(b->curl);
	free(b->body);
	return NULL;
}

static int cmp(const void *a, const void *b)
{
	return *(const int32_t *)a < *(const int32_t *)b ? -1 : *(const int32_t *)a > *(const int32_t *)b;
}

int main(int argc, char **argv)
{
	if (argc < 6) {
		fprintf(stderr, "usage: bench_orders SHOP_URL SANDBOX_URL VARIANT_ID[,VARIANT_ID...] THREADS SECONDS [carts]\n");
		return 2;
	}
	shop = argv[1];
	sandbox = argv[2];
	for (char *rest = argv[3], *id; n_variants < VARIANTS && (id = strsep(&rest, ","));)
		variants[n_variants++] = id;
	carts_only = argc > 6;
	int threads = (int)strtol(argv[4], NULL, 10), seconds = (int)strtol(argv[5], NULL, 10);
	struct buyer *b = calloc((size_t)threads, sizeof(*b));
	pthread_t *t = calloc((size_t)threads, sizeof(*t));
	int64_t begin;

	if (!b || !t || threads < 1)
		return 1;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	begin = now_us();
	for (int i = 0; i < threads; i++) {
		b[i].id = i;
		b[i].seed = (unsigned)begin;
		pthread_create(&t[i], NULL, run, &b[i]);
	}
	struct timespec nap = { seconds, 0 };

	nanosleep(&nap, NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	double s = (double)(now_us() - begin) / 1e6;

	printf("{\"done\":%ld,\"failed\":%ld,\"per_second\":%.1f,\"steps\":{", atomic_load(&orders), atomic_load(&failed),
	       (double)atomic_load(&orders) / s);
	for (int i = 0, first = 1; i < STEPS; i++) {
		int n = atomic_load(&n_samples[i]) < SAMPLES ? atomic_load(&n_samples[i]) : SAMPLES;

		if (!n)
			continue;
		qsort(samples[i], (size_t)n, sizeof(samples[i][0]), cmp);
		printf("%s\"%s\":{\"n\":%d,\"p50_ms\":%.2f,\"p99_ms\":%.2f}", first ? "" : ",",
		       carts_only && i == 1 ? "set" : step_names[i], n, samples[i][n / 2] / 1e3, samples[i][n * 99 / 100] / 1e3);
		first = 0;
	}
	printf("}}\n");
	return 0;
}
