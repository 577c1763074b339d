#include "services/search/feed.h"

#include <string.h>

#include "common/metrics.h"
#include "common/timeutil.h"
#include "services/search/engine_os.h"
#include "services/search/engine_os_bulk.h"
#include "services/search/engine_os_query.h"
#include "services/search/engine_os_reply.h"
#include "services/search/search_db_feed.h"

#define BATCH 100
#define RUN_MS 400
#define CALL_MS 10000
#define WRITER "-writer" /* alias that an index is written by: a write to a lost index makes no new one */

struct feed {
	struct search_svc *svc;
	struct arena *a;
	const struct feed_state *state;
};

static enum err_code call(struct feed *f, const char *method, const char *path, const char *body, int *status_r,
			  json_t **o_r, struct err *e)
{
	const struct os_call c = { method, path, body, body ? strlen(body) : 0, false };

	return engine_os_call(f->svc->os, f->a, &c, CALL_MS, status_r, o_r, e);
}

/* A call whose answer is only yes or no. */
static enum err_code must(struct feed *f, const char *method, const char *path, const char *body, int also, struct err *e)
{
	json_t *o = NULL;
	int status = 0;

	if (call(f, method, path, body, &status, &o, e))
		return e->code;
	json_decref(o);
	if (!o && status != also)
		return err_set(e, E_UNAVAILABLE, "search.engine", "opensearch answered %d to %s %s", status, method, path);
	return OK;
}

/* ---- writing ---- */

struct outcome {
	const char **done, **later;
	int64_t *times;
	size_t n_done, n_later;
	bool lost;
};

static enum err_code send(struct feed *f, const struct buf *b, const struct feed_doc *rows, size_t n, struct outcome *to,
			  struct err *e)
{
	const struct os_call c = { "POST", "/_bulk?require_alias=true", b->data, b->len, true };
	enum os_item *items = NULL;
	json_t *o = NULL;
	int status = 0;
	enum err_code code;

	if (engine_os_call(f->svc->os, f->a, &c, CALL_MS, &status, &o, e))
		return e->code;
	if (!o)
		return err_set(e, E_UNAVAILABLE, "search.engine", "opensearch takes no bulk writes");
	code = os_reply_bulk(f->a, o, n, &items, e);
	json_decref(o);
	for (size_t i = 0; !code && i < n; i++) {
		if (items[i] == OS_ITEM_DONE) {
			to->done[to->n_done] = rows[i].product_id;
			to->times[to->n_done++] = rows[i].n;
			continue;
		}
		to->lost |= items[i] == OS_ITEM_LOST;
		if (items[i] == OS_ITEM_BROKEN)
			metric_add(metric_counter("souk_search_feed_refused_total",
						  "Documents that the engine outside did not take", NULL), 1);
		to->later[to->n_later++] = rows[i].product_id;
	}
	return code;
}

/* Writes documents to an index, as many at a time as make a body of some megabytes. */
static enum err_code write_docs(struct feed *f, const char *index, const struct feed_doc *rows, size_t n,
				struct outcome *to_r, struct err *e)
{
	struct outcome to = { .done = arena_array(f->a, n + 1, sizeof(*to.done)),
			      .later = arena_array(f->a, n + 1, sizeof(*to.later)),
			      .times = arena_array(f->a, n + 1, sizeof(*to.times)) };
	const char *writer = arena_printf(f->a, "%s" WRITER, index);
	struct buf b;
	size_t from = 0;
	enum err_code code = OK;

	buf_init(&b, OS_BULK_MAX);
	for (size_t i = 0; i < n && !code; i++) {
		os_bulk_add(&b, writer, &rows[i]);
		if (b.len < OS_BULK_BYTES && i + 1 < n)
			continue;
		code = send(f, &b, &rows[from], i + 1 - from, &to, e);
		from = i + 1;
		buf_reset(&b);
	}
	buf_free(&b);
	if (!code)
		*to_r = to;
	return code;
}

/* ---- what the daemon keeps about it ---- */

struct change {
	struct arena *a;
	enum { WANT, START, STEP, BUILT, TOLD } what;
	const char *index, *after;
	struct outcome out;
};

static enum err_code change_tx(struct pg *pg, void *arg, struct err *e)
{
	struct change *c = arg;

	if (c->what == WANT)
		return search_db_feed_want(pg, e);
	if (c->what == START)
		return search_db_feed_start(pg, c->index, e);
	if (c->what == BUILT)
		return search_db_feed_built(pg, c->index, e);
	if (c->out.n_later && search_db_feed_later(pg, c->a, c->out.later, c->out.n_later, e))
		return e->code;
	if (c->what == STEP)
		return search_db_feed_step(pg, c->index, c->after, e);
	return c->out.n_done ? search_db_feed_done(pg, c->a, c->out.done, c->out.times, c->out.n_done, e) : OK;
}

static enum err_code keep(struct feed *f, struct change *c, struct err *e)
{
	const struct pg_actor who = { "system", "" };

	c->a = f->a;
	return pg_tx(f->svc->pool, mono_ms() + CALL_MS, &who, change_tx, c, e);
}

static enum err_code want(struct feed *f, struct err *e)
{
	struct change c = { .what = WANT };

	return keep(f, &c, e);
}

/* ---- the build ---- */

static enum err_code start_build(struct feed *f, struct err *e)
{
	const char *alias = engine_os_alias(f->svc->os), *left = f->state->build_index;
	struct change c = { .what = START };

	c.index = arena_printf(f->a, "%s-%lld-%llx", alias, (long long)f->state->seq, (unsigned long long)wall_ms());
	if (*left && strcmp(left, f->state->index_name) != 0 &&
	    must(f, "DELETE", arena_printf(f->a, "/%s", left), NULL, 404, e))
		return e->code;
	if (must(f, "PUT", arena_printf(f->a, "/%s", c.index),
		 os_index_json(f->a, arena_printf(f->a, "%s" WRITER, c.index)), 0, e))
		return e->code;
	return keep(f, &c, e);
}

/* Indexes that have the alias now; 404 is none. */
static enum err_code old_indexes(struct feed *f, const char *alias, const char ***names_r, size_t *n_r, struct err *e)
{
	json_t *o = NULL, *v;
	const char *name;
	int status = 0;

	if (call(f, "GET", arena_printf(f->a, "/_alias/%s", alias), NULL, &status, &o, e))
		return e->code;
	*names_r = arena_array(f->a, json_object_size(o) + 1, sizeof(**names_r));
	*n_r = 0;
	json_object_foreach(o, name, v)
		(*names_r)[(*n_r)++] = arena_strdup(f->a, name);
	json_decref(o);
	return OK;
}

static enum err_code end_build(struct feed *f, struct err *e)
{
	const char *alias = engine_os_alias(f->svc->os), **old = NULL;
	struct change c = { .what = BUILT, .index = f->state->build_index };
	size_t n_old = 0;

	if (must(f, "POST", arena_printf(f->a, "/%s/_refresh", c.index), NULL, 0, e) ||
	    old_indexes(f, alias, &old, &n_old, e) ||
	    must(f, "POST", "/_aliases", os_alias_json(f->a, alias, c.index, old, n_old), 0, e))
		return e->code;
	return keep(f, &c, e);
}

static enum err_code build_step(struct feed *f, bool *more_r, struct err *e)
{
	struct change c = { .what = STEP, .index = f->state->build_index };
	struct feed_doc *rows = NULL;
	struct pg *pg = NULL;
	size_t n = 0;
	enum err_code code;

	if (pg_borrow(f->svc->pool, 0, &pg, e))
		return e->code;
	code = search_db_feed_page(pg, f->a, f->svc->conf->lang, f->state->build_after, BATCH, &rows, &n, e);
	pg_return(pg);
	if (code)
		return code;
	if (n == 0)
		return end_build(f, e);
	if (write_docs(f, c.index, rows, n, &c.out, e))
		return e->code;
	*more_r = true;
	c.after = rows[n - 1].product_id;
	return c.out.lost ? want(f, e) : keep(f, &c, e);
}

/* ---- changes ---- */

/* To the index that is searched and to the one that is being built; told only when both have it. */
static enum err_code tell(struct feed *f, bool *more_r, struct err *e)
{
	bool building = strcmp(f->state->build, "running") == 0;
	struct change c = { .what = TOLD };
	struct outcome built = { 0 };
	struct feed_doc *rows = NULL;
	struct pg *pg = NULL;
	size_t n = 0;
	bool lost;
	enum err_code code;

	if (!*f->state->index_name && !building)
		return OK;
	if (pg_borrow(f->svc->pool, 0, &pg, e))
		return e->code;
	code = search_db_feed_due(pg, f->a, f->svc->conf->lang, BATCH, &rows, &n, e);
	pg_return(pg);
	if (code || n == 0)
		return code;
	if (*f->state->index_name && write_docs(f, f->state->index_name, rows, n, &c.out, e))
		return e->code;
	lost = c.out.lost && !building; /* else the index that is being built takes its place */
	if (building) {
		if (write_docs(f, f->state->build_index, rows, n, &built, e))
			return e->code;
		if (!*f->state->index_name || built.n_later)
			c.out = built;
	}
	*more_r |= n == BATCH && c.out.n_done > 0;
	if ((lost || built.lost) && want(f, e))
		return e->code;
	return keep(f, &c, e);
}

static enum err_code once(struct search_svc *svc, struct arena *a, bool *more_r, struct err *e)
{
	struct feed_state *s = NULL;
	struct feed f = { svc, a, NULL };
	struct pg *pg = NULL;
	enum err_code code;

	if (pg_borrow(svc->pool, 0, &pg, e))
		return e->code;
	code = search_db_feed_state(pg, a, &s, e);
	pg_return(pg);
	if (code || !s->ready)
		return code;
	f.state = s;
	if (s->seq != s->noted_seq || (strcmp(s->build, "idle") == 0 && engine_os_lost(svc->os))) {
		*more_r = true;
		return want(&f, e);
	}
	if (tell(&f, more_r, e))
		return e->code;
	if (strcmp(s->build, "wanted") == 0) {
		*more_r = true;
		return start_build(&f, e);
	}
	return strcmp(s->build, "running") == 0 ? build_step(&f, more_r, e) : OK;
}

enum err_code feed_run(void *arg, struct arena *a, struct err *e)
{
	struct search_svc *svc = arg;
	struct arena *page;
	int64_t until = mono_ms() + RUN_MS;
	bool more;

	(void)a;
	if (!svc->os || !engine_os_open_for_calls(svc->os))
		return OK;
	page = arena_new("feed", 256 << 20);
	do {
		more = false;
		arena_reset(page);
	} while (once(svc, page, &more, e) == OK && more && mono_ms() < until);
	arena_free(page);
	if (strcmp(e->slug, "search.engine") == 0)
		err_clear(e); /* the engine's own account of itself; what is to be told waits */
	return e->code;
}
