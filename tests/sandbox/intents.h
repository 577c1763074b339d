/* Payment intents: the state machine, their charges, and what the API says about both. */
#ifndef SANDBOX_INTENTS_H
#define SANDBOX_INTENTS_H

#include "cards.h"
#include "sandbox.h"

enum intent_status {
	INTENT_REQUIRES_PAYMENT_METHOD,
	INTENT_REQUIRES_CONFIRMATION,
	INTENT_REQUIRES_ACTION,
	INTENT_PROCESSING,
	INTENT_REQUIRES_CAPTURE,
	INTENT_SUCCEEDED,
	INTENT_CANCELED,
};

struct intent {
	struct row row;
	char id[40], secret[80];
	enum intent_status status;
	bool manual;
	char currency[4];
	int64_t amount, capturable, received, created, canceled_at;
	char cancel_reason[32], method[48], charge[40]; /* "" none; charge is the latest */
	const struct card *card;			/* of method; NULL: none yet */
	char *description, *receipt_email, *return_url; /* NULL: none */
	json_t *metadata, *types, *last_error;		/* last_error NULL: none */
};

struct charge {
	struct row row;
	char id[40], intent[40], currency[4];
	const struct card *card;
	bool failed, captured, released, disputed;
	int64_t amount, amount_captured, refunded,
		created; /* refunded: of what was captured, pending ones included */
};

const char *intent_status_name(enum intent_status s);
json_t *intent_json(const struct sandbox *sb, const struct intent *pi, const char *base_url);
json_t *charge_json(const struct charge *c);
struct intent *intent_find(const struct sandbox *sb, const char *id);
struct charge *charge_find(const struct sandbox *sb, const char *id);

/* Handlers: lock held. */
void intent_create(struct sandbox *sb, const struct request *q, struct reply *r);
void intent_retrieve(struct sandbox *sb, const struct request *q, struct reply *r);
void intent_list(struct sandbox *sb, const struct request *q, struct reply *r);
void intent_confirm(struct sandbox *sb, const struct request *q, struct reply *r);
void intent_capture(struct sandbox *sb, const struct request *q, struct reply *r);
void intent_cancel(struct sandbox *sb, const struct request *q, struct reply *r);
void intent_authenticate(struct sandbox *sb, const struct request *q, struct reply *r);
void charge_list(struct sandbox *sb, const struct request *q, struct reply *r);
void charge_retrieve(struct sandbox *sb, const struct request *q, struct reply *r);
/* Control: an authorisation runs out; an intent's amount, currency or metadata is altered behind
 * everybody's back. */
void intent_expire(struct sandbox *sb, const struct request *q, struct reply *r);
void intent_tamper(struct sandbox *sb, const struct request *q, struct reply *r);

/* Journal: saved on every change (after which q's event may follow); loaded at start. q NULL: no
 * request caused it. */
void intent_save(struct sandbox *sb, const struct intent *pi);
void charge_save(struct sandbox *sb, const struct charge *c);
bool intent_load(struct sandbox *sb, const json_t *o);
bool charge_load(struct sandbox *sb, const json_t *o);
void intent_resume(struct sandbox *sb); /* starts again the timers of intents that are processing */
void intent_free(struct row *r);
void charge_free(struct row *r);

/* Steps shared by the files of this noun. */
void intent_pay(
	struct sandbox *sb, struct intent *pi, const struct request *q); /* charges pi->card */
void intent_confirm_known(
	struct sandbox *sb, struct intent *pi, const struct request *q, struct reply *r);
struct intent *intent_of_request(
	struct sandbox *sb, const struct request *q, struct reply *r); /* NULL: answered */
bool intent_params_known(const struct request *q, struct reply *r, const char *const *names);

#endif
