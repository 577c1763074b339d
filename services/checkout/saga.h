/*
 * The checkout saga: one pure step function. It does no I/O, allocates nothing and reads no clock, so the daemon and the
 * simulator run the same object file.
 *
 *	(state, event, now) -> (next state, commands)
 *
 * The driver (saga_run.c) persists `next` by compare-and-set on the row's version BEFORE it carries out a command (but
 * for the step of saga_finds_back), with no transaction open while it acts, and feeds the outcome back as the next event. A crash anywhere is a SAGA_WAKE of the
 * stored state: each state that acts gives the same command again, and every command is idempotent by its key.
 *
 *	open -> reserving -> reserved -> pi_creating -> payment_pending -> authorized -> selling -> capturing -> ordered
 *	capture_failed -> restocking -> cancelled
 *	expiring -> cancelling_pi -> expired
 *	refund_due -> refunding -> refunded
 *
 * What it never does: release stock while the payment may still succeed; capture without sold stock; write an order
 * before the capture is confirmed (or the total is nothing); use a second key while the first one's outcome is unknown.
 */
#ifndef SOUK_CHECKOUT_SAGA_H
#define SOUK_CHECKOUT_SAGA_H

#include <stdbool.h>
#include <stdint.h>

/* Stored by name (saga_state_name): append, never rename. */
enum saga_st {
	SAGA_OPEN = 0,
	SAGA_RESERVING,
	SAGA_RESERVED,
	SAGA_PI_CREATING,
	SAGA_PAYMENT_PENDING,
	SAGA_AUTHORIZED,
	SAGA_SELLING,
	SAGA_CAPTURING,
	SAGA_ORDERED, /* terminal */
	SAGA_CAPTURE_FAILED,
	SAGA_RESTOCKING,
	SAGA_CANCELLED, /* terminal */
	SAGA_EXPIRING,
	SAGA_CANCELLING_PI,
	SAGA_EXPIRED, /* terminal */
	SAGA_REFUND_DUE,
	SAGA_REFUNDING,
	SAGA_REFUNDED, /* terminal */
	SAGA_ST_MAX_
};

/* Why a checkout ended, or is ending. Stored by name. */
enum saga_why {
	WHY_NONE = 0,
	WHY_OUT_OF_STOCK,
	WHY_TIMEOUT,
	WHY_ABANDONED,	      /* the buyer gave it up */
	WHY_REPLACED,	      /* the buyer changed cart, address or shipping */
	WHY_PROVIDER_DOWN,    /* the provider could surely not be reached */
	WHY_PAYMENT_REFUSED,  /* the provider refused to begin */
	WHY_PAYMENT_CANCELED, /* cancelled at the provider */
	WHY_MISMATCH,	      /* amount, currency or checkout of the intent are not ours */
	WHY_STOCK_GONE,	      /* the reservation was lost after the payment */
	WHY_CAPTURE_FAILED,
	WHY_MAX_
};

/* Status of a payment intent; a word that we do not know counts as waiting. */
enum pi_status { PI_WAITING = 0, PI_ACTION, PI_PROCESSING, PI_CAPTURABLE, PI_SUCCEEDED, PI_CANCELED };

enum saga_ev {
	SAGA_WAKE = 0, /* time has come, or a crash is behind us: go on */
	SAGA_SETTLE,   /* the client or a webhook says: look at the payment now */
	SAGA_END,      /* give it up; `why` tells */
	EV_RESERVE_OK,
	EV_RESERVE_REFUSED,
	EV_RESERVE_UNKNOWN,
	EV_PI_CREATED,
	EV_PI_NOT_SENT, /* surely not processed */
	EV_PI_REFUSED,	/* surely not made */
	EV_PI_UNKNOWN,
	EV_PI_NONE, /* looked for by its metadata: there is none */
	EV_PI_SEEN, /* retrieved: `pi`, `mismatch` */
	EV_LOOK_UNKNOWN,
	EV_SELL_OK,
	EV_SELL_GONE,
	EV_SELL_UNKNOWN,
	EV_CAPTURE_OK,
	EV_CAPTURE_REFUSED, /* surely not captured */
	EV_CAPTURE_UNKNOWN,
	EV_CANCEL_OK,
	EV_CANCEL_SUCCEEDED, /* too late: the payment won the race */
	EV_CANCEL_BUSY,	     /* processing: cannot be cancelled now */
	EV_CANCEL_UNKNOWN,
	EV_RELEASE_OK,
	EV_RELEASE_SOLD, /* it was sold: put back instead */
	EV_RELEASE_UNKNOWN,
	EV_RESTOCK_OK,
	EV_RESTOCK_UNKNOWN,
	EV_REFUND_OK,
	EV_REFUND_NONE, /* looked for: there is none */
	EV_REFUND_REFUSED,
	EV_REFUND_UNKNOWN,
	SAGA_EV_MAX_
};

struct saga_event {
	enum saga_ev type;
	enum pi_status pi; /* EV_PI_SEEN */
	bool mismatch;	   /* EV_PI_SEEN: amount, currency or metadata differ from the frozen checkout */
	enum saga_why why; /* SAGA_END */
};

enum saga_cmd {
	CMD_RESERVE = 0, /* key: checkout id, attempt, `rereserved` */
	CMD_EXTEND,	 /* hold: the payment's outcome is unknown; best effort, no outcome is fed back */
	CMD_CREATE_PI,	 /* key and parameters of payment attempt pi_n, stored before the first call */
	CMD_FIND_PI,	 /* by metadata, when the key only repeats a stored failure */
	CMD_RETRIEVE_PI,
	CMD_SELL,
	CMD_CAPTURE, /* key: intent, key_n */
	CMD_CANCEL_PI,
	CMD_RELEASE,
	CMD_RESTOCK,
	CMD_REFUND, /* key: intent, key_n */
	CMD_FIND_REFUND,
	/* Carried out inside the transaction that persists `next`: */
	CMD_WRITE_ORDER, /* order, payment, ledger, order.placed */
	CMD_TELL_ENDED,	 /* promotions given back, checkout.expired or checkout.payment_failed */
	CMD_TELL_REFUNDED,
	SAGA_CMD_MAX_
};

#define SAGA_CMDS 4
struct saga_cmds {
	int n;
	enum saga_cmd cmd[SAGA_CMDS];
	bool again; /* nothing to do in this state: step once more with SAGA_WAKE before persisting */
};

/* Everything the step looks at. Times are milliseconds of PostgreSQL's clock; 0 = none. */
struct saga_state {
	enum saga_st st;
	enum saga_why why;
	int32_t attempt; /* freezes of this checkout, from 1 */
	int32_t pi_n;	 /* payment attempts, from 1; never reused */
	int32_t key_n;	 /* key of the present state's provider call, from 1 */
	int32_t tries;	 /* unknown outcomes, or polls, in a row */
	int64_t begun_at; /* of this attempt */
	int64_t expires_at;
	int64_t next_at; /* when the sweeper drives it; 0: never (terminal) */
	bool free;	 /* the total is nothing: no payment */
	bool reserved;	 /* a reservation was asked for and may be held */
	bool rereserved; /* the second reservation, after the first was lost */
	bool sold;	 /* the stock is ours for good */
	bool has_pi;	 /* its id is known */
	bool pi_maybe;	 /* it may exist without our knowing its id */
	bool pi_dead;	 /* cancel confirmed */
	bool captured;	 /* the provider holds the money for us */
	bool refunded;
	bool ending; /* END came while an outcome was unknown */
};

#define SAGA_TTL_MS	   (15 * 60 * 1000)
#define SAGA_ACT_MS	   15000 /* a command that nobody reported on is given again after this */
#define SAGA_BACKOFF_MIN   400
#define SAGA_BACKOFF_MAX   30000
#define SAGA_POLL_MIN	   10000 /* looking at an intent that nobody told us about */
#define SAGA_POLL_MAX	   60000
#define SAGA_HOLD_BEFORE   120000 /* before expiry: keep the reservation while a payment's outcome is unknown */
#define SAGA_KEY_TRIES	   5	  /* unknown outcomes with one key before looking for the object itself */

/* A new checkout; total_is_zero makes it free. */
void saga_begin(struct saga_state *s, int64_t now_ms, int64_t ttl_ms, bool total_is_zero);

/*
 * An expired checkout with newly frozen totals: attempt N + 1, open again. False when it is in no state for that; the
 * caller's unique index still refuses a second live checkout of the cart.
 */
bool saga_reopen(const struct saga_state *s, int64_t now_ms, int64_t ttl_ms, bool total_is_zero,
		 struct saga_state *next);

/* next may not be s. Total: an event that means nothing in a state changes nothing. */
void saga_step(const struct saga_state *s, const struct saga_event *ev, int64_t now_ms, struct saga_state *next,
	       struct saga_cmds *cmds);

/*
 * From what is stored a crash comes to next's command by itself, with the same key: sold stock is sold again for the same
 * order without effect, and then captured. While the lease of `stored` lasts, next need not be stored before it acts.
 */
bool saga_finds_back(const struct saga_state *stored, const struct saga_state *next);

bool saga_terminal(enum saga_st st);
/* Blocks a second checkout of the same cart: not terminal, and may still become an order. */
bool saga_live(enum saga_st st);
/* One of the states whose commands change something elsewhere; the driver takes the lease for these. */
bool saga_cmd_acts(enum saga_cmd cmd);
bool saga_cmd_in_tx(enum saga_cmd cmd);

const char *saga_state_name(enum saga_st st);
bool saga_state_parse(const char *name, enum saga_st *st_r);
const char *saga_why_name(enum saga_why why); /* "" for WHY_NONE */
bool saga_why_parse(const char *name, enum saga_why *why_r);
const char *saga_cmd_name(enum saga_cmd cmd);
const char *saga_ev_name(enum saga_ev ev);

#endif
