/*
 * What the event log is, in plain C: transactions that begin, write, commit or roll back in any order, and what a reader may
 * see of them. test_outbox_model.c holds PostgreSQL against it.
 *
 * A transaction has its place in the log from its first write on; a reader sees it when it has committed and nobody before it
 * is still open. So what is seen is only ever added to at the end: model_seen() checks that of itself.
 */
#ifndef SOUK_TEST_OUTBOX_MODEL_H
#define SOUK_TEST_OUTBOX_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_TXS    64
#define MODEL_EVENTS 256
#define MODEL_AGGS   4

enum model_end { MODEL_OPEN, MODEL_COMMITTED, MODEL_GONE };

struct model_tx {
	enum model_end end;
	int place;		/* in the log, from 1; 0: has written nothing yet */
	int touched_at, ended_at; /* steps: its first event or write, its end */
};
struct model_event {
	int tx, agg;
	int64_t version;
	bool other; /* of the second type */
};
struct model {
	struct model_tx tx[MODEL_TXS];
	struct model_event ev[MODEL_EVENTS];
	int n_tx, n_ev, places, step;
	int seen[MODEL_EVENTS], n_seen; /* events, in the order of the log */
	bool moved_backwards;
};

static int model_begin(struct model *m)
{
	m->tx[m->n_tx] = (struct model_tx){ .end = MODEL_OPEN };
	return m->n_tx++;
}

static struct model_event *model_put(struct model *m, int tx, int agg, bool other)
{
	struct model_event *ev = &m->ev[m->n_ev++];

	if (!m->tx[tx].touched_at)
		m->tx[tx].touched_at = m->step;
	*ev = (struct model_event){ .tx = tx, .agg = agg, .version = m->n_ev, .other = other };
	return ev;
}

/* What was put reaches the log. */
static void model_write(struct model *m, int tx)
{
	if (m->tx[tx].place)
		return;
	m->tx[tx].place = ++m->places;
	if (!m->tx[tx].touched_at)
		m->tx[tx].touched_at = m->step;
}

static bool model_has_events(const struct model *m, int tx)
{
	for (int i = 0; i < m->n_ev; i++)
		if (m->ev[i].tx == tx)
			return true;
	return false;
}

static void model_finish(struct model *m, int tx, bool commit)
{
	if (commit && model_has_events(m, tx))
		model_write(m, tx);
	m->tx[tx].end = commit ? MODEL_COMMITTED : MODEL_GONE;
	m->tx[tx].ended_at = m->step;
}

/* Writes anew what can be seen. */
static void model_seen(struct model *m)
{
	int horizon = m->places + 1, before[MODEL_EVENTS], n_before = m->n_seen;

	for (int i = 0; i < n_before; i++)
		before[i] = m->seen[i];
	for (int t = 0; t < m->n_tx; t++)
		if (m->tx[t].end == MODEL_OPEN && m->tx[t].place && m->tx[t].place < horizon)
			horizon = m->tx[t].place;
	m->n_seen = 0;
	for (int place = 1; place < horizon; place++)
		for (int i = 0; i < m->n_ev; i++)
			if (m->tx[m->ev[i].tx].place == place && m->tx[m->ev[i].tx].end == MODEL_COMMITTED)
				m->seen[m->n_seen++] = i;
	for (int i = 0; i < n_before; i++)
		if (i >= m->n_seen || m->seen[i] != before[i])
			m->moved_backwards = true;
}

#endif
