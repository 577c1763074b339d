/*
 * A small OpenSearch for tests, on a port of its own: indexes, aliases, versioned bulk writes, bool and multi_match queries
 * over `words`, search_after; and every way of not answering well. Requests that a real node would not take, or that
 * Souk must not make, are counted as faults.
 */
#ifndef TEST_FAKE_SEARCH_H
#define TEST_FAKE_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

enum fake_mode {
	FAKE_WELL,
	FAKE_SILENT,	/* takes the request and never answers */
	FAKE_BUSY,	/* 503 */
	FAKE_TOO_MANY,	/* 429 */
	FAKE_TRUNCATED, /* half of a JSON text, well framed */
	FAKE_PARTIAL,	/* 200 with timed_out */
	FAKE_DENIED,	/* 401 */
};
struct fake_search;
struct fake_search *fake_search_start(const char *authorization /* header's value that must come, or NULL */);
void fake_search_stop(struct fake_search *);
const char *fake_search_url(const struct fake_search *);
void fake_search_mode(struct fake_search *, enum fake_mode);
/* Bulk items of this id get that status; "" for none. */
void fake_search_break(struct fake_search *, const char *id, int status);
void fake_search_wipe(struct fake_search *); /* all indexes are gone */
/* Version of a document behind an alias, or -1. */
int64_t fake_search_version(struct fake_search *, const char *alias, const char *id);
int fake_search_indexes(struct fake_search *);
int fake_search_requests(struct fake_search *);
int fake_search_faults(struct fake_search *);

#endif
