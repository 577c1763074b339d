#include "common/page.h"

#include "common/check.h"

#define LIMIT_USUAL 20
#define LIMIT_MAX   100

enum err_code page_limit(struct call *c, bool has_limit, int32_t limit, int32_t *limit_r)
{
	int32_t asked = has_limit ? limit : LIMIT_USUAL;

	(void)check_range(&c->err, "limit", asked, 1, LIMIT_MAX);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "%s", c->err.details[0].field);
	*limit_r = asked;
	return OK;
}

enum err_code page_read(struct call *c, bool has_limit, int32_t limit, const char *cursor, const char *filter,
			const char *types, struct page *page_r)
{
	struct page p = { .filter = filter, .types = types };

	if (page_limit(c, has_limit, limit, &p.limit) || cursor_read(c->arena, cursor, filter, types, &p.from, &c->err))
		return c->err.code;
	*page_r = p;
	return OK;
}
