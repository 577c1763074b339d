/*
 * A file of products as a vendor uploads it. Byte 0: bit 0 CSV or JSON lines, bit 1 whether a category is derived; byte 1:
 * where the file is cut into chunks. However it is cut, the records are the same; any text written as CSV reads the
 * same; and a row that is accepted is a product whose texts are clean and whose prices are not negative.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "services/catalog/import_parse.h"
#include "services/catalog/import_row.h"

#define RECORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

/* ---- a row ---- */

static void clean(const json_t *doc, const char *name, bool lines)
{
	const json_t *v = json_object_get(doc, name);

	if (!v)
		return;
	need(json_is_string(v));
	for (const char *p = json_string_value(v); *p; p++)
		need((unsigned char)*p >= 0x20 || (lines && (*p == '\n' || *p == '\t')));
}

static void product(const json_t *doc)
{
	const json_t *variants = json_object_get(doc, "variants"), *v;
	size_t i;

	clean(doc, "key", false);
	clean(doc, "title", false);
	clean(doc, "description", true);
	need(json_is_string(json_object_get(doc, "title")) && json_array_size(variants) > 0);
	json_array_foreach (variants, i, v) {
		static const char *const amounts[] = { "price", "compare_at", "on_hand", "weight_g" };

		clean(v, "sku", false);
		for (size_t k = 0; k < sizeof(amounts) / sizeof(*amounts); k++)
			need(json_integer_value(json_object_get(v, amounts[k])) >= 0);
	}
}

static void result(json_t *doc, const struct err *e)
{
	if (!doc) {
		need(e->n_details > 0 && e->details[0].message[0]);
		return;
	}
	need(e->n_details == 0);
	product(doc);
	json_decref(doc);
}

static void json_row(const char *p, size_t n, const struct import_rules *rules)
{
	json_t *row = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	struct err e = { 0 };

	if (row)
		result(import_row_from_json(row, rules, &e), &e);
	json_decref(row);
}

/* ---- CSV ---- */

/* Every field in quotes, as the strictest writer would. */
static void written_again(struct arena *a, char **fields, int n)
{
	size_t len = 0, at = 0;
	char **again, *line;
	int m = 0;

	for (int i = 0; i < n; i++)
		len += 2 * strlen(fields[i]) + 3;
	line = arena_alloc(a, len + 1);
	for (int i = 0; i < n; i++) {
		if (i)
			line[at++] = ',';
		line[at++] = '"';
		for (const char *p = fields[i]; *p; p++) {
			if (*p == '"')
				line[at++] = '"';
			line[at++] = *p;
		}
		line[at++] = '"';
	}
	size_t record, skip;

	need(import_record(line, at, true, true, &record, &skip) && record == at);
	again = import_csv_fields(a, line, at, &m);
	need(m == n);
	for (int i = 0; i < n; i++)
		need(strcmp(again[i], fields[i]) == 0);
}

static void csv_row(struct arena *a, const char *head, size_t head_len, const char *p, size_t n,
		    const struct import_rules *rules)
{
	int n_names = 0, n_values = 0;
	char **names, **values;
	struct err e = { 0 };

	if (memchr(head, 0, head_len) || memchr(p, 0, n))
		return; /* refused before it comes here */
	names = import_csv_fields(a, head, head_len, &n_names);
	values = import_csv_fields(a, p, n, &n_values);
	if (n_values > 0)
		written_again(a, values, n_values);
	if (n_names == n_values && n_names > 0)
		result(import_row_from_csv(names, values, n_values, rules, &e), &e);
}

/* ---- the stream ---- */

struct span {
	size_t at, len;
};

/* The records of text when it arrives in pieces of that many bytes. */
static size_t records(const char *text, size_t n, size_t piece, bool csv, struct span *out)
{
	size_t at = 0, have = 0, count = 0, len, skip;

	do {
		have = have + piece < n ? have + piece : n;
		while (count < RECORDS_MAX && import_record(text + at, have - at, csv, have == n, &len, &skip)) {
			need(len <= skip && skip <= have - at && skip > 0);
			out[count++] = (struct span){ at, len };
			at += skip;
		}
	} while (have < n);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span whole[RECORDS_MAX], cut[RECORDS_MAX];
	struct import_rules rules = { .currency = "USD" };
	struct arena *a;
	const char *text;
	bool csv;
	size_t n;

	if (size < 2)
		return 0;
	csv = data[0] & 1;
	rules.category_attribute = data[0] & 2 ? "kind" : NULL;
	text = (const char *)data + 2;
	size -= 2;
	n = records(text, size, size ? size : 1, csv, whole);
	need(records(text, size, data[1] ? data[1] : 1, csv, cut) == n);
	need(memcmp(whole, cut, n * sizeof(*whole)) == 0);
	a = arena_new("fuzz", 64 << 20);
	written_again(a, (char *[]){ arena_strndup(a, text, size) }, 1);
	for (size_t i = 0; i < n; i++) {
		if (!csv)
			json_row(text + whole[i].at, whole[i].len, &rules);
		else if (i)
			csv_row(a, text + whole[0].at, whole[0].len, text + whole[i].at, whole[i].len, &rules);
	}
	arena_free(a);
	return 0;
}
