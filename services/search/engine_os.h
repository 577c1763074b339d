/* Engine `opensearch`: candidates and counts from OpenSearch 2 or Elasticsearch 8. */
#ifndef SOUK_SEARCH_ENGINE_OS_H
#define SOUK_SEARCH_ENGINE_OS_H

#include <jansson.h>

#include "services/search/engine.h"

#define OS_NAME_MAX 100 /* of an alias */

struct engine_os;
struct engine_os_conf {
	const char *url;   /* https://host:port, or http:// on the same machine; no path */
	const char *user, *password; /* NULL or "": none */
	const char *ca_file;	     /* NULL or "": the system's */
	const char *alias;	     /* small letters, digits, - and _ */
	int timeout_ms;		     /* for all calls of one search */
};
MUST_CHECK enum err_code engine_os_open(const struct engine_os_conf *, struct engine_os **os_r, struct err *);
void engine_os_close(struct engine_os *); /* NULL is fine */
const char *engine_os_alias(const struct engine_os *);

/*
 * As engine_pg_*, but for the labels of vendors and categories, which are NULL. E_UNAVAILABLE "search.engine": the node
 * is away, slow, or has not got the index; after some of these in a row it is left alone for a while, and the answer
 * comes at once.
 */
MUST_CHECK enum err_code engine_os_find(struct engine_os *, struct arena *, const struct query *, const struct filters *,
					size_t wanted, struct found *found_r, struct err *);
MUST_CHECK enum err_code engine_os_facets(struct engine_os *, struct arena *, const struct query *, int stage,
					  const struct filters *, const char *const *attr_names, size_t n_attr_names,
					  struct facet_row **rows_r, size_t *n_r, struct err *);

/*
 * A call of the feed; not tried again by itself. status_r: 404 or what of 2xx the node answered; o_r: NULL for 404. Any other
 * answer is E_UNAVAILABLE "search.engine".
 */
struct os_call {
	const char *method, *path, *body; /* body NULL: none */
	size_t len;
	bool lines; /* the body is lines of JSON */
};
MUST_CHECK enum err_code engine_os_call(struct engine_os *, struct arena *, const struct os_call *, int64_t timeout_ms,
					int *status_r, json_t **o_r, struct err *);
/* False while the node is left alone. */
bool engine_os_open_for_calls(struct engine_os *);
/* The searched index was missing since the last time this was asked. */
bool engine_os_lost(struct engine_os *);
/* A search was answered without the engine. */
void engine_os_missed(struct engine_os *);

#endif
