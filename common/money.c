#include "common/money.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 i128;

/* ISO 4217 codes in use, with the digits of their minor unit; sorted by code. */
static const struct {
	char code[4];
	signed char digits;
} currencies[] = {
	{ "AED", 2 }, { "AFN", 2 }, { "ALL", 2 }, { "AMD", 2 }, { "ANG", 2 }, { "AOA", 2 }, { "ARS", 2 },
	{ "AUD", 2 }, { "AWG", 2 }, { "AZN", 2 }, { "BAM", 2 }, { "BBD", 2 }, { "BDT", 2 }, { "BGN", 2 },
	{ "BHD", 3 }, { "BIF", 0 }, { "BMD", 2 }, { "BND", 2 }, { "BOB", 2 }, { "BRL", 2 }, { "BSD", 2 },
	{ "BTN", 2 }, { "BWP", 2 }, { "BYN", 2 }, { "BZD", 2 }, { "CAD", 2 }, { "CDF", 2 }, { "CHF", 2 },
	{ "CLP", 0 }, { "CNY", 2 }, { "COP", 2 }, { "CRC", 2 }, { "CUP", 2 }, { "CVE", 2 }, { "CZK", 2 },
	{ "DJF", 0 }, { "DKK", 2 }, { "DOP", 2 }, { "DZD", 2 }, { "EGP", 2 }, { "ERN", 2 }, { "ETB", 2 },
	{ "EUR", 2 }, { "FJD", 2 }, { "FKP", 2 }, { "GBP", 2 }, { "GEL", 2 }, { "GHS", 2 }, { "GIP", 2 },
	{ "GMD", 2 }, { "GNF", 0 }, { "GTQ", 2 }, { "GYD", 2 }, { "HKD", 2 }, { "HNL", 2 }, { "HTG", 2 },
	{ "HUF", 2 }, { "IDR", 2 }, { "ILS", 2 }, { "INR", 2 }, { "IQD", 3 }, { "IRR", 2 }, { "ISK", 0 },
	{ "JMD", 2 }, { "JOD", 3 }, { "JPY", 0 }, { "KES", 2 }, { "KGS", 2 }, { "KHR", 2 }, { "KMF", 0 },
	{ "KPW", 2 }, { "KRW", 0 }, { "KWD", 3 }, { "KYD", 2 }, { "KZT", 2 }, { "LAK", 2 }, { "LBP", 2 },
	{ "LKR", 2 }, { "LRD", 2 }, { "LSL", 2 }, { "LYD", 3 }, { "MAD", 2 }, { "MDL", 2 }, { "MGA", 2 },
	{ "MKD", 2 }, { "MMK", 2 }, { "MNT", 2 }, { "MOP", 2 }, { "MRU", 2 }, { "MUR", 2 }, { "MVR", 2 },
	{ "MWK", 2 }, { "MXN", 2 }, { "MYR", 2 }, { "MZN", 2 }, { "NAD", 2 }, { "NGN", 2 }, { "NIO", 2 },
	{ "NOK", 2 }, { "NPR", 2 }, { "NZD", 2 }, { "OMR", 3 }, { "PAB", 2 }, { "PEN", 2 }, { "PGK", 2 },
	{ "PHP", 2 }, { "PKR", 2 }, { "PLN", 2 }, { "PYG", 0 }, { "QAR", 2 }, { "RON", 2 }, { "RSD", 2 },
	{ "RUB", 2 }, { "RWF", 0 }, { "SAR", 2 }, { "SBD", 2 }, { "SCR", 2 }, { "SDG", 2 }, { "SEK", 2 },
	{ "SGD", 2 }, { "SHP", 2 }, { "SLE", 2 }, { "SOS", 2 }, { "SRD", 2 }, { "SSP", 2 }, { "STN", 2 },
	{ "SVC", 2 }, { "SYP", 2 }, { "SZL", 2 }, { "THB", 2 }, { "TJS", 2 }, { "TMT", 2 }, { "TND", 3 },
	{ "TOP", 2 }, { "TRY", 2 }, { "TTD", 2 }, { "TWD", 2 }, { "TZS", 2 }, { "UAH", 2 }, { "UGX", 0 },
	{ "USD", 2 }, { "UYU", 2 }, { "UZS", 2 }, { "VES", 2 }, { "VND", 0 }, { "VUV", 0 }, { "WST", 2 },
	{ "XAF", 0 }, { "XCD", 2 }, { "XOF", 0 }, { "XPF", 0 }, { "YER", 2 }, { "ZAR", 2 }, { "ZMW", 2 },
	{ "ZWL", 2 },
};

static int code_cmp(const void *key, const void *row)
{
	return memcmp(key, row, 3);
}

int money_digits(const char *cur)
{
	const char *row;

	if (!cur || strnlen(cur, 4) != 3)
		return -1;
	row = bsearch(cur, currencies, ARRAY_LEN(currencies), sizeof(currencies[0]), code_cmp);
	return row ? row[sizeof(currencies[0].code)] : -1;
}

bool money_valid_currency(const char *cur)
{
	return money_digits(cur) >= 0;
}

const char *money_currency_at(size_t i)
{
	return i < ARRAY_LEN(currencies) ? currencies[i].code : NULL;
}

enum err_code money_make(int64_t minor, const char *cur, struct money *r, struct err *e)
{
	if (!money_valid_currency(cur))
		return err_set(e, E_INVALID, "common.currency_unknown", "currency '%.8s'", cur ? cur : "");
	r->minor = minor;
	memcpy(r->cur, cur, sizeof(r->cur));
	return OK;
}

struct money money_zero(const struct money *like)
{
	struct money m = *like;

	m.minor = 0;
	return m;
}

int64_t money_minor(struct money m)
{
	return m.minor;
}

const char *money_cur(const struct money *m)
{
	return m->cur;
}

static enum err_code overflow(const char *op, struct err *e)
{
	return err_set(e, E_RULE, "common.amount_range", "money: %s overflows", op);
}

bool money_same_currency(struct money a, struct money b)
{
	return memcmp(a.cur, b.cur, sizeof(a.cur)) == 0;
}

static enum err_code same_currency(const struct money *a, const struct money *b, struct err *e)
{
	if (money_same_currency(*a, *b))
		return OK;
	return err_set(e, E_RULE, "common.currency_mismatch", "money: %.3s with %.3s", a->cur, b->cur);
}

enum err_code money_add(struct money a, struct money b, struct money *r, struct err *e)
{
	if (same_currency(&a, &b, e))
		return E_RULE;
	if (__builtin_add_overflow(a.minor, b.minor, &a.minor))
		return overflow("sum", e);
	*r = a;
	return OK;
}

enum err_code money_sub(struct money a, struct money b, struct money *r, struct err *e)
{
	if (same_currency(&a, &b, e))
		return E_RULE;
	if (__builtin_sub_overflow(a.minor, b.minor, &a.minor))
		return overflow("difference", e);
	*r = a;
	return OK;
}

enum err_code money_mul(struct money a, int64_t n, struct money *r, struct err *e)
{
	if (__builtin_mul_overflow(a.minor, n, &a.minor))
		return overflow("product", e);
	*r = a;
	return OK;
}

enum err_code money_neg(struct money a, struct money *r, struct err *e)
{
	if (__builtin_sub_overflow((int64_t)0, a.minor, &a.minor))
		return overflow("negation", e);
	*r = a;
	return OK;
}

enum err_code money_acc(struct money *total_r, struct money m, struct err *e)
{
	return money_add(*total_r, m, total_r, e);
}

enum err_code money_ratio(struct money a, int64_t num, int64_t den, struct money *r, struct err *e)
{
	i128 p = (i128)a.minor * num, q;

	if (den <= 0)
		return err_set(e, E_INTERNAL, "common.internal", "money: ratio by %" PRId64, den);
	/* |p| <= 2^126, so adding half of den cannot overflow. */
	q = (p + (p < 0 ? -(i128)(den / 2) : (i128)(den / 2))) / den;
	if (q > INT64_MAX || q < INT64_MIN)
		return overflow("ratio", e);
	a.minor = (int64_t)q;
	*r = a;
	return OK;
}

enum err_code money_percent(struct money a, int64_t basis_points, struct money *r, struct err *e)
{
	return money_ratio(a, basis_points, 10000, r, e);
}

/* The index of the largest remainder not yet served; the first one on a tie. */
static size_t largest(const uint64_t *rest, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		if (rest[i] > rest[best])
			best = i;
	return best;
}

static enum err_code weight_sum(const int64_t *w, size_t n, int64_t *sum_r, struct err *e)
{
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		if (w[i] < 0 || __builtin_add_overflow(sum, w[i], &sum))
			return err_set(e, E_RULE, "common.amount_range", "money: weight %zu of a split", i);
	*sum_r = sum;
	return OK;
}

enum err_code money_split(struct money total, const int64_t *weights, size_t n, struct money *parts_r, struct err *e)
{
	uint64_t *rest, given = 0;
	uint64_t abs = total.minor < 0 ? -(uint64_t)total.minor : (uint64_t)total.minor;
	int64_t sum = 0;

	if (n == 0)
		return err_set(e, E_INTERNAL, "common.internal", "money: split into no parts");
	if (weight_sum(weights, n, &sum, e))
		return E_RULE;
	rest = calloc(n, sizeof(*rest));
	if (!rest)
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "money: no memory for %zu parts", n);
	for (size_t i = 0; i < n; i++) {
		uint64_t w = sum ? (uint64_t)weights[i] : 1, s = sum ? (uint64_t)sum : (uint64_t)n;
		unsigned __int128 p = (unsigned __int128)abs * w;
		uint64_t part = (uint64_t)(p / s);

		rest[i] = (uint64_t)(p % s);
		given += part;
		parts_r[i] = total;
		parts_r[i].minor = (int64_t)part;
	}
	/* Fewer units are left than there are parts with a remainder, so no part of weight 0 gets one. */
	for (; given < abs; given++) {
		size_t i = largest(rest, n);

		parts_r[i].minor = (int64_t)((uint64_t)parts_r[i].minor + 1);
		rest[i] = 0;
	}
	if (total.minor < 0)
		for (size_t i = 0; i < n; i++)
			parts_r[i].minor = (int64_t)-(uint64_t)parts_r[i].minor;
	free(rest);
	return OK;
}

enum err_code money_cmp(struct money a, struct money b, int *r, struct err *e)
{
	if (same_currency(&a, &b, e))
		return E_RULE;
	*r = (a.minor > b.minor) - (a.minor < b.minor);
	return OK;
}

bool money_equal(struct money a, struct money b)
{
	return money_same_currency(a, b) && a.minor == b.minor;
}

int money_sign(struct money m)
{
	return (m.minor > 0) - (m.minor < 0);
}

enum err_code money_min(struct money a, struct money b, struct money *r, struct err *e)
{
	if (same_currency(&a, &b, e))
		return E_RULE;
	*r = a.minor <= b.minor ? a : b;
	return OK;
}

const char *money_format(struct money m, char out[MONEY_TEXT_LEN])
{
	uint64_t abs = m.minor < 0 ? -(uint64_t)m.minor : (uint64_t)m.minor;
	const char *sign = m.minor < 0 ? "-" : "";
	int digits = money_digits(m.cur);

	if (digits == 2)
		(void)snprintf(out, MONEY_TEXT_LEN, "%s%" PRIu64 ".%02" PRIu64 " %.3s", sign, abs / 100, abs % 100, m.cur);
	else if (digits == 3)
		(void)snprintf(out, MONEY_TEXT_LEN, "%s%" PRIu64 ".%03" PRIu64 " %.3s", sign, abs / 1000, abs % 1000,
			m.cur);
	else
		(void)snprintf(out, MONEY_TEXT_LEN, "%s%" PRIu64 " %.3s", sign, abs, m.cur);
	return out;
}
