/* What a replica keeps in memory and renews every half second: dictionary, synonyms, version of the index, query counts. */
#ifndef SOUK_SEARCH_KNOWN_H
#define SOUK_SEARCH_KNOWN_H

#include "services/search/query.h"
#include "services/search/search.h"

struct known;
struct known *known_new(void) RETURNS_NONNULL;
void known_free(struct known *k);

/* Understands a text with the words and synonyms of now. */
void known_query(struct known *k, struct arena *a, struct dict *d, const char *lang, const char *text,
		 struct query *q_r);
int64_t known_version(struct known *k); /* of what answers are made from: differs when any of it changed */

/* What answers to a query carry, so that their clicks find back: the same for everybody who asks it. */
char *known_search_id(struct arena *a, const char *lang, const char *normal);

/* Counts a search; who (NULL: nobody knows) only so that one person does not count twice. Texts that may name a person (an address, a long number) are left out; so is what exceeds memory. */
void known_asked(struct known *k, const char *lang, const char *normal, const char *who, bool empty);

MUST_CHECK enum err_code known_refresh(void *svc, struct arena *, struct err *); /* timer jobs */
MUST_CHECK enum err_code known_flush(void *svc, struct arena *, struct err *);
MUST_CHECK enum err_code known_clicks(void *svc, struct arena *, struct err *);

#endif
