#include "services/search/engine_os_bulk.h"

#include <string.h>

#define REPEATS_MAX 8 /* of a word in what is searched; ranking counts for itself */

/* The words of a tsvector's text, as often as they have places: all of them, or those of the title (weight A). */
static void add_words(struct buf *b, const char *tsv, bool title)
{
	const char *p = tsv;

	buf_char(b, '"');
	while ((p = strchr(p, '\''))) {
		const char *word = p + 1, *end = strchr(word, '\''), *stop;
		int n = 0;

		if (!end)
			break;
		stop = end + 1 + strcspn(end + 1, " ");
		for (p = end + 1; p < stop; p++)
			n += *p == (title ? 'A' : ':') || (!title && *p == ',');
		for (int i = 0; i < n && i < REPEATS_MAX; i++) {
			buf_add(b, word, (size_t)(end - word));
			buf_char(b, ' ');
		}
		p = stop;
	}
	buf_char(b, '"');
}

static void add_text(struct buf *b, const char *name, const char *text)
{
	if (!text)
		return;
	buf_fmt(b, ",\"%s\":", name);
	buf_json_str(b, text);
}

static void add_document(struct buf *b, const struct feed_doc *d)
{
	buf_str(b, "{\"product_id\":");
	buf_json_str(b, d->product_id);
	add_text(b, "brand", d->brand);
	add_text(b, "brand_small", d->brand_small);
	add_text(b, "vendor_id", d->vendor_id);
	add_text(b, "availability", d->availability);
	buf_fmt(b, ",\"rating_x100\":%d,\"rating_count\":%d,\"sold_30d\":%d,\"published_at\":%lld", d->rating_x100,
		d->rating_count, d->sold_30d, (long long)d->published_at);
	buf_str(b, ",\"categories\":");
	buf_str(b, d->categories);
	buf_str(b, ",\"attrs\":");
	buf_str(b, d->attrs);
	buf_str(b, ",\"prices\":");
	buf_str(b, d->prices);
	buf_str(b, ",\"title\":");
	add_words(b, d->tsv, true);
	buf_str(b, ",\"words\":");
	add_words(b, d->tsv, false);
	buf_fmt(b, ",\"rank\":{\"len_a\":%d,\"len_b\":%d,\"len_c\":%d,\"len_d\":%d,\"rating_x100\":%d,\"rating_count\":%d,"
		   "\"sold_30d\":%d,\"published_at\":%lld",
		d->len_a, d->len_b, d->len_c, d->len_d, d->rating_x100, d->rating_count, d->sold_30d,
		(long long)d->published_at);
	add_text(b, "tsv", d->tsv);
	buf_str(b, "}}\n");
}

void os_bulk_add(struct buf *b, const char *index, const struct feed_doc *d)
{
	buf_fmt(b, "{\"%s\":{\"_index\":", d->gone ? "delete" : "index");
	buf_json_str(b, index);
	buf_str(b, ",\"_id\":");
	buf_json_str(b, d->product_id);
	buf_fmt(b, ",\"version\":%lld,\"version_type\":\"external_gte\"}}\n", (long long)d->seq);
	if (!d->gone)
		add_document(b, d);
}
