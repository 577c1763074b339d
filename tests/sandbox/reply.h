/* One API request after authentication, and the answer to it. */
#ifndef SANDBOX_REPLY_H
#define SANDBOX_REPLY_H

#include "form.h"

#include <jansson.h>

/* The operations that faults and statistics know by name. */
enum op {
	OP_CREATE,
	OP_CONFIRM,
	OP_CAPTURE,
	OP_CANCEL,
	OP_REFUND,
	OP_RETRIEVE,
	OP_LIST,
	OP_AUTHENTICATE,
	OP_CONTROL,
	OP_PAGE,
	OP_COUNT_,
};
const char *op_name(enum op op);

#define REQUEST_ID_LEN 32

struct request {
	enum op op;
	const char *method, *path;
	char id[80];	   /* the id in the path, or "" */
	struct form *form; /* query and form body together */
	json_t *json;	   /* body of a control request, or NULL */
	const char *key;   /* Idempotency-Key, or NULL */
	bool publishable;  /* a browser: publishable key or nothing but a client secret */
	char request_id[REQUEST_ID_LEN];
	char base_url[300]; /* of links back to this sandbox, without a trailing slash */
};

/* How the answer goes over the wire; anything but WIRE_FULL breaks it on purpose. */
enum wire { WIRE_FULL, WIRE_CLOSE, WIRE_RESET, WIRE_TRUNCATE, WIRE_DRIP };

struct reply {
	int status;
	char *body; /* owned */
	size_t len;
	const char *type; /* static text; NULL: JSON */
	char location[700];
	bool unstored; /* refused before anything began: the idempotency key stays free */
	bool replayed;
	int retry_after;  /* seconds; 0: no header */
	int should_retry; /* 1 true, -1 false, 0: no header */
	enum wire wire;
	int64_t drip_ms; /* between bytes */
	int64_t cut;	 /* bytes of the body sent when truncated; -1: half */
};

void reply_json(struct reply *r, int status,
	json_t *body); /* takes body; NULL body (no memory) becomes a 500 */
void reply_text(
	struct reply *r, int status, const char *type, char *body, size_t len); /* takes body */
void reply_free(struct reply *r);

struct api_error {
	const char *type; /* NULL: invalid_request_error */
	const char *code, *param, *decline_code, *charge;
	json_t *intent; /* taken; the payment_intent of the error, or NULL */
};
void reply_error(struct reply *r, int status, struct api_error e, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* A parameter is missing or wrong: 400, and the idempotency key is not used up. */
void reply_param(struct reply *r, const char *param, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void reply_missing(struct reply *r, const char *what, const char *id); /* 404 resource_missing */

#endif
