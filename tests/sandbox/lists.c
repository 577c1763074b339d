#include "lists.h"
#include "intents.h"

#include <string.h>

struct window {
	int64_t limit, from, to; /* created within [from, to] */
	uint64_t below, above;	 /* seq < below; seq > above when has_above */
	bool has_above;
};

static bool cursor(const struct table *t, const struct list_view *v, const struct request *q,
	const char *param, struct reply *r, const struct row **row_r)
{
	const char *id = form_get(q->form, param);

	*row_r = id ? table_find(t, id) : NULL;
	if (id && !*row_r) {
		reply_param(r, param, "resource_missing", "No such %s: '%s'.", v->what, id);
		return false;
	}
	return true;
}

static bool bound(
	const struct request *q, const char *param, struct reply *r, int64_t shift, int64_t *out)
{
	int64_t v;
	int got = form_int(q->form, param, 0, INT64_MAX / 2, &v);

	if (got == 1)
		*out = v + shift;
	if (got == 0)
		reply_param(r, param, "parameter_invalid_integer", "Invalid timestamp: %s.", param);
	return got != 0;
}

static bool window_of(const struct table *t, const struct list_view *v, const struct request *q,
	struct reply *r, struct window *w)
{
	const struct row *after, *before;

	*w = (struct window){ .limit = 10, .to = INT64_MAX, .below = table_end(t) };
	if (!form_int(q->form, "limit", 1, 100, &w->limit)) {
		reply_param(r, "limit", "parameter_invalid_integer",
			"The limit must be from 1 to 100.");
		return false;
	}
	if (!bound(q, "created[gte]", r, 0, &w->from) || !bound(q, "created[gt]", r, 1, &w->from) ||
		!bound(q, "created[lte]", r, 0, &w->to) || !bound(q, "created[lt]", r, -1, &w->to))
		return false;
	if (!cursor(t, v, q, "starting_after", r, &after) ||
		!cursor(t, v, q, "ending_before", r, &before))
		return false;
	if (after)
		w->below = after->seq;
	if (before) {
		w->above = before->seq;
		w->has_above = true;
	}
	return true;
}

static bool visible(const struct row *row, const struct list_view *v, const struct request *q,
	const struct window *w)
{
	int64_t at = v->created(row);

	return at >= w->from && at <= w->to && (!v->match || v->match(row, q));
}

/* Backwards from the cursor; with ending_before the rows next to it, still shown newest first. */
static bool collect(const struct sandbox *sb, const struct table *t, const struct list_view *v,
	const struct request *q, const struct window *w, json_t *data)
{
	uint64_t seq = w->has_above ? w->above + 1 : w->below;
	const struct row *row;

	for (;;) {
		if (w->has_above ? seq >= w->below : seq == t->first)
			return false;
		row = table_at(t, w->has_above ? seq++ : --seq);
		if (!w->has_above && v->created(row) < w->from)
			return false;
		if (!visible(row, v, q, w))
			continue;
		if ((int64_t)json_array_size(data) == w->limit)
			return true;
		if (w->has_above)
			json_array_insert_new(data, 0, v->render(sb, row, q));
		else
			json_array_append_new(data, v->render(sb, row, q));
	}
}

void list_reply(const struct sandbox *sb, const struct table *t, const struct list_view *v,
	const struct request *q, struct reply *r)
{
	static const char *const paging[] = { "limit", "starting_after", "ending_before",
		"created[", NULL };
	const char *known[16];
	struct window w;
	json_t *data;
	size_t n = 0, i;
	bool more;

	for (i = 0; paging[i]; i++)
		known[n++] = paging[i];
	for (i = 0; v->params && v->params[i] && n < 15; i++)
		known[n++] = v->params[i];
	known[n] = NULL;
	if (!intent_params_known(q, r, known) || !window_of(t, v, q, r, &w))
		return;
	data = json_array();
	more = collect(sb, t, v, q, &w, data);
	reply_json(r, 200,
		json_pack("{s:s, s:o, s:b, s:s}", "object", "list", "data", data, "has_more",
			(int)more, "url", v->url));
}
