#include "services/search/engine_os.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/crypto.h"
#include "common/daemon.h"
#include "common/httpc.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "services/search/engine_os_query.h"
#include "services/search/engine_os_reply.h"

enum {
	HANDLES = 16,
	QUEUE = 64,
	TRIES = 2,
	FAILURES = 3,	     /* in a row, after which the node is left alone */
	ALONE_MS = 1000,     /* at first; twice as long each time */
	ALONE_MAX_MS = 30000,
	REPLY_MAX = 32 << 20,
};

struct engine_os {
	struct httpc *http;
	char *url, *alias, *auth; /* auth: the header, or NULL */
	int timeout_ms;
	pthread_mutex_t lock; /* guards what follows */
	int failures;
	int64_t alone_ms, alone_until;
	bool lost;
	struct metric *up, *failed, *fallbacks;
};

static bool name_ok(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= OS_NAME_MAX && *s != '-' && *s != '_' &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

static char *auth_header(const struct engine_os_conf *conf)
{
	struct arena *a;
	char *plain, *coded, *header = NULL;
	size_t n;

	if (!conf->user || !*conf->user)
		return NULL;
	a = arena_new("auth", 1 << 16);
	plain = arena_printf(a, "%s:%s", conf->user, conf->password ? conf->password : "");
	n = strlen(plain);
	coded = arena_alloc(a, n * 2 + 8);
	(void)base64_encode(plain, n, coded);
	header = strdup(arena_printf(a, "Authorization: Basic %s", coded));
	explicit_bzero(plain, n);
	explicit_bzero(coded, strlen(coded));
	arena_free(a);
	return header;
}

enum err_code engine_os_open(const struct engine_os_conf *conf, struct engine_os **os_r, struct err *e)
{
	const struct httpc_conf hc = { .max_handles = HANDLES, .queue = QUEUE,
				       .ca_file = conf->ca_file && *conf->ca_file ? conf->ca_file : NULL };
	struct engine_os *os;
	const char *host = conf->url ? strstr(conf->url, "://") : NULL;

	if (!host || !host[3] || (strncmp(conf->url, "https://", 8) != 0 && strncmp(conf->url, "http://", 7) != 0))
		return err_set(e, E_INVALID, "conf.invalid", "OPENSEARCH_URL must be https://host:port");
	if (!conf->alias || !name_ok(conf->alias))
		return err_set(e, E_INVALID, "conf.invalid", "OPENSEARCH_INDEX must be small letters, digits, - and _");
	os = calloc(1, sizeof(*os));
	if (!os || !(os->url = strdup(conf->url)) || !(os->alias = strdup(conf->alias)))
		abort();
	while (strlen(os->url) > 8 && os->url[strlen(os->url) - 1] == '/')
		os->url[strlen(os->url) - 1] = '\0';
	os->auth = auth_header(conf);
	os->timeout_ms = conf->timeout_ms;
	os->alone_ms = ALONE_MS;
	pthread_mutex_init(&os->lock, NULL);
	os->up = metric_gauge("souk_search_engine_up", "1 while the engine outside answers", NULL);
	os->failed = metric_counter("souk_search_engine_failures_total", "Calls that the engine outside did not answer well",
				    NULL);
	os->fallbacks = metric_counter("souk_search_engine_fallbacks_total",
				       "Searches answered by pg in place of the engine outside", NULL);
	metric_set(os->up, 1);
	if (httpc_open(&hc, &os->http, e)) {
		engine_os_close(os);
		return e->code;
	}
	*os_r = os;
	return OK;
}

void engine_os_close(struct engine_os *os)
{
	if (!os)
		return;
	httpc_close(os->http);
	if (os->auth)
		explicit_bzero(os->auth, strlen(os->auth));
	free(os->auth);
	free(os->url);
	free(os->alias);
	pthread_mutex_destroy(&os->lock);
	free(os);
}

const char *engine_os_alias(const struct engine_os *os)
{
	return os->alias;
}

/* ---- leaving it alone ---- */

/* From a half to one and a half. */
static int64_t jittered(int64_t ms)
{
	uint16_t r;

	random_bytes(&r, sizeof(r));
	return ms / 2 + ms * r / 65536;
}

bool engine_os_open_for_calls(struct engine_os *os)
{
	int64_t now = mono_ms();
	bool open;

	pthread_mutex_lock(&os->lock);
	open = os->failures < FAILURES || now >= os->alone_until;
	if (open && os->failures >= FAILURES)
		os->alone_until = now + os->timeout_ms; /* one tries; the others wait for what it finds */
	pthread_mutex_unlock(&os->lock);
	return open;
}

static void note(struct engine_os *os, bool answered)
{
	pthread_mutex_lock(&os->lock);
	if (answered) {
		os->failures = 0;
		os->alone_ms = ALONE_MS;
	} else if (++os->failures >= FAILURES) {
		os->alone_until = mono_ms() + jittered(os->alone_ms);
		os->alone_ms = os->alone_ms * 2 < ALONE_MAX_MS ? os->alone_ms * 2 : ALONE_MAX_MS;
	}
	pthread_mutex_unlock(&os->lock);
	metric_add(os->failed, !answered);
	metric_set(os->up, answered);
	daemon_degraded("opensearch", !answered);
}

bool engine_os_lost(struct engine_os *os)
{
	bool lost;

	pthread_mutex_lock(&os->lock);
	lost = os->lost;
	os->lost = false;
	pthread_mutex_unlock(&os->lock);
	return lost;
}

void engine_os_missed(struct engine_os *os)
{
	metric_add(os->fallbacks, 1);
}

/* ---- calls ---- */

static enum err_code call_once(struct engine_os *os, struct arena *a, const struct os_call *c, int64_t timeout_ms,
			       struct httpc_reply *r, struct err *e)
{
	const char *headers[] = { c->lines ? "Content-Type: application/x-ndjson" : "Content-Type: application/json",
				  "Accept: application/json", os->auth, NULL };
	const struct httpc_request req = { .method = c->method,
					   .url = arena_printf(a, "%s%s", os->url, c->path),
					   .headers = headers,
					   .body = { (const uint8_t *)c->body, c->body ? c->len : 0 },
					   .timeout_ms = timeout_ms,
					   .max_reply = REPLY_MAX };

	return httpc_do(os->http, &req, a, r, e);
}

/* What went well is for the caller to say, who knows whether it makes sense. 404 is an answer: the index is not there. */
static enum err_code call_json(struct engine_os *os, struct arena *a, const struct os_call *c, int64_t timeout_ms,
			       int *status_r, json_t **o_r, struct err *e)
{
	struct httpc_reply r = { 0 };
	json_t *o = NULL;

	if (call_once(os, a, c, timeout_ms, &r, e))
		err_set(e, E_UNAVAILABLE, "search.engine", "opensearch: no answer");
	else if (r.status != 404 && os_reply_json(&r, &o, e) == OK)
		*o_r = o;
	if (e->code) {
		note(os, false);
		return e->code;
	}
	*status_r = r.status;
	return OK;
}

enum err_code engine_os_call(struct engine_os *os, struct arena *a, const struct os_call *c, int64_t timeout_ms,
			     int *status_r, json_t **o_r, struct err *e)
{
	*o_r = NULL;
	if (call_json(os, a, c, timeout_ms, status_r, o_r, e))
		return e->code;
	note(os, true);
	return OK;
}

/* Searches change nothing, so one that failed is made again when there is time. */
static enum err_code ask(struct engine_os *os, struct arena *a, const char *body, int64_t until, json_t **o_r, struct err *e)
{
	const struct os_call c = { "POST", arena_printf(a, "/%s/_search", os->alias), body, strlen(body), false };
	int status = 0;

	for (int i = 0; i < TRIES; i++) {
		int64_t left = until - mono_ms(), pause = jittered(20);

		err_clear(e);
		if (left <= 0 || !engine_os_open_for_calls(os))
			return err_set(e, E_UNAVAILABLE, "search.engine", "opensearch is left alone");
		if (call_json(os, a, &c, left, &status, o_r, e) == OK)
			break;
		if (until - mono_ms() > pause)
			(void)nanosleep(&(struct timespec){ 0, pause * 1000000 }, NULL);
	}
	if (e->code)
		return e->code;
	if (*o_r)
		return OK;
	pthread_mutex_lock(&os->lock);
	os->lost = true;
	pthread_mutex_unlock(&os->lock);
	return err_set(e, E_UNAVAILABLE, "search.engine", "opensearch has no index %s", os->alias);
}

struct os_stage {
	struct engine_os *os;
	struct arena *a;
	const struct query *q;
	const struct filters *f;
	int64_t until;
};

/* Slices until there are candidates enough; each begins behind the last hit of the one before. */
static enum err_code fetch(void *arg, int stage, struct candidate **rows_r, size_t *n_r, struct err *e)
{
	struct os_stage *s = arg;
	struct candidate *all = arena_array(s->a, CANDIDATES_MAX, sizeof(*all)), *rows = NULL;
	const json_t *after = NULL;
	json_t *o = NULL;
	size_t n = 0, slice = 0;

	for (int i = 0; i < CANDIDATES_MAX / OS_SLICE && (i == 0 || (after && slice == OS_SLICE)); i++) {
		const char *body = os_search_json(s->a, s->q, stage, s->f, after);
		const json_t *hits;

		json_decref(o);
		o = NULL;
		if (!body)
			break;
		if (ask(s->os, s->a, body, s->until, &o, e))
			return e->code;
		if (os_reply_hits(s->a, o, s->f->currency, &rows, &slice, &after, e)) {
			json_decref(o);
			note(s->os, false);
			return e->code;
		}
		for (size_t k = 0; k < slice && n < CANDIDATES_MAX; k++)
			all[n++] = rows[k];
		hits = json_object_get(json_object_get(o, "hits"), "hits");
		slice = json_array_size(hits);
	}
	json_decref(o);
	note(s->os, true);
	*rows_r = all;
	*n_r = n;
	return OK;
}

enum err_code engine_os_find(struct engine_os *os, struct arena *a, const struct query *q, const struct filters *f,
			     size_t wanted, struct found *found_r, struct err *e)
{
	struct os_stage s = { os, a, q, f, mono_ms() + os->timeout_ms };

	return engine_stages(a, q, f, wanted, fetch, &s, found_r, e);
}

enum err_code engine_os_facets(struct engine_os *os, struct arena *a, const struct query *q, int stage,
			       const struct filters *f, const char *const *attr_names, size_t n_attr_names,
			       struct facet_row **rows_r, size_t *n_r, struct err *e)
{
	const char *body = os_facets_json(a, q, stage, f, attr_names, n_attr_names);
	json_t *o = NULL;
	enum err_code code;

	if (!body) {
		*n_r = 0;
		return OK;
	}
	if (ask(os, a, body, mono_ms() + os->timeout_ms, &o, e))
		return e->code;
	code = os_reply_facets(a, o, rows_r, n_r, e);
	json_decref(o);
	note(os, code == OK);
	return code;
}
