/* One webhook delivery from its lease to its end. */
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "services/notify/sender.h"
#include "services/notify/webhook.h"

#define FAILURES_MAX 20 /* ended in failure one after the other: the webhook is switched off */

struct verdict {
	const struct hook_delivery_row *d;
	const char *lease, *state, *detail;
	int status;
	int64_t next_ms;
	bool held;
};

const char *webhook_signature(struct arena *a, const char *secret, int64_t unix_s, const char *body)
{
	const char *text = arena_printf(a, "%lld.%s", (long long)unix_s, body);
	uint8_t mac[SHA256_LEN];
	char hex[SHA256_HEX_LEN];

	hmac_sha256(secret, strlen(secret), text, strlen(text), mac);
	hex_encode(mac, sizeof(mac), hex);
	return arena_printf(a, "Souk-Signature: t=%lld,v1=%s", (long long)unix_s, hex);
}

static enum err_code record_tx(struct pg *pg, void *arg, struct err *e)
{
	struct verdict *v = arg;

	if (notify_db_hook_end(pg, v->d->id, v->lease, v->state, v->status, v->detail, v->next_ms, &v->held, e))
		return e->code;
	if (strcmp(v->state, "failed") != 0)
		return OK;
	return notify_db_webhook_disable(pg, v->d->webhook_id, FAILURES_MAX, e);
}

static void record(struct notify_svc *svc, struct verdict *v)
{
	const struct pg_actor who = { "system", "" };
	struct err e = { 0 };

	metric_add(metric_counter("souk_notify_webhooks_total", "Attempts to deliver a webhook, by the state after it.",
				  strcmp(v->state, "sent") == 0	    ? "state=\"sent\""
				  : strcmp(v->state, "failed") == 0 ? "state=\"failed\""
								    : "state=\"queued\""),
		   1);
	if (pg_tx(svc->pool, mono_ms() + 10000, &who, record_tx, v, &e))
		log_err(LVL_ERROR, "the end of a webhook delivery could not be recorded", &e);
}

/* Asks for the webhook as it is now: address and secret may have changed since the event. */
static enum err_code load(struct notify_svc *svc, struct arena *a, const char *id, struct webhook_row **w_r,
			  const char **secret_r, struct err *e)
{
	enum err_code code;
	bool found = false;
	struct pg *pg;

	if (pg_borrow(svc->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	code = notify_db_webhook(pg, a, id, w_r, &found, e);
	pg_return(pg);
	if (code)
		return code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "notify.webhook_unknown", "%s", id);
	return crypto_open_text(svc->keyring, WEBHOOK_SECRET_COLUMN, id, (*w_r)->secret, a, secret_r, e);
}

static enum err_code post(struct notify_svc *svc, struct arena *a, const struct hook_delivery_row *d,
			  const struct webhook_row *w, const char *secret, int *status_r, struct err *e)
{
	const char *headers[] = { "Content-Type: application/json; charset=utf-8", "User-Agent: Souk-Webhook/1",
				  webhook_signature(a, secret, wall_ms() / 1000, d->payload),
				  arena_printf(a, "Souk-Event: %s", d->type), arena_printf(a, "Souk-Delivery: %s", d->id),
				  NULL };
	struct httpc_request q = { .method = "POST", .url = w->url, .headers = headers,
				   .body = { d->payload, strlen(d->payload) },
				   .timeout_ms = svc->conf->hook_timeout_ms, .max_reply = 64 * 1024 };
	struct httpc_reply r = { 0 };

	if (httpc_do(svc->http, &q, a, &r, e))
		return e->code;
	*status_r = r.status;
	return OK;
}

static void judge(const struct notify_conf *conf, const struct err *e, struct verdict *v)
{
	v->detail = e->code ? e->slug : "answered";
	if (!e->code && v->status >= 200 && v->status < 300) {
		v->state = "sent";
	} else if (e->code == E_NOT_FOUND || e->code == E_INVALID || e->code == E_DENIED || v->status == 410 ||
		   v->d->age_s > conf->hook_give_up_h * 3600LL) {
		v->state = "failed";
	} else {
		v->state = "queued";
		v->next_ms = sender_backoff_ms(v->d->attempts, conf->hook_retry_base_ms, conf->hook_retry_max_s * 1000LL);
	}
}

static enum err_code try_it(struct notify_svc *svc, struct arena *a, const struct hook_delivery_row *d, int *status_r,
			    struct err *e)
{
	struct webhook_row *w = NULL;
	const char *secret = NULL;

	if (load(svc, a, d->webhook_id, &w, &secret, e))
		return e->code;
	if (!w->active && strcmp(d->type, "webhook.test") != 0)
		return err_set(e, E_DENIED, "notify.webhook_off", "%s", w->id);
	return post(svc, a, d, w, secret, status_r, e);
}

static int work(struct notify_svc *svc, void *state, struct arena *a, const char *lease)
{
	struct hook_delivery_row *d = NULL;
	struct verdict v = { .lease = lease };
	struct err e = { 0 };
	enum err_code code;
	struct pg *pg;
	size_t n = 0;

	(void)state;
	if (pg_borrow(svc->pool, mono_ms() + 5000, &pg, &e))
		return -1;
	code = notify_db_hook_claim(pg, a, lease, svc->conf->hook_timeout_ms / 1000 + 30, 1, &d, &n, &e);
	pg_return(pg);
	if (code) {
		if (code != E_UNAVAILABLE)
			log_err(LVL_ERROR, "cannot look for webhooks to deliver", &e);
		return -1;
	}
	if (!n)
		return 0;
	v.d = d;
	if (try_it(svc, a, d, &v.status, &e))
		v.status = 0;
	judge(svc->conf, &e, &v);
	record(svc, &v);
	if (strcmp(v.state, "failed") == 0)
		log_msg(LVL_WARNING, "webhook not delivered", LF_S("webhook", d->webhook_id), LF_S("delivery", d->id),
			LF_S("reason", v.detail), LF_I("status", v.status));
	return 1;
}

void sender_hook_job(const struct notify_conf *conf, struct sender_job *job_r)
{
	*job_r = (struct sender_job){ .name = "hook", .threads = conf->hook_senders, .poll_ms = conf->poll_ms,
				      .arena_limit = 4 << 20, .work = work };
}
