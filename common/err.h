/*
 * Errors: a code, a stable slug for clients, a message for the log, and details that name fields. No heap, so it
 * works when memory does not. common/errors.def is the one table slug -> code -> public word -> friendly sentence.
 */
#ifndef SOUK_ERR_H
#define SOUK_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

enum err_code {
	OK = 0,
	E_INVALID,	/* 400 breaks the schema */
	E_UNAUTH,	/* 401 */
	E_DENIED,	/* 403 */
	E_NOT_FOUND,	/* 404, also for another tenant's */
	E_CONFLICT,	/* 409 with the current state */
	E_GONE,		/* 410 */
	E_PRECOND,	/* 412 If-Match is stale */
	E_PRECOND_REQ,	/* 428 If-Match is missing */
	E_RULE,		/* 422 breaks a rule */
	E_TOO_LARGE,	/* 413 */
	E_EXHAUSTED,	/* 429 */
	E_RETRY,	/* soft: only pg_tx acts on it; 503 when it gets out */
	E_PENDING,	/* 202 outcome not known yet */
	E_UNAVAILABLE,	/* 503 */
	E_INTERNAL,	/* 500 */
	E_CODE_MAX_
};

#define ERR_DETAILS_MAX 16

struct err_detail {
	char field[64], message[128], value[64];
};

struct err {
	enum err_code code;
	char slug[64];
	char msg[240]; /* for the log, never for a client */
	struct err_detail details[ERR_DETAILS_MAX];
	size_t n_details;
	uint32_t retry_after_ms; /* 0: not said */
};

/* Sets code, slug and msg (details stay) and returns code. */
enum err_code err_set(struct err *e, enum err_code code, const char *slug, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Adds a detail; past ERR_DETAILS_MAX they are dropped. value may be NULL. Texts are cut to fit, at UTF-8 borders. */
void err_detail(struct err *e, const char *field, const char *value, const char *fmt, ...) PRINTF_LIKE(4, 5);
void err_clear(struct err *e);

/* A row of errors.def. */
struct err_info {
	const char *slug;
	enum err_code code;
	const char *word;	/* "OUT_OF_STOCK" */
	const char *message;	/* for people */
};
const struct err_info *err_info(const char *slug); /* the row, or that of "common.internal" for an unknown slug */
bool err_known(const char *slug);
const struct err_info *err_table(size_t *n_r);
int err_http_status(enum err_code code);
const char *err_code_name(enum err_code code); /* "E_INVALID" */

#endif
