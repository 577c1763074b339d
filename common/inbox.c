/* Consuming events: one thread per source that waits for the bell, holds the lease, fetches and applies. */
#include "common/inbox_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/doorbell.h"
#include "common/log.h"
#include "common/node_db.h"
#include "common/timeutil.h"

#define FETCH_MS      5000
#define FETCH_LIMIT   200
#define IDLE_MAX_MS   5000
#define COUNTS_MS     10000
#define EAGER_MS      20
#define GAP_MS	      30 /* between two looks that rings ask for: what is told meanwhile comes in one batch */
#define GAP_MAX_MS    80 /* the same while rings do not stop: under load a larger batch costs less than a prompt one */
#define TELL_MS	      1000 /* the owner need not know more often how far we are */
#define DUE_MAX_MS    500  /* between two looks for events whose pause is over */
#define ARENA_LIMIT   (32u << 20)

struct inbox {
	struct inbox_conf conf;
	struct puller *pullers;
	size_t n;
};

/* ---- lease ---- */
static enum err_code ensure_lease(struct puller *p, struct arena *a, struct err *e)
{
	int seconds = p->conf->lease_s > 0 ? p->conf->lease_s : 10;
	struct pg *pg = NULL;
	enum err_code code;

	/* Renewed at half its life. */
	if (p->mine && mono_ms() + (int64_t)seconds * 500 < p->lease_until)
		return OK;
	if (pg_borrow(p->conf->pool, mono_ms() + FETCH_MS, &pg, e))
		return e->code;
	p->lease_until = mono_ms() + (int64_t)seconds * 1000;
	code = inbox_db_lease(pg, p->source, seconds, a, &p->mine, &p->at, e);
	pg_return(pg);
	if (code)
		p->mine = false;
	return code;
}

static void release_lease(struct puller *p)
{
	struct err e = { 0 };
	struct pg *pg = NULL;

	if (!p->mine || pg_borrow(p->conf->pool, mono_ms() + 1000, &pg, &e))
		return;
	if (inbox_db_release(pg, p->source, &e))
		log_err(LVL_DEBUG, "inbox lease not released", &e);
	pg_return(pg);
}

/* ---- fetching: no transaction is open ---- */
static enum err_code fetch_own(struct puller *p, struct call *c, const Common__V1__FetchEventsRequest *req,
			       Common__V1__FetchEventsReply **out_r)
{
	Common__V1__FetchEventsReply *out = arena_alloc(c->arena, sizeof(*out));
	struct pg *pg = NULL;

	common__v1__fetch_events_reply__init(out);
	if (pg_borrow(p->conf->pool, c->deadline_ms, &pg, &c->err))
		return c->err.code;
	if (node_db_fetch_events(pg, c->arena, req, out, &c->err) == OK)
		*out_r = out;
	pg_return(pg);
	return c->err.code;
}

static enum err_code fetch(struct puller *p, struct arena *a, Common__V1__FetchEventsReply **out_r, struct err *e)
{
	static const struct rpc_opts opts = { .as_service = true, .retry_read = true, .timeout_ms = FETCH_MS };
	Common__V1__FetchEventsRequest req = COMMON__V1__FETCH_EVENTS_REQUEST__INIT;
	Common__V1__EventCursor after = COMMON__V1__EVENT_CURSOR__INIT;
	const int64_t now = mono_ms();
	struct call c;
	enum err_code code;

	after.has_epoch = after.has_xid = after.has_pos = 1;
	after.epoch = p->at.epoch;
	after.xid = p->at.xid;
	after.pos = p->at.pos;
	if (now >= p->tell_at)
		req.consumer = (char *)(uintptr_t)p->conf->consumer;
	req.after = &after;
	req.types = (char **)(uintptr_t)p->types;
	req.n_types = p->n_types;
	req.has_limit = 1;
	req.limit = FETCH_LIMIT;
	call_init_service(&c, p->conf->consumer, a, FETCH_MS);
	if (p->conf->fetch)
		code = p->conf->fetch(p->conf->fetch_arg, p->source, &c, &req, out_r);
	else if (p->rpc)
		code = rpc_call(p->rpc, &c, "common.v1.Node/FetchEvents", &req.base,
				&common__v1__fetch_events_reply__descriptor, out_r, &opts);
	else
		code = fetch_own(p, &c, &req, out_r);
	if (code)
		err_copy(e, &c.err);
	else if (req.consumer)
		p->tell_at = now + TELL_MS;
	return code;
}

/* ---- a reply becomes a batch ---- */
static const char *text(const char *s)
{
	return s ? s : "";
}

static struct outbox_cursor cursor_of(const Common__V1__EventCursor *c)
{
	return (struct outbox_cursor){ c->epoch, c->xid, c->pos };
}

/*
 * Events of one aggregate in the order of their versions, each set of places staying where it was: the later of two
 * transactions may have the lower number when it began to write first.
 */
static void order_versions(struct inbox_waiting *ev, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		size_t at = i;

		for (size_t k = i; k-- > 0;) {
			if (strcmp(ev[k].agg_id, ev[at].agg_id) != 0 || strcmp(ev[k].agg_type, ev[at].agg_type) != 0)
				continue;
			if (ev[k].agg_version <= ev[at].agg_version)
				break;
			struct inbox_waiting swap = ev[k];

			ev[k] = ev[at];
			ev[at] = swap;
			at = k;
		}
	}
}

static enum err_code make_batch(struct arena *a, const Common__V1__FetchEventsReply *r, struct outbox_cursor from,
				struct batch *b, struct err *e)
{
	*b = (struct batch){ .to = from };
	if (r->n_events > 0)
		b->ev = arena_array(a, r->n_events, sizeof(*b->ev));
	for (size_t i = 0; i < r->n_events; i++) {
		const Common__V1__Event *ev = r->events[i];

		if (!ev->event_id || !*ev->event_id || !ev->type || !ev->cursor)
			return err_set(e, E_INTERNAL, "inbox.malformed", "an event without id, type or cursor");
		b->ev[b->n++] = (struct inbox_waiting){
			.event_id = ev->event_id, .type = ev->type, .agg_type = text(ev->agg_type),
			.agg_id = text(ev->agg_id), .traceparent = ev->traceparent, .agg_version = ev->agg_version,
			.occurred_at = ev->occurred_at,
			.payload = { ev->payload.data ? ev->payload.data : (const void *)"", ev->payload.len },
		};
		b->to = cursor_of(ev->cursor);
		b->last_occurred_at = ev->occurred_at;
	}
	if (r->seen)
		b->to = cursor_of(r->seen);
	order_versions(b->ev, b->n);
	return OK;
}

static bool same(struct outbox_cursor x, struct outbox_cursor y)
{
	return x.epoch == y.epoch && x.xid == y.xid && x.pos == y.pos;
}

static void note_fetch(struct puller *p, const struct err *e)
{
	bool failing = e->code != OK;

	if (failing != p->failing)
		log_msg(failing ? LVL_WARNING : LVL_INFO, failing ? "events cannot be fetched" : "events flow again",
			LF_S("source", p->source), LF_S("slug", e->slug), LF_S("error", e->msg));
	p->failing = failing;
}

/* One fetch and its transaction. *more_r: come again at once. */
static enum err_code step(struct puller *p, struct arena *a, bool *more_r, struct err *e)
{
	Common__V1__FetchEventsReply *r = NULL;
	struct batch b;
	enum err_code code = fetch(p, a, &r, e);

	note_fetch(p, e);
	if (code || make_batch(a, r, p->at, &b, e))
		return e->code;
	*more_r = r->more;
	p->got = p->got || b.n > 0;
	metric_set(p->lag, b.n > 0 && r->more ? (double)(wall_ms() - b.last_occurred_at) / 1000 : 0);
	if (b.n == 0 && same(b.to, p->at))
		return OK;
	return inbox_apply(p, a, &b, e);
}

static void count(struct puller *p, struct arena *a)
{
	struct inbox_counts counts;
	struct err e = { 0 };
	struct pg *pg = NULL;

	if (pg_borrow(p->conf->pool, mono_ms() + 1000, &pg, &e))
		return;
	if (inbox_db_counts(pg, p->source, a, &counts, &e) == OK) {
		metric_set(p->dead, (double)counts.dead);
		metric_set(p->waiting, (double)counts.waiting);
	}
	pg_return(pg);
}

static bool stopping(struct puller *p)
{
	bool stop;

	(void)pthread_mutex_lock(&p->mu);
	stop = p->stop;
	(void)pthread_mutex_unlock(&p->mu);
	return stop;
}

/* Those that failed before: looked for twice within the shortest pause, for hardly ever there are any. */
static enum err_code retry(struct puller *p, struct arena *a, struct err *e)
{
	const int64_t half = p->conf->retry_ms / 2, every = half > 0 && half < DUE_MAX_MS ? half : DUE_MAX_MS;

	if (mono_ms() < p->due_at)
		return OK;
	if (inbox_retry(p, a, e) == OK)
		p->due_at = mono_ms() + every;
	return e->code;
}

static enum err_code pull(struct puller *p, struct arena *a, struct err *e)
{
	bool more = true;

	p->got = false;
	if (ensure_lease(p, a, e) || !p->mine || retry(p, a, e))
		return e->code;
	while (more && !stopping(p)) {
		more = false;
		arena_reset(a);
		if (step(p, a, &more, e) || (more && ensure_lease(p, a, e)))
			return e->code;
		more = more && p->mine;
	}
	return OK;
}

/* ---- the thread ---- */
static struct timespec at_ms(int64_t ms)
{
	return (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
}

/*
 * A ring after a rest is answered at once, one that follows the look begun at `looked` too closely a little later: the
 * longer the rings follow each other without a rest, up to GAP_MAX_MS.
 */
static bool wait_for_bell(struct puller *p, int64_t looked, int64_t ms)
{
	const struct timespec until = at_ms(mono_ms() + ms), gap = at_ms(looked + p->gap_ms);
	bool rang, rested;

	(void)pthread_mutex_lock(&p->mu);
	while (!p->stop && !p->ring)
		if (pthread_cond_timedwait(&p->cv, &p->mu, &until) != 0)
			break;
	rested = !p->ring || mono_ms() >= looked + p->gap_ms;
	while (!p->stop && mono_ms() < looked + p->gap_ms)
		if (pthread_cond_timedwait(&p->cv, &p->mu, &gap) != 0)
			break;
	p->gap_ms = rested ? GAP_MS : p->gap_ms * 2 > GAP_MAX_MS ? GAP_MAX_MS : p->gap_ms * 2;
	rang = p->ring;
	p->ring = false;
	(void)pthread_mutex_unlock(&p->mu);
	return rang;
}

static void *loop(void *arg)
{
	struct puller *p = arg;
	struct arena *a = arena_new("inbox", ARENA_LIMIT);
	int64_t poll = p->conf->poll_ms > 0 ? p->conf->poll_ms : 1000, pause = poll, counted = 0;
	int64_t eager = poll; /* the pause while a ring has not been answered by an event */
	int64_t looked;

	while (!stopping(p)) {
		struct err e = { 0 };

		looked = mono_ms();
		if (pull(p, a, &e) == OK) {
			/* An older transaction may still hide what the bell told of: look again soon, then less often. */
			eager = p->got ? poll : eager;
			pause = eager < poll ? eager : poll;
			eager = eager < poll ? eager * 2 : poll;
		} else {
			pause = pause * 2 > IDLE_MAX_MS ? IDLE_MAX_MS : pause * 2;
			if (err_is(&e, "inbox.lost"))
				p->mine = false;
			else if (!p->failing && !err_is(&e, "pg.unavailable"))
				log_msg(LVL_WARNING, "events are not applied", LF_S("source", p->source),
					LF_S("slug", e.slug), LF_S("error", e.msg));
		}
		if (p->mine && mono_ms() - counted > COUNTS_MS) {
			count(p, a);
			counted = mono_ms();
		}
		arena_reset(a);
		if (wait_for_bell(p, looked, pause))
			eager = EAGER_MS;
	}
	release_lease(p);
	arena_free(a);
	return NULL;
}

static bool wanted(const struct puller *p, const struct doorbell_ring *ring)
{
	for (size_t i = 0; i < ring->n_topics; i++)
		for (size_t k = 0; k < p->n_types; k++)
			if (strcmp(ring->topics[i], p->types[k]) == 0)
				return true;
	return ring->gap || (!ring->heartbeat && ring->n_topics == 0);
}

static void rung(const struct doorbell_ring *ring, void *arg)
{
	struct puller *p = arg;

	if (!wanted(p, ring))
		return;
	(void)pthread_mutex_lock(&p->mu);
	p->ring = true;
	(void)pthread_cond_signal(&p->cv);
	(void)pthread_mutex_unlock(&p->mu);
}

/* ---- starting and stopping ---- */
static void puller_metrics(struct puller *p)
{
	char l[96];

	(void)metric_labels(l, sizeof(l), "source", p->source, NULL);
	p->applied = metric_counter("souk_inbox_events_total", "Events applied.", l);
	p->duplicates = metric_counter("souk_inbox_duplicates_total", "Events that were applied before.", l);
	p->failures = metric_counter("souk_inbox_failures_total", "Attempts at an event that failed.", l);
	p->lag = metric_gauge("souk_inbox_lag_seconds", "Age of the newest event applied while more are waiting.", l);
	p->dead = metric_gauge("souk_inbox_dead_letters", "Events that wait for a replay.", l);
	p->waiting = metric_gauge("souk_inbox_parked", "Events that retry, or wait behind one.", l);
}

static enum err_code puller_init(struct inbox *in, struct puller *p, const struct inbox_source *src, struct err *e)
{
	pthread_condattr_t attr;

	p->conf = &in->conf;
	p->source = src->name;
	p->gap_ms = GAP_MS;
	p->rpc = strcmp(src->name, in->conf.consumer) == 0 ? NULL : src->rpc; /* its own log is in its own schema */
	for (const struct inbox_handler *h = in->conf.handlers; h->source; h++) {
		if (strcmp(h->source, src->name) != 0)
			continue;
		if (p->n_types == ARRAY_LEN(p->types))
			return err_set(e, E_INTERNAL, "inbox.types", "too many types of %s", src->name);
		p->types[p->n_types++] = h->type;
	}
	if (p->n_types == 0)
		return err_set(e, E_INTERNAL, "inbox.types", "no handler for events of %s", src->name);
	(void)pthread_mutex_init(&p->mu, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->cv, &attr);
	(void)pthread_condattr_destroy(&attr);
	puller_metrics(p);
	in->n++;
	if (src->bell_url && *src->bell_url &&
	    doorbell_listen(src->bell_url, in->conf.resolve_ms > 0 ? in->conf.resolve_ms : 5000, rung, p, &p->listener,
			    e))
		return e->code;
	p->has_thread = pthread_create(&p->thread, NULL, loop, p) == 0;
	return p->has_thread ? OK : err_set(e, E_INTERNAL, "common.internal", "no thread for the inbox");
}

static bool has_source(const struct inbox_conf *conf, const char *name)
{
	for (const struct inbox_source *s = conf->sources; s->name; s++)
		if (strcmp(s->name, name) == 0)
			return true;
	return false;
}

enum err_code inbox_start(const struct inbox_conf *conf, struct inbox **in_r, struct err *e)
{
	struct inbox *in = calloc(1, sizeof(*in));
	size_t n = 0;

	while (conf->sources[n].name)
		n++;
	if (in)
		in->pullers = calloc(n + 1, sizeof(*in->pullers));
	if (!in || !in->pullers) {
		free(in);
		return err_set(e, E_INTERNAL, "common.internal", "no memory");
	}
	in->conf = *conf;
	for (const struct inbox_handler *h = conf->handlers; h->source; h++)
		if (!has_source(conf, h->source)) {
			inbox_stop(in);
			return err_set(e, E_INTERNAL, "inbox.types", "%s of %s has no source", h->type, h->source);
		}
	for (size_t i = 0; i < n; i++)
		if (puller_init(in, &in->pullers[i], &conf->sources[i], e)) {
			inbox_stop(in);
			return e->code;
		}
	*in_r = in;
	return OK;
}

void inbox_stop(struct inbox *in)
{
	if (!in)
		return;
	for (size_t i = 0; i < in->n; i++) {
		struct puller *p = &in->pullers[i];

		(void)pthread_mutex_lock(&p->mu);
		p->stop = true;
		(void)pthread_cond_signal(&p->cv);
		(void)pthread_mutex_unlock(&p->mu);
	}
	for (size_t i = 0; i < in->n; i++) {
		struct puller *p = &in->pullers[i];

		if (p->has_thread)
			(void)pthread_join(p->thread, NULL);
		if (p->listener)
			doorbell_unlisten(p->listener);
		(void)pthread_cond_destroy(&p->cv);
		(void)pthread_mutex_destroy(&p->mu);
	}
	free(in->pullers);
	free(in);
}
