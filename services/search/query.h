/* What a person typed, as the engines look for it. */
#ifndef SOUK_SEARCH_QUERY_H
#define SOUK_SEARCH_QUERY_H

#include "common/arena.h"
#include "services/search/dict.h"

#define QUERY_CHARS_MAX 1000
#define UNITS_MAX 12
#define ALTS_MAX 8
#define ALT_WORDS 4

/* One way to satisfy a unit: these stems, all of them. */
struct alt {
	const char *lexemes[ALT_WORDS];
	size_t n;
	double weight; /* 1 the typed word; less what stands for it */
};
struct unit { /* a word of the query */
	const char *word, *lexeme;
	struct alt alts[ALTS_MAX];
	size_t n_alts;
	double idf;
	int64_t df;
};
struct query {
	const char *lang;
	const char *normal; /* words as typed, folded and spaced: key of cache, log and rules */
	const char *corrected; /* NULL: nothing was changed */
	struct unit units[UNITS_MAX];
	size_t n;
};

struct synonym {
	const char *lang;
	bool one_way; /* the first also means the others, not the other way round */
	const char **words; /* each one word or a few, normalised */
	size_t n;
};
struct synonyms {
	const struct synonym *v;
	size_t n;
};

/* text is valid UTF-8 of any length and shape; what has no words gives n = 0. */
void query_make(struct arena *a, struct dict *d, const struct synonyms *s, const char *lang, const char *text,
		struct query *q_r);
/* Folded, spaced words of a text. */
char *query_normal(struct arena *a, const char *text);

/*
 * The text of a tsquery for a stage: 1 all units, 2 all but any one, 3 the rarest unit (two or less), all but two
 * (three to five) or the two rarest. NULL when a stage would not be wider than the one before.
 */
const char *query_stage(struct arena *a, const struct query *q, int stage);
/* The same as numbers: at least so many of the units whose bits are set. False where query_stage gives NULL. */
bool query_stage_units(const struct query *q, int stage, uint32_t *units_r, size_t *least_r);

#endif
