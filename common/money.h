/*
 * Money: integer minor units of an ISO 4217 currency. Only money*.c and money*.h touch the fields; everybody else
 * goes through these functions, so no sum can overflow or mix currencies unnoticed. No floating point anywhere.
 *
 * Failures: E_RULE common.amount_range (overflow), E_RULE common.currency_mismatch, E_INVALID common.currency_unknown.
 */
#ifndef SOUK_MONEY_H
#define SOUK_MONEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"

struct money {
	int64_t minor;
	char cur[4]; /* "USD" */
};

bool money_valid_currency(const char *cur); /* three capitals that ISO 4217 lists; NULL is false */
int money_digits(const char *cur);	    /* 0, 2 or 3; -1 for an unknown currency */
/* Row i of the table, sorted by code; NULL past the end. */
const char *money_currency_at(size_t i);

MUST_CHECK enum err_code money_make(int64_t minor, const char *cur, struct money *r, struct err *e);
struct money money_zero(const struct money *like); /* 0 in that currency */
int64_t money_minor(struct money m);
const char *money_cur(const struct money *m);

MUST_CHECK enum err_code money_add(struct money a, struct money b, struct money *r, struct err *e);
MUST_CHECK enum err_code money_sub(struct money a, struct money b, struct money *r, struct err *e);
MUST_CHECK enum err_code money_mul(struct money a, int64_t n, struct money *r, struct err *e);
MUST_CHECK enum err_code money_neg(struct money a, struct money *r, struct err *e);
/* *total_r += m */
MUST_CHECK enum err_code money_acc(struct money *total_r, struct money m, struct err *e);
/* a * num / den in 128 bits, rounded half away from zero; den > 0. */
MUST_CHECK enum err_code money_ratio(struct money a, int64_t num, int64_t den, struct money *r, struct err *e);
/* basis points: 825 = 8.25 %. Rounded half away from zero. */
MUST_CHECK enum err_code money_percent(struct money a, int64_t basis_points, struct money *r, struct err *e);

/*
 * Divides total into n parts in proportion to weights (each >= 0; all zero counts as all equal) by largest remainder,
 * earlier parts first on a tie. The parts always add up to total, also when it is negative; a weight of 0 among
 * others gets 0. n >= 1, sum of weights at most INT64_MAX.
 */
MUST_CHECK enum err_code money_split(struct money total, const int64_t *weights, size_t n, struct money *parts_r,
				     struct err *e);

/* *r < 0, 0, > 0; different currencies are an error. */
MUST_CHECK enum err_code money_cmp(struct money a, struct money b, int *r, struct err *e);
bool money_equal(struct money a, struct money b); /* same currency and amount */
bool money_same_currency(struct money a, struct money b);
int money_sign(struct money m); /* -1, 0, 1 */
/* The smaller of two; different currencies are an error. */
MUST_CHECK enum err_code money_min(struct money a, struct money b, struct money *r, struct err *e);

/* "19.99 USD", "-500 JPY"; for mails, logs and invoices in English form. */
#define MONEY_TEXT_LEN 40
const char *money_format(struct money m, char out[MONEY_TEXT_LEN]);

/* To and from the message common.v1.Money (money_pb.c). NULL or an unset field is E_INVALID common.invalid_input. */
struct Common__V1__Money;
MUST_CHECK enum err_code money_from_pb(const struct Common__V1__Money *m, struct money *r, struct err *e);
struct Common__V1__Money *money_to_pb(struct arena *a, struct money m);

#endif
