/* The requests of engine `opensearch` as JSON: pure functions of the query. Understood by OpenSearch 2 and Elasticsearch 8. */
#ifndef SOUK_SEARCH_ENGINE_OS_QUERY_H
#define SOUK_SEARCH_ENGINE_OS_QUERY_H

#include <jansson.h>

#include "services/search/engine.h"

#define OS_SLICE 500	/* candidates of one answer; more are asked for behind the last */
#define OS_VALUES 50	/* of a facet */
#define OS_ATTR_VALUES 200

/* Settings and mapping of an index; writer is the alias that it is written by. */
const char *os_index_json(struct arena *a, const char *writer);
/* after: `sort` of the last hit of the slice before, or NULL. NULL when there is nothing to ask at that stage. */
const char *os_search_json(struct arena *a, const struct query *q, int stage, const struct filters *f, const json_t *after);
/* Counts over what a stage's words match; each facet under all filters but its own. */
const char *os_facets_json(struct arena *a, const struct query *q, int stage, const struct filters *f,
			   const char *const *attr_names, size_t n_attr_names);
/* Points alias at index alone, in one step; those of old that had it are removed. */
const char *os_alias_json(struct arena *a, const char *alias, const char *index, const char *const *old, size_t n_old);

#endif
