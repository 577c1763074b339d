#include "services/search/suggest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "search.pb-c.h"
#include "services/search/known.h"
#include "services/search/query.h"
#include "services/search/suggest_index.h"
#include "services/search/suggest_load.h"

#define LOOK_MS 500
#define REST_MS 2000
#define REST_TIMES 20		   /* as long as the making took */
#define RENEW_MS (30 * 60 * 1000LL) /* the log moves on, though nothing changed */
#define EDGE_S 10		   /* life of an answer in caches before the daemon */
#define LIMIT_DEFAULT 10

RPC_HANDLER(search_suggest, Search__V1__SuggestRequest, Search__V1__SuggestReply)

const struct rpc_method search_suggest_methods[] = {
	{ "Suggest", search_suggest_, RPC_READ, 0 },
	{ 0 },
};

struct suggest {
	pthread_rwlock_t lock; /* of index */
	struct suggest_index *index;
	pthread_t thread;
	pthread_mutex_t stop_lock;
	pthread_cond_t wake;
	bool started, stop;
};

struct suggest *suggest_new(void)
{
	struct suggest *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s || pthread_rwlock_init(&s->lock, NULL) || pthread_mutex_init(&s->stop_lock, NULL) ||
	    pthread_condattr_init(&attr) || pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) ||
	    pthread_cond_init(&s->wake, &attr))
		abort();
	(void)pthread_condattr_destroy(&attr);
	s->index = suggest_index_new();
	return s;
}

void suggest_free(struct suggest *s)
{
	if (!s)
		return;
	suggest_index_free(s->index);
	(void)pthread_rwlock_destroy(&s->lock);
	(void)pthread_mutex_destroy(&s->stop_lock);
	(void)pthread_cond_destroy(&s->wake);
	free(s);
}

enum err_code suggest_load(struct search_svc *svc, struct err *e)
{
	struct suggest *s = svc->suggest;
	struct suggest_index *made = NULL;

	if (suggest_load_index(svc, &made, e) || !made)
		return e->code;
	(void)pthread_rwlock_wrlock(&s->lock);
	struct suggest_index *before = s->index;
	s->index = made;
	(void)pthread_rwlock_unlock(&s->lock);
	suggest_index_free(before);
	metric_set(metric_gauge("souk_search_suggest_entries", "Texts that suggestions are made from", NULL),
		   (double)suggest_index_size(made));
	return OK;
}

/* ---- the thread ---- */

static bool rest(struct suggest *s)
{
	int64_t until = mono_ms() + LOOK_MS;
	const struct timespec ts = { until / 1000, until % 1000 * 1000000 };
	bool stop;

	(void)pthread_mutex_lock(&s->stop_lock);
	if (!s->stop)
		(void)pthread_cond_timedwait(&s->wake, &s->stop_lock, &ts);
	stop = s->stop;
	(void)pthread_mutex_unlock(&s->stop_lock);
	return !stop;
}

static void *run(void *arg)
{
	struct search_svc *svc = arg;
	int64_t version = 0, next = 0, renew = 0;
	bool made = false;

	while (rest(svc->suggest)) {
		int64_t now = mono_ms(), v = known_version(svc->known);
		struct err e = { 0 };

		if (now < next || (made && v == version && now < renew))
			continue;
		if (suggest_load(svc, &e))
			log_msg(LVL_WARNING, "suggestions stay as they are", LF_S("why", e.msg), LF_END);
		made |= e.code == OK;
		version = e.code ? version : v;
		next = mono_ms() + REST_MS + REST_TIMES * (mono_ms() - now);
		renew = next + RENEW_MS;
	}
	return NULL;
}

enum err_code suggest_start(struct search_svc *svc, struct err *e)
{
	svc->suggest->started = pthread_create(&svc->suggest->thread, NULL, run, svc) == 0;
	return svc->suggest->started ? OK : err_set(e, E_INTERNAL, "common.internal", "no thread for suggestions");
}

void suggest_stop(struct search_svc *svc)
{
	struct suggest *s = svc->suggest;

	if (!s->started)
		return;
	(void)pthread_mutex_lock(&s->stop_lock);
	s->stop = true;
	(void)pthread_cond_signal(&s->wake);
	(void)pthread_mutex_unlock(&s->stop_lock);
	(void)pthread_join(s->thread, NULL);
	s->started = false;
}

/* ---- the answer ---- */

static const char *kind_name(enum suggest_kind kind)
{
	static const char *const names[] = { "query", "category", "brand", "product", "query" };

	return names[kind];
}

static void fill(struct arena *a, const struct suggestions *found, Search__V1__SuggestReply *out)
{
	out->data = arena_array(a, found->n + 1, sizeof(*out->data));
	for (size_t i = 0; i < found->n; i++) {
		Search__V1__Suggestion *m = arena_alloc(a, sizeof(*m));

		search__v1__suggestion__init(m);
		m->kind = (char *)kind_name(found->v[i].kind);
		m->text = (char *)found->v[i].text;
		m->id = (char *)found->v[i].id;
		m->slug = (char *)found->v[i].slug;
		out->data[out->n_data++] = m;
	}
	out->corrected_query = (char *)found->corrected;
	out->has_hdr_max_age = true;
	out->hdr_max_age = EDGE_S;
}

static enum err_code search_suggest(struct call *c, const Search__V1__SuggestRequest *in, Search__V1__SuggestReply *out)
{
	struct search_svc *svc = c->svc;
	int32_t limit = in->has_limit ? in->limit : LIMIT_DEFAULT;
	struct suggestions found;
	const char *text;

	check_range(&c->err, "limit", limit, 1, SUGGEST_LIMIT_MAX);
	if (in->lang && strcmp(in->lang, svc->conf->lang) != 0)
		err_detail(&c->err, "lang", NULL, "the catalogue is not indexed in this language");
	if (!in->q)
		err_detail(&c->err, "q", NULL, "is required");
	else if (!utf8_valid(in->q, strlen(in->q)) || utf8_length(in->q, strlen(in->q)) > QUERY_CHARS_MAX)
		err_detail(&c->err, "q", NULL, "must be text of at most 1000 characters");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "suggest");
	text = arena_strndup(c->arena, in->q, utf8_cut(in->q, strnlen(in->q, SUGGEST_TEXT_MAX)));
	(void)pthread_rwlock_rdlock(&svc->suggest->lock);
	suggest_index_find(svc->suggest->index, c->arena, text, (size_t)limit, &found);
	(void)pthread_rwlock_unlock(&svc->suggest->lock);
	fill(c->arena, &found, out);
	return OK;
}
