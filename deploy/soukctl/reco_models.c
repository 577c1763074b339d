/* soukctl reco status|models|train|cancel|approve|reject|deploy|rollback: operating the models of recommendations. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "fields.h"
#include "session.h"
#include "soukctl.h"

enum { POLL_S = 1, PATH_MAX_ = 300 };

static int usage(void)
{
	fprintf(stderr,
		"usage: soukctl reco COMMAND --url URL [--email EMAIL]\n"
		"  status                        what is collected, who answers, the last training\n"
		"  models [--state STATE]        the latest models; models MODEL: one with its checks and history\n"
		"  train [--params JSON] [--seed N] [--no-wait]\n"
		"                                trains a model and follows it; default: as the deployed one\n"
		"  cancel [TRAINING]             stops a training; default: the last one\n"
		"  approve MODEL, reject MODEL   after the gate\n"
		"  deploy MODEL [--share N]      to everybody, or to N %% of the visitors as a canary\n"
		"  rollback                      withdraws the canary; without one goes back to the model before\n"
		"Decisions take --why TEXT. A command that is stopped stops no training.\n" CTL_CREDENTIALS);
	return 2;
}

/* ---- what is printed ---- */

static double number_of(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* "0.2310, over popular +0.0412 (+0.0301 to +0.0524)" */
static void figures(const json_t *metrics, struct buf *out)
{
	static const char *const over[] = { "over_popular", "over_deployed" }, *const names[] = { "popular", "deployed" };

	buf_fmt(out, "NDCG@20 %.4f", number_of(metrics, "ndcg_at_20"));
	for (int i = 0; i < 2; i++) {
		const json_t *d = json_object_get(metrics, over[i]);

		if (d)
			buf_fmt(out, ", over %s %+.4f (%+.4f to %+.4f)", names[i], number_of(d, "mean"), number_of(d, "low"),
				number_of(d, "high"));
	}
	buf_fmt(out, ", %lld people asked", count_of(metrics, "people"));
}

static void row(const json_t *m, struct buf *out)
{
	const json_t *metrics = json_object_get(m, "metrics"), *over = json_object_get(metrics, "over_popular");
	char share[16] = "-", at[20];

	if (count_of(m, "share_percent") > 0)
		snprintf(share, sizeof(share), "%lld %%", count_of(m, "share_percent"));
	buf_fmt(out, "%-32s %-10s %6s %-16s %10lld %7.4f  %+.4f to %+.4f\n", text_of(m, "id"), text_of(m, "state"), share,
		minute(m, "trained_at", at), count_of(m, "data_rows"), number_of(metrics, "ndcg_at_20"), number_of(over, "low"),
		number_of(over, "high"));
}

bool reco_models_text(const char *json, struct buf *out)
{
	json_t *root = json_loads(json, 0, NULL);
	const json_t *data = json_object_get(root, "data"), *m;
	bool good = json_is_object(root) && (!data || json_is_array(data));
	size_t i;

	if (good && json_array_size(data) == 0)
		buf_str(out, "there are no models\n");
	if (good && json_array_size(data) > 0)
		buf_fmt(out, "%-32s %-10s %6s %-16s %10s %7s  %s\n", "model", "state", "share", "trained (UTC)", "events",
			"NDCG@20", "over popular (95 %)");
	json_array_foreach(data, i, m)
	{
		row(m, out);
	}
	json_decref(root);
	return good;
}

static void checks(const json_t *gate, struct buf *out)
{
	const json_t *check;
	size_t i;

	json_array_foreach(json_object_get(gate, "checks"), i, check)
	{
		buf_fmt(out, "  %-4s %-24s %.6g\n", json_is_true(json_object_get(check, "passed")) ? "ok" : "NO",
			text_of(check, "check"), number_of(check, "value"));
	}
}

static void past(const json_t *changes, struct buf *out)
{
	const json_t *c;
	char at[20];
	size_t i;

	json_array_foreach(changes, i, c)
	{
		buf_fmt(out, "  %s  %-10s by %s%s%s\n", minute(c, "changed_at", at), text_of(c, "to"), text_of(c, "by"),
			json_object_get(c, "why") ? ": " : "", json_object_get(c, "why") ? text_of(c, "why") : "");
	}
}

bool reco_model_text(const char *json, struct buf *out)
{
	json_t *m = json_loads(json, 0, NULL);
	bool good = json_is_object(m) && json_is_string(json_object_get(m, "id"));
	char *params, from[20], to[20];

	if (good) {
		params = json_dumps(json_object_get(m, "params"), JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
		buf_fmt(out, "%s is %s, version %s\n", text_of(m, "id"), text_of(m, "state"), text_of(m, "version"));
		buf_fmt(out, "%lld events from %s to %s, %lld bytes, %s\n", count_of(m, "data_rows"), minute(m, "data_from_at", from),
			minute(m, "data_to_at", to), count_of(m, "size_bytes"), params ? params : "{}");
		figures(json_object_get(m, "metrics"), out);
		buf_str(out, "\ngate:\n");
		checks(json_object_get(m, "gate"), out);
		if (json_array_size(json_object_get(m, "history")) > 0)
			buf_str(out, "history (UTC):\n");
		past(json_object_get(m, "history"), out);
		free(params);
	}
	json_decref(m);
	return good;
}

static void deployment(const json_t *d, struct buf *out)
{
	char at[20];

	buf_fmt(out, "%-7s %s version %s, %lld %% of the visitors, since %s by %s\n", text_of(d, "variant"), text_of(d, "model_id"),
		text_of(d, "version"), count_of(d, "share_percent"), minute(d, "deployed_at", at), text_of(d, "by"));
	if (json_object_get(d, "looked_at"))
		buf_fmt(out, "        %lld of %lld visitors clicked, of the others %lld of %lld (looked at %s)\n", count_of(d, "clicked"),
			count_of(d, "shown"), count_of(d, "main_clicked"), count_of(d, "main_shown"), minute(d, "looked_at", at));
	if (json_object_get(d, "judged_at"))
		buf_fmt(out, "        becomes the main model or is withdrawn at %s\n", minute(d, "judged_at", at));
	if (json_object_get(d, "previous_id"))
		buf_fmt(out, "        a rollback goes back to %s\n", text_of(d, "previous_id"));
}

static void training(const json_t *t, struct buf *out)
{
	buf_fmt(out, "training %s is %s", text_of(t, "id"), text_of(t, "state"));
	if (strcmp(text_of(t, "state"), "running") == 0)
		buf_fmt(out, ", %s %lld %%", text_of(t, "step"), count_of(t, "percent"));
	if (json_object_get(t, "message"))
		buf_fmt(out, ": %s", text_of(t, "message"));
	buf_char(out, '\n');
}

bool reco_status_text(const char *json, struct buf *out)
{
	json_t *root = json_loads(json, 0, NULL);
	const json_t *list = json_object_get(root, "deployments"), *t = json_object_get(root, "training"), *d;
	bool good = json_is_object(root);
	char at[20];
	size_t i;

	if (good) {
		buf_fmt(out, "%lld events, the last at %s; counted features are %lld ms behind\n", count_of(root, "events"),
			minute(root, "last_event_at", at), count_of(root, "feature_lag_ms"));
		buf_fmt(out, "%lld products%s\n", count_of(root, "products"),
			json_is_true(json_object_get(root, "catalogue_filled")) ? "" : ", the copy of the catalogue is being filled");
		if (json_array_size(list) == 0)
			buf_str(out, "no model is deployed: what sells is shown\n");
		json_array_foreach(list, i, d)
		{
			deployment(d, out);
		}
		if (t)
			training(t, out);
	}
	json_decref(root);
	return good;
}

/* ---- asking ---- */

struct command {
	const char *name, *url, *email, *what, *state, *params, *seed, *share, *why;
	bool no_wait;
};

static int show_model(struct ctl_session *s, const char *id)
{
	char path[PATH_MAX_];

	snprintf(path, sizeof(path), "/api/admin/reco/models/%.100s", id);
	return ctl_show(s, path, reco_model_text, NULL);
}

static int models(struct ctl_session *s, const struct command *c)
{
	struct buf path;
	int rc;

	if (c->what)
		return show_model(s, c->what);
	buf_init(&path, 4096);
	buf_str(&path, "/api/admin/reco/models?limit=20");
	ctl_query_add(&path, "state", c->state);
	rc = ctl_show(s, buf_cstr(&path), reco_models_text, NULL);
	buf_free(&path);
	return rc;
}

/* Adds ,"key":value; a number or an object goes as it is. */
static void member(struct buf *b, const char *key, const char *value, bool text)
{
	if (!value)
		return;
	buf_fmt(b, "%s\"%s\":", b->len > 1 ? "," : "", key);
	if (text)
		buf_json_str(b, value);
	else
		buf_str(b, value);
}

/* The share and the parameters are JSON of their own: what is none would spoil the request. */
static bool is_json(const char *value, json_type type)
{
	json_t *v = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
	bool is = !value || (v && json_typeof(v) == type);

	json_decref(v);
	return is;
}

static int post(struct ctl_session *s, const struct command *c, const char *path, const char **text_r)
{
	struct buf body;
	int rc;

	buf_init(&body, 16384);
	buf_str(&body, "{");
	member(&body, "why", c->why, true);
	member(&body, "share_percent", c->share, false);
	member(&body, "params", c->params, false);
	member(&body, "seed", c->seed, false);
	buf_str(&body, "}");
	rc = ctl_ask(s, "POST", path, &body, text_r);
	buf_free(&body);
	return rc;
}

static int decide(struct ctl_session *s, const struct command *c)
{
	char path[PATH_MAX_], id[64] = "";
	const char *text;

	if (c->what)
		snprintf(path, sizeof(path), "/api/admin/reco/models/%.100s/%s", c->what, c->name);
	else
		snprintf(path, sizeof(path), "/api/admin/reco/%s", c->name);
	if (post(s, c, path, &text))
		return 1;
	return jsonval_get(text, "id", id, sizeof(id)) ? show_model(s, id) : ctl_complain("answer", "names no model");
}

/* Until it has ended; the model is printed when there is one. */
static int follow(struct ctl_session *s, const char *id)
{
	char path[PATH_MAX_], state[32] = "", step[64] = "", model[64] = "", why[300] = "", last[64] = "";
	bool tty = isatty(STDERR_FILENO);
	const char *text;

	snprintf(path, sizeof(path), "/api/admin/reco/trainings/%.100s", id);
	for (;;) {
		arena_reset(s->arena);
		if (ctl_ask(s, "GET", path, NULL, &text))
			return ctl_complain(id, "goes on; `soukctl reco status` shows how far it is");
		(void)jsonval_get(text, "state", state, sizeof(state));
		(void)jsonval_get(text, "step", step, sizeof(step));
		if (tty)
			ctl_bar(jsonval_i64(text, "percent"), *step ? step : state, -1);
		else if (strcmp(step, last) != 0)
			fprintf(stderr, "%s %lld %%\n", step, (long long)jsonval_i64(text, "percent"));
		memcpy(last, step, sizeof(last));
		if (strcmp(state, "queued") != 0 && strcmp(state, "running") != 0)
			break;
		nanosleep(&(struct timespec){ .tv_sec = POLL_S }, NULL);
	}
	if (tty)
		fputc('\n', stderr);
	(void)jsonval_get(text, "message", why, sizeof(why));
	if (strcmp(state, "done") != 0 || !jsonval_get(text, "model_id", model, sizeof(model)))
		return ctl_complain(state, *why ? why : id);
	return show_model(s, model);
}

static int train(struct ctl_session *s, const struct command *c)
{
	const char *text;
	char id[64] = "";

	if (post(s, c, "/api/admin/reco/trainings", &text))
		return 1;
	if (!jsonval_get(text, "id", id, sizeof(id)))
		return ctl_complain("answer", "names no training");
	if (c->no_wait)
		return puts(id) < 0;
	fprintf(stderr, "training %s\n", id);
	return follow(s, id);
}

static int cancel(struct ctl_session *s, const struct command *c)
{
	char path[PATH_MAX_], id[64] = "";
	const char *text;

	if (c->what)
		snprintf(id, sizeof(id), "%s", c->what);
	else if (ctl_ask(s, "GET", "/api/admin/reco/status", NULL, &text))
		return 1;
	else if (!jsonval_get(text, "training.id", id, sizeof(id)))
		return ctl_complain("cancel", "there is no training");
	snprintf(path, sizeof(path), "/api/admin/reco/trainings/%s/cancel", id);
	if (post(s, c, path, &text))
		return 1;
	return printf("training %s is told to stop\n", id) < 0;
}

static int run(struct ctl_session *s, void *arg)
{
	const struct command *c = arg;

	if (strcmp(c->name, "status") == 0)
		return ctl_show(s, "/api/admin/reco/status", reco_status_text, NULL);
	if (strcmp(c->name, "models") == 0)
		return models(s, c);
	if (strcmp(c->name, "train") == 0)
		return train(s, c);
	return strcmp(c->name, "cancel") == 0 ? cancel(s, c) : decide(s, c);
}

/* Which commands name a model: none, may, must. */
static const struct {
	const char *name;
	int least, most;
} commands[] = { { "status", 0, 0 }, { "models", 0, 1 }, { "train", 0, 0 },  { "cancel", 0, 1 },
		 { "approve", 1, 1 }, { "reject", 1, 1 }, { "deploy", 1, 1 }, { "rollback", 0, 0 } };

static bool fits(const char *name, int words)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(name, commands[i].name) == 0)
			return words >= commands[i].least && words <= commands[i].most;
	return false;
}

int ctl_reco_models(int argc, char **argv)
{
	static const struct option options[] = {
		{ "url", required_argument, NULL, 'u' },   { "email", required_argument, NULL, 'e' },
		{ "state", required_argument, NULL, 's' }, { "params", required_argument, NULL, 'p' },
		{ "seed", required_argument, NULL, 'n' },  { "share", required_argument, NULL, 'h' },
		{ "why", required_argument, NULL, 'w' },   { "no-wait", no_argument, NULL, 'b' },
		{ 0 }
	};
	struct command c = { .name = argv[1], .url = getenv("SOUK_URL") };

	optind = 2;
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 'u': c.url = optarg; break;
		case 'e': c.email = optarg; break;
		case 's': c.state = optarg; break;
		case 'p': c.params = optarg; break;
		case 'n': c.seed = optarg; break;
		case 'h': c.share = optarg; break;
		case 'w': c.why = optarg; break;
		case 'b': c.no_wait = true; break;
		default: return usage();
		}
	}
	if (!fits(c.name, argc - optind) || !c.url || !ctl_known(c.email) || !is_json(c.params, JSON_OBJECT) ||
	    !is_json(c.seed, JSON_INTEGER) || !is_json(c.share, JSON_INTEGER))
		return usage();
	c.what = optind < argc ? argv[optind] : NULL;
	if (c.what && strspn(c.what, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(c.what))
		return usage();
	return ctl_admin(c.url, c.email, run, &c);
}
