/*
 * Presigned requests of S3 and what speaks like it: AWS Signature Version 4 in the query. Pure. Source: AWS, "Authenticating
 * Requests: Using Query Parameters (AWS Signature Version 4)".
 */
#ifndef SOUK_S3_PRESIGN_H
#define SOUK_S3_PRESIGN_H

#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"

struct s3_header {
	const char *name, *value; /* name in lower case, value without outer blanks */
};

struct s3_request {
	const char *method;
	const char *base_url; /* "https://bucket.s3.eu-central-1.amazonaws.com" or "http://host:port/bucket"; no query */
	const char *key;      /* of the object: letters, digits, / _ . - only, which need no escape */
	const char *region, *access_key, *secret_key;
	int expires_s;
	int64_t now_ms; /* wall clock */
	const struct s3_header *headers; /* signed with the host; sorted by name, each after or before "host" as the alphabet says */
	size_t n_headers;
};

/* The URL in the arena. E_INVALID when base_url is none. */
MUST_CHECK enum err_code s3_presign(struct arena *, const struct s3_request *, const char **url_r, struct err *);

#endif
