/*
 * How a function says why it failed: a code (which HTTP status), a stable slug (which reason, for clients and code),
 * a message (for the log alone) and field details (for the client). No heap, so it works when memory does not.
 *
 * Every slug is one row of common/errors.def, which fixes its code, upper-case word and friendly sentence.
 * The numbers of enum err_code travel between processes: append, never reorder.
 */
#ifndef SOUK_ERR_H
#define SOUK_ERR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/compiler.h"

enum err_code {
	OK = 0,
	E_INVALID,     /* 400 the message breaks its schema */
	E_UNAUTH,      /* 401 */
	E_DENIED,      /* 403 */
	E_NOT_FOUND,   /* 404 absent, or somebody else's */
	E_CONFLICT,    /* 409 against the current state */
	E_GONE,	       /* 410 */
	E_PRECOND,     /* 412 stale If-Match */
	E_PRECOND_REQ, /* 428 missing If-Match */
	E_RULE,	       /* 422 a business rule */
	E_TOO_LARGE,   /* 413 */
	E_EXHAUSTED,   /* 429 */
	E_RETRY,       /* 503 soft: nothing happened, pg_tx runs again */
	E_PENDING,     /* 202 begun, finishes without the caller */
	E_UNAVAILABLE, /* 503 a dependency, a deadline, draining */
	E_INTERNAL,    /* 500 */
	E_CODE_MAX_
};

#define ERR_SLUG_LEN	64
#define ERR_MSG_LEN	240
#define ERR_DETAILS_MAX 16

struct err_detail {
	char field[64];	   /* "lines.qty", or a header: "If-Match" */
	char message[128]; /* a sentence for the client */
	char value[64];	   /* machine-readable companion (the current ETag, what is left), "" when none */
};

/* Start with `struct err e = {0};`. */
struct err {
	enum err_code code;
	char slug[ERR_SLUG_LEN];
	char msg[ERR_MSG_LEN]; /* log only */
	struct err_detail details[ERR_DETAILS_MAX];
	size_t n_details;
	int retry_after_ms; /* 0: not said */
	bool pending;	    /* the outcome is still open: answer 202 with what the reply holds */
};

/*
 * Sets code, slug and msg and returns code; details, retry_after_ms and pending stay as they are. Texts that are too
 * long are cut at a character; invalid UTF-8 and control characters become '?'. e may be NULL: then only the code is
 * returned.
 */
enum err_code err_set(struct err *e, enum err_code code, const char *slug, const char *fmt, ...) PRINTF_LIKE(4, 5);

/*
 * Adds a field detail; the 17th and later are dropped. value may be NULL. Made clean like err_set's texts: details reach
 * the client.
 */
void err_detail(struct err *e, const char *field, const char *value, const char *fmt, ...) PRINTF_LIKE(4, 5);

void err_clear(struct err *e);				 /* as new */
void err_copy(struct err *to, const struct err *from);	 /* copies the used details only */
bool err_is(const struct err *e, const char *slug);	 /* that very slug */

/* What errors.def says about a slug. */
struct err_info {
	const char *slug;
	enum err_code code;
	const char *word;    /* error.code of the reply: "VALIDATION_ERROR" */
	const char *message; /* the client's sentence */
};

/* NULL or unknown slug gives the row of common.internal; never NULL. */
const struct err_info *err_info(const char *slug) RETURNS_NONNULL;
/* All rows in errors.def order, for documents and tests. */
const struct err_info *err_info_all(size_t *n_r) RETURNS_NONNULL;

int err_http_status(enum err_code code);       /* 200 for OK; 500 for anything out of range */
const char *err_code_name(enum err_code code); /* "E_INVALID", for logs and metric labels */
/* A number from the wire made safe: anything that is no code becomes E_INTERNAL. */
enum err_code err_code_from_wire(long long n);

#endif
