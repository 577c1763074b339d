#include "common/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/id.h"
#include "common/money.h"

static bool bad(struct err *e, const char *field, const char *why)
{
	err_detail(e, field, NULL, "%s", why);
	return false;
}

static bool length_ok(struct err *e, const char *field, const char *s, size_t bytes, size_t min, size_t max)
{
	size_t n = utf8_length(s, bytes);

	if (n >= min && n <= max)
		return true;
	if (min == max)
		err_detail(e, field, NULL, "must be %zu characters long", min);
	else if (n > max)
		err_detail(e, field, NULL, "must be at most %zu characters long", max);
	else if (min == 1)
		err_detail(e, field, NULL, "must not be empty");
	else
		err_detail(e, field, NULL, "must be %zu to %zu characters long", min, max);
	return false;
}

bool check_text(struct err *e, const char *field, const char *s, size_t min, size_t max)
{
	size_t n;

	if (!s)
		return min == 0 || bad(e, field, "is required");
	n = strlen(s);
	if (!utf8_valid(s, n))
		return bad(e, field, "must be valid UTF-8");
	if (!text_clean(s, n))
		return bad(e, field, "must not contain control characters");
	return length_ok(e, field, s, n, min, max);
}

bool check_longtext(struct err *e, const char *field, const char *s, size_t min, size_t max)
{
	size_t n, from = 0;

	if (!s)
		return min == 0 || bad(e, field, "is required");
	n = strlen(s);
	if (!utf8_valid(s, n))
		return bad(e, field, "must be valid UTF-8");
	for (size_t i = 0; i <= n; i++) {
		if (i < n && s[i] != '\n' && s[i] != '\r' && s[i] != '\t')
			continue;
		if (!text_clean(s + from, i - from))
			return bad(e, field, "must not contain control characters");
		from = i + 1;
	}
	return length_ok(e, field, s, n, min, max);
}

bool check_range(struct err *e, const char *field, int64_t v, int64_t min, int64_t max)
{
	if (v >= min && v <= max)
		return true;
	err_detail(e, field, NULL, "must be from %" PRId64 " to %" PRId64, min, max);
	return false;
}

bool check_id(struct err *e, const char *field, const char *s, const char *prefix)
{
	if (!s)
		return bad(e, field, "is required");
	if (id_valid(prefix, s))
		return true;
	err_detail(e, field, NULL, "must be an id that begins with %.8s_", prefix ? prefix : "its prefix and");
	return false;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Labels of letters, digits and inner hyphens joined by single dots, at least `labels` of them. */
static bool host_ok(const char *s, size_t n, int labels)
{
	size_t label = 0;

	if (n == 0 || n > 253)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '.') {
			if (label == 0 || s[i - 1] == '-')
				return false;
			label = 0;
			labels--;
			continue;
		}
		if ((!is_alnum(s[i]) && s[i] != '-') || (s[i] == '-' && label == 0) || ++label > 63)
			return false;
	}
	return label > 0 && s[n - 1] != '-' && labels <= 1;
}

/*
 * The addresses people have: dot-atom local part of at most 64 bytes (RFC 5322 without quoting and comments; non-ASCII
 * letters are let through, RFC 6531), a domain of at least two labels, 254 bytes in all.
 */
static bool email_ok(const char *s)
{
	static const char special[] = "!#$%&'*+/=?^_`{|}~-";
	size_t n = strnlen(s, 255);
	const char *at = n < 255 ? strrchr(s, '@') : NULL;
	size_t local;

	if (!at)
		return false;
	local = (size_t)(at - s);
	if (local == 0 || local > 64 || !text_clean(s, n))
		return false;
	for (size_t i = 0; i < local; i++) {
		if (s[i] == '.') {
			if (i == 0 || i + 1 == local || s[i + 1] == '.')
				return false;
		} else if ((unsigned char)s[i] < 0x80 && !is_alnum(s[i]) && !strchr(special, s[i])) {
			return false;
		}
	}
	return host_ok(at + 1, n - local - 1, 2);
}

bool check_email(struct err *e, const char *field, const char *s)
{
	if (!s)
		return bad(e, field, "is required");
	return email_ok(s) || bad(e, field, "must be an e-mail address");
}

bool check_phone(struct err *e, const char *field, const char *s)
{
	size_t n = 0;

	if (!s)
		return bad(e, field, "is required");
	if (s[0] == '+' && s[1] != '0')
		for (n = 1; n < 20 && s[n] >= '0' && s[n] <= '9'; n++)
			;
	if (n < 8 || n > 16 || s[n])
		return bad(e, field, "must be a phone number like +49301234567");
	return true;
}

bool check_currency(struct err *e, const char *field, const char *s)
{
	if (!s)
		return bad(e, field, "is required");
	return money_valid_currency(s) || bad(e, field, "must be an ISO 4217 currency code like EUR");
}

/* ISO 3166-1 alpha-2, sorted; XK (Kosovo) as post and banks use it. */
static const char countries[] =
	"ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCX"
	"CYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIR"
	"ISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNE"
	"NFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTF"
	"TGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";

static int country_cmp(const void *a, const void *b)
{
	return memcmp(a, b, 2);
}

bool check_country(struct err *e, const char *field, const char *s)
{
	if (!s)
		return bad(e, field, "is required");
	if (strnlen(s, 3) == 2 && bsearch(s, countries, (sizeof(countries) - 1) / 2, 2, country_cmp))
		return true;
	return bad(e, field, "must be an ISO 3166 country code like DE");
}

bool check_slug(struct err *e, const char *field, const char *s)
{
	size_t n = s ? strnlen(s, 101) : 0;
	bool ok = n >= 1 && n <= 100 && s[0] != '-' && s[n - 1] != '-';

	if (!s)
		return bad(e, field, "is required");
	for (size_t i = 0; ok && i < n; i++)
		ok = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || (s[i] == '-' && s[i + 1] != '-');
	return ok || bad(e, field, "must be lower-case letters, digits and single hyphens, at most 100");
}

/* A language of two or three letters and, if any, a region of two capitals: what templates and catalogues use. */
bool check_language(struct err *e, const char *field, const char *s)
{
	size_t n = 0;

	if (!s)
		return bad(e, field, "is required");
	while (n < 4 && s[n] >= 'a' && s[n] <= 'z')
		n++;
	if (n >= 2 && n <= 3 && (!s[n] || (s[n] == '-' && s[n + 1] >= 'A' && s[n + 1] <= 'Z' && s[n + 2] >= 'A' &&
						  s[n + 2] <= 'Z' && !s[n + 3])))
		return true;
	return bad(e, field, "must be a language like en or pt-BR");
}

static bool port_ok(const char *s, size_t n)
{
	long port = 0;

	if (n == 0 || n > 5)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (s[i] - '0');
	}
	return port >= 1 && port <= 65535;
}

static bool url_ok(const char *s, bool https_only)
{
	size_t n = strnlen(s, 2049), host, end;
	size_t scheme = strncmp(s, "https://", 8) == 0 ? 8 : !https_only && strncmp(s, "http://", 7) == 0 ? 7 : 0;

	if (n > 2048 || !scheme || !text_clean(s, n) || strpbrk(s, " \"<>\\^`{|}"))
		return false;
	end = scheme + strcspn(s + scheme, "/?#");
	/* User information never passes: '@' is no character of a host or port. */
	for (host = scheme; host < end && s[host] != ':';)
		host++;
	if (host < end && !port_ok(s + host + 1, end - host - 1))
		return false;
	return host_ok(s + scheme, host - scheme, 1);
}

bool check_url(struct err *e, const char *field, const char *s, bool https_only)
{
	if (!s)
		return bad(e, field, "is required");
	return url_ok(s, https_only) ||
	       bad(e, field, https_only ? "must be an https:// address" : "must be an http:// or https:// address");
}

bool check_oneof(struct err *e, const char *field, const char *s, const char *words)
{
	size_t n = s ? strlen(s) : 0;

	if (!s)
		return bad(e, field, "is required");
	for (const char *w = words; n && *w;) {
		size_t len = strcspn(w, "|");

		if (len == n && memcmp(w, s, n) == 0)
			return true;
		w += len + (w[len] == '|');
	}
	err_detail(e, field, NULL, "must be one of %s", words);
	return false;
}
