#include "services/checkout/saga.h"

#include <stddef.h>
#include <string.h>

#include "common/compiler.h"

/* ---- building the next state ---- */

static void act(struct saga_cmds *c, enum saga_cmd cmd)
{
	if (c->n < SAGA_CMDS)
		c->cmd[c->n++] = cmd;
}

static void go(struct saga_state *n, enum saga_st st, int64_t now)
{
	n->st = st;
	n->tries = 0;
	n->key_n = 1;
	n->next_at = saga_terminal(st) ? 0 : now + SAGA_ACT_MS;
}

static void go_again(struct saga_state *n, struct saga_cmds *c, enum saga_st st, int64_t now)
{
	go(n, st, now);
	c->again = true;
}

static void go_act(struct saga_state *n, struct saga_cmds *c, enum saga_st st, enum saga_cmd cmd, int64_t now)
{
	go(n, st, now);
	act(c, cmd);
}

/* The same command again, or another of the same state. */
static void retry(struct saga_state *n, struct saga_cmds *c, enum saga_cmd cmd, int64_t now)
{
	n->next_at = now + SAGA_ACT_MS;
	act(c, cmd);
}

static int64_t grown(int64_t first, int32_t tries, int64_t most)
{
	int64_t d = first;

	for (int32_t i = 1; i < tries && d < most; i++)
		d *= 2;
	return d < most ? d : most;
}

/* A payment whose outcome is open keeps its stock beyond the reservation's time. */
static void hold(const struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	if (n->reserved && !n->sold && now >= n->expires_at - SAGA_HOLD_BEFORE)
		act(c, CMD_EXTEND);
}

static void unknown(struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	n->tries++;
	n->next_at = now + grown(SAGA_BACKOFF_MIN, n->tries, SAGA_BACKOFF_MAX);
	hold(n, c, now);
}

/* Stop, cancel and capture are idempotent at the provider by the intent's state, so a key that only repeats a stored
 * failure may be given up for the next one. */
static void next_key(struct saga_state *n)
{
	n->key_n = 1 + n->tries / SAGA_KEY_TRIES;
}

static bool expired(const struct saga_state *s, int64_t now)
{
	return now >= s->expires_at;
}

static void end_expired(struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	go_act(n, c, SAGA_EXPIRED, CMD_TELL_ENDED, now);
}

static void write_order(struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	n->why = WHY_NONE;
	go_act(n, c, SAGA_ORDERED, CMD_WRITE_ORDER, now);
}

static void release_or_end(struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	if (n->reserved)
		retry(n, c, CMD_RELEASE, now);
	else
		end_expired(n, c, now);
}

static void drive_expiring(struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	if (n->has_pi && !n->pi_dead) {
		hold(n, c, now);
		retry(n, c, CMD_RETRIEVE_PI, now);
	} else {
		release_or_end(n, c, now);
	}
}

static void expire(struct saga_state *n, struct saga_cmds *c, enum saga_why why, int64_t now)
{
	go(n, SAGA_EXPIRING, now);
	if (n->why == WHY_NONE)
		n->why = why;
	drive_expiring(n, c, now);
}

/* The money is with the provider: an order, or back to the buyer. */
static void paid(struct saga_state *n, struct saga_cmds *c, bool mismatch, int64_t now)
{
	n->captured = true;
	if (mismatch)
		n->why = WHY_MISMATCH;
	if (n->why == WHY_MISMATCH || n->why == WHY_STOCK_GONE) {
		go_again(n, c, SAGA_REFUND_DUE, now);
		return;
	}
	n->why = WHY_NONE;
	go_act(n, c, SAGA_SELLING, CMD_SELL, now);
}

/* ---- one function per state ---- */

static void in_open(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		n->reserved = true;
		go_act(n, c, SAGA_RESERVING, CMD_RESERVE, now);
		break;
	case SAGA_END:
		n->why = ev->why;
		end_expired(n, c, now);
		break;
	default:
		break;
	}
}

static void in_reserving(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		if (expired(n, now))
			expire(n, c, WHY_TIMEOUT, now);
		else
			retry(n, c, CMD_RESERVE, now);
		break;
	case SAGA_END:
		expire(n, c, ev->why, now);
		break;
	case EV_RESERVE_OK:
		go_again(n, c, SAGA_RESERVED, now);
		break;
	case EV_RESERVE_REFUSED:
		n->reserved = false;
		n->why = WHY_OUT_OF_STOCK;
		end_expired(n, c, now);
		break;
	case EV_RESERVE_UNKNOWN:
		unknown(n, c, now);
		break;
	default:
		break;
	}
}

static void in_reserved(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		if (expired(n, now)) {
			expire(n, c, WHY_TIMEOUT, now);
		} else if (n->free) {
			go(n, SAGA_PAYMENT_PENDING, now);
			n->next_at = n->expires_at;
		} else {
			n->pi_n++;
			n->pi_maybe = false;
			go_act(n, c, SAGA_PI_CREATING, CMD_CREATE_PI, now);
		}
		break;
	case SAGA_END:
		expire(n, c, ev->why, now);
		break;
	default:
		break;
	}
}

static void wait_for_payment(struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	n->has_pi = true;
	n->pi_maybe = false;
	if (n->ending || expired(n, now)) {
		expire(n, c, WHY_TIMEOUT, now);
		return;
	}
	go(n, SAGA_PAYMENT_PENDING, now);
	n->next_at = now + SAGA_POLL_MIN < n->expires_at ? now + SAGA_POLL_MIN : n->expires_at;
}

static void no_intent(struct saga_state *n, struct saga_cmds *c, enum saga_why why, int64_t now)
{
	n->pi_maybe = false;
	expire(n, c, why, now);
}

static void in_pi_creating(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_END:
		n->ending = true;
		if (n->why == WHY_NONE)
			n->why = ev->why;
		__attribute__((fallthrough));
	case SAGA_WAKE:
	case SAGA_SETTLE:
		n->pi_maybe = true; /* the command was given before, and we do not know what came of it */
		hold(n, c, now);
		retry(n, c, n->tries >= SAGA_KEY_TRIES && n->tries % 2 ? CMD_FIND_PI : CMD_CREATE_PI, now);
		break;
	case EV_PI_CREATED:
		wait_for_payment(n, c, now);
		break;
	case EV_PI_NOT_SENT:
		if (n->pi_maybe)
			unknown(n, c, now);
		else
			no_intent(n, c, WHY_PROVIDER_DOWN, now);
		break;
	case EV_PI_REFUSED: /* the same key would have repeated a success */
		no_intent(n, c, WHY_PAYMENT_REFUSED, now);
		break;
	case EV_PI_NONE: /* the attempt is known dead: only now may there be another key */
		if (n->ending || expired(n, now)) {
			no_intent(n, c, WHY_TIMEOUT, now);
		} else {
			n->pi_n++;
			n->pi_maybe = false;
			go_act(n, c, SAGA_PI_CREATING, CMD_CREATE_PI, now);
		}
		break;
	case EV_PI_UNKNOWN:
	case EV_LOOK_UNKNOWN:
		n->pi_maybe = true;
		unknown(n, c, now);
		break;
	default:
		break;
	}
}

static void seen_pending(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->pi) {
	case PI_SUCCEEDED:
		paid(n, c, ev->mismatch, now);
		return;
	case PI_CANCELED:
		n->pi_dead = true;
		expire(n, c, WHY_PAYMENT_CANCELED, now);
		return;
	case PI_CAPTURABLE:
		if (!ev->mismatch) {
			go_again(n, c, SAGA_AUTHORIZED, now);
			return;
		}
		break;
	case PI_PROCESSING:
		hold(n, c, now);
		break;
	case PI_WAITING:
	case PI_ACTION:
		break;
	}
	if (ev->mismatch) {
		n->why = WHY_MISMATCH;
		go_act(n, c, SAGA_CANCELLING_PI, CMD_CANCEL_PI, now);
	}
}

static void poll(struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	n->tries++;
	n->next_at = now + grown(SAGA_POLL_MIN, n->tries, SAGA_POLL_MAX);
	if (n->next_at > n->expires_at)
		n->next_at = n->expires_at;
	act(c, CMD_RETRIEVE_PI);
}

static void in_payment_pending(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
		if (expired(n, now))
			expire(n, c, WHY_TIMEOUT, now);
		else if (n->free)
			n->next_at = n->expires_at;
		else
			poll(n, c, now);
		break;
	case SAGA_SETTLE:
		if (n->free)
			go_act(n, c, SAGA_SELLING, CMD_SELL, now);
		else
			act(c, CMD_RETRIEVE_PI);
		break;
	case SAGA_END:
		expire(n, c, ev->why, now);
		break;
	case EV_PI_SEEN:
		seen_pending(n, ev, c, now);
		break;
	case EV_LOOK_UNKNOWN: /* somebody waits for it: sooner than the poll would */
		if (n->next_at > now + SAGA_BACKOFF_MIN * 4)
			n->next_at = now + SAGA_BACKOFF_MIN * 4;
		hold(n, c, now);
		break;
	default:
		break;
	}
}

static void in_authorized(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		go_act(n, c, SAGA_SELLING, CMD_SELL, now);
		break;
	case SAGA_END:
		expire(n, c, ev->why, now);
		break;
	default:
		break;
	}
}

static void stock_gone(struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	n->why = WHY_STOCK_GONE;
	n->reserved = false;
	if (n->captured)
		go_again(n, c, SAGA_REFUND_DUE, now);
	else if (n->has_pi)
		go_act(n, c, SAGA_CANCELLING_PI, CMD_CANCEL_PI, now);
	else
		end_expired(n, c, now);
}

static void in_selling(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		hold(n, c, now);
		retry(n, c, n->rereserved ? CMD_RESERVE : CMD_SELL, now);
		break;
	case EV_RESERVE_OK:
		n->reserved = true;
		retry(n, c, CMD_SELL, now);
		break;
	case EV_RESERVE_REFUSED:
		stock_gone(n, c, now);
		break;
	case EV_SELL_OK:
		n->sold = true;
		if (n->captured || n->free)
			write_order(n, c, now);
		else
			go_act(n, c, SAGA_CAPTURING, CMD_CAPTURE, now);
		break;
	case EV_SELL_GONE: /* an operator, or a clock: perhaps there is still enough */
		if (n->rereserved) {
			stock_gone(n, c, now);
		} else {
			n->rereserved = true;
			n->reserved = true;
			n->tries = 0;
			retry(n, c, CMD_RESERVE, now);
		}
		break;
	case EV_RESERVE_UNKNOWN:
	case EV_SELL_UNKNOWN:
		unknown(n, c, now);
		break;
	default:
		break;
	}
}

static void put_back(struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	n->pi_dead = true;
	if (n->why == WHY_NONE)
		n->why = WHY_CAPTURE_FAILED;
	go_act(n, c, SAGA_RESTOCKING, CMD_RESTOCK, now);
}

static void seen_capturing(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->pi) {
	case PI_SUCCEEDED:
		n->captured = true;
		if (ev->mismatch) {
			n->why = WHY_MISMATCH;
			go_again(n, c, SAGA_REFUND_DUE, now);
		} else {
			write_order(n, c, now);
		}
		break;
	case PI_CANCELED:
		put_back(n, c, now);
		break;
	case PI_CAPTURABLE:
		if (n->st == SAGA_CAPTURING)
			retry(n, c, CMD_CAPTURE, now);
		else
			retry(n, c, CMD_CANCEL_PI, now);
		break;
	case PI_PROCESSING:
		unknown(n, c, now);
		break;
	case PI_WAITING:
	case PI_ACTION: /* the authorisation is no more */
		if (n->st == SAGA_CAPTURING) {
			n->why = WHY_CAPTURE_FAILED;
			go(n, SAGA_CAPTURE_FAILED, now);
		}
		retry(n, c, CMD_CANCEL_PI, now);
		break;
	}
}

static void in_capturing(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		next_key(n);
		retry(n, c, n->tries % 2 ? CMD_RETRIEVE_PI : CMD_CAPTURE, now);
		break;
	case EV_CAPTURE_OK:
		n->captured = true;
		write_order(n, c, now);
		break;
	case EV_CAPTURE_REFUSED:
		n->why = WHY_CAPTURE_FAILED;
		go_again(n, c, SAGA_CAPTURE_FAILED, now);
		break;
	case EV_PI_SEEN:
		seen_capturing(n, ev, c, now);
		break;
	case EV_CAPTURE_UNKNOWN:
	case EV_LOOK_UNKNOWN:
		unknown(n, c, now);
		break;
	default:
		break;
	}
}

static void in_capture_failed(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		next_key(n);
		retry(n, c, n->tries % 2 ? CMD_RETRIEVE_PI : CMD_CANCEL_PI, now);
		break;
	case EV_CANCEL_OK:
		put_back(n, c, now);
		break;
	case EV_CANCEL_SUCCEEDED: /* it was captured after all; the intent itself says for how much */
		retry(n, c, CMD_RETRIEVE_PI, now);
		break;
	case EV_PI_SEEN:
		seen_capturing(n, ev, c, now);
		break;
	case EV_CANCEL_BUSY:
	case EV_CANCEL_UNKNOWN:
	case EV_LOOK_UNKNOWN:
		unknown(n, c, now);
		break;
	default:
		break;
	}
}

static void in_restocking(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		retry(n, c, CMD_RESTOCK, now);
		break;
	case EV_RESTOCK_OK:
		n->sold = false;
		n->reserved = false;
		go_act(n, c, SAGA_CANCELLED, CMD_TELL_ENDED, now);
		break;
	case EV_RESTOCK_UNKNOWN:
		unknown(n, c, now);
		break;
	default:
		break;
	}
}

/* What expiring and cancelling_pi have in common: the intent was looked at, the stock was let go. */
static void seen_ending(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->pi) {
	case PI_SUCCEEDED:
		paid(n, c, ev->mismatch, now);
		break;
	case PI_CANCELED:
		n->pi_dead = true;
		n->tries = 0;
		release_or_end(n, c, now);
		break;
	case PI_PROCESSING:
		unknown(n, c, now);
		break;
	case PI_CAPTURABLE: /* paid in the last moment: the payment wins over the clock, not over the buyer's wish */
		if (n->st == SAGA_EXPIRING && n->why == WHY_TIMEOUT && !ev->mismatch) {
			n->why = WHY_NONE;
			go_again(n, c, SAGA_AUTHORIZED, now);
			break;
		}
		__attribute__((fallthrough));
	case PI_WAITING:
	case PI_ACTION:
		if (n->st == SAGA_EXPIRING)
			go(n, SAGA_CANCELLING_PI, now);
		retry(n, c, CMD_CANCEL_PI, now);
		break;
	}
}

static void released(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	if (ev->type == EV_RELEASE_OK) {
		n->reserved = false;
		end_expired(n, c, now);
	} else if (ev->type == EV_RELEASE_SOLD) {
		n->sold = true;
		go_act(n, c, SAGA_RESTOCKING, CMD_RESTOCK, now);
	} else {
		unknown(n, c, now);
	}
}

static void in_expiring(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		drive_expiring(n, c, now);
		break;
	case EV_PI_SEEN:
		seen_ending(n, ev, c, now);
		break;
	case EV_LOOK_UNKNOWN:
		unknown(n, c, now);
		break;
	case EV_RELEASE_OK:
	case EV_RELEASE_SOLD:
	case EV_RELEASE_UNKNOWN:
		released(n, ev, c, now);
		break;
	default:
		break;
	}
}

static void in_cancelling_pi(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		if (n->pi_dead) {
			release_or_end(n, c, now);
			break;
		}
		next_key(n);
		hold(n, c, now);
		retry(n, c, n->tries % 2 ? CMD_RETRIEVE_PI : CMD_CANCEL_PI, now);
		break;
	case EV_CANCEL_OK:
		n->pi_dead = true;
		n->tries = 0;
		release_or_end(n, c, now);
		break;
	case EV_CANCEL_SUCCEEDED:
		retry(n, c, CMD_RETRIEVE_PI, now);
		break;
	case EV_PI_SEEN:
		seen_ending(n, ev, c, now);
		break;
	case EV_CANCEL_BUSY:
	case EV_CANCEL_UNKNOWN:
	case EV_LOOK_UNKNOWN:
		unknown(n, c, now);
		break;
	case EV_RELEASE_OK:
	case EV_RELEASE_SOLD:
	case EV_RELEASE_UNKNOWN:
		released(n, ev, c, now);
		break;
	default:
		break;
	}
}

/* The money is on its way back; stock that we still have goes back as well. */
static void after_refund(struct saga_state *n, struct saga_cmds *c, int64_t now)
{
	if (n->sold)
		retry(n, c, CMD_RESTOCK, now);
	else if (n->reserved)
		retry(n, c, CMD_RELEASE, now);
	else
		go_act(n, c, SAGA_REFUNDED, CMD_TELL_REFUNDED, now);
}

static void in_refund_due(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	if (ev->type == SAGA_WAKE || ev->type == SAGA_SETTLE)
		go_act(n, c, SAGA_REFUNDING, CMD_REFUND, now);
}

static void in_refunding(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	switch (ev->type) {
	case SAGA_WAKE:
	case SAGA_SETTLE:
		if (n->refunded)
			after_refund(n, c, now);
		else
			retry(n, c, n->tries >= SAGA_KEY_TRIES && n->tries % 2 ? CMD_FIND_REFUND : CMD_REFUND, now);
		break;
	case EV_REFUND_OK:
		n->refunded = true;
		n->tries = 0;
		after_refund(n, c, now);
		break;
	case EV_REFUND_NONE:
		n->key_n++;
		n->tries = 0;
		retry(n, c, CMD_REFUND, now);
		break;
	case EV_REFUND_REFUSED: /* a person has to look; we go on asking, for this key only repeats the refusal */
		n->key_n++;
		n->next_at = now + SAGA_BACKOFF_MAX * 20;
		break;
	case EV_RELEASE_OK:
	case EV_RESTOCK_OK:
		n->sold = false;
		n->reserved = false;
		after_refund(n, c, now);
		break;
	case EV_RELEASE_SOLD:
		n->sold = true;
		after_refund(n, c, now);
		break;
	case EV_REFUND_UNKNOWN:
	case EV_LOOK_UNKNOWN:
	case EV_RELEASE_UNKNOWN:
	case EV_RESTOCK_UNKNOWN:
		unknown(n, c, now);
		break;
	default:
		break;
	}
}

/* Expired or cancelled: money that arrives all the same goes back, an authorisation is let go. */
static void in_dead(struct saga_state *n, const struct saga_event *ev, struct saga_cmds *c, int64_t now)
{
	if (ev->type == SAGA_SETTLE && n->has_pi) {
		act(c, CMD_RETRIEVE_PI);
	} else if (ev->type == EV_CANCEL_SUCCEEDED || (ev->type == EV_PI_SEEN && ev->pi == PI_SUCCEEDED)) {
		n->captured = true;
		go_again(n, c, SAGA_REFUND_DUE, now);
	} else if (ev->type == EV_PI_SEEN && ev->pi == PI_CAPTURABLE) {
		act(c, CMD_CANCEL_PI);
	}
}

void saga_step(const struct saga_state *s, const struct saga_event *ev, int64_t now, struct saga_state *next,
	       struct saga_cmds *cmds)
{
	*next = *s;
	memset(cmds, 0, sizeof(*cmds));
	switch (s->st) {
	case SAGA_OPEN:
		in_open(next, ev, cmds, now);
		break;
	case SAGA_RESERVING:
		in_reserving(next, ev, cmds, now);
		break;
	case SAGA_RESERVED:
		in_reserved(next, ev, cmds, now);
		break;
	case SAGA_PI_CREATING:
		in_pi_creating(next, ev, cmds, now);
		break;
	case SAGA_PAYMENT_PENDING:
		in_payment_pending(next, ev, cmds, now);
		break;
	case SAGA_AUTHORIZED:
		in_authorized(next, ev, cmds, now);
		break;
	case SAGA_SELLING:
		in_selling(next, ev, cmds, now);
		break;
	case SAGA_CAPTURING:
		in_capturing(next, ev, cmds, now);
		break;
	case SAGA_CAPTURE_FAILED:
		in_capture_failed(next, ev, cmds, now);
		break;
	case SAGA_RESTOCKING:
		in_restocking(next, ev, cmds, now);
		break;
	case SAGA_EXPIRING:
		in_expiring(next, ev, cmds, now);
		break;
	case SAGA_CANCELLING_PI:
		in_cancelling_pi(next, ev, cmds, now);
		break;
	case SAGA_REFUND_DUE:
		in_refund_due(next, ev, cmds, now);
		break;
	case SAGA_REFUNDING:
		in_refunding(next, ev, cmds, now);
		break;
	case SAGA_EXPIRED:
	case SAGA_CANCELLED:
		in_dead(next, ev, cmds, now);
		break;
	case SAGA_ORDERED:
	case SAGA_REFUNDED:
	case SAGA_ST_MAX_:
		break;
	}
}

bool saga_finds_back(const struct saga_state *stored, const struct saga_state *next)
{
	return stored->st == SAGA_SELLING && next->st == SAGA_CAPTURING && next->tries == 0;
}
