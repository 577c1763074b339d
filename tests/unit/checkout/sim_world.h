/* The simulated world of test_saga_sim.c: what there is in it, its chance, and the messages under way. */
#ifndef SOUK_TEST_SIM_WORLD_H
#define SOUK_TEST_SIM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "services/checkout/saga.h"
#include "tests/support/seeded.h"

#define T0	  1700000000000
#define MINUTE	  60000
#define CALL_MS	  5000
#define PAY_MS	  12000
#define LEASE_MS  15000
#define FRESH_MS  2000
#define HOLD_MS	  (30 * MINUTE)
#define LIVELY_MS (120 * MINUTE) /* after the last fault and the last wish of the buyer it is over within this */
#define DRIVERS	  4
#define FLYING	  512
#define INTENTS	  24
#define ATTEMPTS  4
#define KEYS	  160

enum res { NONE, ACTIVE, SOLD, RELEASED };
enum what { AT_ARRIVE, AT_REPLY, AT_TIMEOUT, AT_DRIVE, AT_BUYER, AT_WEBHOOK, AT_RIVAL, AT_CRASH };
enum wish { LOOK, PAY, AUTHENTICATE, CLEAR, CONFIRM, GIVE_UP, CHANGE };

struct msg {
	int64_t at;
	enum what what;
	int driver;
	unsigned seq; /* of the driver's question: answers to an older one are not heard */
	enum saga_cmd cmd;
	struct saga_state s; /* as persisted when it was sent */
	int pi, tries;
	int64_t amount;
	struct saga_event ev;
	enum wish wish;
	bool lost_after, patient, hook;
};

struct driver {
	bool busy, patient, hook, unsure;
	unsigned seq;
	int64_t version, until, leased_at;
	struct saga_state s;
	struct saga_cmds cmds;
	int i, tries;
	struct saga_event first;
};

struct intent {
	int pi_n, attempt, captures, refunds;
	enum pi_status st;
	int64_t amount, got, given;
	bool bad, shown, stray; /* stray: made when nobody waited for it any more */
};

struct reservation {
	enum res st;
	int64_t until;
	bool hold, restocked;
};

/* A stored answer: the provider repeats it for the same key, whatever has become of the object. */
struct stored {
	enum saga_cmd cmd;
	int pi, n;
	struct saga_event ev;
};

struct world {
	uint64_t rng;
	int64_t now, heal, last_wish;
	unsigned heavy; /* of 1000 */
	struct msg msg[FLYING];
	int n_msg;
	struct driver d[DRIVERS];
	/* the row */
	struct saga_state s;
	int64_t version, lease, total, swept;
	int pi; /* the row's intent, -1 */
	int orders, tells, unstored;
	/* inventory */
	int on_hand, rival, qty;
	struct reservation res[ATTEMPTS][2];
	/* provider */
	struct intent in[INTENTS];
	int n_in, none_up_to; /* the last payment attempt that was looked for in vain */
	struct stored st[KEYS];
	int n_st;
	/* buyer */
	bool watching, vanished;
	char broken[160];
};

static bool verbose;

#define MUST(w, cond)                                                                                                 \
	do {                                                                                                          \
		if (!(cond) && !*(w)->broken)                                                                          \
			snprintf((w)->broken, sizeof((w)->broken), "%s:%d: %s (in %s)", __FILE__, __LINE__, #cond,    \
				 saga_state_name((w)->s.st));                                                          \
	} while (0)
#define SAY(w, ...)                                                                                                   \
	do {                                                                                                          \
		if (verbose) {                                                                                         \
			printf("%9.3f ", (double)((w)->now - T0) / 1000);                                              \
			printf(__VA_ARGS__);                                                                           \
			putchar('\n');                                                                                 \
		}                                                                                                     \
	} while (0)

static unsigned rnd(struct world *w, unsigned n)
{
	return seeded(&w->rng, n);
}

/* A fault happens: of 1000, while there are faults at all. */
static bool fault(struct world *w, unsigned weight)
{
	return w->now < w->heal && rnd(w, 1000) < weight * w->heavy / 10;
}

static void send(struct world *w, int64_t after, struct msg m)
{
	m.at = w->now + after;
	MUST(w, w->n_msg < FLYING);
	if (w->n_msg < FLYING)
		w->msg[w->n_msg++] = m;
}

static struct saga_event event(enum saga_ev type)
{
	return (struct saga_event){ .type = type };
}

#endif
