#include "services/catalog/import_row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/money.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_rules.h"

bool import_decimal(const char *s, int digits, int64_t *minor_r)
{
	int64_t v = 0;
	int after = -1;

	if (!*s || strcmp(s, ".") == 0)
		return false;
	for (; *s; s++) {
		if (*s == '.' && after < 0) {
			after = 0;
			continue;
		}
		if (*s < '0' || *s > '9' || v > CATALOG_PRICE_MAX)
			return false;
		if (after >= digits) {
			if (*s != '0')
				return false;
			continue;
		}
		v = v * 10 + (*s - '0');
		after += after >= 0;
	}
	for (int i = after < 0 ? 0 : after; i < digits; i++)
		v *= 10;
	if (v > CATALOG_PRICE_MAX)
		return false;
	*minor_r = v;
	return true;
}

static const char *canonical(const char *name)
{
	static const char *const alias[][2] = {
		{ "id", "key" },	   { "short_description", "description" }, { "supplier", "brand" },
		{ "category", "categories" }, { "images", "media" },		   { "stock", "on_hand" },
	};

	for (size_t i = 0; i < ARRAY_LEN(alias); i++)
		if (strcmp(name, alias[i][0]) == 0)
			return alias[i][1];
	return name;
}

static bool is_known(const char *name)
{
	static const char *const words[] = {
		"key",	 "sku",	    "title",	"slug",	    "description",   "brand",	 "tax_class",
		"media", "variants", "attributes", "categories", "variant_title", "options", "ean",
		"weight_g", "price", "compare_at_price", "currency", "on_hand",
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(name, words[i]) == 0)
			return true;
	return false;
}

static const char *attribute_name(const char *name)
{
	if (strncmp(name, "attr:", 5) == 0)
		return name + 5;
	if (strncmp(name, "attr_t_", 7) == 0 || strncmp(name, "attr_n_", 7) == 0 || strncmp(name, "attr_b_", 7) == 0)
		return name + 7;
	return name;
}

/* ---- reading members ---- */

/*
 * Real catalogues hold stray control characters (C0, DEL, C1, line separators). In an import they become spaces rather than
 * reasons to lose a row; line ends and tabs stay where the text may have several lines.
 */
static json_t *cleaned(const char *s, bool lines)
{
	size_t n = strlen(s), w = 0;
	char *out = malloc(n + 1);
	json_t *v;

	if (!out)
		return NULL;
	for (size_t i = 0; i < n;) {
		const unsigned char *c = (const unsigned char *)s + i;
		size_t len = utf8_char(s + i, n - i);
		bool keep = lines && (*c == '\n' || *c == '\r' || *c == '\t');

		len = len ? len : 1;
		if (!keep && (*c < 0x20 || *c == 0x7f || (len == 2 && c[0] == 0xc2 && c[1] < 0xa0) ||
			      (len == 3 && c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)))) {
			out[w++] = ' ';
		} else {
			memcpy(out + w, c, len);
			w += len;
		}
		i += len;
	}
	v = json_stringn(out, w);
	free(out);
	return v;
}

/* A text member; a number is taken as its text (keys and SKUs are often numbers). "" and null count as absent. */
static const char *text_of(const json_t *o, const char *name, size_t max, bool lines, char buf[32], struct err *e)
{
	const json_t *v = json_object_get(o, name);
	const char *s;

	if (!v || json_is_null(v))
		return NULL;
	if (json_is_integer(v)) {
		snprintf(buf, 32, "%lld", (long long)json_integer_value(v));
		return buf;
	}
	s = json_string_value(v);
	if (!s) {
		err_detail(e, name, NULL, "must be a text");
		return NULL;
	}
	if (!*s)
		return NULL;
	(void)(lines ? check_longtext(e, name, s, 1, max) : check_text(e, name, s, 1, max));
	return s;
}

static void copy_text(json_t *to, const char *as, json_t *from, const char *name, size_t max, bool lines, struct err *e)
{
	char buf[32];
	const char *s = json_string_value(json_object_get(from, name));

	if (s && !text_clean(s, strlen(s)))
		json_object_set_new(from, name, cleaned(s, lines));
	s = text_of(from, name, max, lines, buf, e);
	if (s)
		json_object_set_new(to, as, json_string(s));
}

static void copy_int(json_t *to, const char *as, const json_t *from, const char *name, int64_t max, struct err *e)
{
	const json_t *v = json_object_get(from, name);
	long long n;
	char *end;

	if (!v || json_is_null(v) || (json_is_string(v) && !json_string_length(v)))
		return;
	errno = 0;
	if (json_is_integer(v)) {
		n = json_integer_value(v);
	} else if (json_is_string(v)) {
		n = strtoll(json_string_value(v), &end, 10);
		if (errno || *end)
			n = -1;
	} else if (json_is_real(v) && json_real_value(v) >= 0 && json_real_value(v) <= (double)max &&
		   json_real_value(v) == (double)(long long)json_real_value(v)) {
		n = (long long)json_real_value(v);
	} else {
		n = -1;
	}
	if (n < 0 || n > max)
		err_detail(e, name, NULL, "must be a whole number from 0 to %lld", (long long)max);
	else
		json_object_set_new(to, as, json_integer(n));
}

static void price_of(json_t *to, const char *as, const json_t *from, const char *name, const char *currency,
		     struct err *e)
{
	const json_t *v = json_object_get(from, name), *amount = v;
	int64_t minor = -1;

	if (!v || json_is_null(v) || (json_is_string(v) && !json_string_length(v)))
		return;
	if (json_is_object(v)) {
		const char *own = json_string_value(json_object_get(v, "currency"));

		amount = json_object_get(v, "amount");
		currency = own ? own : currency;
	}
	if (!money_valid_currency(currency)) {
		err_detail(e, "currency", currency, "is not a currency");
		return;
	}
	if (json_is_integer(amount))
		minor = json_integer_value(amount);
	else if (json_is_string(amount) && !import_decimal(json_string_value(amount), money_digits(currency), &minor))
		minor = -1;
	if (minor < 0 || minor > CATALOG_PRICE_MAX) {
		err_detail(e, name, NULL, "must be minor units as a whole number, or a decimal text");
		return;
	}
	json_object_set_new(to, as, json_integer(minor));
	json_object_set_new(to, "currency", json_string(currency));
}

/* The first of a list, or the text itself. */
static void copy_ean(json_t *to, const json_t *from, struct err *e)
{
	const json_t *v = json_object_get(from, "ean");
	const char *s = json_is_array(v) ? json_string_value(json_array_get(v, 0)) : json_string_value(v);

	if (s && *s && check_text(e, "ean", s, 1, 14))
		json_object_set_new(to, "ean", json_string(s));
}

static json_t *flat_object(const json_t *v, const char *field, struct err *e)
{
	json_t *out = json_object(), *item;
	const char *key;

	if (v && !json_is_object(v) && !json_is_null(v))
		err_detail(e, field, NULL, "must be an object");
	json_object_foreach ((json_t *)v, key, item) {
		if (json_is_null(item))
			continue;
		if ((json_is_object(item)) || (json_is_string(item) && json_string_length(item) > CATALOG_VALUE_MAX) ||
		    strlen(key) > 100 || !*key)
			err_detail(e, field, key, "values must be texts, numbers, booleans or lists");
		else
			json_object_set(out, key, item);
	}
	return out;
}

/* A list of texts, or one text with | between. */
static json_t *text_list(const json_t *v, const char *field, size_t max, struct err *e)
{
	json_t *out = json_array(), *item;
	size_t i;

	if (json_is_string(v)) {
		char *copy = strdup(json_string_value(v)), *save = NULL;

		for (char *p = copy ? strtok_r(copy, "|", &save) : NULL; p; p = strtok_r(NULL, "|", &save))
			json_array_append_new(out, json_string(p));
		free(copy);
	} else if (json_is_array(v)) {
		json_array_foreach ((json_t *)v, i, item) {
			if (json_is_string(item) && json_string_length(item))
				json_array_append(out, item);
			else
				err_detail(e, field, NULL, "must hold texts");
		}
	} else if (v && !json_is_null(v)) {
		err_detail(e, field, NULL, "must be a text or a list of texts");
	}
	if (json_array_size(out) > max)
		err_detail(e, field, NULL, "at most %zu", max);
	return out;
}

/* ---- a row ---- */

static json_t *variant_from(json_t *from, const char *title_name, const char *default_sku,
			    const struct import_rules *rules, struct err *e)
{
	json_t *v = json_object();
	char buf[32];
	const char *currency = text_of(from, "currency", 3, false, buf, e);

	currency = currency ? currency : rules->currency;
	copy_text(v, "sku", from, "sku", 100, false, e);
	if (!json_object_get(v, "sku") && default_sku)
		json_object_set_new(v, "sku", json_string(default_sku));
	if (!json_object_get(v, "sku"))
		err_detail(e, "sku", NULL, "is required");
	copy_text(v, "title", from, title_name, 200, false, e);
	if (json_object_get(from, "options"))
		json_object_set_new(v, "options", flat_object(json_object_get(from, "options"), "options", e));
	copy_ean(v, from, e);
	copy_int(v, "weight_g", from, "weight_g", 100000000, e);
	copy_int(v, "on_hand", from, "on_hand", 1000000000, e);
	price_of(v, "price", from, "price", currency, e);
	price_of(v, "compare_at", from, "compare_at_price", currency, e);
	return v;
}

static void add_variants(json_t *doc, json_t *from, const struct import_rules *rules, struct err *e)
{
	const json_t *list = json_object_get(from, "variants");
	json_t *out = json_array(), *item;
	char key[32];
	size_t i;

	json_object_set_new(doc, "variants", out);
	if (!list || json_is_null(list)) {
		json_array_append_new(out, variant_from(from, "variant_title", text_of(from, "key", 100, false, key, e),
							rules, e));
		return;
	}
	if (!json_is_array(list) || json_array_size(list) < 1 || json_array_size(list) > CATALOG_VARIANTS_MAX) {
		err_detail(e, "variants", NULL, "must be a list of 1 to %d", CATALOG_VARIANTS_MAX);
		return;
	}
	json_array_foreach ((json_t *)list, i, item) {
		if (json_is_object(item))
			json_array_append_new(out, variant_from(item, "title", NULL, rules, e));
		else
			err_detail(e, "variants", NULL, "must hold objects");
	}
}

static void add_attributes(json_t *doc, const json_t *row, struct err *e)
{
	json_t *attributes = flat_object(json_object_get(row, "attributes"), "attributes", e), *item;
	const char *name;

	json_object_set_new(doc, "attributes", attributes);
	json_object_foreach ((json_t *)row, name, item) {
		if (is_known(name) || json_is_null(item))
			continue;
		if (json_is_object(item) || strlen(name) > 100 ||
		    (json_is_string(item) && json_string_length(item) > CATALOG_VALUE_MAX))
			err_detail(e, name, NULL, "as an attribute it must be a text, number, boolean or list");
		else if (!(json_is_string(item) && json_string_length(item) == 0))
			json_object_set(attributes, attribute_name(name), item);
	}
	if (json_object_size(attributes) > 500)
		err_detail(e, "attributes", NULL, "at most 500");
}

json_t *import_row_from_json(const json_t *given, const struct import_rules *rules, struct err *e)
{
	json_t *row, *doc, *item;
	const char *name, *derive;
	size_t i;

	if (!json_is_object(given)) {
		err_detail(e, "row", NULL, "must be a JSON object");
		return NULL;
	}
	row = json_object();
	json_object_foreach ((json_t *)given, name, item)
		if (!json_object_get(row, canonical(name)) || strcmp(name, canonical(name)) == 0)
			json_object_set(row, canonical(name), item);
	doc = json_object();
	copy_text(doc, "key", row, "key", 200, false, e);
	copy_text(doc, "title", row, "title", 300, false, e);
	copy_text(doc, "slug", row, "slug", 100, false, e);
	copy_text(doc, "description", row, "description", 50000, true, e);
	copy_text(doc, "brand", row, "brand", 120, false, e);
	copy_text(doc, "tax_class", row, "tax_class", 10, false, e);
	if (!json_object_get(doc, "title"))
		err_detail(e, "title", NULL, "is required");
	if (json_object_get(doc, "slug"))
		check_slug(e, "slug", json_string_value(json_object_get(doc, "slug")));
	if (json_object_get(doc, "tax_class"))
		check_oneof(e, "tax_class", json_string_value(json_object_get(doc, "tax_class")),
			    "standard|reduced|zero");
	json_object_set_new(doc, "categories",
			    text_list(json_object_get(row, "categories"), "categories", CATALOG_CATEGORIES_MAX, e));
	json_object_set_new(doc, "media", text_list(json_object_get(row, "media"), "media", CATALOG_MEDIA_MAX, e));
	json_array_foreach (json_object_get(doc, "media"), i, item)
		catalog_check_media(e, "media", json_string_value(item));
	add_variants(doc, row, rules, e);
	add_attributes(doc, row, e);
	if (!json_object_get(doc, "key")) { /* the first SKU names the product */
		const json_t *sku = json_object_get(json_array_get(json_object_get(doc, "variants"), 0), "sku");

		if (sku)
			json_object_set(doc, "key", (json_t *)sku);
	}
	derive = rules->category_attribute ? json_string_value(json_object_get(json_object_get(doc, "attributes"),
									       rules->category_attribute))
					   : NULL;
	if (derive && *derive && strlen(derive) <= 120 && text_clean(derive, strlen(derive)))
		json_object_set_new(doc, "derive", json_string(derive));
	json_decref(row);
	if (e->n_details) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}

json_t *import_row_from_csv(char *const *names, char *const *values, int n, const struct import_rules *rules,
			    struct err *e)
{
	json_t *row = json_object(), *options = json_object(), *doc;

	for (int i = 0; i < n; i++) {
		json_t *v;

		if (!utf8_valid(values[i], strlen(values[i]))) {
			err_detail(e, names[i], NULL, "is not valid UTF-8");
			continue;
		}
		v = json_string(values[i]);
		if (strncmp(names[i], "option:", 7) == 0)
			json_object_set_new(options, names[i] + 7, v);
		else if (*values[i])
			json_object_set_new(row, names[i], v);
		else
			json_decref(v);
	}
	if (json_object_size(options))
		json_object_set(row, "options", options);
	json_decref(options);
	doc = import_row_from_json(row, rules, e);
	json_decref(row);
	if (doc && e->n_details) {
		json_decref(doc);
		doc = NULL;
	}
	return doc;
}
