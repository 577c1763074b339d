/* Bulk writes of engine `opensearch`: one line what to do, one line the document. */
#ifndef SOUK_SEARCH_ENGINE_OS_BULK_H
#define SOUK_SEARCH_ENGINE_OS_BULK_H

#include "common/buf.h"
#include "services/search/search_db_feed.h"

#define OS_BULK_BYTES (4 << 20)	   /* of a body, after which it is sent */
#define OS_BULK_MAX (16 << 20) /* one more document always fits */

/*
 * Adds a document to a bulk body, or its removal. Its version is the change of the index that it was read at: the node
 * refuses what is older than what it has, so writes may arrive late and twice.
 */
void os_bulk_add(struct buf *b, const char *index, const struct feed_doc *d);

#endif
