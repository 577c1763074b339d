/* How suggestions are looked up: the index's layout and its searches; for suggest_index.c alone. */
#ifndef SOUK_SEARCH_SUGGEST_MATCH_H
#define SOUK_SEARCH_SUGGEST_MATCH_H

#include "services/search/suggest_index.h"
#include "services/search/token.h"

#define SUGGEST_FOLDED_MAX (2 * SUGGEST_TEXT_MAX)
#define SUGGEST_WORDS_MAX 8 /* of what is typed; later ones only as part of the phrase */
#define SUGGEST_NONE UINT32_MAX

struct suggest_entry { /* texts by their place in the pool */
	int64_t weight;
	uint32_t text, folded, id, slug;
	enum suggest_kind kind;
};
struct suggest_place { /* where a word of an entry begins; sorted by what stands there */
	uint32_t at, entry;
};
struct suggest_index {
	char *pool;
	size_t pool_len, pool_cap;
	struct suggest_entry *entries; /* by kind, best first: of two of one kind the smaller number is the better */
	size_t n_entries, cap_entries;
	struct suggest_place *places;
	size_t n_places;
};

/* The best of each kind so far, best first, each once. */
struct suggest_best {
	size_t limit;
	struct {
		uint32_t entry[SUGGEST_LIMIT_MAX];
		size_t n;
	} v[SUGGEST_KINDS];
};

/* Folded words, those joined by hyphens once more at the end; the length without the latter. */
size_t suggest_fold(const char *text, char out[SUGGEST_FOLDED_MAX + 1]);

void suggest_match_phrase(const struct suggest_index *x, const char *prefix, struct suggest_best *b);
/* Entries with all the words in any order; the last word may be the beginning of one. */
void suggest_match_words(const struct suggest_index *x, const char *const *word, const size_t *len, size_t n,
			 struct suggest_best *b);

/* whole: the word itself, else a word that begins so. */
bool suggest_word_known(const struct suggest_index *x, const char *word, size_t len, bool whole);
/* One edit away, in most entries; false for words of under four characters or with digits. */
bool suggest_word_near(const struct suggest_index *x, const char *word, size_t len, bool whole, char out_r[TOKEN_MAX + 8]);

#endif
