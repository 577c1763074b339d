/*
 * What a text that is still being typed may become: past queries, categories, brands, products, words of the catalogue.
 *
 * Every entry is found by each of its words and what follows ("wireless head" finds "Sony wireless headphones"), then
 * by words in any order, then with one edit in a word that nobody wrote. Built once, then only read; any number of
 * threads may look things up. About 300 bytes an entry; bounded by SUGGEST_BYTES_MAX.
 */
#ifndef SOUK_SEARCH_SUGGEST_INDEX_H
#define SOUK_SEARCH_SUGGEST_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"

#define SUGGEST_BYTES_MAX (64u << 20) /* of all texts; what comes later is left out */
#define SUGGEST_LIMIT_MAX 20
#define SUGGEST_TEXT_MAX 200 /* bytes of a text that is looked up or kept */

enum suggest_kind { SUGGEST_QUERY, SUGGEST_CATEGORY, SUGGEST_BRAND, SUGGEST_PRODUCT, SUGGEST_WORD, SUGGEST_KINDS };

struct suggest_index;
struct suggest_index *suggest_index_new(void) RETURNS_NONNULL;
void suggest_index_free(struct suggest_index *x); /* NULL is fine */

/* id and slug may be NULL. Of one kind the greater weight comes first. */
void suggest_index_add(struct suggest_index *x, enum suggest_kind kind, const char *text, const char *id, const char *slug,
		       int64_t weight);
void suggest_index_finish(struct suggest_index *x); /* nothing can be added any more */
size_t suggest_index_size(const struct suggest_index *x);

struct suggested {
	enum suggest_kind kind;
	const char *text, *id, *slug; /* id and slug NULL where there is none */
};
struct suggestions {
	struct suggested v[SUGGEST_LIMIT_MAX];
	size_t n;
	const char *corrected; /* the words looked up instead; NULL: nothing was changed */
};
/* Texts are copied into the arena. limit is at most SUGGEST_LIMIT_MAX. */
void suggest_index_find(const struct suggest_index *x, struct arena *a, const char *typed, size_t limit,
			struct suggestions *s_r);

#endif
