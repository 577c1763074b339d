/* Lists as the provider pages them: newest first, limit, starting_after, ending_before,
 * created[gte] and its kin. */
#ifndef SANDBOX_LISTS_H
#define SANDBOX_LISTS_H

#include "sandbox.h"

struct list_view {
	const char *url, *what; /* path of the list; noun for "No such …" */
	bool (*match)(const struct row *r, const struct request *q); /* NULL: all */
	int64_t (*created)(const struct row *r);
	json_t *(*render)(const struct sandbox *sb, const struct row *r, const struct request *q);
	const char *const *params; /* the filters it knows beside paging, NULL-ended */
};
void list_reply(const struct sandbox *sb, const struct table *t, const struct list_view *v,
	const struct request *q, struct reply *r);

#endif
