/* The threads that send: each leases one due mail at a time, writes it, hands it over, records what came of it. */
#ifndef SOUK_NOTIFY_SENDER_H
#define SOUK_NOTIFY_SENDER_H

#include "services/notify/notify.h"
#include "services/notify/notify_db.h"

/* Milliseconds before attempt n + 1 after n failed ones: doubles from base to max, a fifth of jitter. */
int64_t sender_backoff_ms(int32_t attempts, int64_t base_ms, int64_t max_ms);

/*
 * The loop of mails and of webhooks alike: threads that call work() until it says there is nothing to do, then wait
 * poll_ms. work: 1 something was done, 0 nothing is due, -1 something is wrong (waits too).
 */
struct sender_job {
	const char *name;
	int threads, poll_ms;
	size_t arena_limit;
	void *(*open)(struct notify_svc *, int thread, struct err *); /* NULL: an error, or nothing needed with OK */
	void (*close)(void *state);
	int (*work)(struct notify_svc *, void *state, struct arena *, const char *lease);
};
struct senders;
MUST_CHECK enum err_code senders_start(const struct sender_job *job, struct notify_svc *svc, struct senders **s_r,
				       struct err *e);
void senders_stop(struct senders *s); /* finishes what is under way; NULL is fine */

void sender_mail_job(const struct notify_conf *conf, struct sender_job *job_r);
void sender_hook_job(const struct notify_conf *conf, struct sender_job *job_r);

#endif
