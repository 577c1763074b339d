/*
 * The words of the catalogue in memory: how many products have each, and which is meant by one that nobody wrote.
 * Readers share it; the refresh takes it for itself for a moment.
 */
#ifndef SOUK_SEARCH_DICT_H
#define SOUK_SEARCH_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "services/search/document.h"
#include "services/search/token.h"

struct dict;
struct dict *dict_new(void) RETURNS_NONNULL;
void dict_free(struct dict *d);

/* A word now stands in df products (0: in none any more); lexeme is its stem. */
void dict_put(struct dict *d, const char *word, const char *lexeme, int64_t df);
void dict_clear(struct dict *d);

struct dict_totals {
	int64_t docs;
	double mean[FIELDS]; /* words of each field */
};
void dict_set_totals(struct dict *d, const struct dict_totals *t);
struct dict_totals dict_totals(struct dict *d);

int64_t dict_df(struct dict *d, const char *word);	  /* products with this very word */
int64_t dict_lexeme_df(struct dict *d, const char *lexeme); /* with a word of this stem, about */
size_t dict_size(struct dict *d);

/*
 * The word that was probably meant: one edit (insertion, deletion, substitution, swap of neighbours) away for 4 to 7
 * letters, two from 8; the nearer wins, then the one in more products, then the one with the same first letter.
 * False when there is none. at_least: only words in so many products.
 */
bool dict_correct(struct dict *d, const char *word, int64_t at_least, char out_r[TOKEN_MAX + 1]);
/* "airconditioner": two known words that it is made of; the pair whose rarer word is most frequent. */
bool dict_split(struct dict *d, const char *word, char left_r[TOKEN_MAX + 1], char right_r[TOKEN_MAX + 1]);
/* Optimal string alignment distance of two words, by characters; more than max is max + 1. */
int dict_distance(const char *a, const char *b, int max);

#endif
