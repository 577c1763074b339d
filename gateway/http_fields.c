#include "gateway/http_fields.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/crypto.h"

/* ---- Idempotency-Key ---- */

static bool unquote(const char *v, char *out, size_t cap)
{
	size_t k = 0;

	for (v++; *v != '"'; v++) {
		if (*v == '\\' && *++v != '"' && *v != '\\')
			return false;
		if ((unsigned char)*v < 0x20 || (unsigned char)*v > 0x7e || k + 1 >= cap)
			return false;
		out[k++] = *v;
	}
	out[k] = '\0';
	return k > 0 && !v[1];
}

enum err_code idem_key_parse(const char *value, char out[IDEM_KEY_MAX + 1], struct err *e)
{
	size_t n = strlen(value);
	bool ok;

	while (n && value[n - 1] == ' ')
		n--;
	if (value[0] == '"') {
		char text[2 * IDEM_KEY_MAX + 4];

		ok = n < sizeof text;
		if (ok) {
			snprintf(text, sizeof text, "%.*s", (int)n, value);
			ok = unquote(text, out, IDEM_KEY_MAX + 1);
		}
	} else {
		ok = n >= 1 && n <= IDEM_KEY_MAX;
		for (size_t i = 0; ok && i < n; i++)
			ok = (unsigned char)value[i] > 0x20 && (unsigned char)value[i] < 0x7f && value[i] != '"' &&
			     value[i] != ',' && value[i] != ';';
		if (ok)
			snprintf(out, IDEM_KEY_MAX + 1, "%.*s", (int)n, value);
	}
	if (ok)
		return OK;
	err_detail(e, "Idempotency-Key", NULL, "must be 1 to 255 printable characters, in double quotes or bare");
	return err_set(e, E_INVALID, "idem.key_invalid", "malformed key of %zu bytes", n);
}

void idem_fingerprint(const char *method, const char *path, const void *body, size_t n, uint8_t out[32])
{
	struct sha256_ctx *c = sha256_start();

	sha256_add(c, method, strlen(method) + 1);
	sha256_add(c, path, strlen(path) + 1);
	sha256_add(c, body, n);
	sha256_end(c, out);
}

/* ---- entity tags ---- */

enum err_code if_match_parse(const char *value, char out[ETAG_MAX], struct err *e)
{
	size_t n = strlen(value);
	const char *why = NULL;

	while (n && value[n - 1] == ' ')
		n--;
	if (n >= 3 && !strncmp(value, "W/\"", 3)) {
		snprintf(out, ETAG_MAX, "W/");
		return OK;
	}
	if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
		value++;
		n -= 2;
	}
	if (!n || n >= ETAG_MAX)
		why = "must hold one entity tag";
	for (size_t i = 0; !why && i < n; i++)
		if ((unsigned char)value[i] <= 0x20 || (unsigned char)value[i] >= 0x7f || value[i] == '"' ||
		    value[i] == ',')
			why = "must hold exactly one entity tag";
	if (why) {
		err_detail(e, "If-Match", NULL, "%s", why);
		return err_set(e, E_INVALID, "common.invalid_input", "If-Match");
	}
	snprintf(out, ETAG_MAX, "%.*s", (int)n, value);
	return OK;
}

bool none_match_hit(const char *value, const char *etag)
{
	size_t n;

	if (!strncmp(etag, "W/", 2))
		etag += 2;
	n = strlen(etag);
	while (*value) {
		value += strspn(value, " \t,");
		if (*value == '*')
			return true;
		if (!strncmp(value, "W/", 2))
			value += 2;
		if (!strncmp(value, etag, n) && (!value[n] || strchr(" \t,", value[n])))
			return true;
		if (*value == '"')
			value += 1 + strcspn(value + 1, "\"");
		value += strcspn(value, ",");
	}
	return false;
}

/* ---- cookie ---- */

static bool cookie_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.' || c == '~';
}

bool cookie_get(const char *header, const char *name, char *out, size_t cap)
{
	size_t len = strlen(name);
	bool found = false;

	while (header && *header) {
		header += strspn(header, " ;");
		if (!strncmp(header, name, len) && header[len] == '=') {
			const char *v = header + len + 1;
			size_t n = 0;

			while (cookie_char(v[n]))
				n++;
			if (found || !n || n >= cap || (v[n] && v[n] != ';' && v[n] != ' '))
				return false;
			snprintf(out, cap, "%.*s", (int)n, v);
			found = true;
		}
		header += strcspn(header, ";");
	}
	return found;
}

void cookie_set(const struct cookie_conf *c, const char *value, char *out, size_t cap)
{
	for (const char *p = value; *p; p++)
		if (!cookie_char(*p))
			value = "";
	snprintf(out, cap, "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s", c->name, value,
		 *value ? c->max_age_s : 0, c->secure ? "; Secure" : "");
}

/* ---- origins ---- */

enum { LIST_MAX = 64 };

struct origins {
	size_t n;
	char *list[LIST_MAX];
};

/* The next entry of a list with commas and blanks; NULL at its end. */
static char *next_entry(const char **list)
{
	size_t n;
	char *s;

	*list += strspn(*list, ", \t\n");
	n = strcspn(*list, ", \t\n");
	if (!n)
		return NULL;
	s = strndup(*list, n);
	*list += n;
	return s;
}

static bool origin_shape(const char *s)
{
	size_t skip = !strncmp(s, "https://", 8) ? 8 : !strncmp(s, "http://", 7) ? 7 : 0;

	if (!skip || !s[skip])
		return false;
	for (const char *p = s + skip; *p; p++)
		if (!(islower((unsigned char)*p) || isdigit((unsigned char)*p) || strchr(".-:[]", *p)))
			return false;
	return true;
}

enum err_code origins_parse(const char *list, struct origins **o_r, struct err *e)
{
	struct origins *o = calloc(1, sizeof *o);
	char *s;

	while (o && list && (s = next_entry(&list))) {
		if (!origin_shape(s) || o->n == LIST_MAX) {
			err_set(e, E_INVALID, "conf.invalid", "no origin such as https://shop.example: %s", s);
			free(s);
			origins_free(o);
			return e->code;
		}
		o->list[o->n++] = s;
	}
	*o_r = o;
	return o ? OK : err_set(e, E_INTERNAL, "common.internal", "out of memory");
}

void origins_free(struct origins *o)
{
	for (size_t i = 0; o && i < o->n; i++)
		free(o->list[i]);
	free(o);
}

bool origin_allowed(const struct origins *o, const char *origin)
{
	for (size_t i = 0; origin && i < o->n; i++)
		if (!strcmp(o->list[i], origin))
			return true;
	return false;
}

bool origin_is_own(const char *origin, const char *host)
{
	if (!origin || !host)
		return false;
	if (!strncmp(origin, "https://", 8))
		return !strcasecmp(origin + 8, host);
	return !strncmp(origin, "http://", 7) && !strcasecmp(origin + 7, host);
}

/* ---- Accept, Accept-Language ---- */

bool wants_problem(const char *accept)
{
	return accept && strcasestr(accept, "application/problem+json");
}

static int quality(const char *s, size_t n)
{
	for (size_t i = 0; i + 2 < n; i++) {
		if (s[i] != ';' )
			continue;
		i++;
		while (i < n && s[i] == ' ')
			i++;
		if (i + 2 < n && (s[i] | 0x20) == 'q' && s[i + 1] == '=') {
			int q = s[i + 2] == '1' ? 1000 : 0, unit = 100;

			if (q || i + 3 >= n || s[i + 3] != '.')
				return q;
			for (size_t k = i + 4; k < n && unit && isdigit((unsigned char)s[k]); k++, unit /= 10)
				q += (s[k] - '0') * unit;
			return q;
		}
	}
	return 1000;
}

void best_language(const char *header, char out[16])
{
	int best = 0;

	out[0] = '\0';
	while (header && *header) {
		size_t n, tag = 0;
		int q;

		header += strspn(header, " \t,");
		n = strcspn(header, ",");
		while (tag < n && tag < 15 && (isalnum((unsigned char)header[tag]) || header[tag] == '-'))
			tag++;
		q = quality(header, n);
		if (tag && q > best) {
			for (size_t i = 0; i < tag; i++)
				out[i] = (char)tolower((unsigned char)header[i]);
			out[tag] = '\0';
			best = q;
		}
		header += n;
	}
}
