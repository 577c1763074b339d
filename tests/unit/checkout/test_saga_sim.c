/*
 * A simulator around the saga's own object file: one checkout, and everything it talks to as models with virtual time.
 *
 *   row        state, version, lease; written by compare-and-set alone
 *   drivers    up to four at once (request, sweeper, webhook) that persist before they act, as saga_run.c does; any may
 *              die at any step, and its messages fly on
 *   messages   late, lost before or after their effect, doubled, overtaken by others
 *   inventory  reservations with a time to live and a hold, a rival who buys, an operator who releases
 *   provider   intents with manual capture, answers stored by idempotency key (failures too), webhooks 0..5 times
 *   buyer      pays, is declined, authenticates, confirms, gives up, changes the total, or vanishes
 *
 * Faults stop at a moment of its own in each history; after that it must come to rest by itself.
 * SIM_RUNS sets the number of histories, SIM_SEED replays one and prints what happened.
 */
#include "sim_partners.h"

/* ---- drivers ---- */

static void give(struct world *w, int di)
{
	struct driver *d = &w->d[di];
	enum saga_cmd cmd = d->cmds.cmd[d->i];
	struct msg m = { .what = AT_ARRIVE, .driver = di, .cmd = cmd, .s = d->s, .pi = w->pi, .amount = w->total };
	int64_t late = 1 + (fault(w, 30) ? rnd(w, 40000) : rnd(w, 50));

	m.seq = ++d->seq;
	m.lost_after = fault(w, 60);
	if (cmd == CMD_CREATE_PI && fault(w, 20)) { /* refused connection: surely not sent */
		m.what = AT_REPLY;
		m.ev = event(EV_PI_NOT_SENT);
		send(w, 5, m);
		return;
	}
	if (!fault(w, 60))
		send(w, late, m);
	if (fault(w, 30))
		send(w, late + rnd(w, 20000), m);
	if (cmd == CMD_EXTEND) /* nobody listens for its outcome */
		return;
	m.what = AT_TIMEOUT;
	m.ev = unknown_of(cmd);
	send(w, of_inventory(cmd) ? CALL_MS : PAY_MS, m);
}

static void finish(struct world *w, int di)
{
	struct driver *d = &w->d[di];

	d->busy = false;
	d->seq++;
	if (d->hook && d->unsure && d->tries < 4)
		send(w, 500 << d->tries, (struct msg){ .what = AT_WEBHOOK, .tries = d->tries + 1 });
}

/* The next command whose outcome is fed back; what belongs into the transaction was done there. */
static void act(struct world *w, int di)
{
	struct driver *d = &w->d[di];

	for (; d->i < d->cmds.n; d->i++) {
		if (saga_cmd_in_tx(d->cmds.cmd[d->i]))
			continue;
		if (fault(w, 15)) {
			SAY(w, "  driver %d dies before %s", di, saga_cmd_name(d->cmds.cmd[d->i]));
			d->busy = false;
			d->seq++;
			return;
		}
		give(w, di);
		if (d->cmds.cmd[d->i] != CMD_EXTEND)
			return;
	}
	finish(w, di);
}

static void write_order(struct world *w, const struct saga_state *n)
{
	const struct reservation *r = res_of(w, n);

	w->orders++;
	MUST(w, w->orders == 1);
	MUST(w, r->st == SOLD && !r->restocked);
	MUST(w, n->free || (w->pi >= 0 && w->in[w->pi].got == w->total && !w->in[w->pi].given));
}

static bool save(struct world *w, struct driver *d, const struct saga_event *ev, const struct saga_state *n)
{
	bool acts = d->cmds.n > 0 && d->cmds.cmd[0] != CMD_RETRIEVE_PI;

	if (!acts && w->lease == 0 && ev->type != EV_PI_CREATED && memcmp(n, &d->s, sizeof(*n)) == 0)
		return true; /* nothing to store */
	if (saga_finds_back(&d->s, n) && w->now < d->leased_at + FRESH_MS) {
		w->unstored++;
		d->s = *n;
		return true;
	}
	acts = false;
	if (w->version != d->version)
		return false;
	MUST(w, !saga_terminal(w->s.st) || n->st == w->s.st || n->st == SAGA_REFUND_DUE || n->st == SAGA_REFUNDING);
	MUST(w, (n->next_at == 0) == saga_terminal(n->st));
	MUST(w, n->pi_n == w->s.pi_n || ev->type == EV_PI_NONE || w->s.st != SAGA_PI_CREATING); /* one key, one attempt */
	if (ev->type == EV_PI_CREATED)
		w->pi = (int)ev->pi;
	for (int i = 0; i < d->cmds.n; i++) {
		acts |= saga_cmd_acts(d->cmds.cmd[i]);
		if (d->cmds.cmd[i] == CMD_WRITE_ORDER)
			write_order(w, n);
		if (d->cmds.cmd[i] == CMD_TELL_ENDED || d->cmds.cmd[i] == CMD_TELL_REFUNDED)
			w->tells++;
	}
	w->s = d->s = *n;
	w->version = ++d->version;
	w->lease = acts ? w->now + LEASE_MS : 0;
	d->leased_at = acts ? w->now : 0;
	return true;
}

static void drive(struct world *w, int di, struct saga_event ev);

static void reload(struct world *w, int di)
{
	struct driver *d = &w->d[di];

	if (w->now > d->until || (w->lease > w->now && d->patient)) {
		d->unsure = true;
		finish(w, di);
		return;
	}
	if (w->lease > w->now) { /* somebody is at it: the request looks again in a moment */
		d->seq++;
		send(w, 60, (struct msg){ .what = AT_DRIVE, .driver = di, .seq = d->seq });
		return;
	}
	d->s = w->s;
	d->version = w->version;
	drive(w, di, d->first);
}

static void drive(struct world *w, int di, struct saga_event ev)
{
	struct driver *d = &w->d[di];
	struct saga_state from = d->s, next;
	struct saga_event e = ev;

	for (int i = 0; i < 8; i++) {
		saga_step(&from, &e, w->now, &next, &d->cmds);
		if (!d->cmds.again)
			break;
		from = next;
		e = event(SAGA_WAKE);
	}
	MUST(w, !d->cmds.again);
	d->i = 0;
	if (fault(w, 10)) {
		SAY(w, "  driver %d dies before it stores %s", di, saga_state_name(next.st));
		d->busy = false;
		d->seq++;
	} else if (!save(w, d, &ev, &next)) {
		SAY(w, "  driver %d was late", di);
		reload(w, di);
	} else {
		SAY(w, "  driver %d: %s -> %s%s%s", di, saga_ev_name(ev.type), saga_state_name(next.st),
		    d->cmds.n ? ", " : "", d->cmds.n ? saga_cmd_name(d->cmds.cmd[d->cmds.n - 1]) : "");
		act(w, di);
	}
}

static void hear(struct world *w, const struct msg *m)
{
	struct driver *d = &w->d[m->driver];
	bool open = m->what == AT_TIMEOUT || m->ev.type == EV_CANCEL_BUSY || m->ev.type == unknown_of(m->cmd).type;

	if (!d->busy || d->seq != m->seq)
		return;
	d->seq++;
	d->unsure = open;
	drive(w, m->driver, m->ev);
}

static void start(struct world *w, struct saga_event first, bool patient, bool hook, int tries)
{
	for (int i = 0; i < DRIVERS; i++) {
		struct driver *d = &w->d[i];

		if (d->busy)
			continue;
		*d = (struct driver){ .busy = true, .patient = patient, .hook = hook, .first = first, .seq = d->seq + 1,
				      .tries = tries, .until = w->now + (patient ? PAY_MS : 3000) };
		reload(w, i);
		return;
	}
}

/* ---- the buyer ---- */

static void wishes(struct world *w, int64_t after, enum wish wish)
{
	if (w->now + after > w->last_wish)
		w->last_wish = w->now + after;
	send(w, after, (struct msg){ .what = AT_BUYER, .wish = wish });
}

/* Paying is tried right away, some time, or in the very moment of the expiry. */
static int64_t a_while(struct world *w)
{
	int64_t left = w->s.expires_at - w->now;

	switch (rnd(w, 4)) {
	case 0:
		return left > 3000 ? left - 2000 + rnd(w, 4000) : rnd(w, 4000);
	case 1:
		return rnd(w, 25 * MINUTE);
	default:
		return rnd(w, 20000);
	}
}

static void look(struct world *w)
{
	if (w->s.st != SAGA_PAYMENT_PENDING) {
		if (!saga_terminal(w->s.st))
			wishes(w, 1000, LOOK);
		return;
	}
	if (w->pi >= 0) {
		for (int i = 0; i < w->n_in; i++)
			MUST(w, i == w->pi || !w->in[i].shown || w->in[i].st == PI_CANCELED);
		w->in[w->pi].shown = true;
	}
	w->vanished = rnd(w, 8) == 0;
	if (w->pi >= 0 && rnd(w, 6))
		wishes(w, a_while(w), PAY);
	for (int i = w->vanished ? 0 : (int)rnd(w, 4); i > 0; i--)
		wishes(w, a_while(w), CONFIRM);
	if (!w->vanished && rnd(w, 6) == 0)
		wishes(w, a_while(w), GIVE_UP);
	else if (!w->vanished && rnd(w, 8) == 0)
		wishes(w, a_while(w), CHANGE);
}

static void pay(struct world *w)
{
	struct intent *in = w->pi >= 0 ? &w->in[w->pi] : NULL;

	if (!in || !in->shown || in->st != PI_WAITING)
		return;
	if (rnd(w, 40) == 0)
		in->bad = true;
	switch (rnd(w, 10)) {
	case 0: /* declined, and tried again */
		tell(w, w->pi);
		wishes(w, a_while(w), PAY);
		return;
	case 1:
		becomes(w, w->pi, PI_ACTION);
		wishes(w, rnd(w, 60000), AUTHENTICATE);
		return;
	case 2:
		becomes(w, w->pi, PI_PROCESSING);
		wishes(w, rnd(w, 5 * MINUTE), CLEAR);
		return;
	case 3:
		if (rnd(w, 2)) { /* a way of paying that knows no manual capture */
			take_money(w, w->pi);
			break;
		}
		__attribute__((fallthrough));
	default:
		becomes(w, w->pi, PI_CAPTURABLE);
	}
	if (!w->vanished)
		wishes(w, rnd(w, 2000), CONFIRM);
}

/* PATCH: the old attempt ends, surely; then another total is frozen. */
static void change(struct world *w)
{
	struct saga_state next;

	if (w->s.st != SAGA_EXPIRED || w->s.why != WHY_REPLACED || w->s.attempt >= ATTEMPTS) {
		if (saga_live(w->s.st) && w->s.attempt < ATTEMPTS) {
			start(w, (struct saga_event){ .type = SAGA_END, .why = WHY_REPLACED }, false, false, 0);
			wishes(w, 3000, CHANGE);
		}
		return;
	}
	w->total += 250;
	if (!saga_reopen(&w->s, w->now, SAGA_TTL_MS, false, &next))
		return;
	SAY(w, "  frozen again");
	w->s = next;
	w->version++;
	w->pi = -1;
	w->lease = 0;
	start(w, event(SAGA_WAKE), false, false, 0);
	wishes(w, 500, LOOK);
}

static void buyer(struct world *w, enum wish wish)
{
	struct intent *in = w->pi >= 0 ? &w->in[w->pi] : NULL;

	switch (wish) {
	case LOOK:
		look(w);
		break;
	case PAY:
		pay(w);
		break;
	case AUTHENTICATE:
		if (in && in->st == PI_ACTION)
			becomes(w, w->pi, rnd(w, 4) ? PI_CAPTURABLE : PI_WAITING);
		break;
	case CLEAR:
		for (int i = 0; i < w->n_in; i++)
			if (w->in[i].st == PI_PROCESSING)
				becomes(w, i, rnd(w, 3) ? PI_CAPTURABLE : PI_WAITING);
		break;
	case CONFIRM:
		start(w, event(SAGA_SETTLE), false, false, 0);
		break;
	case GIVE_UP:
		start(w, (struct saga_event){ .type = SAGA_END, .why = WHY_ABANDONED }, false, false, 0);
		break;
	case CHANGE:
		change(w);
		break;
	}
}

/* ---- the rest of the world ---- */

/* Another buyer, an operator who lets a reservation go, an issuer who lets an authorisation lapse. */
static void rival(struct world *w)
{
	struct reservation *r = &w->res[0][rnd(w, 2)];

	let_go_of_old(w);
	if (rnd(w, 2) && w->on_hand - reserved(w) > 0) {
		w->on_hand--;
		w->rival++;
	} else if (r->st == ACTIVE && rnd(w, 3) == 0) {
		SAY(w, "    an operator releases the reservation");
		r->st = RELEASED;
	} else if (w->pi >= 0 && w->in[w->pi].st == PI_CAPTURABLE && rnd(w, 4) == 0) {
		becomes(w, w->pi, PI_CANCELED);
	}
}

static void crash(struct world *w)
{
	SAY(w, "  everything dies");
	for (int i = 0; i < DRIVERS; i++) {
		w->d[i].busy = false;
		w->d[i].seq++;
	}
}

static void happen(struct world *w, struct msg *m)
{
	switch (m->what) {
	case AT_ARRIVE:
		arrive(w, m);
		break;
	case AT_REPLY:
	case AT_TIMEOUT:
		hear(w, m);
		break;
	case AT_DRIVE:
		if (w->d[m->driver].busy && w->d[m->driver].seq == m->seq)
			reload(w, m->driver);
		break;
	case AT_BUYER:
		buyer(w, m->wish);
		break;
	case AT_WEBHOOK:
		start(w, event(SAGA_SETTLE), true, true, m->tries);
		break;
	case AT_RIVAL:
		rival(w);
		break;
	case AT_CRASH:
		crash(w);
		break;
	}
}

/* The sweeper takes what is due and leased by nobody, as checkout_db_due does. */
static bool sweep_before(struct world *w, int64_t next)
{
	int64_t at = w->s.next_at > w->lease ? w->s.next_at : w->lease;

	if (w->s.next_at == 0)
		return false;
	if (at < w->swept + 500)
		at = w->swept + 500;
	if (at < w->now)
		at = w->now;
	if (at > next)
		return false;
	w->now = w->swept = at;
	w->s.next_at = at + 20000;
	start(w, event(SAGA_WAKE), true, false, 0);
	return true;
}

static bool one_event(struct world *w)
{
	int first = -1;
	struct msg m;

	for (int i = 0; i < w->n_msg; i++)
		if (first < 0 || w->msg[i].at < w->msg[first].at)
			first = i;
	if (sweep_before(w, first < 0 ? INT64_MAX : w->msg[first].at))
		return true;
	if (first < 0)
		return false;
	m = w->msg[first];
	w->msg[first] = w->msg[--w->n_msg];
	w->now = m.at;
	happen(w, &m);
	return true;
}

static void set_up(struct world *w, uint64_t seed)
{
	static const unsigned heavy[] = { 0, 2, 10, 10, 20, 40 };

	*w = (struct world){ .rng = seed * 0x9E3779B97F4A7C15u + 88172645463325252u, .now = T0, .pi = -1, .total = 10000 };
	for (int i = 0; i < 8; i++)
		(void)rnd(w, 2);
	w->heavy = heavy[rnd(w, 6)];
	w->heal = T0 + (int64_t)rnd(w, 45 * MINUTE);
	w->qty = 1 + (int)rnd(w, 3);
	w->on_hand = 1 + (int)rnd(w, 9);
	saga_begin(&w->s, w->now, SAGA_TTL_MS, rnd(w, 20) == 0);
	if (w->s.free)
		w->total = 0;
	for (int i = (int)rnd(w, 6); i > 0; i--)
		send(w, rnd(w, 30 * MINUTE), (struct msg){ .what = AT_RIVAL });
	for (int i = w->heavy ? (int)rnd(w, 4) : 0; i > 0; i--)
		send(w, rnd(w, 2) ? rnd(w, 2000) : rnd(w, 30 * MINUTE), (struct msg){ .what = AT_CRASH });
	start(w, event(SAGA_WAKE), false, false, 0);
	wishes(w, 200, LOOK);
}

/* What must be true when nothing moves any more. */
static void judge(struct world *w, int units)
{
	bool ordered = w->s.st == SAGA_ORDERED;
	int sold = 0;

	w->now += 31 * MINUTE;
	let_go_of_old(w);
	MUST(w, saga_terminal(w->s.st));
	MUST(w, w->orders == (ordered ? 1 : 0));
	for (int i = 0; i < ATTEMPTS; i++) {
		for (int k = 0; k < 2; k++) {
			MUST(w, w->res[i][k].st != ACTIVE);
			sold += w->res[i][k].st == SOLD && !w->res[i][k].restocked;
		}
	}
	MUST(w, sold == w->orders);
	MUST(w, w->on_hand + w->rival + sold * w->qty == units);
	for (int i = 0; i < w->n_in; i++) {
		const struct intent *in = &w->in[i];

		MUST(w, in->refunds <= 1 && in->given <= in->got);
		if (ordered && i == w->pi)
			MUST(w, in->got == w->total && in->given == 0);
		else
			MUST(w, in->given == in->got); /* paid and not ordered: all of it went back */
		MUST(w, (in->stray && !in->shown) || in->st == PI_CANCELED || in->st == PI_SUCCEEDED);
	}
	MUST(w, ordered ? w->tells == w->s.attempt - 1 : w->tells >= w->s.attempt);
}

static bool history(struct world *w, uint64_t seed)
{
	int64_t end;
	int units;

	set_up(w, seed);
	units = w->on_hand + w->rival;
	for (int i = 0; !*w->broken && one_event(w); i++) {
		end = w->s.expires_at > w->heal ? w->s.expires_at : w->heal;
		end = w->last_wish > end ? w->last_wish : end;
		MUST(w, saga_terminal(w->s.st) || w->now < end + LIVELY_MS); /* stuck */
		MUST(w, i < 20000);
	}
	if (!*w->broken)
		judge(w, units);
	if (*w->broken)
		printf("SIM_SEED=%llu breaks %s\n", (unsigned long long)seed, w->broken);
	return !*w->broken;
}

static void histories(void **state)
{
	const uint64_t one = env_number("SIM_SEED", 0), runs = one ? 1 : env_number("SIM_RUNS", 20000);
	static const char *const names[] = { "ordered", "cancelled", "expired", "refunded" };
	static const enum saga_st ends[] = { SAGA_ORDERED, SAGA_CANCELLED, SAGA_EXPIRED, SAGA_REFUNDED };
	uint64_t n[4] = { 0 }, bad = 0, unstored = 0;
	struct world *w = calloc(1, sizeof(*w));
	struct timespec a, b;
	double s;

	(void)state;
	assert_non_null(w);
	verbose = one != 0;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (uint64_t i = 0; i < runs && bad < 5; i++) {
		bad += !history(w, one ? one : i + 1);
		unstored += (uint64_t)w->unstored;
		for (int k = 0; k < 4; k++)
			n[k] += w->s.st == ends[k];
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	printf("%llu simulated checkouts in %.2f s, %.0f a minute:", (unsigned long long)runs, s,
	       (double)runs / s * 60);
	for (int k = 0; k < 4; k++)
		printf(" %llu %s", (unsigned long long)n[k], names[k]);
	printf("\n");
	free(w);
	assert_int_equal(bad, 0);
	if (!one && runs >= 2000)
		for (int k = 0; k < 4; k++)
			assert_true(n[k] > 0); /* every end is reached, or this proves little */
	if (!one && runs >= 2000)
		assert_true(unstored > 0); /* and so is the step that acts on what was stored before it */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(histories) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
