/* Idempotency keys: the first answer to a key is its only answer. */
#ifndef SANDBOX_IDEMPOTENCY_H
#define SANDBOX_IDEMPOTENCY_H

#include "sandbox.h"

enum idem_state { IDEM_RUNNING, IDEM_DONE, IDEM_FREE };

struct idem {
	struct row row;
	char *key;
	char fingerprint[65];
	enum idem_state state;
	int status;
	char *body;
	size_t len;
};

enum idem_verdict {
	IDEM_NO_KEY,   /* go on; nothing to finish */
	IDEM_CLAIMED,  /* go on, then idem_finish */
	IDEM_ANSWERED, /* r is the answer: replayed, refused for other parameters, or the key is
			  still running */
};
/* Both with the lock held. The claim is found again by its key, so a reset in between is harmless.
 */
enum idem_verdict idem_claim(struct sandbox *sb, const struct request *q, struct reply *r);
void idem_finish(struct sandbox *sb, const struct request *q,
	const struct reply *r); /* r->unstored frees the key */
bool idem_load(struct sandbox *sb, const json_t *o);
json_t *idem_json(const struct idem *k);
void idem_free(struct row *r);

#endif
