/* A product of the catalogue as the index keeps it: its words with their places, its filters, what a list shows. */
#ifndef SOUK_SEARCH_DOCUMENT_H
#define SOUK_SEARCH_DOCUMENT_H

#include <stdint.h>

#include "catalog.pb-c.h"
#include "common/arena.h"

enum field { FIELD_TITLE, FIELD_NAMES, FIELD_TEXT, FIELD_ATTRS, FIELDS }; /* weights A, B, C, D of the tsvector */

struct document {
	const char *lang, *product_id;
	const char *tsv; /* text of a tsvector */
	const char *card; /* the same for ranking (card.h) */
	int32_t sample;	  /* a number from 0 on, as good as drawn, always the same for the product */
	int32_t len[FIELDS]; /* words of each field */
	const char **words; /* distinct; "surface lexeme" */
	size_t n_words;
	const char *description; /* its beginning */
	const char **categories, **attrs;
	size_t n_categories, n_attrs;
	const char *prices, *compare_at; /* JSON objects: minor units by currency */
	const Catalog__V1__ExportedProduct *src;
};

/* Everything lives in the arena or in src. */
void document_make(struct arena *a, const char *lang, const Catalog__V1__ExportedProduct *src, struct document *doc_r);
/* "name:value" in small letters, as attrs are kept and filtered. */
char *document_attr(struct arena *a, const char *name, const char *value);

#endif
