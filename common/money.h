/* Money: integer minor units with an ISO 4217 code. Only money.c touches the fields; every operation is checked. */
#ifndef SOUK_MONEY_H
#define SOUK_MONEY_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct money {
	int64_t minor;
	char cur[4];
};

/* Fails for an unknown currency. */
MUST_CHECK enum err_code money_make(int64_t minor, const char *currency, struct money *r, struct err *e);
struct money money_zero(const struct money *like);
int64_t money_minor(const struct money *m);
const char *money_currency(const struct money *m);

/* Overflow or two currencies: E_RULE "money.overflow" / "money.currency_mix". r may be an operand. */
MUST_CHECK enum err_code money_add(const struct money *a, const struct money *b, struct money *r, struct err *e);
MUST_CHECK enum err_code money_sub(const struct money *a, const struct money *b, struct money *r, struct err *e);
MUST_CHECK enum err_code money_mul(const struct money *a, int64_t n, struct money *r, struct err *e);
/* a * basis_points / 10000, rounded half away from zero. */
MUST_CHECK enum err_code money_percent(const struct money *a, int32_t basis_points, struct money *r, struct err *e);
/* Parts by weight that add up to total exactly (largest remainder, ties to the earlier). All weights 0: equal weights. */
MUST_CHECK enum err_code money_split(const struct money *total, const int64_t *weights, size_t n, struct money *parts_r,
				     struct err *e);
/* -1, 0, 1 in *r; two currencies are an error. */
MUST_CHECK enum err_code money_cmp(const struct money *a, const struct money *b, int *r, struct err *e);
bool money_equal(const struct money *a, const struct money *b); /* amount and currency */

bool money_valid_currency(const char *code);
int money_digits(const char *code); /* minor digits: 0, 2, 3; -1 unknown */
void money_text(const struct money *m, char out[40]); /* "19.99 USD" */

#endif
