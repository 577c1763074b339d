#include "services/checkout/pay.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/httpc.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "services/checkout/pay_json.h"

#define REPLY_MAX (1024 * 1024)
#define LIST_PAGES 20

struct pay {
	struct httpc *http;
	char *url, *auth;
	bool live;
	struct metric *unknown, *seconds;
};

enum err_code pay_open(const struct pay_conf *conf, struct pay **p_r, struct err *e)
{
	const struct httpc_conf hc = {
		.max_handles = conf->handles, .queue = conf->queue, .breaker_failures = 8, .breaker_open_ms = 2000,
	};
	struct pay *p = calloc(1, sizeof(*p));
	size_t n = strlen(conf->url);

	if (!p)
		abort();
	while (n && conf->url[n - 1] == '/')
		n--;
	p->url = strndup(conf->url, n);
	p->live = strncmp(conf->key, "sk_live", 7) == 0 || strncmp(conf->key, "rk_live", 7) == 0;
	if (!p->url || asprintf(&p->auth, "Authorization: Bearer %s", conf->key) < 0)
		abort();
	p->unknown = metric_counter("souk_checkout_pay_unknown_total", "Provider calls with an unknown outcome", NULL);
	p->seconds = metric_histogram("souk_checkout_pay_seconds", "Provider calls", NULL);
	if (httpc_open(&hc, &p->http, e)) {
		pay_close(p);
		return e->code;
	}
	*p_r = p;
	return OK;
}

void pay_close(struct pay *p)
{
	if (!p)
		return;
	if (p->http)
		httpc_close(p->http);
	if (p->auth)
		explicit_bzero(p->auth, strlen(p->auth));
	free(p->auth);
	free(p->url);
	free(p);
}

bool pay_live(const struct pay *p)
{
	return p->live;
}

/* ---- one call ---- */

static enum pay_result classify(const struct httpc_reply *h, bool readable, const struct pay_reply *r)
{
	bool again = h->should_retry && strcasecmp(h->should_retry, "true") == 0;

	if (h->status >= 200 && h->status < 300)
		return readable ? PAY_OK : PAY_UNKNOWN;
	if (h->status == 429 || h->status == 401 || h->status == 403)
		return PAY_NOT_SENT; /* before the provider looks at keys */
	if (again || h->status == 409 || h->status >= 500 || h->status < 400)
		return PAY_UNKNOWN;
	/* A refusal that cannot be read may come from something between us. */
	return readable && (*r->code || *r->text) ? PAY_REFUSED : PAY_UNKNOWN;
}

static enum pay_result send_once(const struct pay_call *c, const char *method, const char *path, const char *key,
				 const char *body, struct httpc_reply *h)
{
	const char *headers[5] = { c->pay->auth, "Stripe-Version: 2024-06-20" };
	struct httpc_request q = { .method = method, .headers = headers, .timeout_ms = c->timeout_ms,
				   .max_reply = REPLY_MAX };
	struct err e = { 0 };
	int64_t began = mono_us();
	enum err_code code;

	q.url = arena_printf(c->arena, "%s%s", c->pay->url, path);
	if (body) {
		headers[2] = "Content-Type: application/x-www-form-urlencoded";
		headers[3] = arena_printf(c->arena, "Idempotency-Key: %s", key);
		q.body = (struct pg_bytes){ body, strlen(body) };
	}
	code = httpc_do(c->pay->http, &q, c->arena, h, &e);
	metric_observe(c->pay->seconds, (double)(mono_us() - began) / 1e6);
	if (!code)
		return PAY_OK;
	return err_is(&e, "httpc.not_sent") ? PAY_NOT_SENT : PAY_UNKNOWN;
}

/* A refused connection is tried once more: the provider's load balancer may be changing its mind. */
static enum pay_result send_call(const struct pay_call *c, const char *method, const char *path, const char *key,
				 const char *body, struct httpc_reply *h)
{
	enum pay_result res = send_once(c, method, path, key, body, h);

	if (res != PAY_NOT_SENT)
		return res;
	sleep_ms(100);
	return send_once(c, method, path, key, body, h);
}

static enum pay_result call(const struct pay_call *c, const char *method, const char *path, const char *key,
			    const char *body, const char *kind, struct pay_reply *r)
{
	struct httpc_reply h = { 0 };
	const char *got = "";
	enum pay_result res;
	bool readable;

	(void)pay_json_reply(c->arena, NULL, 0, r, &got);
	r->status = 0;
	r->mismatch_of_key = false;
	res = send_call(c, method, path, key, body, &h);
	if (res == PAY_OK) {
		readable = pay_json_reply(c->arena, h.body.data, h.body.len, r, &got);
		r->status = h.status;
		if (h.status < 300)
			readable = readable && strcmp(got, kind) == 0;
		res = classify(&h, readable, r);
	}
	if (res == PAY_UNKNOWN)
		metric_add(c->pay->unknown, 1);
	return res;
}

static bool id_ok(const char *s)
{
	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '_')
			return false;
	return *s != '\0';
}

/* ---- the calls ---- */

/* An intent without id and secret is no answer. */
static enum pay_result whole(enum pay_result res, const struct pay_reply *r)
{
	return res == PAY_OK && !*r->intent.id ? PAY_UNKNOWN : res;
}

enum pay_result pay_create(const struct pay_call *c, const char *key, const char *params, struct pay_reply *r)
{
	enum pay_result res = call(c, "POST", "/v1/payment_intents", key, params, "payment_intent", r);

	return res == PAY_OK && !*r->intent.client_secret ? PAY_UNKNOWN : whole(res, r);
}

enum pay_result pay_retrieve(const struct pay_call *c, const char *pi_id, struct pay_reply *r)
{
	if (!id_ok(pi_id))
		return PAY_UNKNOWN;
	return whole(call(c, "GET", arena_printf(c->arena, "/v1/payment_intents/%s", pi_id), NULL, NULL,
			  "payment_intent", r), r);
}

enum pay_result pay_capture(const struct pay_call *c, const char *key, const char *pi_id, int64_t amount,
			    struct pay_reply *r)
{
	struct pay_pair pairs[] = { { "amount_to_capture", arena_printf(c->arena, "%" PRId64, amount) } };

	return whole(call(c, "POST", arena_printf(c->arena, "/v1/payment_intents/%s/capture", pi_id), key,
			  pay_form(c->arena, pairs, 1), "payment_intent", r), r);
}

enum pay_result pay_cancel(const struct pay_call *c, const char *key, const char *pi_id, struct pay_reply *r)
{
	struct pay_pair pairs[] = { { "cancellation_reason", "abandoned" } };

	return whole(call(c, "POST", arena_printf(c->arena, "/v1/payment_intents/%s/cancel", pi_id), key,
			  pay_form(c->arena, pairs, 1), "payment_intent", r), r);
}

enum pay_result pay_refund(const struct pay_call *c, const char *key, const char *pi_id, int64_t amount,
			   const char *refund_id, struct pay_reply *r)
{
	struct pay_pair pairs[] = {
		{ "amount", arena_printf(c->arena, "%" PRId64, amount) },
		{ "payment_intent", pi_id },
		{ "metadata[refund_id]", refund_id },
	};
	enum pay_result res = call(c, "POST", "/v1/refunds", key, pay_form(c->arena, pairs, 3), "refund", r);

	return res == PAY_OK && !*r->refund.id ? PAY_UNKNOWN : res;
}

enum pay_result pay_refund_get(const struct pay_call *c, const char *provider_id, struct pay_reply *r)
{
	if (!id_ok(provider_id))
		return PAY_UNKNOWN;
	return call(c, "GET", arena_printf(c->arena, "/v1/refunds/%s", provider_id), NULL, NULL, "refund", r);
}

/* ---- looking for what a lost answer made ---- */

struct wanted {
	const char *checkout_id, *refund_id;
	int32_t attempt;
	int64_t amount; /* of a refund that is nobody's */
};

static bool is_it(const struct wanted *w, const struct pay_reply *r)
{
	if (w->checkout_id)
		return strcmp(r->intent.checkout_id, w->checkout_id) == 0 && r->intent.attempt == w->attempt;
	if (w->refund_id)
		return strcmp(r->refund.refund_id, w->refund_id) == 0;
	return !*r->refund.refund_id && r->refund.amount == w->amount && !pay_refund_dead(&r->refund);
}

static enum pay_result find(const struct pay_call *c, const char *path, const struct wanted *w, struct pay_reply *r)
{
	const char *after = "";

	for (int page = 0; page < LIST_PAGES; page++) {
		struct httpc_reply h = { 0 };
		struct pay_list *l;
		const char *last = "";
		bool more;

		if (send_call(c, "GET", arena_printf(c->arena, "%s&limit=100%s%s", path,
						     *after ? "&starting_after=" : "", after), NULL, NULL, &h) ||
		    h.status != 200 || !pay_json_list(c->arena, h.body.data, h.body.len, &l))
			return PAY_UNKNOWN;
		for (size_t i = 0; pay_json_entry(l, c->arena, i, r); i++) {
			if (is_it(w, r)) {
				pay_json_list_free(l);
				return PAY_OK;
			}
			last = w->checkout_id ? r->intent.id : r->refund.id;
		}
		more = pay_json_more(l);
		pay_json_list_free(l);
		if (!more || !id_ok(last))
			return PAY_REFUSED;
		after = last;
	}
	return PAY_UNKNOWN;
}

enum pay_result pay_find(const struct pay_call *c, const char *checkout_id, int32_t attempt, int64_t from_s,
			 struct pay_reply *r)
{
	const struct wanted w = { .checkout_id = checkout_id, .attempt = attempt };

	return find(c, arena_printf(c->arena, "/v1/payment_intents?created[gte]=%" PRId64, from_s), &w, r);
}

enum pay_result pay_find_refund(const struct pay_call *c, const char *pi_id, const char *refund_id,
				struct pay_reply *r)
{
	const struct wanted w = { .refund_id = refund_id };

	return find(c, arena_printf(c->arena, "/v1/refunds?payment_intent=%s", pi_id), &w, r);
}

enum pay_result pay_find_repaid(const struct pay_call *c, const char *pi_id, const char *refund_id, int64_t amount,
				struct pay_reply *r)
{
	const struct wanted w = { .amount = amount };
	enum pay_result res = pay_find_refund(c, pi_id, refund_id, r);

	return res == PAY_REFUSED ? find(c, arena_printf(c->arena, "/v1/refunds?payment_intent=%s", pi_id), &w, r) : res;
}

bool pay_already_refunded(const struct pay_reply *r)
{
	return strcmp(r->code, "charge_already_refunded") == 0;
}

bool pay_refund_dead(const struct pay_refund *x)
{
	return strcmp(x->status, "failed") == 0 || strcmp(x->status, "canceled") == 0;
}
