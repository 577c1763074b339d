/*
 * Page cursors: the sort key of the last row, authenticated and bound to the filters it was made with, so that it can
 * neither be forged nor carried over to another list.
 *
 *	filter = arena_printf(a, "stock|%s|%d", vendor_id, low_only);	everything that shapes the list but limit
 *	if (cursor_read(a, in->cursor, filter, "it", &cur, &c->err)) return c->err.code;
 *	rows after (cur.n ? cur.field[0].i : INT64_MAX, cur.n ? cur.field[1].text : "")
 *	out->next_cursor = cursor_write(a, filter, "it", last->created_at, last->id);
 */
#ifndef SOUK_CURSOR_H
#define SOUK_CURSOR_H

#include <stdint.h>

#include "common/arena.h"
#include "common/crypto.h"
#include "common/err.h"

#define CURSOR_FIELDS	6
#define CURSOR_TEXT_MAX 512  /* bytes of one text field */
#define CURSOR_MAX	4200 /* characters of a cursor, NUL included */

struct cursor {
	size_t n; /* 0: the first page */
	struct {
		int64_t i;	  /* type 'i' */
		const char *text; /* type 't', in the arena */
	} field[CURSOR_FIELDS];
};

/* The key of the process, before the first use: from dir/cursor.key, or given (tests). */
MUST_CHECK enum err_code cursor_init(const char *keys_dir, struct err *e);
void cursor_use_key(const struct key32 *key);

/* types: up to 6 of 'i' (pass int64_t) and 't' (const char *, NULL is ""; longer than 512 bytes is cut). */
char *cursor_write(struct arena *a, const char *filter, const char *types, ...) RETURNS_NONNULL;

/* NULL or "" gives n = 0. Anything else that is not exactly ours for this filter: E_INVALID common.cursor_invalid. */
MUST_CHECK enum err_code cursor_read(struct arena *a, const char *text, const char *filter, const char *types,
				     struct cursor *cur_r, struct err *e);

#endif
