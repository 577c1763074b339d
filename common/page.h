/*
 * One page of a list: limit and cursor of a request, checked together with the rest of it.
 *
 *	check_oneof(&c->err, "status", in->status, "open|paid");
 *	filter = arena_printf(c->arena, "orders|%s", in->status);	everything that shapes the list but limit
 *	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
 *		return c->err.code;
 *	… rows after page_text(&page, 0, ""), page.limit + 1 of them: n …
 *	for (size_t i = 0; i < page_shown(&page, n); i++) …
 *	if (page_more(&page, n))
 *		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
 */
#ifndef SOUK_PAGE_H
#define SOUK_PAGE_H

#include "common/call.h"
#include "common/cursor.h"

struct page {
	int32_t limit; /* rows to show */
	const char *filter, *types;
	struct cursor from; /* the last row seen */
};

/*
 * limit: 1 to 100, 20 when absent. Details that checks have added before count too: any is E_INVALID common.invalid_input.
 * page_limit is for lists without a cursor. filter and types as in cursor.h; both must outlive the page.
 */
MUST_CHECK enum err_code page_limit(struct call *c, bool has_limit, int32_t limit, int32_t *limit_r);
MUST_CHECK enum err_code page_read(struct call *c, bool has_limit, int32_t limit, const char *cursor, const char *filter,
				   const char *types, struct page *page_r);
#define page_of(c, in, filter, types, page_r)                                                      \
	page_read((c), (in)->has_limit, (in)->limit, (in)->cursor, (filter), (types), (page_r))

/* A field of the last row seen; first at the start of the list. */
static inline const char *page_text(const struct page *p, size_t field, const char *first)
{
	return p->from.n ? p->from.field[field].text : first;
}

static inline int64_t page_int(const struct page *p, size_t field, int64_t first)
{
	return p->from.n ? p->from.field[field].i : first;
}

/* Of n rows of limit + 1 asked for. */
static inline size_t page_shown(const struct page *p, size_t n)
{
	return n < (size_t)p->limit ? n : (size_t)p->limit;
}

static inline bool page_more(const struct page *p, size_t n)
{
	return n > (size_t)p->limit;
}

/* The cursor of the last row shown: its fields, of the page's types. */
#define page_next(c, page, ...) cursor_write((c)->arena, (page)->filter, (page)->types, __VA_ARGS__)

#endif
