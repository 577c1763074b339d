/* What the sandbox is told by its environment. */
#ifndef SANDBOX_CONFIG_H
#define SANDBOX_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_RETRIES_MAX 16

struct config {
	char listen[64];	   /* SANDBOX_LISTEN, "host:port"; port 0 picks a free one */
	char secret_key[128];	   /* SANDBOX_SECRET_KEY */
	char publishable_key[128]; /* SANDBOX_PUBLISHABLE_KEY */
	char public_url[256];	  /* SANDBOX_PUBLIC_URL: base of redirect URLs; empty: the request's
				     Host */
	char webhook_url[512];	  /* SANDBOX_WEBHOOK_URL; empty: events are only listed */
	char webhook_events[1024]; /* SANDBOX_WEBHOOK_EVENTS: the types the endpoint is subscribed to,
				      comma list; "*" is all */
	char webhook_secret[128]; /* SANDBOX_WEBHOOK_SECRET */
	char webhook_old_secret[128]; /* SANDBOX_WEBHOOK_OLD_SECRET: second signature of the
					 two_secrets fault */
	int64_t webhook_delay_ms;     /* SANDBOX_WEBHOOK_DELAY_MS before the first attempt */
	int64_t webhook_timeout_ms;   /* SANDBOX_WEBHOOK_TIMEOUT_MS of one attempt */
	int webhook_workers;	      /* SANDBOX_WEBHOOK_WORKERS */
	int64_t webhook_queue; /* SANDBOX_WEBHOOK_QUEUE: deliveries waiting at most; beyond it they
				  are lost */
	int64_t retry_ms[CONFIG_RETRIES_MAX]; /* SANDBOX_WEBHOOK_RETRY_MS, comma list; its length
						 bounds the retries */
	size_t n_retry;
	int64_t async_ms; /* SANDBOX_ASYNC_MS: how long "processing" and pending refunds take */
	uint64_t seed; /* SANDBOX_SEED: 0 draws ids at random, else they repeat from run to run */
	int threads;   /* SANDBOX_THREADS: connections served at once */
	char state_file[512]; /* SANDBOX_STATE_FILE: append-only journal; empty: memory only */
	int64_t events_max;   /* SANDBOX_EVENTS_MAX kept for GET /v1/events */
	int64_t keys_max; /* SANDBOX_KEYS_MAX idempotency keys kept; the oldest are forgotten first
			   */
};

/* Reads the environment. False with one sentence in why[why_len] on a value out of range. */
bool config_load(struct config *c, char *why, size_t why_len);

#endif
