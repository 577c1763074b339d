/*
 * The payment provider (Stripe's API, version 2024-06-20): intents with manual capture, refunds. One HTTP call each, by
 * common/httpc, with no transaction open. The sandbox and the real provider differ by URL and key alone.
 *
 * Every POST carries a key that the caller stored beforehand, and a body that is the same to the byte each time.
 * Nothing here decides what to do next: the saga does, from the result.
 */
#ifndef SOUK_CHECKOUT_PAY_H
#define SOUK_CHECKOUT_PAY_H

#include "common/arena.h"
#include "common/err.h"
#include "services/checkout/saga.h"

struct pay;
struct pay_conf {
	const char *url; /* "https://api.stripe.com" */
	const char *key; /* secret key */
	int handles, queue;
};
MUST_CHECK enum err_code pay_open(const struct pay_conf *conf, struct pay **p_r, struct err *e);
void pay_close(struct pay *p);
bool pay_live(const struct pay *p); /* a live key: events must be of livemode too */

enum pay_result {
	PAY_OK = 0,
	PAY_REFUSED,  /* definite: nothing happened, and the same key will say so again */
	PAY_NOT_SENT, /* surely not processed: not reached, shed, or not let in */
	PAY_UNKNOWN   /* may have happened: time-out, lost answer, 5xx, 409, an answer that makes no sense */
};

struct pay_intent {
	const char *id; /* "" when there is none */
	const char *client_secret, *status_word, *currency, *checkout_id;
	const char *error_code, *error_message; /* of the last declined try; "" */
	enum pi_status status;
	int64_t amount, amount_received;
	int32_t attempt; /* metadata[attempt] */
};
/* The provider forgets a key after 24 h: what was first asked this long ago is looked for before it is asked again. */
#define PAY_KEY_MS (23 * 3600 * 1000LL)

struct pay_refund {
	const char *id, *status, *refund_id; /* pending, succeeded, failed, …; our id from the metadata */
	const char *failure;
	int64_t amount;
};
struct pay_reply {
	int status;		  /* HTTP; 0 when there was no answer */
	const char *code, *text;  /* of an error: "amount_too_small", for the log */
	bool mismatch_of_key;	  /* another request had this key: a bug of ours, never to be met with a new key */
	struct pay_intent intent; /* also the one inside an error */
	struct pay_refund refund;
};

/* One call: where and how long. */
struct pay_call {
	struct pay *pay;
	struct arena *arena; /* everything in the reply lives there */
	int64_t timeout_ms;
};

enum pay_result pay_create(const struct pay_call *c, const char *key, const char *params, struct pay_reply *r);
enum pay_result pay_retrieve(const struct pay_call *c, const char *pi_id, struct pay_reply *r);
enum pay_result pay_capture(const struct pay_call *c, const char *key, const char *pi_id, int64_t amount,
			    struct pay_reply *r);
enum pay_result pay_cancel(const struct pay_call *c, const char *key, const char *pi_id, struct pay_reply *r);
enum pay_result pay_refund(const struct pay_call *c, const char *key, const char *pi_id, int64_t amount,
			   const char *refund_id, struct pay_reply *r);
enum pay_result pay_refund_get(const struct pay_call *c, const char *provider_id, struct pay_reply *r);
/*
 * Looks for what a lost answer may have made, among intents created since from_s (seconds), or the intent's refunds, by
 * the metadata we gave. PAY_REFUSED: there is none.
 */
enum pay_result pay_find(const struct pay_call *c, const char *checkout_id, int32_t attempt, int64_t from_s,
			 struct pay_reply *r);
enum pay_result pay_find_refund(const struct pay_call *c, const char *pi_id, const char *refund_id,
				struct pay_reply *r);
/*
 * After "charge_already_refunded": our refund, else one of just that amount which is nobody's (made by hand at the
 * provider) and has not failed. PAY_REFUSED: neither.
 */
enum pay_result pay_find_repaid(const struct pay_call *c, const char *pi_id, const char *refund_id, int64_t amount,
				struct pay_reply *r);
bool pay_already_refunded(const struct pay_reply *r);
bool pay_refund_dead(const struct pay_refund *x); /* failed or canceled */

/* The exact body of pay_create, to be stored with its key. */
char *pay_create_params(struct arena *a, const char *checkout_id, const char *order_id, int32_t attempt,
			int64_t amount, const char *currency);

/* ---- pay_form.c ---- */
struct pay_pair {
	const char *name, *value;
};
/* application/x-www-form-urlencoded, sorted by name. Sorts pairs in place. */
char *pay_form(struct arena *a, struct pay_pair *pairs, size_t n);

#endif
