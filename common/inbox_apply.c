/* Effect, inbox row and cursor in one transaction; what happens to events that fail. */
#include "common/inbox_internal.h"

#include <stdio.h>
#include <string.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/pb_guard.h"
#include "common/timeutil.h"
#include "common/trace.h"
#include "common/trace_export.h"

#define TX_MS	      10000
#define STUCK_MAX     5
#define PAUSE_MAX_MS  300000
#define SCRATCH_LIMIT (8u << 20)

struct work { /* what one transaction is about */
	struct puller *p;
	struct arena *a, *scratch;
	const struct batch *b;
	const struct inbox_waiting *one;
	struct inbox_key *blocked;
	size_t n_blocked;
	const char *state, *error; /* for waiting */
	int64_t pause_ms;
	int64_t applied, duplicates;
};

static bool transient(enum err_code code)
{
	return code == E_UNAVAILABLE || code == E_RETRY;
}

static bool lost(const struct err *e)
{
	return err_is(e, "inbox.lost");
}

static enum err_code set_lost(struct puller *p, struct err *e)
{
	return err_set(e, E_CONFLICT, "inbox.lost", "%s is pulled by another process now", p->source);
}

static bool is_blocked(const struct work *w, const struct inbox_waiting *ev)
{
	for (size_t i = 0; i < w->n_blocked; i++)
		if (strcmp(w->blocked[i].agg_id, ev->agg_id) == 0 && strcmp(w->blocked[i].agg_type, ev->agg_type) == 0)
			return true;
	return false;
}

static const struct inbox_handler *handler_of(const struct puller *p, const char *type)
{
	for (const struct inbox_handler *h = p->conf->handlers; h->source; h++)
		if (strcmp(h->source, p->source) == 0 && strcmp(h->type, type) == 0)
			return h;
	return NULL;
}

static enum err_code handle(struct pg *pg, struct work *w, const struct inbox_waiting *ev, struct err *e)
{
	const struct inbox_handler *h = handler_of(w->p, ev->type);
	struct inbox_event in = { .source = w->p->source, .event_id = ev->event_id, .agg_type = ev->agg_type,
				  .agg_id = ev->agg_id, .type = ev->type, .traceparent = ev->traceparent,
				  .agg_version = ev->agg_version, .occurred_at = ev->occurred_at };
	const struct pg_actor who = { arena_printf(w->scratch, "service:%s", w->p->source), ev->event_id };
	const int64_t start = mono_us();
	char traceparent[TRACE_LEN];
	ProtobufCMessage *msg = NULL;
	enum err_code code;

	if (!h)
		return OK; /* asked for by nobody: a type that a newer release of ours handles */
	if (pg_tx_actor(pg, &who, e) || pb_unpack(h->desc, ev->payload.data, ev->payload.len, w->scratch, &msg, e))
		return e->code;
	in.msg = msg;
	/* The handling is a step of the trace that the event came from, and what it causes are steps below it. */
	trace_child(ev->traceparent, traceparent);
	in.traceparent = traceparent;
	log_ctx_set(ev->event_id, NULL, traceparent);
	code = h->fn(pg, w->scratch, &in, w->p->conf->svc, e);
	log_ctx_clear();
	trace_span(traceparent, ev->traceparent, TRACE_CONSUMER, h->type, err_code_name(code), start);
	if (code && code != e->code)
		(void)err_set(e, code, "common.internal", "%s failed without saying why", ev->type);
	arena_reset(w->scratch);
	return code;
}

static enum err_code park(struct pg *pg, struct work *w, const struct inbox_waiting *ev, struct err *e)
{
	return inbox_db_wait(pg, w->p->source, ev, "parked", 0, NULL, e);
}

static enum err_code run(struct work *w, pg_tx_fn *fn, struct err *e)
{
	const struct pg_actor who = { arena_printf(w->a, "service:%s", w->p->source), "" };

	return pg_tx(w->p->conf->pool, mono_ms() + TX_MS, &who, fn, w, e);
}

static enum err_code hold(struct pg *pg, struct work *w, struct err *e)
{
	bool mine = false;

	if (inbox_db_hold(pg, w->p->source, w->a, &mine, e))
		return e->code;
	return mine ? OK : set_lost(w->p, e);
}

static enum err_code move(struct pg *pg, struct work *w, struct err *e)
{
	bool moved = false;

	if (inbox_db_move(pg, w->p->source, w->p->at, w->b->to, w->b->last_occurred_at, &moved, e))
		return e->code;
	return moved ? OK : set_lost(w->p, e);
}

/* ---- the whole batch at once ---- */
static bool contains(const char *const *ids, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(ids[i], id) == 0)
			return true;
	return false;
}

static enum err_code all_tx(struct pg *pg, void *arg, struct err *e)
{
	struct work *w = arg;
	const char **fresh = NULL;
	size_t n_fresh = 0;

	w->applied = w->duplicates = 0;
	w->n_blocked = 0;
	if (move(pg, w, e))
		return e->code;
	if (w->b->n > 0 && inbox_db_fresh_free(pg, w->p->source, w->b->ev, w->b->n, w->a, &fresh, &n_fresh, e))
		return e->code;
	if (n_fresh < w->b->n && inbox_db_blocked(pg, w->p->source, w->a, &w->blocked, &w->n_blocked, e))
		return e->code;
	for (size_t i = 0; i < w->b->n; i++) {
		const struct inbox_waiting *ev = &w->b->ev[i];

		if (is_blocked(w, ev)) {
			if (park(pg, w, ev, e))
				return e->code;
		} else if (!contains(fresh, n_fresh, ev->event_id)) {
			w->duplicates++;
		} else {
			if (handle(pg, w, ev, e))
				return e->code;
			w->applied++;
		}
	}
	return OK;
}

/* ---- one by one ---- */
static enum err_code one_tx(struct pg *pg, void *arg, struct err *e)
{
	struct work *w = arg;
	bool waits = false, fresh = false;

	w->applied = w->duplicates = 0;
	/* Asked under the lock: an event parked behind one that has just been applied would wait for ever. */
	if (hold(pg, w, e) || inbox_db_waits(pg, w->p->source, w->one, w->scratch, &waits, e))
		return e->code;
	if (waits)
		return park(pg, w, w->one, e);
	if (inbox_db_fresh(pg, w->p->source, w->one->event_id, w->scratch, &fresh, e))
		return e->code;
	if (!fresh) {
		w->duplicates = 1;
		return OK;
	}
	w->applied = 1;
	return handle(pg, w, w->one, e);
}

static enum err_code wait_tx(struct pg *pg, void *arg, struct err *e)
{
	struct work *w = arg;

	if (hold(pg, w, e))
		return e->code;
	return inbox_db_wait(pg, w->p->source, w->one, w->state, w->pause_ms, w->error, e);
}

static enum err_code move_tx(struct pg *pg, void *arg, struct err *e)
{
	return move(pg, arg, e);
}

static enum err_code behind_tx(struct pg *pg, void *arg, struct err *e)
{
	struct work *w = arg;

	return inbox_db_behind(pg, w->p->source, (int64_t)w->b->n, e);
}

static int64_t pause_after(const struct puller *p, int attempts)
{
	int64_t ms = p->conf->retry_ms > 0 ? p->conf->retry_ms : 1000;
	uint8_t r;

	for (int i = 1; i < attempts && ms < PAUSE_MAX_MS; i++)
		ms *= 2;
	ms = ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms;
	random_bytes(&r, sizeof(r));
	return ms - ms / 4 * r / 255; /* so that a thousand failures do not come back in the same second */
}

static void say(enum log_level level, const char *what, const struct puller *p, const struct inbox_waiting *ev,
		int attempts, const struct err *e)
{
	log_msg(level, what, LF_S("source", p->source), LF_S("type", ev->type), LF_S("event_id", ev->event_id),
		LF_S("agg_id", ev->agg_id), LF_I("attempts", attempts), LF_S("slug", e->slug), LF_S("error", e->msg));
}

static enum err_code set_aside(struct work *w, struct err *e)
{
	struct err why;

	err_copy(&why, e);
	err_clear(e);
	w->state = "retrying";
	w->error = arena_printf(w->a, "%s: %s", why.slug, why.msg);
	w->pause_ms = pause_after(w->p, 1);
	if (run(w, wait_tx, e))
		return e->code;
	metric_add(w->p->failures, 1);
	say(LVL_WARNING, "an event failed and waits", w->p, w->one, 1, &why);
	return OK;
}

/* The same event again and again while nothing else is wrong is no outage. */
static bool stuck(struct puller *p, const char *event_id)
{
	if (strcmp(p->stuck_id, event_id) != 0) {
		(void)snprintf(p->stuck_id, sizeof(p->stuck_id), "%s", event_id);
		p->stuck = 0;
	}
	return ++p->stuck >= STUCK_MAX;
}

static enum err_code one_by_one(struct work *w, struct err *e)
{
	for (size_t i = 0; i < w->b->n; i++) {
		enum err_code code;

		w->one = &w->b->ev[i];
		err_clear(e);
		code = run(w, one_tx, e);
		if (!code) {
			metric_add(w->p->applied, w->applied);
			metric_add(w->p->duplicates, w->duplicates);
			continue;
		}
		if (lost(e) || (transient(code) && !stuck(w->p, w->one->event_id))) {
			struct err ignored = { 0 };

			if (!lost(e) && run(w, behind_tx, &ignored))
				return code;
			return code;
		}
		if (set_aside(w, e))
			return e->code;
	}
	err_clear(e);
	return run(w, move_tx, e);
}

enum err_code inbox_apply(struct puller *p, struct arena *a, const struct batch *b, struct err *e)
{
	struct work w = { .p = p, .a = a, .b = b, .scratch = arena_new("inbox event", SCRATCH_LIMIT) };
	enum err_code code = run(&w, all_tx, e);

	if (!code) {
		metric_add(p->applied, w.applied);
		metric_add(p->duplicates, w.duplicates);
	} else if (!lost(e) && b->n > 0) {
		arena_reset(w.scratch);
		err_clear(e);
		code = one_by_one(&w, e);
	}
	arena_free(w.scratch);
	if (code)
		return code;
	p->at = b->to;
	p->stuck = 0;
	return OK;
}

/* ---- those that failed before ---- */
static enum err_code again_tx(struct pg *pg, void *arg, struct err *e)
{
	struct work *w = arg;
	bool fresh = false;

	w->applied = w->duplicates = 0;
	if (hold(pg, w, e) || inbox_db_fresh(pg, w->p->source, w->one->event_id, w->a, &fresh, e))
		return e->code;
	if (!fresh)
		w->duplicates = 1;
	else if (handle(pg, w, w->one, e))
		return e->code;
	else
		w->applied = 1;
	return inbox_db_done(pg, w->p->source, w->one, e);
}

static enum err_code failed_tx(struct pg *pg, void *arg, struct err *e)
{
	struct work *w = arg;

	if (hold(pg, w, e))
		return e->code;
	return inbox_db_failed(pg, w->one->id, strcmp(w->state, "dead") == 0, w->pause_ms, w->error, e);
}

static enum err_code still_failing(struct work *w, struct err *e)
{
	int max = w->p->conf->max_attempts > 0 ? w->p->conf->max_attempts : 8;
	int attempts = w->one->attempts + 1;
	struct err why;

	err_copy(&why, e);
	err_clear(e);
	w->state = attempts >= max ? "dead" : "retrying";
	w->error = arena_printf(w->a, "%s: %s", why.slug, why.msg);
	w->pause_ms = pause_after(w->p, attempts);
	metric_add(w->p->failures, 1);
	if (attempts >= max)
		say(LVL_ERROR, "an event is dead until it is replayed", w->p, w->one, attempts, &why);
	return run(w, failed_tx, e);
}

static enum err_code retry_one(struct work *w, struct err *e)
{
	enum err_code code = run(w, again_tx, e);

	if (!code) {
		metric_add(w->p->applied, w->applied);
		metric_add(w->p->duplicates, w->duplicates);
		return OK;
	}
	if (lost(e) || (transient(code) && !stuck(w->p, w->one->event_id)))
		return code;
	return still_failing(w, e);
}

static enum err_code read_due(struct puller *p, struct arena *a, struct inbox_waiting **rows, size_t *n, struct err *e)
{
	struct pg *pg = NULL;
	enum err_code code;

	if (pg_borrow(p->conf->pool, mono_ms() + TX_MS, &pg, e))
		return e->code;
	code = inbox_db_due(pg, p->source, a, rows, n, e);
	pg_return(pg);
	return code;
}

enum err_code inbox_retry(struct puller *p, struct arena *a, struct err *e)
{
	struct work w = { .p = p, .a = a, .scratch = arena_new("inbox event", SCRATCH_LIMIT) };
	enum err_code code = OK;

	/* What was parked behind a success is due at once; bounded, so that new events get their turn. */
	for (int round = 0; !code && round < 100; round++) {
		struct inbox_waiting *rows = NULL;
		size_t n = 0;

		code = read_due(p, a, &rows, &n, e);
		if (!code && n == 0)
			break;
		for (size_t i = 0; !code && i < n; i++) {
			w.one = &rows[i];
			err_clear(e);
			code = retry_one(&w, e);
		}
	}
	arena_free(w.scratch);
	return code;
}
