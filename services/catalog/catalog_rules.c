#include "services/catalog/catalog_rules.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "services/catalog/catalog.h"

#define SLUG_MAX 80

/* The base letter of U+00C0..U+017F, or 0. */
static char base_letter(unsigned cp)
{
	static const char latin1[] = "aaaaaaaceeeeiiiidnooooo ouuuuy saaaaaaaceeeeiiiidnooooo ouuuuy y";
	static const char extended[] = "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiijjjjkkklllllll"
				       "lllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

	if (cp >= 0xc0 && cp <= 0xff)
		return latin1[cp - 0xc0] == ' ' ? 0 : latin1[cp - 0xc0];
	if (cp >= 0x100 && cp - 0x100 < sizeof(extended) - 1)
		return extended[cp - 0x100];
	return 0;
}

char *catalog_slug(struct arena *a, const char *title)
{
	const unsigned char *s = (const unsigned char *)(title ? title : "");
	char *out = arena_alloc(a, SLUG_MAX + 1);
	size_t n = 0;
	bool gap = false;

	while (*s && n < SLUG_MAX) {
		char c = 0;

		if ((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9'))
			c = (char)*s;
		else if (*s >= 'A' && *s <= 'Z')
			c = (char)(*s - 'A' + 'a');
		else if (*s >= 0xc3 && *s <= 0xc5 && (s[1] & 0xc0) == 0x80)
			c = base_letter((unsigned)(*s & 0x1f) << 6 | (s[1] & 0x3f));
		if (c) {
			if (gap && n && n < SLUG_MAX - 1)
				out[n++] = '-';
			out[n++] = c;
		}
		gap = !c;
		s++;
		while ((*s & 0xc0) == 0x80) /* rest of a character */
			s++;
	}
	return n ? out : arena_strdup(a, "item");
}

char *catalog_slug_unique(struct arena *a, const char *slug, const char *id)
{
	size_t n = strlen(id);

	return arena_printf(a, "%s-%s", slug, n > 6 ? id + n - 6 : id);
}

int64_t catalog_tag_version(const char *tag, const char *id, bool *any_r)
{
	size_t n = strlen(id);
	char *end;
	long long v;

	*any_r = !tag || !*tag;
	if (*any_r || strncmp(tag, id, n) != 0 || tag[n] != '-' || tag[n + 1] < '1' || tag[n + 1] > '9')
		return -1;
	errno = 0;
	v = strtoll(tag + n + 1, &end, 10);
	return errno || *end ? -1 : v;
}

bool catalog_attr_parse(struct arena *a, const char *s, const char **name_r, const char **value_r)
{
	const char *colon = strchr(s, ':');

	if (!colon || colon == s || !colon[1] || strlen(s) > 300)
		return false;
	*name_r = arena_strndup(a, s, (size_t)(colon - s));
	*value_r = colon + 1;
	return true;
}

static bool value_ok(const json_t *v)
{
	size_t i;
	json_t *item;

	if (json_is_string(v))
		return json_string_length(v) <= CATALOG_VALUE_MAX;
	if (json_is_number(v) || json_is_boolean(v))
		return true;
	if (!json_is_array(v) || json_array_size(v) > 100)
		return false;
	json_array_foreach ((json_t *)v, i, item)
		if (!json_is_string(item) || json_string_length(item) > 1000)
			return false;
	return true;
}

bool catalog_attributes_ok(struct err *e, const char *field, const char *text)
{
	json_error_t je;
	json_t *root, *v;
	const char *key;
	bool ok = true;

	if (!text)
		return true;
	root = strlen(text) <= CATALOG_JSON_MAX ? json_loads(text, JSON_REJECT_DUPLICATES, &je) : NULL;
	if (!json_is_object(root) || json_object_size(root) > 500) {
		err_detail(e, field, NULL, "must be an object of at most 500 values and 64 KiB");
		json_decref(root);
		return false;
	}
	json_object_foreach (root, key, v)
		if (strlen(key) < 1 || strlen(key) > 100 || !value_ok(v)) {
			err_detail(e, field, key, "values must be texts, numbers, booleans or lists of texts");
			ok = false;
			break;
		}
	json_decref(root);
	return ok;
}

void catalog_check_media(struct err *e, const char *field, const char *key)
{
	size_t n = key ? strlen(key) : 0;

	if (!check_text(e, field, key, 1, 300))
		return;
	if (key[0] == '/' || key[n - 1] == '/' || strstr(key, "..") || strstr(key, "//") ||
	    strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-") != n)
		err_detail(e, field, NULL, "must be a relative path of letters, digits, / _ . -");
}
