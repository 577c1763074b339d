/* soukctl reco report: what recommendations brought, as a table and a plot of text. */
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "fields.h"
#include "session.h"
#include "soukctl.h"

enum { BAR = 40 };

static int usage(void)
{
	fprintf(stderr,
		"usage: soukctl reco report --url URL [--email EMAIL] [options]\n"
		"  --days N           the last so many days, 1 to 90; default 14\n"
		"  --placement NAME   only of that place\n"
		"  --variant NAME     only main, canary or none\n" CTL_CREDENTIALS);
	return 2;
}

static double percent_of(const json_t *row, const char *key)
{
	return 100 * json_number_value(json_object_get(row, key));
}

static void table(const json_t *rows, struct buf *out)
{
	const json_t *row;
	size_t i;

	buf_fmt(out, "%-20s %-7s %-28s %9s %9s %9s %7s %-24s %6s %6s\n", "placement", "variant", "model", "answers", "fallback",
		"shown", "clicks", "click-through (95 %)", "carts", "orders");
	json_array_foreach(rows, i, row)
	{
		char share[48] = "-";

		if (count_of(row, "impressions") > 0)
			snprintf(share, sizeof(share), "%.2f %% (%.2f to %.2f)", percent_of(row, "ctr"), percent_of(row, "ctr_low"),
				 percent_of(row, "ctr_high"));
		buf_fmt(out, "%-20s %-7s %-28s %9lld %9lld %9lld %7lld %-24s %6lld %6lld\n", text_of(row, "placement"),
			text_of(row, "variant"), text_of(row, "model_version"), count_of(row, "requests"), count_of(row, "fallbacks"),
			count_of(row, "impressions"), count_of(row, "clicks"), share, count_of(row, "carts"), count_of(row, "orders"));
	}
}

static double day_share(const json_t *day)
{
	long long shown = count_of(day, "impressions");

	return shown > 0 ? (double)count_of(day, "clicks") / (double)shown : 0;
}

/* The longest bar is the best day. */
static void plot(const json_t *days, struct buf *out)
{
	const json_t *day;
	double top = 0;
	size_t i;

	json_array_foreach(days, i, day) top = fmax(top, day_share(day));
	buf_str(out, "\nclick-through by day\n");
	json_array_foreach(days, i, day)
	{
		int n = top > 0 ? (int)lround(BAR * fmin(day_share(day) / top, 1)) : 0;

		buf_fmt(out, "%s %-7s %.*s%*s %6.2f %%  %lld of %lld\n", text_of(day, "day"), text_of(day, "variant"), n,
			"########################################", BAR - n, "", 100 * day_share(day), count_of(day, "clicks"),
			count_of(day, "impressions"));
	}
}

bool reco_report_text(const char *json, struct buf *out)
{
	json_t *root = json_loads(json, 0, NULL);
	const json_t *rows = json_object_get(root, "data"), *days = json_object_get(root, "days");
	bool good = json_is_object(root) && (!rows || json_is_array(rows)) && (!days || json_is_array(days));

	if (good && json_array_size(rows) == 0)
		buf_str(out, "nothing was recommended\n");
	if (good && json_array_size(rows) > 0)
		table(rows, out);
	if (good && json_array_size(days) > 0)
		plot(days, out);
	json_decref(root);
	return good;
}

struct wanted {
	const char *url, *email, *days, *placement, *variant;
};

static int fetch(struct ctl_session *s, void *arg)
{
	const struct wanted *w = arg;
	struct buf path;
	int rc;

	buf_init(&path, 4096);
	buf_str(&path, "/api/admin/reco/report");
	ctl_query_add(&path, "days", w->days);
	ctl_query_add(&path, "placement", w->placement);
	ctl_query_add(&path, "variant", w->variant);
	rc = ctl_show(s, buf_cstr(&path), reco_report_text, NULL);
	buf_free(&path);
	return rc;
}

int ctl_reco_report(int argc, char **argv)
{
	static const struct option options[] = {
		{ "url", required_argument, NULL, 'u' },       { "email", required_argument, NULL, 'e' },
		{ "days", required_argument, NULL, 'd' },      { "placement", required_argument, NULL, 'p' },
		{ "variant", required_argument, NULL, 'v' },   { 0 }
	};
	struct wanted w = { .url = getenv("SOUK_URL") };

	optind = 2;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'u': w.url = optarg; break;
		case 'e': w.email = optarg; break;
		case 'd': w.days = optarg; break;
		case 'p': w.placement = optarg; break;
		case 'v': w.variant = optarg; break;
		default: return usage();
		}
	}
	return optind != argc || !w.url || !ctl_known(w.email) ? usage() : ctl_admin(w.url, w.email, fetch, &w);
}
