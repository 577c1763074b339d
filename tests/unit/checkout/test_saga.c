/* The saga step by step, and a model of everything around it driven by random outcomes, losses and crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "services/checkout/saga.h"

#define T0 1000000

static struct saga_state at;
static struct saga_cmds out;
static int64_t now;

static void step(enum saga_ev type)
{
	struct saga_event ev = { .type = type, .why = WHY_ABANDONED };
	struct saga_state next;

	do {
		saga_step(&at, &ev, now, &next, &out);
		at = next;
		ev = (struct saga_event){ .type = SAGA_WAKE };
	} while (out.again);
}

static void seen(enum pi_status pi, bool mismatch)
{
	struct saga_event ev = { .type = EV_PI_SEEN, .pi = pi, .mismatch = mismatch };
	struct saga_state next;

	do {
		saga_step(&at, &ev, now, &next, &out);
		at = next;
		ev = (struct saga_event){ .type = SAGA_WAKE };
	} while (out.again);
}

static void begin(bool free_of_charge)
{
	now = T0;
	saga_begin(&at, now, SAGA_TTL_MS, free_of_charge);
}

static void gives(enum saga_st st, int cmd)
{
	assert_string_equal(saga_state_name(at.st), saga_state_name(st));
	if (cmd < 0) {
		assert_int_equal(out.n, 0);
		return;
	}
	assert_true(out.n >= 1);
	assert_string_equal(saga_cmd_name(out.cmd[out.n - 1]), saga_cmd_name((enum saga_cmd)cmd));
}

static void to_pending(void)
{
	begin(false);
	step(SAGA_WAKE);
	gives(SAGA_RESERVING, CMD_RESERVE);
	step(EV_RESERVE_OK);
	gives(SAGA_PI_CREATING, CMD_CREATE_PI);
	assert_int_equal(at.pi_n, 1);
	step(EV_PI_CREATED);
	gives(SAGA_PAYMENT_PENDING, -1);
}

static void to_capturing(void)
{
	to_pending();
	step(SAGA_SETTLE);
	gives(SAGA_PAYMENT_PENDING, CMD_RETRIEVE_PI);
	seen(PI_CAPTURABLE, false);
	gives(SAGA_SELLING, CMD_SELL);
	step(EV_SELL_OK);
	gives(SAGA_CAPTURING, CMD_CAPTURE);
}

static void happy(void **s)
{
	(void)s;
	to_capturing();
	assert_false(at.captured);
	step(EV_CAPTURE_OK);
	gives(SAGA_ORDERED, CMD_WRITE_ORDER);
	assert_true(at.captured && at.sold);
	assert_int_equal(at.next_at, 0);
	step(SAGA_SETTLE);
	gives(SAGA_ORDERED, -1);
	step(SAGA_END);
	gives(SAGA_ORDERED, -1);
}

static void free_order(void **s)
{
	(void)s;
	begin(true);
	step(SAGA_WAKE);
	step(EV_RESERVE_OK);
	gives(SAGA_PAYMENT_PENDING, -1);
	step(SAGA_WAKE); /* the sweeper orders nothing by itself */
	gives(SAGA_PAYMENT_PENDING, -1);
	step(SAGA_SETTLE);
	gives(SAGA_SELLING, CMD_SELL);
	step(EV_SELL_OK);
	gives(SAGA_ORDERED, CMD_WRITE_ORDER);
}

static void out_of_stock(void **s)
{
	(void)s;
	begin(false);
	step(SAGA_WAKE);
	step(EV_RESERVE_REFUSED);
	gives(SAGA_EXPIRED, CMD_TELL_ENDED);
	assert_int_equal(at.why, WHY_OUT_OF_STOCK);
	assert_false(at.reserved);
}

static void provider_down(void **s)
{
	(void)s;
	begin(false);
	step(SAGA_WAKE);
	step(EV_RESERVE_OK);
	step(EV_PI_NOT_SENT);
	gives(SAGA_EXPIRING, CMD_RELEASE);
	step(EV_RELEASE_OK);
	gives(SAGA_EXPIRED, CMD_TELL_ENDED);
	assert_int_equal(at.why, WHY_PROVIDER_DOWN);
	/* After a crash nobody knows whether it was sent: then "not sent" proves nothing. */
	begin(false);
	step(SAGA_WAKE);
	step(EV_RESERVE_OK);
	step(SAGA_WAKE);
	gives(SAGA_PI_CREATING, CMD_CREATE_PI);
	step(EV_PI_NOT_SENT);
	gives(SAGA_PI_CREATING, -1);
	assert_true(at.pi_maybe);
}

static void create_unknown(void **s)
{
	(void)s;
	begin(false);
	step(SAGA_WAKE);
	step(EV_RESERVE_OK);
	for (int i = 0; i < SAGA_KEY_TRIES; i++) {
		step(EV_PI_UNKNOWN);
		gives(SAGA_PI_CREATING, -1);
		assert_int_equal(at.pi_n, 1); /* never a second key for the same attempt */
		now = at.next_at;
		step(SAGA_WAKE);
		gives(SAGA_PI_CREATING, at.tries >= SAGA_KEY_TRIES ? CMD_FIND_PI : CMD_CREATE_PI);
	}
	step(EV_PI_NONE); /* known dead */
	gives(SAGA_PI_CREATING, CMD_CREATE_PI);
	assert_int_equal(at.pi_n, 2);
	step(EV_PI_UNKNOWN);
	now = at.expires_at + 1;
	step(SAGA_WAKE);
	assert_int_equal(out.cmd[0], CMD_EXTEND);
	gives(SAGA_PI_CREATING, CMD_CREATE_PI);
	step(EV_PI_CREATED); /* too late for the buyer */
	gives(SAGA_EXPIRING, CMD_RETRIEVE_PI);
	seen(PI_WAITING, false);
	gives(SAGA_CANCELLING_PI, CMD_CANCEL_PI);
	step(EV_CANCEL_OK);
	gives(SAGA_CANCELLING_PI, CMD_RELEASE);
	step(EV_RELEASE_OK);
	gives(SAGA_EXPIRED, CMD_TELL_ENDED);
}

static void expiry(void **s)
{
	(void)s;
	to_pending();
	now = at.expires_at;
	step(SAGA_WAKE);
	gives(SAGA_EXPIRING, CMD_RETRIEVE_PI);
	seen(PI_ACTION, false);
	gives(SAGA_CANCELLING_PI, CMD_CANCEL_PI);
	step(EV_CANCEL_UNKNOWN); /* nothing is released before the cancel is confirmed */
	assert_int_equal(at.st, SAGA_CANCELLING_PI);
	for (int i = 0; i < out.n; i++)
		assert_int_not_equal(out.cmd[i], CMD_RELEASE);
	now = at.next_at;
	step(SAGA_WAKE);
	gives(SAGA_CANCELLING_PI, CMD_RETRIEVE_PI);
	seen(PI_CANCELED, false);
	gives(SAGA_CANCELLING_PI, CMD_RELEASE);
	step(EV_RELEASE_UNKNOWN);
	now = at.next_at;
	step(SAGA_WAKE);
	gives(SAGA_CANCELLING_PI, CMD_RELEASE);
	step(EV_RELEASE_OK);
	gives(SAGA_EXPIRED, CMD_TELL_ENDED);
	assert_int_equal(at.why, WHY_TIMEOUT);
}

static void payment_wins_over_expiry(void **s)
{
	(void)s;
	to_pending();
	now = at.expires_at;
	step(SAGA_WAKE);
	seen(PI_CAPTURABLE, false); /* paid in the last moment */
	gives(SAGA_SELLING, CMD_SELL);
	assert_int_equal(at.why, WHY_NONE);

	to_pending();
	now = at.expires_at;
	step(SAGA_WAKE);
	seen(PI_WAITING, false);
	step(EV_CANCEL_SUCCEEDED); /* information: the payment won */
	gives(SAGA_CANCELLING_PI, CMD_RETRIEVE_PI);
	seen(PI_SUCCEEDED, false);
	gives(SAGA_SELLING, CMD_SELL);
	step(EV_SELL_OK);
	gives(SAGA_ORDERED, CMD_WRITE_ORDER);
}

static void stock_lost(void **s)
{
	(void)s;
	to_pending();
	step(SAGA_SETTLE);
	seen(PI_CAPTURABLE, false);
	step(EV_SELL_GONE);
	gives(SAGA_SELLING, CMD_RESERVE); /* once more */
	assert_true(at.rereserved);
	step(EV_RESERVE_REFUSED);
	gives(SAGA_CANCELLING_PI, CMD_CANCEL_PI); /* nothing on the buyer's statement */
	step(EV_CANCEL_OK);
	gives(SAGA_EXPIRED, CMD_TELL_ENDED);
	assert_int_equal(at.why, WHY_STOCK_GONE);

	to_pending(); /* captured by itself: the money goes back */
	step(SAGA_SETTLE);
	seen(PI_SUCCEEDED, false);
	gives(SAGA_SELLING, CMD_SELL);
	step(EV_SELL_GONE);
	step(EV_RESERVE_REFUSED);
	gives(SAGA_REFUNDING, CMD_REFUND);
	step(EV_REFUND_UNKNOWN);
	now = at.next_at;
	step(SAGA_WAKE);
	gives(SAGA_REFUNDING, CMD_REFUND);
	assert_int_equal(at.key_n, 1);
	step(EV_REFUND_OK);
	gives(SAGA_REFUNDED, CMD_TELL_REFUNDED);

	to_pending(); /* and the second reservation may work */
	step(SAGA_SETTLE);
	seen(PI_CAPTURABLE, false);
	step(EV_SELL_GONE);
	step(EV_RESERVE_OK);
	gives(SAGA_SELLING, CMD_SELL);
	step(EV_SELL_OK);
	gives(SAGA_CAPTURING, CMD_CAPTURE);
}

static void capture_ends(void **s)
{
	(void)s;
	to_capturing();
	step(EV_CAPTURE_UNKNOWN);
	gives(SAGA_CAPTURING, -1);
	now = at.next_at;
	step(SAGA_WAKE);
	gives(SAGA_CAPTURING, CMD_RETRIEVE_PI);
	seen(PI_SUCCEEDED, false);
	gives(SAGA_ORDERED, CMD_WRITE_ORDER);

	to_capturing();
	step(EV_CAPTURE_REFUSED);
	gives(SAGA_CAPTURE_FAILED, CMD_CANCEL_PI);
	step(EV_CANCEL_OK);
	gives(SAGA_RESTOCKING, CMD_RESTOCK);
	step(EV_RESTOCK_UNKNOWN);
	now = at.next_at;
	step(SAGA_WAKE);
	gives(SAGA_RESTOCKING, CMD_RESTOCK);
	step(EV_RESTOCK_OK);
	gives(SAGA_CANCELLED, CMD_TELL_ENDED);
	assert_int_equal(at.why, WHY_CAPTURE_FAILED);
	assert_false(at.sold);

	to_capturing(); /* refused, but it had been captured */
	step(EV_CAPTURE_REFUSED);
	step(EV_CANCEL_SUCCEEDED);
	seen(PI_SUCCEEDED, false);
	gives(SAGA_ORDERED, CMD_WRITE_ORDER);
}

static void mismatch(void **s)
{
	(void)s;
	to_pending();
	step(SAGA_SETTLE);
	seen(PI_CAPTURABLE, true);
	gives(SAGA_CANCELLING_PI, CMD_CANCEL_PI);
	assert_int_equal(at.why, WHY_MISMATCH);
	to_pending();
	step(SAGA_SETTLE);
	seen(PI_SUCCEEDED, true);
	gives(SAGA_REFUNDING, CMD_REFUND);
	step(EV_REFUND_OK);
	gives(SAGA_REFUNDING, CMD_RELEASE);
	step(EV_RELEASE_OK);
	gives(SAGA_REFUNDED, CMD_TELL_REFUNDED);
}

static void ended_by_buyer(void **s)
{
	struct saga_state again;

	(void)s;
	to_pending();
	step(SAGA_END);
	gives(SAGA_EXPIRING, CMD_RETRIEVE_PI);
	seen(PI_CAPTURABLE, false); /* authorised, but given up: the authorisation is let go */
	gives(SAGA_CANCELLING_PI, CMD_CANCEL_PI);
	step(EV_CANCEL_OK);
	step(EV_RELEASE_OK);
	gives(SAGA_EXPIRED, CMD_TELL_ENDED);
	assert_int_equal(at.why, WHY_ABANDONED);
	assert_true(saga_reopen(&at, now, SAGA_TTL_MS, false, &again));
	assert_int_equal(again.attempt, 2);
	assert_int_equal(again.pi_n, 1);
	at = again;
	step(SAGA_WAKE);
	step(EV_RESERVE_OK);
	assert_int_equal(at.pi_n, 2);
	step(SAGA_END); /* while the intent is being made */
	gives(SAGA_PI_CREATING, CMD_CREATE_PI);
	step(EV_PI_CREATED);
	gives(SAGA_EXPIRING, CMD_RETRIEVE_PI);
}

static void late_money(void **s)
{
	(void)s;
	to_pending();
	step(SAGA_END);
	seen(PI_WAITING, false);
	step(EV_CANCEL_OK);
	step(EV_RELEASE_OK);
	step(SAGA_SETTLE);
	gives(SAGA_EXPIRED, CMD_RETRIEVE_PI);
	seen(PI_SUCCEEDED, false);
	gives(SAGA_REFUNDING, CMD_REFUND);
	assert_false(saga_live(at.st));
	step(EV_REFUND_REFUSED);
	assert_int_equal(at.st, SAGA_REFUNDING);
	assert_true(at.next_at > now + SAGA_BACKOFF_MAX);
}

/* The buyer's payment is captured between our look and our cancel: "already succeeded" is money to give back. */
static void late_capture(void **s)
{
	(void)s;
	to_pending();
	step(SAGA_END);
	seen(PI_WAITING, false);
	step(EV_CANCEL_OK);
	step(EV_RELEASE_OK);
	gives(SAGA_EXPIRED, CMD_TELL_ENDED);
	step(SAGA_SETTLE);
	seen(PI_CAPTURABLE, false);
	gives(SAGA_EXPIRED, CMD_CANCEL_PI);
	step(EV_CANCEL_SUCCEEDED);
	assert_true(at.captured);
	gives(SAGA_REFUNDING, CMD_REFUND);
}

static void names(void **s)
{
	(void)s;
	for (int i = 0; i < SAGA_ST_MAX_; i++) {
		enum saga_st st = SAGA_ST_MAX_;

		assert_true(saga_state_parse(saga_state_name((enum saga_st)i), &st));
		assert_int_equal(st, i);
	}
	for (int i = 0; i < WHY_MAX_; i++) {
		enum saga_why w = WHY_MAX_;

		assert_true(saga_why_parse(saga_why_name((enum saga_why)i), &w));
		assert_int_equal(w, i);
	}
	for (int i = 0; i < SAGA_CMD_MAX_; i++)
		assert_string_not_equal(saga_cmd_name((enum saga_cmd)i), "");
	for (int i = 0; i < SAGA_EV_MAX_; i++)
		assert_string_not_equal(saga_ev_name((enum saga_ev)i), "");
}

/* ---- a model around it ---- */

enum { R_NONE, R_ACTIVE, R_SOLD, R_RELEASED };

struct world {
	uint64_t rng;
	int pi;	       /* -1: none; else enum pi_status */
	int pi_key;    /* pi_n it was made with */
	int made;      /* intents ever made */
	bool captured, refunded;
	int res[2];    /* first and second reservation */
	bool scarce;   /* the second reservation is refused */
	bool client_knows, cancelled_after_capture;
	int orders;
	bool bad_amount, capture_fails;
};

static unsigned rnd(struct world *w, unsigned n)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return (unsigned)(w->rng % n);
}

static void buyer(struct world *w)
{
	if (w->pi == PI_WAITING && w->client_knows && rnd(w, 3) == 0)
		w->pi = rnd(w, 8) == 0 ? PI_ACTION : rnd(w, 12) == 0 ? PI_SUCCEEDED : PI_CAPTURABLE;
	else if (w->pi == PI_ACTION && rnd(w, 3) == 0)
		w->pi = rnd(w, 3) ? PI_CAPTURABLE : PI_WAITING;
	if (w->pi == PI_SUCCEEDED)
		w->captured = true;
}

/* Carries out a command; the outcome that the caller gets to see may be "unknown", whether it happened or not. */
static struct saga_event perform(struct world *w, const struct saga_state *s, enum saga_cmd cmd)
{
	struct saga_event ev = { .type = SAGA_WAKE };
	bool lost_before = rnd(w, 8) == 0, lost_after = rnd(w, 8) == 0;
	int *r = &w->res[s->rereserved ? 1 : 0];

	switch (cmd) {
	case CMD_RESERVE:
		if (!lost_before && *r == R_NONE)
			*r = (w->scarce && s->rereserved) ? R_RELEASED : R_ACTIVE;
		if (lost_before || lost_after)
			ev.type = EV_RESERVE_UNKNOWN;
		else
			ev.type = *r == R_RELEASED ? EV_RESERVE_REFUSED : EV_RESERVE_OK;
		break;
	case CMD_CREATE_PI:
		if (lost_before) {
			ev.type = rnd(w, 2) ? EV_PI_UNKNOWN : EV_PI_NOT_SENT;
			break;
		}
		if (w->pi < 0 || w->pi_key != s->pi_n) {
			assert_true(w->pi < 0 || w->pi == PI_CANCELED); /* never two live intents */
			w->pi = PI_WAITING;
			w->pi_key = s->pi_n;
			w->made++;
		}
		ev.type = lost_after ? EV_PI_UNKNOWN : EV_PI_CREATED;
		break;
	case CMD_FIND_PI:
		if (lost_before || lost_after)
			ev.type = EV_LOOK_UNKNOWN;
		else
			ev.type = w->pi >= 0 && w->pi_key == s->pi_n ? EV_PI_CREATED : EV_PI_NONE;
		break;
	case CMD_RETRIEVE_PI:
		ev.type = lost_before || lost_after ? EV_LOOK_UNKNOWN : EV_PI_SEEN;
		ev.pi = (enum pi_status)w->pi;
		ev.mismatch = w->bad_amount;
		break;
	case CMD_SELL:
		if (!lost_before && *r == R_ACTIVE)
			*r = R_SOLD;
		if (lost_before || lost_after)
			ev.type = EV_SELL_UNKNOWN;
		else
			ev.type = *r == R_SOLD ? EV_SELL_OK : EV_SELL_GONE;
		break;
	case CMD_CAPTURE:
		assert_true(*r == R_SOLD);
		if (!lost_before && w->pi == PI_CAPTURABLE && !w->capture_fails) {
			w->pi = PI_SUCCEEDED;
			w->captured = true;
		}
		if (lost_before || lost_after)
			ev.type = EV_CAPTURE_UNKNOWN;
		else
			ev.type = w->pi == PI_SUCCEEDED ? EV_CAPTURE_OK : EV_CAPTURE_REFUSED;
		break;
	case CMD_CANCEL_PI:
		if (!lost_before && w->pi != PI_SUCCEEDED)
			w->pi = PI_CANCELED;
		if (lost_before || lost_after)
			ev.type = EV_CANCEL_UNKNOWN;
		else
			ev.type = w->pi == PI_SUCCEEDED ? EV_CANCEL_SUCCEEDED : EV_CANCEL_OK;
		break;
	case CMD_RELEASE:
		assert_true(w->pi < 0 || w->pi == PI_CANCELED || w->refunded); /* never while it may still be paid */
		if (!lost_before && *r != R_SOLD)
			*r = R_RELEASED;
		if (lost_before || lost_after)
			ev.type = EV_RELEASE_UNKNOWN;
		else
			ev.type = *r == R_SOLD ? EV_RELEASE_SOLD : EV_RELEASE_OK;
		break;
	case CMD_RESTOCK:
		if (!lost_before)
			*r = R_RELEASED;
		ev.type = lost_before || lost_after ? EV_RESTOCK_UNKNOWN : EV_RESTOCK_OK;
		break;
	case CMD_REFUND:
		assert_true(w->captured);
		if (!lost_before)
			w->refunded = true;
		ev.type = lost_before || lost_after ? EV_REFUND_UNKNOWN : EV_REFUND_OK;
		break;
	case CMD_FIND_REFUND:
		ev.type = lost_before ? EV_LOOK_UNKNOWN : w->refunded ? EV_REFUND_OK : EV_REFUND_NONE;
		break;
	default:
		fail();
	}
	return ev;
}

static void run_one(uint64_t seed)
{
	struct world w = { .rng = seed * 2654435761u + 88172645463325252u, .pi = -1 };
	struct saga_event ev = { .type = SAGA_WAKE };
	struct saga_state s, next;
	struct saga_cmds c;
	int64_t t = T0;
	int steps = 0;

	for (int i = 0; i < 10; i++)
		(void)rnd(&w, 2);
	w.scarce = rnd(&w, 2);
	w.bad_amount = rnd(&w, 20) == 0;
	w.capture_fails = rnd(&w, 10) == 0;
	saga_begin(&s, t, SAGA_TTL_MS, rnd(&w, 20) == 0);
	while (!saga_terminal(s.st)) {
		bool had_main = false;

		assert_true(++steps < 3000);
		buyer(&w);
		if (rnd(&w, 300) == 0 && w.res[0] == R_ACTIVE)
			w.res[0] = R_RELEASED; /* somebody took the stock away */
		saga_step(&s, &ev, t, &next, &c);
		assert_true(next.st == s.st || !saga_terminal(s.st));
		s = next; /* persisted */
		w.client_knows |= s.st == SAGA_PAYMENT_PENDING;
		ev = (struct saga_event){ .type = SAGA_WAKE };
		for (int i = 0; i < c.n; i++) {
			if (c.cmd[i] == CMD_WRITE_ORDER)
				w.orders++;
			if (c.cmd[i] == CMD_EXTEND || saga_cmd_in_tx(c.cmd[i]))
				continue;
			assert_false(had_main); /* one effect at a time */
			had_main = true;
			ev = perform(&w, &s, c.cmd[i]);
			t += rnd(&w, 200);
			if (rnd(&w, 10) == 0)
				ev = (struct saga_event){ .type = SAGA_WAKE }; /* crashed before it heard */
		}
		if (!had_main && !c.again && !saga_terminal(s.st)) { /* resting: time, the buyer, or the client's call */
			assert_true(s.next_at > 0);
			if (rnd(&w, 3) == 0)
				ev.type = SAGA_SETTLE;
			else if (rnd(&w, 60) == 0)
				ev = (struct saga_event){ .type = SAGA_END, .why = WHY_ABANDONED };
			else if (s.next_at > t)
				t = s.next_at;
		}
	}
	/* Never paid without an order or a refund, never an order without money and stock. */
	assert_int_equal(w.orders, s.st == SAGA_ORDERED);
	if (s.st == SAGA_ORDERED) {
		assert_true(w.captured || s.free);
		assert_false(w.refunded);
		assert_true(w.res[s.rereserved ? 1 : 0] == R_SOLD);
		assert_false(w.bad_amount && !s.free);
	} else {
		assert_true(!w.captured || w.refunded);
		assert_true(w.pi < 0 || w.pi == PI_CANCELED || w.refunded);
		assert_true(w.res[0] != R_ACTIVE && w.res[0] != R_SOLD);
		assert_true(w.res[1] != R_ACTIVE && w.res[1] != R_SOLD);
	}
}

static void random_histories(void **s)
{
	(void)s;
	for (uint64_t seed = 1; seed <= 100000; seed++)
		run_one(seed);
}

/* Every event in every state: nothing leaves a terminal state but late money, and nothing is left to nobody. */
static void total(void **s)
{
	(void)s;
	for (int st = 0; st < SAGA_ST_MAX_; st++) {
		for (int ev = 0; ev < SAGA_EV_MAX_; ev++) {
			for (unsigned flags = 0; flags < 512; flags++) {
				struct saga_event e = { .type = (enum saga_ev)ev, .pi = (enum pi_status)(flags % 6),
							.mismatch = flags & 1, .why = WHY_ABANDONED };
				struct saga_state a, b;
				struct saga_cmds c;

				saga_begin(&a, T0, SAGA_TTL_MS, flags & 2);
				a.st = (enum saga_st)st;
				a.reserved = flags & 4;
				a.sold = flags & 8;
				a.has_pi = flags & 16;
				a.pi_dead = flags & 32;
				a.captured = flags & 64;
				a.tries = flags & 128 ? 5 : 0;
				saga_step(&a, &e, flags & 256 ? a.expires_at : T0 + 5, &b, &c);
				assert_true(c.n <= SAGA_CMDS);
				assert_true(b.next_at > 0 || saga_terminal(b.st));
				if (saga_terminal(a.st))
					assert_true(b.st == a.st || b.st == SAGA_REFUND_DUE);
				for (int i = 0; i < c.n; i++) {
					if (c.cmd[i] == CMD_WRITE_ORDER)
						assert_true(b.st == SAGA_ORDERED);
					if (c.cmd[i] == CMD_TELL_ENDED)
						assert_true(saga_terminal(b.st));
				}
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(happy),	  cmocka_unit_test(free_order),
		cmocka_unit_test(out_of_stock),	  cmocka_unit_test(provider_down),
		cmocka_unit_test(create_unknown), cmocka_unit_test(expiry),
		cmocka_unit_test(payment_wins_over_expiry), cmocka_unit_test(stock_lost),
		cmocka_unit_test(capture_ends),	  cmocka_unit_test(mismatch),
		cmocka_unit_test(ended_by_buyer), cmocka_unit_test(late_money),
		cmocka_unit_test(late_capture),
		cmocka_unit_test(names),	  cmocka_unit_test(total),
		cmocka_unit_test(random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
