/*
 * Random histories of the event log, done twice: by the model of outbox_model.h and by outbox_put, outbox_fetch and an inbox on
 * PostgreSQL.
 *
 * Writers are four transactions at once, led step by step in an order drawn by lot. After each step readers with places
 * of their own must see what the model's reader sees, as far as other transactions of the cluster let them. Meanwhile
 * an inbox consumes the same log: its source fails, in every other history repeats itself from the beginning, its
 * handler fails, it is stopped, begun anew, and doubled. In the end everything committed has taken effect once, and
 * nothing else has.
 *
 * MODEL_RUNS sets the number of histories, MODEL_SEED replays one and prints its steps. What the inbox's threads do between
 * two steps is not drawn by the seed.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/inbox.h"
#include "common/log.h"
#include "common/node_db.h"
#include "common/outbox.h"
#include "events.pb-c.h"
#include "outbox_model.h"
#include "shop_db.h"
#include "tests/support/seeded.h"

#define WRITERS 4
#define READERS 2
#define STEPS	120
#define WAIT_MS 60000

static const struct pg_stmt touch = { .name = "touch", .sql = "INSERT INTO shop.thing (n) VALUES (1)" };
static const struct pg_stmt effect = {
	.name = "effect", .sql = "INSERT INTO shop.effect (agg, version) VALUES ($1, $2::bigint)",
};
static const struct pg_stmt *const stmts[] = { &touch, &effect, NULL };
static const struct pg_stmt *const *const tables[] = { stmts, NULL };
static const struct migration migrations[] = {
	{ 1, "things",
	  "CREATE TABLE shop.effect (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, agg text, version bigint);"
	  "CREATE TABLE shop.thing (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n bigint); SELECT shop.audit_attach('effect'), shop.audit_attach('thing')",
	  "0000000000000000000000000000000000000000000000000000000000000016" },
	{ 0, NULL, NULL, NULL },
};

static uint64_t rng;
static bool verbose;

static unsigned rnd(unsigned n)
{
	return seeded(&rng, n);
}

static const char *type_of(bool other)
{
	return other ? "user.other" : "user.erased";
}

/* ---- writers: a thread each, that does what it is told and says when it has ---- */

enum order { NOTHING, BEGIN, PUT, WRITE, COMMIT, ROLLBACK, QUIT };

struct writer {
	pthread_t thread;
	pthread_mutex_t mu;
	pthread_cond_t cv;
	enum order order;
	struct model_event put;
	enum err_code code;
	int tx; /* of the model, -1: none */
};

static enum order next_order(struct writer *wr)
{
	enum order o;

	(void)pthread_mutex_lock(&wr->mu);
	while (wr->order == NOTHING)
		(void)pthread_cond_wait(&wr->cv, &wr->mu);
	o = wr->order;
	(void)pthread_mutex_unlock(&wr->mu);
	return o;
}

static void done(struct writer *wr, enum err_code code)
{
	(void)pthread_mutex_lock(&wr->mu);
	wr->order = NOTHING;
	wr->code = code;
	(void)pthread_cond_broadcast(&wr->cv);
	(void)pthread_mutex_unlock(&wr->mu);
}

/* Returns when it is done. */
static void give(struct writer *wr, enum order o)
{
	(void)pthread_mutex_lock(&wr->mu);
	wr->order = o;
	(void)pthread_cond_broadcast(&wr->cv);
	while (wr->order != NOTHING)
		(void)pthread_cond_wait(&wr->cv, &wr->mu);
	(void)pthread_mutex_unlock(&wr->mu);
	assert_int_equal(wr->code, OK);
}

static enum err_code put(struct pg *pg, const struct model_event *ev, struct err *e)
{
	Events__V1__UserErased m = EVENTS__V1__USER_ERASED__INIT;
	char agg[16];

	(void)snprintf(agg, sizeof(agg), "agg_%d", ev->agg);
	m.user_id = agg;
	return outbox_put(pg, "user", agg, ev->version, type_of(ev->other), &m.base, e);
}

static enum err_code obey(struct pg *pg, void *arg, struct err *e)
{
	struct writer *wr = arg;
	enum err_code code = OK;

	for (;;) {
		done(wr, code); /* the order before, at first that to begin */
		switch (next_order(wr)) {
		case PUT:
			code = put(pg, &wr->put, e);
			break;
		case WRITE:
			code = pg_exec(pg, &touch, PG_NONE, NULL, e);
			break;
		case ROLLBACK:
			return err_set(e, E_RULE, "test.rollback", "as told");
		default:
			return OK;
		}
	}
}

static void *write_loop(void *arg)
{
	struct writer *wr = arg;

	while (next_order(wr) == BEGIN) {
		struct err e = { 0 };
		enum err_code code = pg_tx(pool, mono_ms() + WAIT_MS, NULL, obey, wr, &e);

		done(wr, err_is(&e, "test.rollback") ? OK : code);
	}
	done(wr, OK);
	return NULL;
}

/* ---- readers ---- */

struct reader {
	struct outbox_cursor at, saved;
	int got, saved_got; /* of the model's list */
	const char *type;
};

static bool of_type(const struct reader *r, const struct model_event *ev)
{
	return !r->type || strcmp(r->type, type_of(ev->other)) == 0;
}

/* The next of the model's list that the reader's type lets through, from its place on. */
static const struct model_event *expected(const struct model *m, struct reader *r)
{
	while (r->got < m->n_seen) {
		const struct model_event *ev = &m->ev[m->seen[r->got++]];

		if (of_type(r, ev))
			return ev;
	}
	return NULL;
}

/* Reads a page; each row must be the model's next. */
static size_t read_page(const struct model *m, struct reader *r, int limit)
{
	struct outbox_event *rows = NULL;
	struct err e = { 0 };
	struct pg *pg = borrow();
	bool more = false;
	size_t n = 0;

	assert_int_equal(outbox_fetch(pg, r->at, r->type ? &r->type : NULL, r->type ? 1 : 0, limit, a, &rows, &n, &r->at, &more, &e),
			 OK);
	pg_return(pg);
	for (size_t i = 0; i < n; i++) {
		const struct model_event *want = expected(m, r);
		char agg[16] = "nothing";

		if (want)
			(void)snprintf(agg, sizeof(agg), "agg_%d", want->agg);
		assert_string_equal(rows[i].agg_id, agg);
		assert_int_equal(rows[i].agg_version, want->version);
		assert_string_equal(rows[i].type, type_of(want->other));
	}
	return n;
}

/* ---- the inbox ---- */

static _Atomic uint64_t calls;
static _Atomic bool forgets;

static bool trouble(unsigned one_in)
{
	uint64_t x = (atomic_fetch_add(&calls, 1) + 1) * 0x9E3779B97F4A7C15u;

	return (x >> 33) % one_in == 0;
}

static enum err_code apply(struct pg *pg, struct arena *scratch, const struct inbox_event *ev, void *svc, struct err *e)
{
	(void)scratch;
	(void)svc;
	if (pg_exec(pg, &effect, PG_ARGS(P(ev->agg_id), P(ev->agg_version)), NULL, e))
		return e->code;
	if (trouble(12))
		return err_set(e, E_UNAVAILABLE, "test.away", "for a moment");
	return trouble(8) ? err_set(e, E_RULE, "test.poison", "this once") : OK;
}

static enum err_code fetch(void *arg, const char *source, struct call *c, const Common__V1__FetchEventsRequest *req,
			   Common__V1__FetchEventsReply **out_r)
{
	Common__V1__FetchEventsReply *out = arena_alloc(c->arena, sizeof(*out));
	Common__V1__FetchEventsRequest ask = *req;
	Common__V1__EventCursor start = COMMON__V1__EVENT_CURSOR__INIT;
	struct pg *pg = NULL;

	(void)arg;
	(void)source;
	if (trouble(10))
		return err_set(&c->err, E_UNAVAILABLE, "rpc.unavailable", "the source is away");
	if (atomic_load(&forgets) && trouble(5))
		ask.after = &start; /* it has forgotten where we were */
	ask.limit = 1 + (int32_t)(atomic_load(&calls) % 9);
	common__v1__fetch_events_reply__init(out);
	if (pg_borrow(pool, c->deadline_ms, &pg, &c->err))
		return c->err.code;
	if (node_db_fetch_events(pg, c->arena, &ask, out, &c->err) == OK)
		*out_r = out;
	pg_return(pg);
	return c->err.code;
}

static const struct inbox_handler handlers[] = {
	{ "identity", "user.erased", &events__v1__user_erased__descriptor, apply, NULL },
	{ "identity", "user.other", &events__v1__user_erased__descriptor, apply, NULL },
	{ 0 },
};

static struct inbox *consume(void)
{
	struct inbox_source sources[] = { { "identity", NULL, NULL }, { 0 } };
	struct inbox_conf conf = { .consumer = "shop", .pool = pool, .handlers = handlers, .sources = sources, .poll_ms = 10,
				   .lease_s = 10, .retry_ms = 5, .max_attempts = 1000, .fetch = fetch };
	struct inbox *in = NULL;
	struct err e = { 0 };

	assert_int_equal(inbox_start(&conf, &in, &e), OK);
	return in;
}

/* ---- a history ---- */

static void note(const struct model *m, int wr, const char *what)
{
	if (verbose)
		printf("%2d  writer %d %s, %d events to be seen\n", m->step, wr, what, m->n_seen);
}

static void write_step(struct model *m, struct writer *wr, int i)
{
	unsigned what = rnd(10);

	if (wr->tx < 0) {
		if (m->n_tx == MODEL_TXS || m->n_ev > MODEL_EVENTS - 16)
			return;
		wr->tx = model_begin(m);
		give(wr, BEGIN);
		note(m, i, "begins");
	} else if (what < 5 && m->n_ev < MODEL_EVENTS) {
		wr->put = *model_put(m, wr->tx, (int)rnd(MODEL_AGGS), rnd(3) == 0);
		give(wr, PUT);
		note(m, i, "has an event");
	} else if (what < 7) {
		model_write(m, wr->tx);
		give(wr, WRITE);
		note(m, i, "writes");
	} else {
		bool commit = what < 9;

		model_finish(m, wr->tx, commit);
		give(wr, commit ? COMMIT : ROLLBACK);
		wr->tx = -1;
		model_seen(m);
		note(m, i, commit ? "commits" : "rolls back");
	}
}

static void read_step(const struct model *m, struct reader *r)
{
	switch (rnd(4)) {
	case 0: /* it dies, and goes on where it last kept its place */
		r->at = r->saved;
		r->got = r->saved_got;
		break;
	case 1:
		r->saved = r->at;
		r->saved_got = r->got;
		break;
	default:
		(void)read_page(m, r, 1 + (int)rnd(7));
	}
}

static void until_applied(int want)
{
	static const char open_sql[] = "SELECT (SELECT count(*) FROM shop.effect) * 1000 + (SELECT count(*) FROM shop.dead_letter)";

	for (int64_t until = mono_ms() + WAIT_MS; pg_fixture_i64(fx, open_sql) != want * 1000 && mono_ms() < until;)
		sleep_ms(5);
	assert_int_equal(pg_fixture_i64(fx, open_sql), want * 1000);
}

/* Once each, and of one aggregate in the order of transactions that did not overlap. */
static void judge(const struct model *m)
{
	int place[MODEL_EVENTS + 1] = { 0 };
	const char *s = pg_fixture_text(fx, "SELECT coalesce(string_agg(version::text, ' ' ORDER BY n), '') FROM shop.effect");
	int n = 0;

	while (*s) {
		char *rest;
		long version = strtol(s, &rest, 10);

		assert_in_range(version, 1, m->n_ev);
		assert_int_equal(m->tx[m->ev[version - 1].tx].end, MODEL_COMMITTED);
		assert_int_equal(place[version], 0);
		place[version] = ++n;
		s = *rest ? rest + 1 : rest;
	}
	assert_int_equal(n, m->n_seen);
	for (int i = 0; i < m->n_seen; i++)
		for (int k = 0; k < m->n_seen; k++) {
			const struct model_event *x = &m->ev[m->seen[i]], *y = &m->ev[m->seen[k]];

			if (x->agg == y->agg && m->tx[x->tx].ended_at < m->tx[y->tx].touched_at)
				assert_true(place[x->version] < place[y->version]);
		}
}

static void wipe(void)
{
	pg_fixture_sql(fx, "DELETE FROM shop.effect; DELETE FROM shop.thing; DELETE FROM shop.inbox; DELETE FROM shop.inbox_cursor;"
			   "DELETE FROM shop.dead_letter; DELETE FROM shop.outbox; DELETE FROM shop.outbox_consumer");
}

static int64_t history(uint64_t seed, struct writer *writers)
{
	struct model *m = calloc(1, sizeof(*m));
	struct reader readers[READERS] = { { .type = NULL }, { .type = type_of(true) } };
	struct inbox *in[2] = { NULL, NULL };
	int64_t n;

	assert_non_null(m);
	wipe();
	rng = seed * 0x9E3779B97F4A7C15u + 88172645463325252u;
	atomic_store(&calls, seed);
	atomic_store(&forgets, seed % 2); /* what comes again hides what was lost */
	in[0] = consume();
	for (m->step = 1; m->step <= STEPS; m->step++) {
		int i = (int)rnd(WRITERS);

		write_step(m, &writers[i], i);
		read_step(m, &readers[rnd(READERS)]);
		if (rnd(20) == 0) { /* begun anew, or another one at its side for a while */
			unsigned which = rnd(2);

			if (in[which])
				inbox_stop(in[which]);
			in[which] = in[which] && which ? NULL : consume();
		}
		arena_reset(a);
	}
	for (int i = 0; i < WRITERS; i++, m->step++)
		if (writers[i].tx >= 0) {
			model_finish(m, writers[i].tx, i % 2 == 0);
			give(&writers[i], i % 2 == 0 ? COMMIT : ROLLBACK);
			writers[i].tx = -1;
		}
	model_seen(m);
	assert_false(m->moved_backwards);
	pg_fixture_settle(fx);
	for (int i = 0; i < READERS; i++) {
		while (read_page(m, &readers[i], 200) > 0)
			arena_reset(a);
		assert_null(expected(m, &readers[i]));
	}
	atomic_store(&forgets, false);
	until_applied(m->n_seen);
	inbox_stop(in[0]);
	if (in[1])
		inbox_stop(in[1]);
	judge(m);
	n = m->n_seen;
	free(m);
	return n;
}

static uint64_t under_way;

static void histories(void **state)
{
	const uint64_t one = env_number("MODEL_SEED", 0), runs = one ? 1 : env_number("MODEL_RUNS", 12);
	struct writer writers[WRITERS];
	int64_t start = mono_ms(), events = 0;

	(void)state;
	verbose = one != 0;
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .tx = -1, .order = NOTHING };
		(void)pthread_mutex_init(&writers[i].mu, NULL);
		(void)pthread_cond_init(&writers[i].cv, NULL);
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_loop, &writers[i]), 0);
	}
	for (uint64_t i = 0; i < runs; i++) {
		under_way = one ? one : i + 1;
		events += history(under_way, writers);
	}
	under_way = 0;
	for (int i = 0; i < WRITERS; i++) {
		give(&writers[i], QUIT);
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
	}
	printf("%llu histories of the event log, %lld events committed, in %.1f s\n", (unsigned long long)runs, (long long)events,
	       (double)(mono_ms() - start) / 1000);
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LVL_CRITICAL);
	return shop_open(migrations, tables, WRITERS + 6);
}

/* After a failure threads still use the database: the process ends with the seed as its last word. */
static int teardown(void **state)
{
	if (under_way) {
		printf("MODEL_SEED=%llu: the model and PostgreSQL differ\n", (unsigned long long)under_way);
		(void)fflush(NULL);
		_exit(EXIT_FAILURE);
	}
	return shop_close(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(histories) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
