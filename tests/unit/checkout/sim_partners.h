/* Inventory and the payment provider of test_saga_sim.c: what they do with a message when it arrives. */
#ifndef SOUK_TEST_SIM_PARTNERS_H
#define SOUK_TEST_SIM_PARTNERS_H

#include "sim_world.h"

/* ---- inventory ---- */

static int reserved(const struct world *w)
{
	int n = 0;

	for (int i = 0; i < ATTEMPTS; i++)
		for (int k = 0; k < 2; k++)
			n += w->res[i][k].st == ACTIVE ? w->qty : 0;
	return n;
}

static void let_go_of_old(struct world *w)
{
	for (int i = 0; i < ATTEMPTS; i++)
		for (int k = 0; k < 2; k++)
			if (w->res[i][k].st == ACTIVE && !w->res[i][k].hold && w->res[i][k].until <= w->now)
				w->res[i][k].st = RELEASED;
}

static struct reservation *res_of(struct world *w, const struct saga_state *s)
{
	return &w->res[s->attempt - 1][s->rereserved];
}

/* Whatever the buyer could still pay on, or has paid on without getting it back. */
static bool may_be_paid(const struct world *w, int attempt)
{
	for (int i = 0; i < w->n_in; i++)
		if (w->in[i].attempt == attempt && w->in[i].shown && w->in[i].st != PI_CANCELED &&
		    !(w->in[i].st == PI_SUCCEEDED && w->in[i].given))
			return true;
	return false;
}

static enum saga_ev inventory(struct world *w, const struct msg *m)
{
	struct reservation *r = res_of(w, &m->s);
	int64_t ttl = m->s.expires_at - w->now;

	let_go_of_old(w);
	switch (m->cmd) {
	case CMD_RESERVE:
		if (r->st == NONE && w->on_hand - reserved(w) < w->qty)
			return EV_RESERVE_REFUSED; /* no row is left behind */
		if (r->st == NONE)
			*r = (struct reservation){ .st = ACTIVE, .until = w->now + (ttl < MINUTE ? MINUTE : ttl) };
		return r->st == RELEASED ? EV_RESERVE_REFUSED : EV_RESERVE_OK;
	case CMD_EXTEND:
		if (r->st == ACTIVE) {
			r->hold = true;
			r->until = w->now + HOLD_MS;
		}
		return SAGA_WAKE;
	case CMD_SELL:
		if (r->st == ACTIVE) {
			r->st = SOLD;
			w->on_hand -= w->qty;
		}
		return r->st == SOLD ? EV_SELL_OK : EV_SELL_GONE;
	case CMD_RELEASE:
		MUST(w, r->st != ACTIVE || !may_be_paid(w, m->s.attempt));
		if (r->st == ACTIVE)
			r->st = RELEASED;
		return r->st == SOLD ? EV_RELEASE_SOLD : EV_RELEASE_OK;
	default: /* restock: once by its operation id */
		MUST(w, w->s.st != SAGA_ORDERED);
		if (r->st == SOLD && !r->restocked) {
			r->restocked = true;
			w->on_hand += w->qty;
		}
		return EV_RESTOCK_OK;
	}
}

/* ---- the provider ---- */

static void tell(struct world *w, int pi)
{
	int n = rnd(w, 3) ? (int)rnd(w, 2) : (int)rnd(w, 6);

	for (int i = 0; i < n; i++)
		send(w, rnd(w, 4) ? 1 + rnd(w, 3000) : rnd(w, 20 * MINUTE),
		     (struct msg){ .what = AT_WEBHOOK, .pi = pi });
}

static void becomes(struct world *w, int pi, enum pi_status st)
{
	static const char *const names[] = { "waiting", "action", "processing", "capturable", "succeeded", "canceled" };

	if (w->in[pi].st != st)
		SAY(w, "    intent %d is %s", pi, names[st]);
	w->in[pi].st = st;
	tell(w, pi);
}

static void take_money(struct world *w, int pi)
{
	w->in[pi].got = w->in[pi].amount + (w->in[pi].bad ? 100 : 0);
	w->in[pi].captures++;
	MUST(w, w->in[pi].captures == 1);
	becomes(w, pi, PI_SUCCEEDED);
}

static struct saga_event see(const struct world *w, int pi)
{
	return (struct saga_event){ .type = EV_PI_SEEN, .pi = w->in[pi].st,
				    .mismatch = w->in[pi].bad || w->in[pi].amount != w->total };
}

static struct saga_event create(struct world *w, const struct msg *m, bool make)
{
	for (int i = 0; i < w->n_in; i++)
		if (w->in[i].pi_n == m->s.pi_n)
			return (struct saga_event){ .type = EV_PI_CREATED, .pi = (enum pi_status)i };
	if (!make) {
		w->none_up_to = m->s.pi_n;
		return event(EV_PI_NONE);
	}
	if (fault(w, 10))
		return event(EV_PI_REFUSED);
	MUST(w, w->n_in < INTENTS);
	if (w->n_in < INTENTS)
		w->in[w->n_in++] = (struct intent){ .pi_n = m->s.pi_n, .attempt = m->s.attempt, .amount = m->amount,
						   .stray = m->s.pi_n <= w->none_up_to || w->s.st != SAGA_PI_CREATING ||
							    w->s.pi_n != m->s.pi_n };
	return (struct saga_event){ .type = EV_PI_CREATED, .pi = (enum pi_status)(w->n_in - 1) };
}

static struct saga_event capture(struct world *w, const struct msg *m)
{
	const struct reservation *r = w->res[m->s.attempt - 1];

	if (w->in[m->pi].st != PI_CAPTURABLE)
		return see(w, m->pi);
	if (fault(w, 40))
		return event(EV_CAPTURE_REFUSED);
	MUST(w, (r[0].st == SOLD && !r[0].restocked) || (r[1].st == SOLD && !r[1].restocked));
	take_money(w, m->pi);
	return w->in[m->pi].bad ? see(w, m->pi) : event(EV_CAPTURE_OK);
}

static struct saga_event cancel(struct world *w, const struct msg *m)
{
	if (w->in[m->pi].st == PI_SUCCEEDED)
		return event(EV_CANCEL_SUCCEEDED);
	if (w->in[m->pi].st == PI_PROCESSING)
		return event(EV_CANCEL_BUSY);
	becomes(w, m->pi, PI_CANCELED);
	return event(EV_CANCEL_OK);
}

static struct saga_event refund(struct world *w, const struct msg *m, bool make)
{
	struct intent *in = &w->in[m->pi];

	if (in->given || !make)
		return event(in->given ? EV_REFUND_OK : EV_REFUND_NONE);
	if (fault(w, 100))
		return event(EV_REFUND_REFUSED);
	MUST(w, in->got > 0);
	in->given = in->got;
	in->refunds++;
	return event(EV_REFUND_OK);
}

static struct saga_event unknown_of(enum saga_cmd cmd)
{
	static const enum saga_ev is[SAGA_CMD_MAX_] = {
		[CMD_RESERVE] = EV_RESERVE_UNKNOWN, [CMD_CREATE_PI] = EV_PI_UNKNOWN, [CMD_FIND_PI] = EV_LOOK_UNKNOWN,
		[CMD_RETRIEVE_PI] = EV_LOOK_UNKNOWN, [CMD_SELL] = EV_SELL_UNKNOWN, [CMD_CAPTURE] = EV_CAPTURE_UNKNOWN,
		[CMD_CANCEL_PI] = EV_CANCEL_UNKNOWN, [CMD_RELEASE] = EV_RELEASE_UNKNOWN,
		[CMD_RESTOCK] = EV_RESTOCK_UNKNOWN, [CMD_REFUND] = EV_REFUND_UNKNOWN,
		[CMD_FIND_REFUND] = EV_LOOK_UNKNOWN,
	};

	return event(is[cmd]);
}

static bool keyed(enum saga_cmd cmd)
{
	return cmd == CMD_CREATE_PI || cmd == CMD_CAPTURE || cmd == CMD_CANCEL_PI || cmd == CMD_REFUND;
}

static struct saga_event provider_new(struct world *w, const struct msg *m)
{
	if (keyed(m->cmd) && fault(w, 15))
		return unknown_of(m->cmd); /* a 500, which is stored with the key */
	switch (m->cmd) {
	case CMD_CREATE_PI:
	case CMD_FIND_PI:
		return create(w, m, m->cmd == CMD_CREATE_PI);
	case CMD_CAPTURE:
		return capture(w, m);
	case CMD_CANCEL_PI:
		return cancel(w, m);
	case CMD_REFUND:
	case CMD_FIND_REFUND:
		return refund(w, m, m->cmd == CMD_REFUND);
	default:
		return see(w, m->pi);
	}
}

static struct saga_event provider(struct world *w, const struct msg *m)
{
	int n = m->cmd == CMD_CREATE_PI ? m->s.pi_n : m->s.key_n;
	struct saga_event ev;

	for (int i = 0; keyed(m->cmd) && i < w->n_st; i++)
		if (w->st[i].cmd == m->cmd && w->st[i].n == n && (m->cmd == CMD_CREATE_PI || w->st[i].pi == m->pi))
			return w->st[i].ev;
	ev = provider_new(w, m);
	MUST(w, w->n_st < KEYS);
	if (keyed(m->cmd) && w->n_st < KEYS)
		w->st[w->n_st++] = (struct stored){ m->cmd, m->pi, n, ev };
	return ev;
}

static bool of_inventory(enum saga_cmd cmd)
{
	return cmd == CMD_RESERVE || cmd == CMD_EXTEND || cmd == CMD_SELL || cmd == CMD_RELEASE || cmd == CMD_RESTOCK;
}

static void arrive(struct world *w, struct msg *m)
{
	if (!of_inventory(m->cmd) && m->cmd != CMD_CREATE_PI && m->cmd != CMD_FIND_PI && m->pi < 0) {
		MUST(w, false && "a command about an intent that nobody knows");
		return;
	}
	m->ev = of_inventory(m->cmd) ? event(inventory(w, m)) : provider(w, m);
	SAY(w, "    %s does %s: %s", of_inventory(m->cmd) ? "inventory" : "provider", saga_cmd_name(m->cmd),
	    m->cmd == CMD_EXTEND ? "" : saga_ev_name(m->ev.type));
	if (m->lost_after || m->cmd == CMD_EXTEND)
		return;
	m->what = AT_REPLY;
	send(w, 1 + (fault(w, 30) ? rnd(w, 30000) : rnd(w, 20)), *m);
}

#endif
