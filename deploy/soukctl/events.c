/* soukctl events lag|dead-letters|replay: how far the daemons are with each other's events, and what one could not apply. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "fields.h"
#include "session.h"
#include "soukctl.h"

static int usage(void)
{
	fprintf(stderr,
		"usage: soukctl events COMMAND --url URL [--email EMAIL]\n"
		"  lag [--service NAME]            how far each daemon is with the events of the others\n"
		"  dead-letters [--service NAME]   events that could not be applied, and why\n"
		"  replay --service NAME --id ID   applies one once more; --aggregate ID: all of an aggregate\n" CTL_CREDENTIALS);
	return 2;
}

bool events_lag_text(const char *json, struct buf *out)
{
	json_t *root = json_loads(json, 0, NULL);
	const json_t *data = json_object_get(root, "data"), *l;
	bool good = json_is_object(root) && (!data || json_is_array(data));
	char at[20];
	size_t i;

	if (good)
		buf_fmt(out, "%lld events written, the oldest not given out for %lld ms\n", count_of(root, "outbox_rows"),
			count_of(root, "horizon_lag_ms"));
	json_array_foreach(data, i, l)
	{
		buf_fmt(out, "  from %-10s %6lld behind %6lld parked %6lld dead, the last applied at %s\n", text_of(l, "source"),
			count_of(l, "behind"), count_of(l, "parked"), count_of(l, "dead_letters"),
			minute(l, "last_applied_at", at));
	}
	json_decref(root);
	return good;
}

bool events_dead_text(const char *json, struct buf *out)
{
	json_t *root = json_loads(json, 0, NULL);
	const json_t *data = json_object_get(root, "data"), *d;
	bool good = json_is_object(root) && (!data || json_is_array(data));
	char at[20];
	size_t i;

	json_array_foreach(data, i, d)
	{
		buf_fmt(out, "  %s  %s %s of %s %s, %lld tries, failed at %s\n      %s\n", text_of(d, "id"), text_of(d, "source"),
			text_of(d, "type"), text_of(d, "agg_type"), text_of(d, "agg_id"), count_of(d, "attempts"),
			minute(d, "failed_at", at), text_of(d, "error"));
	}
	if (good && json_array_size(data) == 0)
		buf_str(out, "  none\n");
	json_decref(root);
	return good;
}

struct command {
	const char *name, *url, *email, *service, *id, *aggregate;
};

static int every_page(struct ctl_session *s, const char *service)
{
	char cursor[2048] = "";
	struct buf path;
	const char *text;
	int rc;

	buf_init(&path, 8192);
	do {
		buf_reset(&path);
		buf_fmt(&path, "/api/admin/services/%s/dead-letters?limit=100", service);
		ctl_query_add(&path, "cursor", *cursor ? cursor : NULL);
		rc = ctl_show(s, buf_cstr(&path), events_dead_text, &text);
	} while (!rc && jsonval_get(text, "next_cursor", cursor, sizeof(cursor)) && *cursor);
	buf_free(&path);
	return rc;
}

static int show(struct ctl_session *s, const struct command *c, const char *service)
{
	char path[100];

	printf("%s: ", service);
	if (strcmp(c->name, "dead-letters") == 0) {
		putchar('\n');
		return every_page(s, service);
	}
	snprintf(path, sizeof(path), "/api/admin/services/%s/lag", service);
	return ctl_show(s, path, events_lag_text, NULL);
}

static int replay(struct ctl_session *s, const struct command *c)
{
	const char *text;
	struct buf body;
	char path[100];
	int rc;

	buf_init(&body, 4096);
	buf_str(&body, c->id ? "{\"id\":" : "{\"agg_id\":");
	buf_json_str(&body, c->id ? c->id : c->aggregate);
	buf_str(&body, "}");
	snprintf(path, sizeof(path), "/api/admin/services/%s/dead-letters/replay", c->service);
	rc = ctl_ask(s, "POST", path, &body, &text);
	buf_free(&body);
	if (rc)
		return 1;
	printf("%lld will be applied once more\n", (long long)jsonval_i64(text, "replayed"));
	return 0;
}

static int run(struct ctl_session *s, void *arg)
{
	const struct command *c = arg;
	int rc = 0;

	if (strcmp(c->name, "replay") == 0)
		return replay(s, c);
	if (c->service)
		return show(s, c, c->service);
	for (size_t i = 0; ctl_services[i]; i++)
		rc |= show(s, c, ctl_services[i]);
	return rc;
}

static bool fits(const struct command *c)
{
	if (c->service && !ctl_is_service(c->service))
		return false;
	if (strcmp(c->name, "replay") == 0)
		return c->service && !c->id != !c->aggregate;
	return (strcmp(c->name, "lag") == 0 || strcmp(c->name, "dead-letters") == 0) && !c->id && !c->aggregate;
}

int ctl_events(int argc, char **argv)
{
	static const struct option options[] = {
		{ "url", required_argument, NULL, 'u' },     { "email", required_argument, NULL, 'e' },
		{ "service", required_argument, NULL, 's' }, { "id", required_argument, NULL, 'i' },
		{ "aggregate", required_argument, NULL, 'a' }, { 0 }
	};
	struct command c = { .name = argc > 1 ? argv[1] : "", .url = getenv("SOUK_URL") };

	optind = 2;
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 'u': c.url = optarg; break;
		case 'e': c.email = optarg; break;
		case 's': c.service = optarg; break;
		case 'i': c.id = optarg; break;
		case 'a': c.aggregate = optarg; break;
		default: return usage();
		}
	}
	if (optind < argc || !c.url || !ctl_known(c.email) || !fits(&c))
		return usage();
	return ctl_admin(c.url, c.email, run, &c);
}
