/*
 * Text to words, the same way for products and for queries: small letters, accents folded, letters and digits; stems per
 * language by Snowball.
 *
 * "WH-1000XM3" is the words wh and 1000xm3 and, joined, wh1000xm3, at the place of its first part: whoever types one
 * form finds the other. 2.5 stays one word.
 */
#ifndef SOUK_SEARCH_TOKEN_H
#define SOUK_SEARCH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/compiler.h"

#define TOKEN_MAX 48 /* bytes of a word; what is longer is cut */

struct token {
	char text[TOKEN_MAX + 1];
	size_t start, end; /* bytes of the source it stands for */
	bool joined;	   /* the parts before it, together; start of the first, end of the last */
	int parts;	   /* joined: how many tokens just before it are its parts */
	bool digits;	   /* has a digit: never stemmed, never corrected */
	bool letters;
};

struct tokens {
	const char *text; /* what is left */
	const char *begin;
	struct token run;     /* what is being joined */
	int run_parts;
	bool run_over, flush; /* too long to be joined; the joined form comes next */
};

void tokens_start(struct tokens *t, const char *utf8);
bool tokens_next(struct tokens *t, struct token *tok_r);

/* A language of Snowball by its ISO 639-1 code ("en"); unknown ones have no stems. Not for several threads at once. */
struct stemmer;
struct stemmer *stemmer_open(const char *lang);
void stemmer_close(struct stemmer *s);
/* The stem of a word of tokens_next; words with digits are their own. */
void stemmer_stem(struct stemmer *s, const char *word, char out_r[TOKEN_MAX + 1]);

/* Words that say little ("the", "for"); only of languages known here. */
bool token_is_stop(const char *lang, const char *word);

#endif
