/*
 * Page cursors: opaque, authenticated, bound to the list and its filters. A cursor of another list or with changed
 * filters is 400 "common.cursor_invalid".
 */
#ifndef SOUK_CURSOR_H
#define SOUK_CURSOR_H

#include "common/arena.h"
#include "common/err.h"

#define CURSOR_FIELDS 6

struct cursor {
	size_t n; /* 0: the first page */
	struct {
		int64_t i;
		const char *text;
	} field[CURSOR_FIELDS];
};

MUST_CHECK enum err_code cursor_init(const char *keys_dir, struct err *e); /* loads cursor.key once; daemon_open does it */
/* kinds: "ti" = a text, then an int64. text NULL or "" is the first page. filter: whatever defines the list. */
MUST_CHECK enum err_code cursor_read(struct arena *a, const char *text, const char *filter, const char *kinds,
				     struct cursor *r, struct err *e);
/* Arguments by kinds: const char * for t, int64_t for i. */
char *cursor_write(struct arena *a, const char *filter, const char *kinds, ...);

#endif
