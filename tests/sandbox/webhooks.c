#include "webhooks.h"
#include "form.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct delivery {
	struct event *event;
	struct hook_plan plan;
	int attempt;
	int64_t held_until; /* reorder: goes out then, or right after another event of the object */
	struct delivery *next; /* of the held ones */
};

/* Events of one object always go to the same worker: without faults they arrive in order. */
struct worker {
	struct webhooks *of;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct heap due;
	struct delivery *held;
	struct webhook_stats stats;
	CURL *curl;
};

struct webhooks {
	struct sandbox *sb;
	_Atomic bool stop;
	_Atomic int64_t waiting;
	int n;
	struct worker *worker;
};

static void delivery_free(void *p)
{
	struct delivery *d = p;

	event_unref(d->event);
	free(d);
}

/* ---- one attempt ---- */

void webhook_sign(const char *scheme, const char *secret, int64_t t, const char *body, size_t len,
	char out[80])
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	struct text signed_part = TEXT_INIT(64u << 20);
	size_t at = strlen(scheme);

	text_fmt(&signed_part, "%lld.", (long long)t);
	text_add(&signed_part, body, len);
	HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)signed_part.data,
		signed_part.len, mac, &n);
	memcpy(out, scheme, at);
	out[at] = '=';
	form_hex(mac, 32, out + at + 1);
	text_free(&signed_part);
}

static void signature_header(const struct config *c, const struct hook_plan *p, bool spoilt,
	const char *body, size_t len, char *out, size_t out_len)
{
	int64_t t = clock_s() + (spoilt ? p->skew_s : 0);
	char now[80], old[80] = "";

	webhook_sign(spoilt && p->v0_only ? "v0" : "v1", c->webhook_secret, t, body, len, now);
	if (spoilt && p->bad_signature)
		webhook_sign("v1", "not the secret", t, body, len, now);
	if (spoilt && p->two_secrets)
		webhook_sign("v1", c->webhook_old_secret, t, body, len, old);
	snprintf(out, out_len, "Stripe-Signature: t=%lld,%s%s%s", (long long)t, old,
		*old ? "," : "", now);
}

/* The body as this attempt sends it; freed by the caller. */
static char *body_of(const struct delivery *d, bool spoilt, size_t *len)
{
	char *copy;

	if (spoilt && d->plan.wrong_livemode) {
		json_t *o = json_loads(d->event->body, 0, NULL);

		json_object_set_new(o, "livemode", json_true());
		copy = json_dumps(o, JSON_COMPACT);
		json_decref(o);
	} else {
		copy = strdup(d->event->body);
	}
	*len = copy ? strlen(copy) : 0;
	return copy;
}

static size_t discard(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

static int progress(void *arg, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
	struct worker *w = arg;

	(void)dt;
	(void)dn;
	(void)ut;
	(void)un;
	return atomic_load(&w->of->stop);
}

/* True when the receiver took it. */
static bool post(struct worker *w, const char *body, size_t len, const char *signature)
{
	const struct config *c = &w->of->sb->conf;
	struct curl_slist *h = NULL;
	long status = 0;
	bool done;

	h = curl_slist_append(h, "Content-Type: application/json; charset=utf-8");
	h = curl_slist_append(h, "Expect:");
	h = curl_slist_append(h, "User-Agent: souk-sandbox/1");
	if (signature)
		h = curl_slist_append(h, signature);
	curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, h);
	curl_easy_setopt(w->curl, CURLOPT_URL, c->webhook_url);
	curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(w->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	done = curl_easy_perform(w->curl) == CURLE_OK;
	if (done)
		curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(h);
	return done && status >= 200 && status < 300;
}

static bool attempt(struct worker *w, const struct delivery *d)
{
	bool spoilt = d->plan.attempts < 0 || d->attempt < d->plan.attempts, ok;
	char header[512];
	size_t len;
	char *body = body_of(d, spoilt, &len);

	if (!body)
		return false;
	signature_header(&w->of->sb->conf, &d->plan, spoilt, body, len, header, sizeof(header));
	if (spoilt && d->plan.bit_flip)
		body[len / 2] ^= 1;
	ok = post(w, body, len, spoilt && d->plan.no_signature ? NULL : header);
	free(body);
	return ok;
}

/* ---- the worker ---- */

/* Worker lock held. Held deliveries of the object (or, with NULL, those whose time has come) become
 * due. */
static void let_go(struct worker *w, const char *object, int64_t now)
{
	struct delivery **at = &w->held;

	while (*at) {
		struct delivery *d = *at;

		if (object ? strcmp(object, d->event->object) : d->held_until > now) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		if (!heap_push(&w->due, now, d))
			delivery_free(d);
	}
}

static int64_t next_wake(const struct worker *w, int64_t now)
{
	const struct heap_item *top = heap_top(&w->due);
	int64_t at = top ? top->due_ms : now + 60000;
	const struct delivery *d;

	for (d = w->held; d; d = d->next)
		if (d->held_until < at)
			at = d->held_until;
	return at;
}

/* Worker lock held. NULL: stopping. */
static struct delivery *take(struct worker *w)
{
	for (;;) {
		int64_t now = clock_mono_ms(), at;
		struct timespec ts;

		if (atomic_load(&w->of->stop))
			return NULL;
		let_go(w, NULL, now);
		at = next_wake(w, now);
		if (w->due.n && heap_top(&w->due)->due_ms <= now)
			return heap_pop(&w->due);
		ts = (struct timespec){ .tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000 };
		pthread_cond_timedwait(&w->wake, &w->lock, &ts);
	}
}

/* Worker lock held. Puts a refused delivery back, or gives it up. True: d is kept. */
static bool again(struct worker *w, struct delivery *d)
{
	const struct config *c = &w->of->sb->conf;
	size_t k = (size_t)d->attempt++;

	if (k >= c->n_retry || !heap_push(&w->due, clock_mono_ms() + c->retry_ms[k], d)) {
		w->stats.given_up++;
		return false;
	}
	w->stats.retried++;
	return true;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct delivery *d;

	pthread_mutex_lock(&w->lock);
	while ((d = take(w))) {
		bool ok, kept = false;

		pthread_mutex_unlock(&w->lock);
		ok = attempt(w, d);
		pthread_mutex_lock(&w->lock);
		w->stats.sent++;
		if (ok)
			w->stats.ok++;
		else
			w->stats.failed++;
		if (w->held)
			let_go(w, d->event->object, clock_mono_ms());
		if (!ok)
			kept = again(w, d);
		pthread_mutex_unlock(&w->lock);
		if (!kept) {
			event_mark_delivered(w->of->sb, d->event->id);
			atomic_fetch_sub(&w->of->waiting, 1);
			delivery_free(d);
		}
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- queueing ---- */

static void put(struct worker *w, struct event *e, const struct hook_plan *plan, bool copy)
{
	struct webhooks *h = w->of;
	const struct config *c = &h->sb->conf;
	struct delivery *d;
	int64_t now = clock_mono_ms();
	bool lost = plan->drop && !plan->retry_ms;

	d = !lost && atomic_load(&h->waiting) < c->webhook_queue ? calloc(1, sizeof(*d)) : NULL;
	pthread_mutex_lock(&w->lock);
	w->stats.dropped += plan->drop;
	w->stats.duplicated += copy;
	w->stats.reordered += plan->reorder;
	if (!d) {
		w->stats.overflowed += !lost;
		pthread_mutex_unlock(&w->lock);
		return;
	}
	atomic_fetch_add(&e->refs, 1);
	atomic_fetch_add(&h->waiting, 1);
	d->event = e;
	d->plan = *plan;
	d->attempt = plan->drop ? 1 : 0;
	if (plan->reorder) {
		d->held_until = now + plan->hold_ms;
		d->next = w->held;
		w->held = d;
	} else if (!heap_push(&w->due,
			   now + c->webhook_delay_ms + plan->delay_ms +
				   (plan->drop ? plan->retry_ms : 0),
			   d)) {
		delivery_free(d);
		atomic_fetch_sub(&h->waiting, 1);
	}
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void webhooks_queue(struct sandbox *sb, struct event *e, const struct hook_plan *plan)
{
	struct webhooks *h = sb->webhooks;
	uint64_t home;
	int i;

	if (!h)
		return;
	home = text_hash(e->object);
	for (i = 0; i < plan->copies; i++)
		put(&h->worker[(home + (uint64_t)i) % (uint64_t)h->n], e, plan, i > 0);
}

static void drop_all(struct worker *w)
{
	int64_t n = (int64_t)w->due.n;

	heap_release(&w->due, delivery_free);
	while (w->held) {
		struct delivery *d = w->held;

		w->held = d->next;
		delivery_free(d);
		n++;
	}
	atomic_fetch_sub(&w->of->waiting, n);
}

void webhooks_clear(struct sandbox *sb)
{
	int i;

	for (i = 0; sb->webhooks && i < sb->webhooks->n; i++) {
		struct worker *w = &sb->webhooks->worker[i];

		pthread_mutex_lock(&w->lock);
		drop_all(w);
		memset(&w->stats, 0, sizeof(w->stats));
		pthread_mutex_unlock(&w->lock);
	}
}

void webhooks_stats(struct sandbox *sb, struct webhook_stats *s)
{
	int i;

	memset(s, 0, sizeof(*s));
	for (i = 0; sb->webhooks && i < sb->webhooks->n; i++) {
		struct worker *w = &sb->webhooks->worker[i];

		pthread_mutex_lock(&w->lock);
		s->sent += w->stats.sent;
		s->ok += w->stats.ok;
		s->failed += w->stats.failed;
		s->retried += w->stats.retried;
		s->given_up += w->stats.given_up;
		s->dropped += w->stats.dropped;
		s->duplicated += w->stats.duplicated;
		s->reordered += w->stats.reordered;
		s->overflowed += w->stats.overflowed;
		pthread_mutex_unlock(&w->lock);
	}
	s->queued = sb->webhooks ? atomic_load(&sb->webhooks->waiting) : 0;
}

/* ---- life ---- */

static bool open_curl(struct worker *w)
{
	const struct config *c = &w->of->sb->conf;

	w->curl = curl_easy_init();
	if (!w->curl)
		return false;
	curl_easy_setopt(w->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(w->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(w->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(w->curl, CURLOPT_TIMEOUT_MS, (long)c->webhook_timeout_ms);
	curl_easy_setopt(w->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)c->webhook_timeout_ms);
	curl_easy_setopt(w->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, discard);
	curl_easy_setopt(w->curl, CURLOPT_XFERINFOFUNCTION, progress);
	curl_easy_setopt(w->curl, CURLOPT_XFERINFODATA, w);
	curl_easy_setopt(w->curl, CURLOPT_NOPROGRESS, 0L);
	return true;
}

static bool start_worker(struct webhooks *h, struct worker *w)
{
	pthread_condattr_t attr;

	w->of = h;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (!open_curl(w))
		return false;
	w->started = !pthread_create(&w->thread, NULL, run, w);
	return w->started;
}

bool webhooks_start(struct sandbox *sb)
{
	struct webhooks *h;
	int i;

	if (!*sb->conf.webhook_url)
		return true;
	h = calloc(1, sizeof(*h));
	if (!h)
		return false;
	sb->webhooks = h;
	h->sb = sb;
	h->worker = calloc((size_t)sb->conf.webhook_workers, sizeof(*h->worker));
	for (i = 0; h->worker && i < sb->conf.webhook_workers; i++) {
		h->n++;
		if (!start_worker(h, &h->worker[i]))
			return false;
	}
	return h->worker;
}

void webhooks_begin_stop(struct sandbox *sb)
{
	int i;

	if (!sb->webhooks)
		return;
	atomic_store(&sb->webhooks->stop, true);
	for (i = 0; i < sb->webhooks->n; i++) {
		pthread_mutex_lock(&sb->webhooks->worker[i].lock);
		pthread_cond_signal(&sb->webhooks->worker[i].wake);
		pthread_mutex_unlock(&sb->webhooks->worker[i].lock);
	}
}

void webhooks_release(struct sandbox *sb)
{
	struct webhooks *h = sb->webhooks;
	int i;

	if (!h)
		return;
	webhooks_begin_stop(sb);
	for (i = 0; i < h->n; i++) {
		struct worker *w = &h->worker[i];

		if (w->started)
			pthread_join(w->thread, NULL);
		drop_all(w);
		curl_easy_cleanup(w->curl);
		pthread_cond_destroy(&w->wake);
		pthread_mutex_destroy(&w->lock);
	}
	free(h->worker);
	free(h);
	sb->webhooks = NULL;
}
