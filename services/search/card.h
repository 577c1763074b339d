/*
 * What ranking needs of a product's words, in a form that is read in a fraction of a microsecond: each stem as 24 bits of
 * its hash, how often each field has it, and its first places in the title. It is text, since rows come as text.
 */
#ifndef SOUK_SEARCH_CARD_H
#define SOUK_SEARCH_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "services/search/document.h"

#define CARD_PLACES 8 /* of a stem in the title that are kept */

struct card_word {
	uint32_t hash;
	int tf[FIELDS];
	int places[CARD_PLACES];
	size_t n_places;
};

/* 24 bits. Two stems of a product with the same hash are one to ranking: three in a million. */
uint32_t card_hash(const char *lexeme, size_t len);
/* Of the words of a tsvector's text. */
char *card_make(struct arena *a, const char *tsv);
/* The next word; false at the end, or where the text is no card. */
bool card_next(const char **at, struct card_word *word_r);
/* The same from a tsvector's text ("'stem':12A,13B …"); *lexeme_r is len_r bytes in it. */
bool card_next_tsv(const char **at, const char **lexeme_r, size_t *len_r, struct card_word *word_r);

#endif
