/* One mail from its lease to its end. */
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "services/notify/letter.h"
#include "services/notify/sender.h"

/* What is written down about an attempt. */
struct verdict {
	const char *lease, *state, *outcome, *detail, *reason; /* outcome NULL: no delivery row */
	const struct message_row *m;
	int smtp_code;
	int64_t next_ms, took_ms;
	bool held;
};

static enum err_code record_tx(struct pg *pg, void *arg, struct err *e)
{
	struct verdict *v = arg;

	if (notify_db_message_end(pg, v->m->id, v->lease, v->state, v->reason, v->next_ms, &v->held, e))
		return e->code;
	return notify_db_delivery_put(pg, v->m->id, v->m->attempts, v->outcome, v->smtp_code, v->detail, v->took_ms, e);
}

static void count(const struct verdict *v)
{
	char labels[160];

	metric_add(metric_counter("souk_notify_mails_total", "Attempts to send a mail, by kind and outcome.",
				  metric_labels(labels, sizeof(labels), "kind", v->m->kind, "outcome", v->outcome, NULL)),
		   1);
}

/*
 * Tries for a while: a mail that was taken but is not recorded would be sent twice. When the database stays away the
 * lease runs out and the mail goes once more, with the same Message-ID.
 */
static void record(struct notify_svc *svc, struct verdict *v)
{
	const struct pg_actor who = { "system", "" };
	int64_t until = mono_ms() + 20000;
	struct err e = { 0 };

	count(v);
	while (pg_tx(svc->pool, mono_ms() + 5000, &who, record_tx, v, &e)) {
		if (mono_ms() > until) {
			log_err(LVL_ERROR, "the end of a mail could not be recorded", &e);
			return;
		}
		err_clear(&e);
		sleep_ms(200);
	}
}

static void later(const struct notify_conf *conf, struct verdict *v, bool no_server)
{
	int64_t max_ms = no_server ? 30000 : conf->retry_max_s * 1000LL;

	if (v->m->age_s > conf->give_up_h * 3600LL) {
		v->state = "failed";
		v->reason = "gave_up";
		return;
	}
	v->state = "queued";
	v->next_ms = sender_backoff_ms(v->m->attempts, conf->retry_base_ms, max_ms);
}

static void judge(const struct notify_conf *conf, const struct smtp_result *r, struct verdict *v)
{
	v->outcome = smtp_outcome_name(r->outcome);
	v->smtp_code = r->code;
	v->detail = r->detail;
	v->reason = r->outcome == SMTP_SENT ? NULL : v->outcome;
	switch (r->outcome) {
	case SMTP_SENT:
		v->state = "sent";
		break;
	case SMTP_REJECTED:
		v->state = "failed";
		break;
	case SMTP_DEFERRED:
		later(conf, v, r->code == 0);
		break;
	case SMTP_UNKNOWN: /* it may have arrived: only when the server has surely made up its mind */
		later(conf, v, false);
		if (strcmp(v->state, "queued") == 0)
			v->next_ms = conf->unknown_retry_s * 1000LL;
		break;
	}
}

static bool not_sent(const struct notify_conf *conf, const struct letter *l, const struct err *e, struct verdict *v)
{
	v->outcome = "not_tried";
	if (e->code) {
		v->detail = e->slug;
		v->reason = e->slug;
		later(conf, v, e->code == E_UNAVAILABLE);
		return true;
	}
	v->detail = v->reason = l->why;
	v->state = l->verdict == LETTER_UNWANTED ? "suppressed" : "failed";
	return l->verdict != LETTER_READY;
}

static void send_one(struct notify_svc *svc, struct smtp *smtp, struct arena *a, const struct message_row *m,
		     const char *lease)
{
	struct verdict v = { .lease = lease, .m = m };
	struct smtp_result r = { 0 };
	struct letter letter;
	struct err e = { 0 };
	int64_t began = mono_ms();

	if (letter_write(svc, a, m, &letter, &e))
		letter.verdict = LETTER_HOPELESS; /* for now: e says why */
	if (!not_sent(svc->conf, &letter, &e, &v)) {
		smtp_send(smtp, svc->conf->from, letter.to, letter.bytes.data, letter.bytes.len, &r);
		judge(svc->conf, &r, &v);
	}
	v.took_ms = mono_ms() - began;
	record(svc, &v);
	if (strcmp(v.state, "sent") != 0)
		log_msg(strcmp(v.state, "failed") == 0 ? LVL_WARNING : LVL_INFO, "mail not sent", LF_S("message", m->id),
			LF_S("kind", m->kind), LF_S("state", v.state), LF_S("reason", v.reason), LF_I("code", v.smtp_code));
	letter_free(&letter);
}

/* Longer than any attempt can take, so that nobody else begins while one is under way. */
static int32_t lease_s(const struct notify_conf *conf)
{
	return conf->smtp_timeout_ms / 1000 + 60;
}

static int work(struct notify_svc *svc, void *state, struct arena *a, const char *lease)
{
	struct message_row *m = NULL;
	struct err e = { 0 };
	enum err_code code;
	struct pg *pg;
	size_t n = 0;

	if (pg_borrow(svc->pool, mono_ms() + 5000, &pg, &e))
		return -1;
	code = notify_db_claim(pg, a, lease, lease_s(svc->conf), 1, &m, &n, &e);
	pg_return(pg);
	if (code) {
		if (code != E_UNAVAILABLE)
			log_err(LVL_ERROR, "cannot look for mails to send", &e);
		return -1;
	}
	if (!n)
		return 0;
	log_ctx_set(m->id, NULL, NULL);
	send_one(svc, state, a, m, lease);
	log_ctx_clear();
	return 1;
}

static void *open_smtp(struct notify_svc *svc, int thread, struct err *e)
{
	struct smtp *s = NULL;

	(void)thread;
	return smtp_open(&svc->smtp, &s, e) ? NULL : s;
}

static void close_smtp(void *state)
{
	smtp_close(state);
}

void sender_mail_job(const struct notify_conf *conf, struct sender_job *job_r)
{
	*job_r = (struct sender_job){ .name = "mail", .threads = conf->senders, .poll_ms = conf->poll_ms,
				      .arena_limit = 8 << 20, .open = open_smtp, .close = close_smtp, .work = work };
}
