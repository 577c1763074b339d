/* soukctl audit: who changed what, when, by which request; the columns that differ. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "fields.h"
#include "session.h"
#include "soukctl.h"

enum { VALUE_MAX = 200 };

static int usage(void)
{
	fprintf(stderr,
		"usage: soukctl audit --service NAME --url URL [--email EMAIL] [options]\n"
		"  --actor ID         changes of a user, a key or a daemon\n"
		"  --table NAME --row ID   changes of one row\n"
		"  --request ID       changes by one request\n"
		"  --limit N          the latest so many, 1 to 200; default 20\n" CTL_CREDENTIALS);
	return 2;
}

/* A value as JSON, cut. */
static void value(const json_t *v, struct buf *out)
{
	char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	if (text)
		buf_fmt(out, "%.*s%s", VALUE_MAX, text, strlen(text) > VALUE_MAX ? "…" : "");
	else
		buf_str(out, "nothing");
	free(text);
}

static void change(const char *column, const json_t *before, const json_t *after, struct buf *out)
{
	buf_fmt(out, "    %s: ", column);
	value(before, out);
	buf_str(out, " -> ");
	value(after, out);
	buf_str(out, "\n");
}

static void changes(json_t *before, json_t *after, struct buf *out)
{
	const char *column;
	json_t *v;

	json_object_foreach(before, column, v)
	{
		if (!json_equal(v, json_object_get(after, column)))
			change(column, v, json_object_get(after, column), out);
	}
	json_object_foreach(after, column, v)
	{
		if (!json_object_get(before, column))
			change(column, NULL, v, out);
	}
}

bool audit_text(const char *json, struct buf *out)
{
	json_t *root = json_loads(json, 0, NULL);
	const json_t *data = json_object_get(root, "data"), *row;
	bool good = json_is_object(root) && (!data || json_is_array(data));
	size_t i;

	json_array_foreach(data, i, row)
	{
		buf_fmt(out, "%s %s %s %s by %s, request %s\n", text_of(row, "changed_at"), text_of(row, "action"),
			text_of(row, "table_name"), text_of(row, "row_id"), text_of(row, "actor"), text_of(row, "request_id"));
		changes(json_object_get(row, "before"), json_object_get(row, "after"), out);
	}
	if (good && json_array_size(data) == 0)
		buf_str(out, "no changes\n");
	json_decref(root);
	return good;
}

struct wanted {
	const char *url, *email, *service, *actor, *table, *row, *request, *limit;
};

static int fetch(struct ctl_session *s, void *arg)
{
	const struct wanted *w = arg;
	struct buf path;
	int rc;

	buf_init(&path, 4096);
	buf_fmt(&path, "/api/admin/services/%s/audit", w->service);
	ctl_query_add(&path, "limit", w->limit);
	ctl_query_add(&path, "actor", w->actor);
	ctl_query_add(&path, "table_name", w->table);
	ctl_query_add(&path, "row_id", w->row);
	ctl_query_add(&path, "request_id", w->request);
	rc = ctl_show(s, buf_cstr(&path), audit_text, NULL);
	buf_free(&path);
	return rc;
}

int ctl_audit(int argc, char **argv)
{
	static const struct option options[] = {
		{ "url", required_argument, NULL, 'u' },     { "email", required_argument, NULL, 'e' },
		{ "service", required_argument, NULL, 's' }, { "actor", required_argument, NULL, 'a' },
		{ "table", required_argument, NULL, 't' },   { "row", required_argument, NULL, 'r' },
		{ "request", required_argument, NULL, 'q' }, { "limit", required_argument, NULL, 'l' },
		{ 0 }
	};
	struct wanted w = { .url = getenv("SOUK_URL"), .limit = "20" };

	optind = 1;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'u': w.url = optarg; break;
		case 'e': w.email = optarg; break;
		case 's': w.service = optarg; break;
		case 'a': w.actor = optarg; break;
		case 't': w.table = optarg; break;
		case 'r': w.row = optarg; break;
		case 'q': w.request = optarg; break;
		case 'l': w.limit = optarg; break;
		default: return usage();
		}
	}
	if (optind != argc || !w.url || !ctl_known(w.email) || !w.service || !ctl_is_service(w.service))
		return usage();
	return ctl_admin(w.url, w.email, fetch, &w);
}
