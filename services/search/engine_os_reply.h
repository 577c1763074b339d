/* Answers of an OpenSearch node, read as what came from outside: any shape, any size. */
#ifndef SOUK_SEARCH_ENGINE_OS_REPLY_H
#define SOUK_SEARCH_ENGINE_OS_REPLY_H

#include <jansson.h>

#include "common/httpc.h"
#include "services/search/engine.h"

/* The object of a 2xx answer, or E_UNAVAILABLE "search.engine"; the caller gives it back by json_decref. */
MUST_CHECK enum err_code os_reply_json(const struct httpc_reply *, json_t **o_r, struct err *);

/*
 * Hits as candidates; what has no usable id or words is left out. after_r: `sort` of the last hit (borrowed from o), or
 * NULL when there is nothing behind. An answer of a part of the shards is an error.
 */
MUST_CHECK enum err_code os_reply_hits(struct arena *, const json_t *o, const char *currency, struct candidate **rows_r,
				       size_t *n_r, const json_t **after_r, struct err *);
/* Buckets as rows; labels are NULL but for brand and the like, where the value says it. */
MUST_CHECK enum err_code os_reply_facets(struct arena *, const json_t *o, struct facet_row **rows_r, size_t *n_r,
					 struct err *);

/* What became of each item of a bulk request, in their order. */
enum os_item {
	OS_ITEM_DONE,	/* written, or something newer is there */
	OS_ITEM_LATER,	/* the node had no time */
	OS_ITEM_BROKEN, /* the node does not take it */
	OS_ITEM_LOST,	/* the index is not there */
};
MUST_CHECK enum err_code os_reply_bulk(struct arena *, const json_t *o, size_t n, enum os_item **items_r, struct err *);

#endif
