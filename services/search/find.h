/* The steps of a search, each a function of its input. */
#ifndef SOUK_SEARCH_FIND_H
#define SOUK_SEARCH_FIND_H

#include "common/call.h"
#include "search.pb-c.h"
#include "services/search/engine.h"
#include "services/search/search.h"

struct search {
	struct call *c;
	struct search_svc *svc;
	const Search__V1__SearchRequest *in;
	const char *lang, *normal;
	struct filters f;
	int32_t limit;
	const char *key; /* everything that shapes the list but its page */
	struct query q;
	struct found found; /* of find_rank */
	bool found_by_pg;
	bool degraded; /* the engine outside did not answer; pg does */
};

/* Checks and fills everything of s but ids; adds details to the call's error. */
void find_read(struct search *s);
/* Is anything selected that a facet of its own counts beside? */
bool find_filtered(const struct filters *f);
/* Names of facets asked for: which of the plain ones, and attributes. */
struct facets_wanted {
	bool none;
	const char **names, **attrs;
	size_t n_names, n_attrs;
};
void find_facets_wanted(struct search *s, struct facets_wanted *w_r);

/* The ranked list of product ids, rules of merchandising applied; pinned: put there by hand. */
struct ranking {
	const char **ids;
	bool *pinned;
	size_t n;
	bool capped, relaxed;
};
MUST_CHECK enum err_code find_rank(struct search *s, struct pg *, struct ranking *r_r, struct err *);
/* Counts beside what find_rank found; each facet as if it had no selection of its own. */
MUST_CHECK enum err_code find_facets(struct search *s, struct pg *, const struct facets_wanted *,
				     Search__V1__SearchReply *out, struct err *);

#endif
