/*
 * One request inside a daemon: its arena, its error, its caller, its deadline; and the transaction that knows them.
 */
#ifndef SOUK_CALL_H
#define SOUK_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "common/pg.h"

enum principal_kind { WHO_ANONYMOUS = 0, WHO_USER, WHO_SERVICE };

struct principal {
	enum principal_kind kind;
	const char *user_id;	/* "" unless WHO_USER */
	const char *session_id;
	const char *audience;	/* shop, vendor, admin */
	const char *vendor_id;	/* "" unless audience is vendor */
	const char *service;	/* WHO_SERVICE: the daemon's name */
	const char *const *roles;
	size_t n_roles;
	const char *const *perms;
	size_t n_perms;
};

struct idem; /* state of the idempotency key of this call, common/idem.h */

struct call {
	struct arena *arena; /* reset after the reply is sent */
	struct err err;
	const char *method;	/* as in the proto service block */
	const char *request_id;
	const char *traceparent;
	int64_t deadline_ms;	/* monotonic */
	struct principal who;
	const char *caller;	/* authenticated name of the calling process */
	const char *idem_key;	/* NULL or "" when none */
	const void *fingerprint; /* 32 bytes, with idem_key */
	struct idem *idem;
	const ProtobufCMessage *out; /* the reply being filled; call_tx stores it with the key */
	struct pg_pool *pool;
	void *svc;		/* the daemon's own state (struct cart_svc *) */
	bool replayed;
};

/* Who may call. Each returns OK or sets c->err (401 when anonymous, 403 otherwise) and returns its code. */
MUST_CHECK enum err_code call_user(struct call *c);			    /* any signed-in user, audience shop/vendor/admin */
MUST_CHECK enum err_code call_perm(struct call *c, const char *perm);	    /* a permission of the token */
MUST_CHECK enum err_code call_vendor(struct call *c, const char *perm);	    /* vendor audience + permission (NULL: none); who.vendor_id is set */
MUST_CHECK enum err_code call_service(struct call *c, const char *callers); /* "checkout,cart": only these daemons */
/* The process that calls is one of these, whomever it forwards: for what a daemon asks on behalf of its own caller. */
MUST_CHECK enum err_code call_caller(struct call *c, const char *callers);
bool call_has_perm(const struct call *c, const char *perm);

/* "user:usr_…", "vendor:vnd_…/usr_…", "service:checkout", "anonymous": the audit actor, in the arena. */
const char *call_actor(struct call *c);

enum call_tx_flags {
	CALL_TX_ONLY = 0,  /* the effect is this one transaction: key begun and finalised (with c->out) here */
	CALL_TX_FIRST = 1, /* begins the key and stores resource id (set by idem_resource) with a lease */
	CALL_TX_LAST = 2,  /* finalises the key with c->out */
	CALL_TX_PLAIN = 4, /* no key handling: reads, later steps */
};

/*
 * pg_tx with this call's actor, request id and deadline, and its idempotency key handled in the same transaction.
 * For CALL_TX_ONLY and CALL_TX_LAST fn must have filled c->out before it returns. fn may run several times.
 */
MUST_CHECK enum err_code call_tx(struct call *c, unsigned flags, pg_tx_fn *fn, void *arg);

/* Borrow for reads outside a transaction: pg_borrow with the call's pool, deadline and error. */
MUST_CHECK enum err_code call_pg(struct call *c, struct pg **pg_r);

/* arena_strdup for reply fields; NULL stays NULL. */
char *call_str(struct call *c, const char *s);

#endif
