#include "services/reco/serve.h"

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "services/reco/reco_db_model.h"
#include "services/reco/reco_db_serve.h"
#include "services/reco/shelf.h"

#define AGAIN_MS 30000 /* until a store is asked again for a file that it could not give */
#define ANSWERS_MAX 4000 /* kept for the timer; more are not recorded */

struct slot {
	struct loaded *now;
	char failed[64]; /* the model whose file could not be read, told of already */
	int64_t failed_at;
};
struct serve {
	pthread_mutex_t lock;
	struct slot main, canary;
	int share;
	atomic_bool pins;
	struct arena *texts; /* of the answers that wait */
	struct answered *waiting;
	size_t n_waiting;
};

struct serve *serve_new(void)
{
	struct serve *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	pthread_mutex_init(&s->lock, NULL);
	atomic_store(&s->pins, true);
	openblas_set_num_threads(1); /* requests are the parallel part: its own threads would only wait for each other */
	return s;
}

void serve_give_back(struct loaded *m)
{
	if (m && atomic_fetch_sub(&m->held, 1) == 1) {
		artefact_close(m->file);
		free(m);
	}
}

void serve_free(struct serve *s)
{
	if (!s)
		return;
	serve_give_back(s->main.now);
	serve_give_back(s->canary.now);
	if (s->texts)
		arena_free(s->texts);
	free(s->waiting);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static unsigned percent_of(const char *subject)
{
	uint8_t hash[SHA256_LEN];

	sha256(subject, strlen(subject), hash);
	return ((unsigned)hash[0] << 8 | hash[1]) % 100;
}

struct loaded *serve_take(struct serve *s, const char *subject, const char **variant_r)
{
	bool canary;
	struct loaded *m;

	pthread_mutex_lock(&s->lock);
	canary = subject && s->canary.now && percent_of(subject) < (unsigned)s->share;
	m = canary ? s->canary.now : s->main.now;
	if (m)
		atomic_fetch_add(&m->held, 1);
	pthread_mutex_unlock(&s->lock);
	*variant_r = !m ? "none" : canary ? "canary" : "main";
	return m;
}

bool serve_pins(const struct serve *s)
{
	return atomic_load(&s->pins);
}

void serve_pins_set(struct serve *s, bool there)
{
	atomic_store(&s->pins, there);
}

/* ---- exchange ---- */

static struct loaded *load(const struct reco_svc *svc, const struct deployment_row *d, struct arena *a, struct err *e)
{
	struct loaded *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	if (shelf_fetch(svc->shelf, a, d->path, d->sha256, e) ||
	    artefact_open(arena_printf(a, "%s/%s", svc->conf->model_dir, d->path), &m->file, e)) {
		free(m);
		return NULL;
	}
	if (strcmp(m->file->sha256, d->sha256) != 0) {
		(void)err_set(e, E_RULE, "reco.artefact_bad", "%s is not the file that was judged", d->path);
		artefact_close(m->file);
		free(m);
		return NULL;
	}
	snprintf(m->version, sizeof(m->version), "%s", d->version);
	snprintf(m->model_id, sizeof(m->model_id), "%s", d->model_id);
	atomic_store(&m->held, 1);
	return m;
}

/* Puts what d says into the slot. The old one stays when the new one cannot be read. */
static void exchange(struct reco_svc *svc, struct slot *slot, const struct deployment_row *d, struct arena *a)
{
	struct loaded *old = slot->now, *m = NULL; /* only this timer changes slots */
	struct err e = { 0 };

	if (d ? old && strcmp(old->model_id, d->model_id) == 0 : !old)
		return;
	if (d && svc->shelf && strcmp(slot->failed, d->model_id) == 0 && mono_ms() - slot->failed_at < AGAIN_MS)
		return;
	if (d) {
		m = load(svc, d, a, &e);
		if (!m) {
			slot->failed_at = mono_ms();
			if (strcmp(slot->failed, d->model_id) != 0)
				log_msg(LVL_ERROR, "a deployed model cannot be read", LF_S("model", d->model_id),
					LF_S("why", e.msg));
			snprintf(slot->failed, sizeof(slot->failed), "%s", d->model_id);
			return;
		}
	}
	slot->failed[0] = '\0';
	pthread_mutex_lock(&svc->serve->lock);
	slot->now = m;
	pthread_mutex_unlock(&svc->serve->lock);
	log_msg(LVL_INFO, "another model answers", LF_S("variant", slot == &svc->serve->main ? "main" : "canary"),
		LF_S("version", m ? m->version : "none"));
	serve_give_back(old);
}

enum err_code job_models(void *arg, struct arena *a, struct err *e)
{
	struct reco_svc *svc = arg;
	struct deployment_row *rows = NULL;
	const struct deployment_row *main = NULL, *canary = NULL;
	struct pg *pg;
	bool pins = true;
	size_t n = 0;

	if (pg_borrow(svc->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	if (reco_db_deployments(pg, a, false, &rows, &n, e) || reco_db_has_pins(pg, a, &pins, e)) {
		pg_return(pg);
		return e->code;
	}
	pg_return(pg);
	serve_pins_set(svc->serve, pins);
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].variant, "main") == 0)
			main = &rows[i];
		else
			canary = &rows[i];
	exchange(svc, &svc->serve->main, main, a);
	exchange(svc, &svc->serve->canary, canary, a);
	pthread_mutex_lock(&svc->serve->lock);
	svc->serve->share = canary ? canary->share_percent : 0;
	pthread_mutex_unlock(&svc->serve->lock);
	return OK;
}

/* ---- what was answered ---- */

void serve_note(struct serve *s, const struct answered *in)
{
	pthread_mutex_lock(&s->lock);
	if (!s->waiting) {
		s->waiting = calloc(ANSWERS_MAX, sizeof(*s->waiting));
		if (!s->waiting)
			abort();
	}
	if (!s->texts)
		s->texts = arena_new("reco answers", SIZE_MAX);
	if (s->n_waiting < ANSWERS_MAX) {
		const char **items = arena_array(s->texts, in->n + 1, sizeof(*items));
		struct answered *t = &s->waiting[s->n_waiting++];

		for (size_t i = 0; i < in->n; i++)
			items[i] = arena_strdup(s->texts, in->items[i]);
		*t = (struct answered){ .request_id = arena_strdup(s->texts, in->request_id),
					.type = arena_strdup(s->texts, in->type),
					.placement = arena_strdup(s->texts, in->placement), .variant = in->variant,
					.version = arena_strdup(s->texts, in->version),
					.subject = arena_strdup(s->texts, in->subject), .fallback = in->fallback,
					.items = items, .n = in->n };
	}
	pthread_mutex_unlock(&s->lock);
}

enum err_code job_answers(void *arg, struct arena *a, struct err *e)
{
	struct reco_svc *svc = arg;
	struct serve *s = svc->serve;
	struct answered *rows;
	struct arena *texts;
	struct pg *pg;
	enum err_code code;
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->n_waiting;
	rows = n ? arena_dup(a, s->waiting, n * sizeof(*rows)) : NULL;
	texts = s->texts;
	s->n_waiting = 0;
	s->texts = NULL;
	pthread_mutex_unlock(&s->lock);
	if (!texts)
		return OK;
	code = n ? pg_borrow(svc->pool, mono_ms() + 5000, &pg, e) : OK;
	if (n && !code) {
		code = reco_db_answers_put(pg, a, rows, n, e);
		pg_return(pg);
	}
	arena_free(texts); /* lost when the database was away: they only count */
	return code;
}
